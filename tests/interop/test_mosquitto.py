"""Delivery against mosquitto, a broker that none of us wrote."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.lane import Policy
from gateway.model import Lane
from gateway.mqtt import Credentials, MqttPublisher, MqttSettings, TlsFiles
from gateway.publisher import Acknowledged, Connected, Lost, PublisherEvent, Received
from tests.conftest import require_program
from tests.delivery.plant import MemoryJournal, StillClock, block
from tests.delivery.site import DIALECT, Platform, delivering
from tests.patience import PATIENCE_S, until

pytestmark = pytest.mark.peer

TOPICS = DIALECT.topic("+", "+")
PROBE = DIALECT.topic("data", "probe")
CONSENT = Policy(accept_v3_acknowledgements=True)


class Mosquitto:
    """One broker with its own configuration on its own port."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self._program = require_program("mosquitto")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        always = [
            f"listener {self.port} 127.0.0.1",
            "max_queued_messages 0",
            "persistence false",
        ]
        self._config.write_text("\n".join([*always, *lines]) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Run, and return when it listens."""
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with suppress(ConnectionRefusedError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    await writer.wait_closed()
                    return
                await asyncio.sleep(0.02)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@asynccontextmanager
async def mosquitto(folder: Path, *lines: str) -> AsyncIterator[Mosquitto]:
    broker = Mosquitto(folder, *(lines or ("allow_anonymous true",)))
    await broker.start()
    try:
        yield broker
    finally:
        broker.kill()


@asynccontextmanager
async def listening(
    platform: Platform, url: str, topic: str = TOPICS, **more: Any
) -> AsyncIterator[list[PublisherEvent]]:
    """A platform that subscribes at the broker; the events of its own connection."""
    events: list[PublisherEvent] = []

    def hear(event: PublisherEvent) -> None:
        if isinstance(event, Received):
            if event.topic != PROBE:
                platform.hear(event.topic, event.payload)
            return
        events.append(event)
        if isinstance(event, Connected):
            # Behind the SUBSCRIBE on the same connection: once answered, both took effect.
            listener.publish(PROBE, b"", qos=1, retain=False)

    tls = more.pop("tls", TlsFiles())
    settings = MqttSettings(
        [url], "platform", tls=tls, subscriptions=[topic], max_incoming_bytes=1 << 20
    )
    listener = MqttPublisher(settings, StillClock(), **more)
    task = asyncio.create_task(listener.run(hear))
    try:
        yield events
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def subscribed(events: list[PublisherEvent], connections: int = 1) -> None:
    """Return when mosquitto has taken note of what the platform subscribes to."""
    await until(lambda: len([e for e in events if isinstance(e, Acknowledged)]) >= connections)


def backlog(count: int) -> MemoryJournal:
    journal = MemoryJournal(block("tk101", 30), block("tk102", 30))
    for number in range(2 * count):
        journal.poll(number % 2, value=number)
    return journal


@pytest.mark.parametrize("version", [5, 4])
async def test_backlog_arrives_in_order_and_is_settled(tmp_path: Path, version: int) -> None:
    journal, platform = backlog(1500), Platform()
    async with mosquitto(tmp_path) as broker, listening(platform, broker.url) as events:
        await subscribed(events)
        async with (
            delivering(
                journal, broker.url, StillClock(), version=version, policy=CONSENT
            ) as delivery,
            asyncio.timeout(PATIENCE_S),
        ):
            await delivery.drained()
            await until(lambda: len(platform.seqs("tk102")) >= 1500)
    assert platform.seqs("tk101") == platform.seqs("tk102") == list(range(1, 1501))


async def test_broker_killed_and_restarted_gets_everything_not_settled(tmp_path: Path) -> None:
    journal, platform = backlog(50), Platform()
    async with mosquitto(tmp_path) as broker, listening(platform, broker.url) as events:
        await subscribed(events)
        async with delivering(journal, broker.url, StillClock()) as delivery:
            async with asyncio.timeout(PATIENCE_S):
                await delivery.drained()
            await until(lambda: len(platform.seqs("tk102")) >= 50)
            broker.kill()
            await until(lambda: not delivery.online)
            for number in range(100):
                journal.poll(number % 2)
            await broker.start()
            await subscribed(events, 2)
            clock = delivery.lanes[Lane.DATA]._clock
            assert isinstance(clock, StillClock)
            clock.s += 31.0  # the platform may come back after us: 0x10 holds the lane 30 s
            async with asyncio.timeout(PATIENCE_S):
                await delivery.drained()
                await until(lambda: len(set(platform.seqs("tk102"))) >= 100)
    assert sorted(set(platform.seqs("tk101"))) == list(range(1, 101))


async def test_topic_denied_by_acl_is_refused_and_nothing_is_settled(readable: Path) -> None:
    journal, clock = backlog(5), StillClock()
    acl = readable / "acl"
    acl.write_text("topic read #\n")
    acl.chmod(0o644)
    lines = ("allow_anonymous true", f"acl_file {acl}")
    async with (
        mosquitto(readable, *lines) as broker,
        delivering(journal, broker.url, clock) as delivery,
    ):
        # mosquitto 2.0.11 also ends the connection: the three tries may pass in no time.
        said = (["data.refused_0x87"], ["data.stopped_0x87"])
        await until(lambda: delivery.reasons() in said)
    assert journal.settled(Lane.DATA) == 0


async def test_one_topic_denied_by_acl_is_named_and_the_others_flow(readable: Path) -> None:
    journal, clock, platform = backlog(50), StillClock(), Platform()
    acl = readable / "acl"
    acl.write_text(f"topic readwrite #\ntopic deny {DIALECT.topic('data', 'tk101')}\n")
    acl.chmod(0o644)
    lines = ("allow_anonymous true", f"acl_file {acl}")
    async with (
        mosquitto(readable, *lines) as broker,
        listening(platform, broker.url) as events,
    ):
        await subscribed(events)
        async with delivering(journal, broker.url, clock) as delivery:
            await until(lambda: len(platform.seqs("tk102")) >= 50)
            async with asyncio.timeout(PATIENCE_S):
                while not journal.debts[Lane.DATA]:
                    clock.s += 1.1
                    await asyncio.sleep(0.3)
            # mosquitto 2.0.11 hangs up after a refusal: between two connections more is said.
            await until(lambda: delivery.reasons() == ["data.denied_0x87.tk101"])
            await until(lambda: journal.settled(Lane.DATA) == journal.committed(Lane.DATA))
    assert platform.seqs("tk101") == []
    (owed,) = journal.debts[Lane.DATA]
    assert (owed.first_seq, owed.last_seq, owed.readings) == (1, 50, 50)


async def test_nobody_subscribed_holds_the_lane(tmp_path: Path) -> None:
    journal = backlog(5)
    async with (
        mosquitto(tmp_path) as broker,
        delivering(journal, broker.url, StillClock()) as delivery,
    ):
        await until(lambda: delivery.reasons() == ["data.no_subscribers"])
    assert journal.settled(Lane.DATA) == 0


def certificates(folder: Path, host: str = "127.0.0.1") -> None:
    """A CA, a server for ``host`` and a client, made with openssl."""
    openssl = require_program("openssl")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for authority in ("ca", "other-ca"):
        run("req", "-x509", *new, "-keyout", f"{authority}.key", "-out", f"{authority}.pem",
            "-subj", f"/CN={authority}", "-days", "2")  # fmt: skip
    kind = "DNS" if host.isalpha() else "IP"
    (folder / "server.ext").write_text(f"subjectAltName={kind}:{host}\n")
    (folder / "client.ext").write_text("extendedKeyUsage=clientAuth\n")
    for name in ("server", "client"):
        run(
            "req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"
        )
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext",
            "-out", f"{name}.pem")  # fmt: skip
    for file in folder.iterdir():
        file.chmod(0o644)  # mosquitto reads them after it gave up being root
    folder.chmod(0o755)


def tls_lines(folder: Path) -> tuple[str, ...]:
    return (
        "allow_anonymous true",
        "require_certificate true",
        f"cafile {folder}/ca.pem",
        f"certfile {folder}/server.pem",
        f"keyfile {folder}/server.key",
    )


@pytest.fixture
def readable(tmp_path: Path) -> Path:
    """A folder that mosquitto can enter when it has dropped to its own user."""
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    return tmp_path


async def test_delivery_over_mutual_tls(readable: Path) -> None:
    certificates(readable)
    journal, platform = backlog(300), Platform()
    files = TlsFiles(
        readable / "ca.pem", readable / "client.pem", lambda: readable / "client.key"
    )
    async with mosquitto(readable, *tls_lines(readable)) as broker:
        url = f"mqtts://127.0.0.1:{broker.port}"
        async with listening(platform, url, tls=files) as events:
            await subscribed(events)
            async with (
                delivering(journal, url, StillClock(), tls=files) as delivery,
                asyncio.timeout(PATIENCE_S),
            ):
                await delivery.drained()
                await until(lambda: len(platform.seqs("tk102")) >= 300)
    assert platform.seqs("tk101") == list(range(1, 301))


@pytest.mark.parametrize(
    ("ca", "host", "says"),
    [
        ("other-ca.pem", "127.0.0.1", "certificate verify failed"),
        ("ca.pem", "elsewhere", "IP address mismatch"),
    ],
    ids=["signed by a stranger", "made for another host"],
)
async def test_broker_that_is_not_the_one_we_trust_is_refused(
    readable: Path, ca: str, host: str, says: str
) -> None:
    certificates(readable, host)
    files = TlsFiles(readable / ca, readable / "client.pem", lambda: readable / "client.key")
    async with (
        mosquitto(readable, *tls_lines(readable)) as broker,
        listening(Platform(), f"mqtts://127.0.0.1:{broker.port}", tls=files) as events,
    ):
        await until(lambda: events != [])
    lost = events[0]
    assert isinstance(lost, Lost)
    assert says in lost.text


async def test_wrong_password_is_refused_with_the_brokers_reason(readable: Path) -> None:
    passwords = readable / "passwords"
    tool = require_program("mosquitto_passwd")
    subprocess.run([tool, "-b", "-c", str(passwords), "huangma", "right"], check=True)
    passwords.chmod(0o644)
    lines = ("allow_anonymous false", f"password_file {passwords}")
    async with mosquitto(readable, *lines) as broker:
        async with listening(
            Platform(), broker.url, credentials=lambda: Credentials("huangma", "wrong")
        ) as refused:
            await until(lambda: refused != [])
        async with listening(
            Platform(), broker.url, credentials=lambda: Credentials("huangma", "right")
        ) as accepted:
            await until(lambda: accepted != [])
    lost = refused[0]
    assert isinstance(lost, Lost)
    assert lost.reason == 0x87
    assert isinstance(accepted[0], Connected)
