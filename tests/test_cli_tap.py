"""``tidegate tap`` at a real broker, with records of the real agent and with forged ones."""

from __future__ import annotations

import asyncio
import json
import signal
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from drivers.modbus.settings import ModbusLink
from drivers.modbus.simulator import Faults, serve
from gateway.dialects.wire import LaneMessage
from gateway.loader import load
from gateway.simulation import packets
from gateway.simulation.broker import Broker
from tests import cli_stage
from tests.cli_stage import device, end, modbus_link, running, tidegate, write_site
from tests.patience import PATIENCE_S, until
from tests.test_continuity import gap, message, plain, values

ROOT = "park/v1"
NOT_AUTHORISED = 0x87
TK101 = device(
    "tk101",
    1,
    "{name: level, address: holding/0, type: int16, interval: 100ms}",
    "{name: flow, address: holding/1, type: int16, interval: 100ms}",
)


async def until_heard(broker: Broker) -> None:
    """Return when somebody listens; what is sent for that means nothing."""
    await until(lambda: broker.publish(f"{ROOT}/g1/heads", b""))


def send(broker: Broker, *messages: LaneMessage) -> None:
    for one in messages:
        topic = f"{ROOT}/{one.gateway}/{one.lane}/{one.device}"
        assert broker.publish(topic, msgspec.json.encode(one), qos=1)


def all_acknowledged(broker: Broker) -> bool:
    """Whether each client has taken in what was sent to it."""
    sessions = [client._session for client in broker._clients]
    return not any(session.unacknowledged for session in sessions if session)


async def stop(broker: Broker, process: Process) -> cli_stage.Ended:
    """Ctrl-C, once everything sent has been heard."""
    await until(lambda: all_acknowledged(broker))
    process.send_signal(signal.SIGINT)
    return await end(process)


async def test_what_the_agent_delivers_is_complete(broker: Broker, tmp_path: Path) -> None:
    draft = load(write_site(tmp_path, modbus_link(1, TK101))).links[0]
    assert isinstance(draft.config, ModbusLink)
    async with await serve(draft.config, draft.tags, lambda tag, at: 7, Faults()) as server:
        file = write_site(tmp_path, modbus_link(server.port, TK101), broker=broker.url)
        async with running("tap", "-c", file, "--check") as tap:
            await until(lambda: broker.connections >= 1)
            async with running("run", "-c", file) as agent:
                await until(lambda: broker.messages > 12)
                agent.send_signal(signal.SIGTERM)
                assert (await end(agent)).code == 0
            heard = await stop(broker, tap)
    assert heard.code == 0, heard
    assert "tk101 #1" in heard.out
    assert "level=7 flow=7" in heard.out
    assert "event start" in heard.out
    assert "status g1 offline (stopped)" in heard.out
    assert "continuity: nothing is missing in 2 streams; out of order 0" in heard.out
    assert "Traceback" not in heard.err


async def test_a_lost_message_is_found_and_the_exit_code_is_1(broker: Broker) -> None:
    async with running("tap", broker.url, "--root", ROOT, "--check") as tap:
        await until(lambda: broker.connections >= 1)
        await until_heard(broker)
        send(broker, plain(1, 3), plain(6, 7), plain(6, 7))
        heard = await stop(broker, tap)
    assert heard.code == 1
    assert "g1/data/tk101 1a1a1a1a: missing 4..5 (2 records)" in heard.out
    assert "continuity: MISSING 2 records" in heard.out
    assert "duplicates 2" in heard.out


async def test_without_check_loss_is_not_judged(broker: Broker) -> None:
    async with running("tap", broker.url, "--root", ROOT) as tap:
        await until_heard(broker)
        send(broker, plain(1, 3), plain(6, 7))
        heard = await stop(broker, tap)
    assert heard.code == 0
    assert "missing" not in heard.out.lower()


async def test_a_gap_quality_and_lateness_are_readable(broker: Broker) -> None:
    bad = values(2) | {
        "values": {"level": None},
        "quality": {"level": "bad.sensor"},
        "late": True,
        "clock": "unsynced",
    }
    async with running("tap", broker.url, "--root", ROOT) as tap:
        await until_heard(broker)
        send(broker, message(gap(1, count=120, count_is="at_most"), bad))
        heard = await stop(broker, tap)
    assert "tk101 #1 gap journal_evicted tags=* " in heard.out
    assert "readings=<=120" in heard.out
    assert "tk101 #2 late clock=unsynced level=-(bad.sensor)" in heard.out


async def test_json_is_one_object_a_line_with_findings_and_summary(broker: Broker) -> None:
    arguments = ("tap", broker.url, "--root", ROOT, "--check", "--format", "json")
    async with running(*arguments) as tap:
        await until_heard(broker)
        send(broker, plain(1, 1), plain(3, 3))
        heard = await stop(broker, tap)
    lines = [json.loads(line) for line in heard.out.splitlines()]
    records = [line for line in lines if "seq" in line]
    (finding,) = [line for line in lines if line.get("finding") == "missing"]
    assert records[0]["values"] == {"level": 1.5, "flow": 2}
    assert records[0]["device"] == "tk101"
    assert (finding["first"], finding["last"]) == (2, 2)
    assert lines[-1]["summary"]["missing"] == 1


