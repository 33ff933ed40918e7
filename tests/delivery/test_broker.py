"""The simulated broker keeps to MQTT where it is not told to break it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulation import packets
from gateway.simulation.broker import Broker
from tests.delivery.site import broker_with
from tests.patience import PATIENCE_S


class RawClient:
    """Speaks MQTT byte by byte."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, version: int
    ) -> None:
        self._reader, self._writer, self.version = reader, writer, version

    def send(self, kind: int, body: bytes, flags: int = 0) -> None:
        self._writer.write(packets.packet(kind, body, flags))

    async def receive(self) -> tuple[int, bytes]:
        """Kind and body of the next packet; kind 0 when the connection has ended."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                head = (await self._reader.readexactly(1))[0]
                length = shift = 0
                while True:
                    byte = (await self._reader.readexactly(1))[0]
                    length |= (byte & 0x7F) << shift
                    shift += 7
                    if byte < 0x80:
                        break
                return head >> 4, await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return 0, b""

    async def connect(self, name: str, *, clean: bool = True, will: str = "") -> bytes:
        """Body of the CONNACK."""
        flags = (0x02 if clean else 0) | (0x0C if will else 0)
        body = b"\0\x04MQTT" + bytes([self.version, flags]) + b"\0\x3c"
        if self.version == 5:
            body += b"\0" if clean else b"\x05\x11\0\0\0\x3c"
        body += _text(name)
        if will:
            body += (b"\0" if self.version == 5 else b"") + _text(will) + _text("gone")
        self.send(packets.CONNECT, body)
        kind, answer = await self.receive()
        assert kind == packets.CONNACK
        return answer

    async def subscribe(self, topic_filter: str) -> None:
        properties = b"\0" if self.version == 5 else b""
        self.send(packets.SUBSCRIBE, b"\0\x07" + properties + _text(topic_filter) + b"\x01", 2)
        kind, _ = await self.receive()
        assert kind == packets.SUBACK

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        message = packets.Publication(topic, payload, 1, retain, False, 9)
        self._writer.write(packets.publish(message, self.version))

    async def message(self) -> packets.Publication:
        """The next message for us, acknowledged."""
        kind, body = await self.receive()
        assert kind == packets.PUBLISH
        message = packets.read_publish(2, body, self.version)
        self.send(packets.PUBACK, struct.pack(">H", message.packet_id))
        return message

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


@asynccontextmanager
async def client_of(broker: Broker, version: int = 5) -> AsyncIterator[RawClient]:
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    client = RawClient(reader, writer, version)
    try:
        yield client
    finally:
        await client.close()


both = pytest.mark.parametrize("version", [4, 5])


@both
async def test_subscriber_gets_what_is_published(version: int) -> None:
    async with broker_with() as broker, client_of(broker, version) as client:
        await client.connect("a")
        await client.subscribe("plant/+/x")
        client.publish("plant/1/x", b"hi")
        message = await client.message()
    assert (message.topic, message.payload, message.qos) == ("plant/1/x", b"hi", 1)


@both
async def test_retained_message_waits_for_a_subscriber(version: int) -> None:
    async with broker_with() as broker, client_of(broker, version) as client:
        broker.publish("status", b"online", qos=1, retain=True)
        await client.connect("a")
        await client.subscribe("#")
        assert (await client.message()).payload == b"online"


@both
async def test_persistent_session_keeps_messages_while_its_client_is_away(version: int) -> None:
    async with broker_with() as broker:
        async with client_of(broker, version) as client:
            assert (await client.connect("a", clean=False))[0] == 0
            await client.subscribe("#")
        while broker._sessions["a"].client is not None:
            await asyncio.sleep(0)
        broker.publish("t", b"kept", qos=1)
        async with client_of(broker, version) as client:
            assert (await client.connect("a", clean=False))[0] == 1, "session present"
            assert (await client.message()).payload == b"kept"


@both
async def test_client_that_vanishes_leaves_its_will_and_one_that_leaves_does_not(
    version: int,
) -> None:
    async with broker_with() as broker, client_of(broker, version) as watcher:
        await watcher.connect("watcher")
        await watcher.subscribe("will/#")
        async with client_of(broker, version) as polite:
            await polite.connect("polite", will="will/polite")
            polite.send(packets.DISCONNECT, b"")
        async with client_of(broker, version) as gone:
            await gone.connect("gone", will="will/gone")
        assert (await watcher.message()).topic == "will/gone"


async def test_second_client_of_one_name_takes_the_session_over() -> None:
    async with broker_with() as broker, client_of(broker) as first:
        await first.connect("a")
        async with client_of(broker) as second:
            await second.connect("a")
            kind, body = await first.receive()
            assert (kind, body[0]) == (packets.DISCONNECT, 0x8E)
            second.send(packets.PINGREQ, b"")
            assert (await second.receive())[0] == packets.PINGRESP


async def test_more_than_the_receive_maximum_ends_the_connection() -> None:
    async with broker_with(receive_maximum=2) as broker, client_of(broker) as client:
        broker.faults.drop_acks = 9
        await client.connect("a")
        for _ in range(3):
            client.publish("t", b"x")
        kind, body = await client.receive()
    assert (kind, body[0]) == (packets.DISCONNECT, 0x93)


async def test_packet_beyond_the_maximum_ends_the_connection() -> None:
    async with broker_with(maximum_packet_bytes=50) as broker, client_of(broker) as client:
        await client.connect("a")
        client.publish("t", b"x" * 50)
        kind, body = await client.receive()
    assert (kind, body[0]) == (packets.DISCONNECT, 0x95)


@given(st.binary(max_size=200))
def test_garbage_is_refused_as_malformed_and_nothing_else(body: bytes) -> None:
    for read in (
        packets.read_connect,
        lambda raw: packets.read_publish(2, raw, 5),
        lambda raw: packets.read_subscribe(raw, 5),
        lambda raw: packets.read_unsubscribe(raw, 4),
    ):
        try:
            read(body)
        except packets.MalformedError:
            continue


@pytest.mark.parametrize(
    ("topic_filter", "topic", "fits"),
    [
        ("#", "a/b", True),
        ("a/#", "a", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("+/b", "a/b", True),
        ("a/b", "a", False),
        ("#", "$SYS/x", False),
        ("a/+/c", "a//c", True),
    ],
)
def test_filter_matches_as_mqtt_says(topic_filter: str, topic: str, fits: bool) -> None:
    assert packets.matches(topic_filter, topic) is fits


@pytest.mark.parametrize("turns", range(6))
async def test_a_stop_leaves_no_socket_of_a_connection_that_is_just_being_accepted(
    turns: int,
) -> None:
    broker = Broker()
    await broker.start()
    with socket.create_connection(("127.0.0.1", broker.port)) as client:
        for _ in range(turns):
            await asyncio.sleep(0)
        await broker.stop()
        client.setblocking(False)
        with suppress(ConnectionResetError):
            assert client.recv(1) == b""
