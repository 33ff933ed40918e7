"""MQTT 3.1.1 and 5 packets as the simulated broker reads and writes them.

Properties a broker for tests has no use for are read over, never answered.
Source: MQTT Version 5.0 and MQTT Version 3.1.1 (OASIS Standards), chapters 2 and 3.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 8, 9
UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 10, 11, 12, 13, 14

SESSION_EXPIRY: Final = 0x11
RECEIVE_MAXIMUM: Final = 0x21
MAXIMUM_PACKET: Final = 0x27
_ONE_BYTE: Final = frozenset({0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A})
_TWO_BYTES: Final = frozenset({0x13, RECEIVE_MAXIMUM, 0x22, 0x23})
_FOUR_BYTES: Final = frozenset({0x02, SESSION_EXPIRY, 0x18, MAXIMUM_PACKET})
_BINARY: Final = frozenset({0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F})
_VARIABLE: Final = 0x0B
_USER: Final = 0x26


class MalformedError(ValueError):
    """The bytes are no packet this broker understands."""


class Reader:
    """Takes the fields of one packet's body from its front."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes.

        Raises:
            MalformedError: The packet ends before.
        """
        end = self._at + count
        if end > len(self._body):
            raise MalformedError("packet too short")
        piece = self._body[self._at : end]
        self._at = end
        return piece

    def integer(self, width: int) -> int:
        """An unsigned integer of ``width`` bytes."""
        return int.from_bytes(self.take(width), "big")

    def variable(self) -> int:
        """A Variable Byte Integer (MQTT 5, 1.5.5)."""
        value = shift = 0
        while shift < 28:
            byte = self.integer(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise MalformedError("variable byte integer too long")

    def binary(self) -> bytes:
        """Bytes behind their two-byte length."""
        return self.take(self.integer(2))

    def text(self) -> str:
        """A UTF-8 string."""
        try:
            return self.binary().decode()
        except UnicodeDecodeError as error:
            raise MalformedError("no UTF-8") from error

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._body) - self._at)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return self._at >= len(self._body)

    def properties(self) -> dict[int, int]:
        """The properties with a number for a value (MQTT 5, 2.2.2); others are skipped."""
        inner, found = Reader(self.take(self.variable())), dict[int, int]()
        while not inner.is_empty:
            name = inner.variable()
            if name in _ONE_BYTE:
                found[name] = inner.integer(1)
            elif name in _TWO_BYTES:
                found[name] = inner.integer(2)
            elif name in _FOUR_BYTES:
                found[name] = inner.integer(4)
            elif name == _VARIABLE:
                found[name] = inner.variable()
            elif name in _BINARY:
                inner.binary()
            elif name == _USER:
                inner.binary(), inner.binary()
            else:
                raise MalformedError(f"property 0x{name:02x}")
        return found


class Will(NamedTuple):
    """What the broker says for a client that vanished."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class Connect(NamedTuple):
    """A client's first packet."""

    version: int
    client_id: str
    clean: bool
    persistent: bool
    will: Will | None
    username: str | None
    password: bytes | None


def read_connect(body: bytes) -> Connect:
    """CONNECT (3.1)."""
    reader = Reader(body)
    if reader.text() != "MQTT":
        raise MalformedError("not MQTT")
    version, flags, _keepalive = reader.integer(1), reader.integer(1), reader.integer(2)
    properties = reader.properties() if version == 5 else {}
    client_id = reader.text()
    will = _will(reader, version, flags) if flags & 0x04 else None
    clean = bool(flags & 0x02)
    return Connect(
        version,
        client_id,
        clean,
        properties.get(SESSION_EXPIRY, 0) > 0 if version == 5 else not clean,
        will,
        reader.text() if flags & 0x80 else None,
        reader.binary() if flags & 0x40 else None,
    )


def _will(reader: Reader, version: int, flags: int) -> Will:
    if version == 5:
        reader.properties()
    return Will(reader.text(), reader.binary(), flags >> 3 & 3, bool(flags & 0x20))