async def test_a_message_on_the_topic_of_another_stream_is_wrong(broker: Broker) -> None:
    async with running("tap", broker.url, "--root", ROOT, "--check") as tap:
        await until_heard(broker)
        broker.publish(f"{ROOT}/g1/data/tk102", msgspec.json.encode(plain(1, 1)), qos=1)
        broker.publish(f"{ROOT}/g1/data/tk102", b"{}", qos=1)
        heard = await stop(broker, tap)
    assert heard.code == 1
    assert "the message is of g1/data/tk101" in heard.out
    assert "wrong messages" in heard.out


async def test_a_retained_message_that_is_taken_back_is_no_message(broker: Broker) -> None:
    async with running("tap", broker.url, "--root", ROOT, "--check") as tap:
        await until_heard(broker)
        broker.publish(f"{ROOT}/g1/status", b"", qos=1, retain=True)
        heard = await stop(broker, tap)
    assert heard.code == 0
    assert "unreadable" not in heard.out


async def test_it_stops_after_the_seconds_given_with_a_summary(broker: Broker) -> None:
    heard = await tidegate("tap", broker.url, "--check", "--seconds", "1")
    assert heard.code == 0
    assert "records 0, readings 0" in heard.out


async def test_it_warns_that_it_counts_as_a_subscriber(broker: Broker) -> None:
    heard = await tidegate("tap", broker.url, "--seconds", "0.1")
    assert "counts as delivered, even while the platform is away" in heard.err


async def test_its_client_id_is_its_own(broker: Broker, tmp_path: Path) -> None:
    file = write_site(tmp_path, modbus_link(1, TK101), broker=broker.url)
    async with running("tap", "-c", file) as one, running("tap", "-c", file) as other:
        await until(lambda: broker.connections >= 2)
        ended = [await stop(broker, one), await stop(broker, other)]
    assert not any("not connected" in heard.err for heard in ended)


async def test_after_its_own_reconnect_it_does_not_blame_the_gateway(broker: Broker) -> None:
    async with running("tap", broker.url, "--root", ROOT, "--check") as tap:
        await until_heard(broker)
        send(broker, plain(1, 3))
        broker.disconnect()
        await until(lambda: broker.connections >= 2)
        await until_heard(broker)
        send(broker, plain(9, 9))
        heard = await stop(broker, tap)
    assert heard.code == 0
    assert "connected again" in heard.err


async def test_without_any_broker_the_exit_code_is_69(broker: Broker) -> None:
    await broker.stop()
    heard = await tidegate("tap", broker.url, "--seconds", "0.5")
    assert heard.code == 69
    assert "not connected" in heard.err


async def test_a_refused_subscription_is_told(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    suback = packets.suback

    def refuse(packet_id: int, codes: Sequence[int], version: int) -> bytes:
        return suback(packet_id, [NOT_AUTHORISED] * len(codes), version)

    monkeypatch.setattr(packets, "suback", refuse)
    heard = await tidegate("tap", broker.url, "--seconds", "1")
    assert "refuses the subscription to tidegate/v1/+/data/+, reason 0x87" in heard.err


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("10.0.0.1:1883", "not the address of a broker"),
        ("mqtt://user:word@127.0.0.1", "a password in a url"),
    ],
)
async def test_a_url_that_is_none_of_a_broker_is_wrong_usage(url: str, told: str) -> None:
    heard = await tidegate("tap", url)
    assert heard.code == 2
    assert told in heard.err
    assert "word@" not in heard.err


async def test_the_password_of_a_configuration_is_not_sent_in_the_open(tmp_path: Path) -> None:
    file = write_site(tmp_path, modbus_link(1, TK101))
    secret = "username: u, password: {file: /nonexistent},"
    file.write_text(file.read_text().replace("mqtt: {", f"mqtt: {{{secret} "))
    heard = await tidegate("tap", "mqtt://10.9.8.7", "-c", file)
    assert heard.code == 2
    assert "not encrypted" in heard.err


async def test_a_reader_that_goes_away_ends_it_without_a_trace(broker: Broker) -> None:
    async with running("tap", broker.url, "--root", ROOT) as tap:
        await until_heard(broker)
        assert tap.stdout is not None
        tap.stdout._transport.close()  # type: ignore[attr-defined]
        send(broker, *(plain(seq, seq) for seq in range(1, 500)))
        async with asyncio.timeout(PATIENCE_S):
            assert tap.stderr is not None
            errors = await tap.stderr.read()
            await tap.wait()
    assert tap.returncode == 0
    assert b"Traceback" not in errors
