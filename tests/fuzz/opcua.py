"""What an OPC UA server may answer: from its bytes to what the platform is sent.

The first byte of an input chooses the answer that was asked for, the rest is the answer.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from drivers.opcua.codec import (
    PUBLISH,
    READ,
    REPUBLISH,
    DecodeError,
    decode_publish,
    decode_read,
    decode_republish,
)
from drivers.opcua.driver import OpcuaDriver
from drivers.opcua.notifications import Came, Item, Sequence32, news
from drivers.opcua.plan import OpcuaBlock
from gateway.clock import Clock
from gateway.driver import News
from gateway.model import Batch, ClockState, Stamp
from gateway.record import Encoder, Layout, layout_of
from tests.fuzz.payload import as_the_platform_reads
from tests.opcua.site import link_to

TYPES = ("bool", "int16", "uint32", "int64", "float32", "float64", "string")
NOW = Stamp(1_800_000_000_000_000_000, ClockState.SYNCED, 1, 5)


class Plant(NamedTuple):
    """One block of tags of every type, and what encodes its batches."""

    block: OpcuaBlock
    items: Mapping[int, Item]
    """By client handle, in the order of `TYPES`."""
    encoder: Encoder
    layouts: list[Layout]


@cache
def plant() -> Plant:
    """Made once."""
    link = link_to("opc.tcp://127.0.0.1:1", *(f"{t}, type: {t}" for t in TYPES))
    (block,) = OpcuaDriver(link.config, Clock()).plan(link.tags)
    layouts = [layout_of(block)]
    items = {row + 1: Item(block, row, judge) for row, judge in enumerate(block.request.judges)}
    return Plant(block, items, Encoder("b0" * 16, [block], layouts), layouts)


def opcua(data: bytes) -> None:
    """Decode, judge, encode: what the platform reads follows the wire format."""
    block, items, encoder, layouts = plant()
    try:
        heard = said(data, items)
    except DecodeError:
        return
    for item in heard:
        assert item.block is block
        if isinstance(item, Batch):
            as_the_platform_reads(encoder.batch(item, NOW), layouts)


def said(data: bytes, items: Mapping[int, Item]) -> News:
    """What the driver makes of the answer.

    Raises:
        DecodeError: It is none.
    """
    body, came = data[1:], Came(NOW.time_ns, 5)
    match data[:1]:
        case b"\0":
            samples = decode_read(body)[: len(items)]
            samples = [s._replace(handle=row) for row, s in enumerate(samples, start=1)]
        case b"\1":
            samples = decode_republish(body).samples
        case _:
            notification = decode_publish(body).notification
            Sequence32().missing(notification)
            samples = notification.samples
    return news(samples, items, came)


def seeds() -> list[bytes]:
    """Each answer, with values of every type a tag may have, times, text and an array."""
    values = [b"\1\1", b"\4\5\0", b"\7\xff\xff\0\0", b"\x08" + b"\1" * 8]
    values += [struct.pack("<Bf", 10, 1.5), struct.pack("<Bd", 11, -2.25)]
    values += [b"\x0c\3\0\0\0abc", b"\x8b\1\0\0\0" + bytes(8), b"\x18\x0c\xff\xff\xff\xff"]
    whole = struct.pack("<BBdIqHqH", 0x3F, 11, 7.5, 0x480, 1 << 57, 3, 1 << 57, 4)
    samples = [*(b"\1" + value for value in values), whole]
    handled = [struct.pack("<I", 1 + n % 7) + s for n, s in enumerate(samples)]
    change = _array(handled) + _array([])
    parts = _array([b"\1\0" + struct.pack("<HBi", 811, 1, len(change)) + change])
    message = struct.pack("<Iq", 1, 1 << 57) + parts
    published = struct.pack("<I", 9) + _array([struct.pack("<I", 1)]) + b"\0" + message
    return [
        b"\0" + _head(READ) + _array(samples) + _array([]),
        b"\1" + _head(REPUBLISH) + message,
        b"\2" + _head(PUBLISH) + published + _array([]) + _array([]),
    ]


def _head(kind: int) -> bytes:
    """An answer's type, and a response header without anything to say."""
    return b"\1\0" + struct.pack("<H", kind) + bytes(16) + b"\0" + _array([]) + b"\0\0\0"


def _array(items: list[bytes]) -> bytes:
    return struct.pack("<i", len(items)) + b"".join(items)