class Publication(NamedTuple):
    """One PUBLISH."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    packet_id: int


def read_publish(flags: int, body: bytes, version: int) -> Publication:
    """PUBLISH (3.3)."""
    reader = Reader(body)
    topic, qos = reader.text(), flags >> 1 & 3
    packet_id = reader.integer(2) if qos else 0
    if version == 5:
        reader.properties()
    return Publication(topic, reader.rest(), qos, bool(flags & 1), bool(flags & 8), packet_id)


def read_subscribe(body: bytes, version: int) -> tuple[int, list[tuple[str, int]]]:
    """SUBSCRIBE (3.8): packet identifier, and filter with QoS for each."""
    reader = Reader(body)
    packet_id = reader.integer(2)
    if version == 5:
        reader.properties()
    filters = []
    while not reader.is_empty:
        filters.append((reader.text(), reader.integer(1) & 3))
    return packet_id, filters


def read_unsubscribe(body: bytes, version: int) -> tuple[int, list[str]]:
    """UNSUBSCRIBE (3.10): packet identifier and filters."""
    reader = Reader(body)
    packet_id = reader.integer(2)
    if version == 5:
        reader.properties()
    filters = []
    while not reader.is_empty:
        filters.append(reader.text())
    return packet_id, filters


def variable(value: int) -> bytes:
    """``value`` as a Variable Byte Integer."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def packet(kind: int, body: bytes, flags: int = 0) -> bytes:
    """A packet with its fixed header."""
    return bytes([kind << 4 | flags]) + variable(len(body)) + body


def connack(version: int, reason: int, *, session: bool, limits: dict[int, int]) -> bytes:
    """CONNACK; ``limits`` are properties of two (receive maximum) or four bytes."""
    if version != 5:
        # 3.1.1 knows five refusals; 3 is "server unavailable" (3.2.2.3).
        return packet(CONNACK, bytes([session and not reason, 3 if reason else 0]))
    properties = b"".join(
        struct.pack(">BH" if name == RECEIVE_MAXIMUM else ">BI", name, value)
        for name, value in limits.items()
    )
    head = bytes([session and not reason, reason])
    return packet(CONNACK, head + variable(len(properties)) + properties)


def publish(message: Publication, version: int) -> bytes:
    """PUBLISH towards a subscriber."""
    topic = message.topic.encode()
    body = struct.pack(">H", len(topic)) + topic
    if message.qos:
        body += struct.pack(">H", message.packet_id)
    if version == 5:
        body += b"\0"
    flags = message.dup << 3 | message.qos << 1 | message.retain
    return packet(PUBLISH, body + message.payload, flags)


def puback(packet_id: int, reason: int, version: int) -> bytes:
    """PUBACK; MQTT 3.1.1 has no place for a reason."""
    with_reason = version == 5 and reason
    return packet(
        PUBACK, struct.pack(">H", packet_id) + (bytes([reason]) if with_reason else b"")
    )


def suback(packet_id: int, reasons: list[int], version: int) -> bytes:
    """SUBACK."""
    return packet(
        SUBACK, struct.pack(">H", packet_id) + (b"\0" if version == 5 else b"") + bytes(reasons)
    )


def unsuback(packet_id: int, count: int, version: int) -> bytes:
    """UNSUBACK."""
    return packet(
        UNSUBACK, struct.pack(">H", packet_id) + (b"\0" + bytes(count) if version == 5 else b"")
    )


def disconnect(reason: int) -> bytes:
    """DISCONNECT from the server; MQTT 5 only."""
    return packet(DISCONNECT, bytes([reason, 0]))


def matches(topic_filter: str, topic: str) -> bool:
    """Whether ``topic`` falls under ``topic_filter`` (4.7)."""
    if topic.startswith("$") and topic_filter[:1] in ("+", "#"):
        return False
    wanted, levels = topic_filter.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)
