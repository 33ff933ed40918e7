"""The MQTT adapter: one connection at a time, nothing queued, nothing silent."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.mqtt import (
    ELSEWHERE,
    Credentials,
    MqttPublisher,
    MqttSettings,
    TlsFiles,
    pause_after,
)
from gateway.publisher import Acknowledged, Connected, Lost, PublisherEvent, Received
from gateway.simulation.broker import Broker
from tests.delivery.plant import StillClock
from tests.delivery.site import broker_with
from tests.patience import PATIENCE_S, until


class Ear:
    """Notes what a publisher tells."""

    def __init__(self) -> None:
        self.events: list[PublisherEvent] = []

    def __call__(self, event: PublisherEvent) -> None:
        self.events.append(event)

    def of(self, kind: type) -> list[PublisherEvent]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def publishing(publisher: MqttPublisher, ear: Ear) -> AsyncIterator[None]:
    task = asyncio.create_task(publisher.run(ear))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def publisher_for(*brokers: Broker, version: int = 5, **more: object) -> MqttPublisher:
    settings = MqttSettings([broker.url for broker in brokers], "gw", version)
    return MqttPublisher(settings, StillClock(), **more)  # type: ignore[arg-type]


def clock_of(publisher: MqttPublisher) -> StillClock:
    clock = publisher._clock
    assert isinstance(clock, StillClock)
    return clock


@pytest.mark.parametrize(("version", "can_refuse"), [(5, True), (4, False)])
async def test_each_publish_is_acknowledged_by_its_token(
    version: int, can_refuse: bool
) -> None:
    ear = Ear()
    async with broker_with() as broker:
        broker.listen("#", lambda topic, payload: None)
        publisher = publisher_for(broker, version=version)
        async with publishing(publisher, ear):
            await until(lambda: ear.of(Connected) != [])
            tokens = [publisher.publish("a", b"x", qos=1, retain=False) for _ in range(50)]
            await until(lambda: len(ear.of(Acknowledged)) >= 50)
    assert ear.events[0] == Connected(65_535, None, can_refuse, broker.url)
    assert ear.of(Acknowledged) == [Acknowledged(token or 0, 0) for token in tokens]


async def test_limits_of_the_broker_are_told() -> None:
    ear = Ear()
    async with (
        broker_with(receive_maximum=7, maximum_packet_bytes=9000) as broker,
        publishing(publisher_for(broker), ear),
    ):
        await until(lambda: ear.of(Connected) != [])
    assert ear.events[0] == Connected(7, 9000, True, broker.url)


async def test_refusal_is_told_with_the_brokers_reason() -> None:
    ear = Ear()
    async with broker_with() as broker:
        broker.faults.refuse["a"] = 0x97
        publisher = publisher_for(broker)
        async with publishing(publisher, ear):
            await until(lambda: ear.of(Connected) != [])
            publisher.publish("a", b"x", qos=1, retain=False)
            publisher.publish("b", b"x", qos=1, retain=False)
            await until(lambda: len(ear.of(Acknowledged)) >= 2)
    assert ear.of(Acknowledged) == [Acknowledged(1, 0x97), Acknowledged(2, 0x10)]


async def test_without_a_connection_nothing_is_kept() -> None:
    ear = Ear()
    async with broker_with() as broker:
        publisher = publisher_for(broker)
        assert publisher.publish("a", b"x", qos=1, retain=False) is None
        async with publishing(publisher, ear):
            await until(lambda: ear.of(Connected) != [])
            broker.faults.drop_acks = 1
            publisher.publish("a", b"x", qos=1, retain=False)
            await until(lambda: broker.messages == 1)
            broker.cut()
            await until(lambda: len(ear.of(Connected)) >= 2)
            publisher.publish("a", b"y", qos=1, retain=False)
            await until(lambda: ear.of(Acknowledged) != [])
        assert broker.messages == 2, "the unacknowledged message was sent by somebody else"
    assert [type(event) for event in ear.events] == [Connected, Lost, Connected, Acknowledged]


async def test_next_broker_is_tried_when_one_cannot_be_reached() -> None:
    ear = Ear()
    async with broker_with() as down, broker_with() as up:
        await down.stop()
        async with publishing(publisher_for(down, up), ear):
            await until(lambda: ear.of(Connected) != [])
    assert [type(event) for event in ear.events] == [Lost, Connected]
    assert ear.events[1] == Connected(65_535, None, True, up.url)


@pytest.mark.parametrize("reason", sorted(ELSEWHERE - {0x88}), ids=hex)
async def test_broker_that_names_another_is_left_for_the_next_without_a_pause(
    reason: int,
) -> None:
    ear = Ear()
    async with broker_with() as first, broker_with() as second:
        publisher = publisher_for(first, second)
        async with publishing(publisher, ear):
            await until(lambda: first.connections == 1 and publisher.status.online)
            clock_of(publisher).s += 3600.0
            before_s = clock_of(publisher).s
            first.disconnect(reason)
            await until(lambda: second.connections == 1 and publisher.status.online)
            assert clock_of(publisher).s == before_s


async def test_broker_that_lets_us_in_and_drops_us_is_not_asked_before_the_next() -> None:
    ear = Ear()
    async with broker_with() as first, broker_with() as second:
        publisher = publisher_for(first, second)
        async with publishing(publisher, ear):
            await until(lambda: len(ear.of(Connected)) == 1)
            first.cut()
            await until(lambda: len(ear.of(Connected)) == 2)
        assert (first.connections, second.connections) == (1, 1)
        assert clock_of(publisher).s == StillClock().s


async def test_next_attempt_that_is_wanted_soon_comes_within_a_second_once() -> None:
    ear, pauses = Ear(), list[float]()
    async with broker_with() as broker:
        publisher = publisher_for(broker, dice=lambda: 0.999)
        async with publishing(publisher, ear):
            for number in range(1, 8):
                await until(lambda n=number: len(ear.of(Connected)) == n)  # type: ignore[misc]
                if number == 6:
                    publisher.soon()
                before_s = clock_of(publisher).s
                broker.disconnect(0x80)
                await until(lambda n=number: broker.connections > n)  # type: ignore[misc]
                pauses.append(round(clock_of(publisher).s - before_s))
    assert pauses == [2, 4, 8, 16, 32, 1, 60]


async def test_broker_that_answers_nothing_is_left_for_the_next() -> None:
    ear = Ear()
    async with broker_with() as first, broker_with() as second:
        publisher = publisher_for(first, second)
        async with publishing(publisher, ear):
            await until(lambda: len(ear.of(Connected)) == 1)
            clock_of(publisher).s += 20.0
            publisher.reconnect(0.5)
            await until(lambda: len(ear.of(Connected)) == 2)
        assert (first.connections, second.connections) == (1, 1)


async def test_good_connection_that_is_lost_begins_again_with_the_preferred_broker() -> None:
    ear = Ear()
    async with broker_with() as first, broker_with() as second:
        await first.stop()
        publisher = publisher_for(first, second)
        async with publishing(publisher, ear):
            await until(lambda: second.connections == 1 and publisher.status.online)
            await first.start()
            clock_of(publisher).s += 3600.0
            second.cut()
            await until(lambda: first.connections == 1 and publisher.status.online)
        assert second.connections == 1


async def test_refused_connection_is_told_with_its_reason() -> None:
    ear = Ear()
    async with broker_with() as broker:
        broker.faults.connect_reason = 0x86
        async with publishing(publisher_for(broker), ear):
            await until(lambda: ear.events != [])
    lost = ear.events[0]
    assert isinstance(lost, Lost)
    assert lost.reason == 0x86


async def test_disconnect_is_told_with_its_reason() -> None:
    ear = Ear()
    async with broker_with() as broker, publishing(publisher_for(broker), ear):
        await until(lambda: ear.of(Connected) != [])
        broker.disconnect(0x8B)
        await until(lambda: ear.of(Lost) != [])
    lost = ear.of(Lost)[0]
    assert isinstance(lost, Lost)
    assert lost.reason == 0x8B


async def test_will_carries_the_number_of_its_connection() -> None:
    ear, wills = Ear(), list[bytes]()
    async with broker_with() as broker:
        broker.listen("status", lambda topic, payload: wills.append(payload))
        publisher: MqttPublisher = publisher_for(
            broker, will=lambda: ("status", str(publisher.status.connection).encode())
        )
        async with publishing(publisher, ear):
            for connection in (1, 2):
                await until(lambda n=connection: len(ear.of(Connected)) >= n)  # type: ignore[misc]
                broker.cut()
            await until(lambda: len(ear.of(Connected)) >= 3)
    assert wills == [b"1", b"2"], "a connection that ends in order leaves no will"


async def test_credentials_are_asked_for_at_each_connection() -> None:
    ear, asked = Ear(), list[int]()

    def credentials() -> Credentials:
        asked.append(1)
        return Credentials("user", "secret")

    async with (
        broker_with() as broker,
        publishing(publisher_for(broker, credentials=credentials), ear),
    ):
        await until(lambda: ear.of(Connected) != [])
        broker.cut()
        await until(lambda: len(ear.of(Connected)) >= 2)
    assert len(asked) == 2


async def test_a_key_that_is_not_there_yet_is_told_and_tried_again(tmp_path: Path) -> None:
    def missing() -> Path:
        raise ConfigError("credential broker-key: CREDENTIALS_DIRECTORY is not set")

    ear = Ear()
    tls = TlsFiles(certificate=tmp_path / "client.pem", key=missing)
    settings = MqttSettings(["mqtts://127.0.0.1:9"], "gw", tls=tls)
    async with publishing(MqttPublisher(settings, StillClock()), ear):
        await until(lambda: len(ear.of(Lost)) >= 2)
    lost = ear.of(Lost)[0]
    assert isinstance(lost, Lost)
    assert "broker-key" in lost.text


@pytest.mark.parametrize("after_turns", [0, 1, 2, 5, 20, 200])
async def test_a_connection_given_up_at_any_moment_leaves_no_open_socket(
    after_turns: int,
) -> None:
    async with broker_with() as broker:
        task = asyncio.create_task(publisher_for(broker).run(Ear()))
        for _ in range(after_turns):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await until(lambda: not any(t.name == "mqtt connect" for t in threading.enumerate()))
        gc.collect()  # a socket that nobody closed is a ResourceWarning, and that an error


async def test_messages_of_subscribed_topics_are_told() -> None:
    ear = Ear()
    async with broker_with() as broker:
        broker.publish("receipt/data/tk101", b"{}", qos=1, retain=True)
        settings = MqttSettings([broker.url], "gw", subscriptions=["receipt/#"])
        async with publishing(MqttPublisher(settings, StillClock()), ear):
            await until(lambda: ear.of(Received) != [])
    assert ear.of(Received) == [Received("receipt/data/tk101", b"{}")]


async def test_error_in_what_hears_ends_the_publisher_aloud() -> None:
    def deaf(event: PublisherEvent) -> None:
        raise RuntimeError("a mistake of ours")

    async with broker_with() as broker:
        with pytest.raises(RuntimeError, match="a mistake of ours"):
            await asyncio.wait_for(publisher_for(broker).run(deaf), 10)


async def say_twice(listener: socket.socket, said: bytes) -> None:
    """Be a broker that says the same on two connections, and waits to be left on each."""
    loop = asyncio.get_running_loop()
    for _ in range(2):
        connection, _peer = await loop.sock_accept(listener)
        with connection:
            await loop.sock_sendall(connection, said)
            with suppress(ConnectionResetError):
                while await loop.sock_recv(connection, 4096):
                    pass


ACCEPTED = b"\x20\x03\0\0\0"
GARBAGE = {
    "a length without end": b"\x20\xff\xff\xff\xff\xff\xff",
    "a CONNACK that ends early": b"\x20\x01\0",
    "a message without a topic": ACCEPTED + b"\x30\0",
    "a topic longer than the message": ACCEPTED + b"\x30\x04\0\xffab",
    "a topic that is no UTF-8": ACCEPTED + b"\x30\x06\0\x02a\xff\0x",
    "a reason nobody knows": ACCEPTED + b"\x40\x04\0\1\x7f\0",
    "an acknowledgement that ends early": ACCEPTED + b"\x40\x01\0",
    "a property nobody knows": ACCEPTED + b"\xe0\x04\x8b\x02\x7f\0",
    "a packet larger than was agreed": ACCEPTED + b"\x30\xff\xff\xff\x7f",
    "a packet nobody may send": ACCEPTED + b"\xf0\0",
}


@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE)
async def test_broker_that_sends_garbage_is_left_and_tried_again(said: bytes) -> None:
    ear = Ear()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"mqtt://127.0.0.1:{listener.getsockname()[1]}"
        async with publishing(MqttPublisher(MqttSettings([url], "gw"), StillClock()), ear):
            await asyncio.wait_for(say_twice(listener, said), PATIENCE_S)
            await until(lambda: len(ear.of(Lost)) >= 2)


def test_back_off_grows_to_a_minute_and_a_taken_name_waits_thirty_seconds() -> None:
    assert [pause_after(n, 0x88, 1.0) for n in (0, 1, 3, 6, 99)] == [1, 2, 8, 60, 60]
    assert [pause_after(n, None, 1.0) for n in (0, 1, 3, 6, 99)] == [1, 2, 8, 10, 10]
    assert pause_after(0, None, 0.0) > 0
    assert pause_after(0, 0x8E, 0.0) == 30.0
