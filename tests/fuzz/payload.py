"""What was read → the journal's bytes → JSON → what the platform reads.

An input is choices: a block, its values and their quality, a gap, an alarm or an event. What
the platform reads follows the wire format and says the same. The same bytes, taken as a
record as it lies in the journal, are one or a ValueError.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from math import isfinite
from typing import Any

from gateway.dialects import Origin, wire
from gateway.dialects.json import JsonDialect
from gateway.model import (
    Alarm,
    AlarmLevel,
    AlarmState,
    Batch,
    Block,
    Cause,
    ClockState,
    DataType,
    Event,
    Gap,
    Priority,
    Quality,
    Scalar,
    Stamp,
    Tag,
)
from gateway.record import Encoder, Layout, decode, layout_of
from tests.fuzz.feed import Feed

WIDTH = 12
LAST_NS = 253_402_300_800_000_000_000 // 1000
_DIALECT = JsonDialect("park/v1", "cr1")
_ORIGIN = Origin("1a" * 16, "b0" * 16, "d", "data", 7, 7)
_STRUCTS = {
    DataType.BOOL: "?", DataType.INT16: "<h", DataType.UINT16: "<H", DataType.INT32: "<i",
    DataType.UINT32: "<I", DataType.INT64: "<q", DataType.UINT64: "<Q", DataType.FLOAT32: "<f",
    DataType.FLOAT64: "<d", DataType.BCD16: "<H", DataType.BCD32: "<I",
}  # fmt: skip


def payload(data: bytes) -> None:
    """What goes in comes out; and bytes that are no record are refused as such."""
    blocks, encoder, layouts = _site()
    with suppress(ValueError):
        decode(data, layouts)
    feed = Feed(data)
    make = feed.one_of((_values, _gap, _alarm, _event))
    make(feed, _stamp(feed), encoder, layouts, blocks)


@cache
def _site() -> tuple[list[Block[None]], Encoder, list[Layout]]:
    kinds = tuple(DataType)
    mixed = tuple(Tag(f"t{i}", "d", i, kinds[i % len(kinds)]) for i in range(WIDTH))
    floats = tuple(Tag(f"t{i}", "d", i, DataType.FLOAT32) for i in range(WIDTH))
    texts = tuple(Tag(f"t{i}", "d", i, DataType.STRING) for i in range(3))
    blocks = [Block("d", tags, 1.0, None) for tags in (mixed, floats, texts)]
    layouts = [layout_of(block) for block in blocks]
    return blocks, Encoder("b0" * 16, blocks, layouts), layouts


def _stamp(feed: Feed) -> Stamp:
    bound = feed.number(2)
    return Stamp(feed.number(7), feed.one_of(tuple(ClockState)), bound or None, feed.number(7))


def as_the_platform_reads(stored: bytes, layouts: Sequence[Layout]) -> wire.Record:
    """The one record of the message that carries ``stored``."""
    part = _DIALECT.record(7, decode(stored, layouts))
    said = wire.parse("park/v1/cr1/data/d", _DIALECT.message(_ORIGIN, [part], [False]))
    assert isinstance(said, wire.LaneMessage)
    (record,) = said.records
    return record


def _values(
    feed: Feed, stamp: Stamp, encoder: Encoder, layouts: list[Layout], blocks: list[Block[None]]
) -> None:
    block, partial = feed.one_of(blocks), feed.number() % 2
    rows = [row for row in range(len(block.tags)) if not partial or feed.number() % 2]
    quality = (
        bytes(int(feed.one_of(tuple(Quality))) for _ in rows) if feed.number() % 2 else None
    )
    bad = quality or bytes(len(rows))
    column = [
        None if mark >= Quality.BAD else _value(feed, block.tags[row].type)
        for row, mark in zip(rows, bad, strict=True)
    ]
    times = [feed.number(7) or None for _ in rows] if feed.number() % 4 == 1 else None
    index = rows if partial else None
    batch = Batch(block, feed.number(7), column, quality, index, times, (1, 2), times)
    said = as_the_platform_reads(encoder.batch(batch, stamp), layouts)
    assert isinstance(said.values, dict)
    for row, value in zip(rows, column, strict=True):
        _same(said.values[block.tags[row].name], value, block.tags[row].type)


def _same(got: Scalar, value: Scalar, kind: DataType) -> None:
    if isinstance(value, float) and not isfinite(value):
        assert got is None
    elif kind is DataType.FLOAT32 and isinstance(value, float):
        assert isinstance(got, float)
        assert struct.pack("<f", got) == struct.pack("<f", value)
    else:
        assert (got, type(got)) == (value, type(value))


def _value(feed: Feed, kind: DataType) -> Scalar:
    if kind is DataType.STRING:
        return feed.text()
    form = _STRUCTS[kind]
    value: Any
    (value,) = struct.unpack(form, feed.take(struct.calcsize(form)))
    return value  # type: ignore[no-any-return]


def _gap(
    feed: Feed, stamp: Stamp, encoder: Encoder, layouts: list[Layout], blocks: list[Block[None]]
) -> None:
    count = feed.number(4)
    gap = Gap(
        "g-1",
        feed.one_of(tuple(Cause)),
        feed.number(7),
        feed.number(7) or None,
        feed.one_of((None, ("t1",), ("t1", "t2"))),
        count or None,
        exact=bool(count % 2),
        seqs=(1 + feed.number(7), 7) if feed.number() % 2 else None,
        after=("1a" * 16, 1 + feed.number(7)) if feed.number() % 2 else None,
    )
    said = as_the_platform_reads(encoder.gap(gap, stamp), layouts).gap
    assert isinstance(said, wire.Gap)
    assert (said.cause, said.count) == (gap.cause, gap.count)


def _alarm(
    feed: Feed, stamp: Stamp, encoder: Encoder, layouts: list[Layout], blocks: list[Block[None]]
) -> None:
    value = feed.one_of((None, True, feed.signed(), feed.double()))
    raised = feed.number(7)
    alarm = Alarm(
        "a-1", "t1", feed.one_of(tuple(AlarmLevel)), feed.one_of(tuple(AlarmState)),
        feed.one_of(tuple(Priority)), value, feed.double(), feed.text(),
        feed.one_of(tuple(Quality)), raised, feed.number(7) or None,
    )  # fmt: skip
    said = as_the_platform_reads(encoder.alarm(alarm, stamp), layouts).alarm
    assert isinstance(said, wire.Alarm)
    assert (said.level, said.state) == (alarm.level, alarm.state)


def _event(
    feed: Feed, stamp: Stamp, encoder: Encoder, layouts: list[Layout], blocks: list[Block[None]]
) -> None:
    counts = {"records": feed.number(7), "missing": feed.number(7)}
    asked = {"id": "r-1", "lane": "data", "device": "d", "from": 1, "to": 9}
    fields = asked | counts | {"incarnation": "0" * 32, "first": None, "last": None}
    event = Event("replay", fields | {"refused": feed.text()})
    said = as_the_platform_reads(encoder.event(event, stamp), layouts).event
    assert isinstance(said, dict)
    assert said == {"kind": "replay", **event.fields}


def seeds() -> list[bytes]:
    """Each kind of record, and records as they lie in the journal."""
    blocks, encoder, _ = _site()
    batch = Batch(blocks[1], 5, [1.5] * WIDTH, None, None, None, (1, 2))
    stamp = Stamp(10**18, ClockState.SYNCED, 1, 3)
    gap = Gap("g-1", Cause.DEVICE_TIMEOUT, 1, None, None, 3)
    chosen = [bytes((kind,)) + bytes(range(1, 120)) for kind in range(4)]
    return [*chosen, encoder.batch(batch, stamp), encoder.gap(gap, stamp)]
