"""Batch, Gap, Alarm and Event ⇄ the bytes that lie in the journal.

A record is a fixed header and a body. The header carries what every record must
say for itself years later: when, on which boot's monotonic clock, how good the
clock was. The body of a full image is one packed column, with the layout of its
block; everything rarer is MessagePack.

Layouts (device, tag names, column types of each block) are not repeated in each
record. They are the journal's *schema*: one blob per configuration, which lives as
long as a record needs it. A record names its block by position in that blob.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple, TypeAlias

import msgspec

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

_HEADER = struct.Struct("<BBHIqqq16sI")
"""kind, clock state, flags, bound in ms, time, request, reply, boot, block."""
_VALUES, _GAP, _EVENT, _ALARM = 1, 2, 3, 4
_PACKED, _HAS_QUALITY, _HAS_MONO = 1, 2, 4
_UNKNOWN_BOUND = 0xFFFFFFFF
_STATES = tuple(ClockState)
_STATE_CODE = {state: code for code, state in enumerate(_STATES)}
_encode, _decode = msgspec.msgpack.encode, msgspec.msgpack.decode

GENERIC = "*"
_COLUMN = {
    DataType.BOOL: "?",
    DataType.INT16: "h",
    DataType.UINT16: "H",
    DataType.INT32: "i",
    DataType.UINT32: "I",
    DataType.INT64: "q",
    DataType.UINT64: "Q",
    DataType.FLOAT32: "f",
    DataType.FLOAT64: "d",
    DataType.BCD16: "H",
    DataType.BCD32: "I",
}


class Layout(msgspec.Struct, frozen=True, dict=True, array_like=True):
    """The schema of one block's records: what its columns mean."""

    device: str
    names: tuple[str, ...]
    columns: str
    """One `struct` character per tag as published; ``f`` is a float32, ``*`` anything."""

    @cached_property
    def packing(self) -> struct.Struct | None:
        """How a full image is packed; None when a tag has no fixed width."""
        return None if GENERIC in self.columns else _packing(self.columns)


@cache
def _packing(columns: str) -> struct.Struct:
    """``hhhd`` as ``3hd``: short, and one for all blocks alike."""
    runs = ((column, len(list(run))) for column, run in itertools.groupby(columns))
    return struct.Struct("<" + "".join(f"{count}{column}" for column, count in runs))


def layout_of(block: Block[Any]) -> Layout:
    """The layout that the records of ``block`` will have."""
    return Layout(
        block.device,
        tuple(tag.name for tag in block.tags),
        "".join(map(_column, block.tags)),
    )


def _column(tag: Tag) -> str:
    conversion = tag.conversion
    if conversion is not None:
        if conversion.enum is not None:
            return GENERIC
        if conversion.scale is not None or conversion.clamp:
            return "d"
    return _COLUMN.get(tag.type, GENERIC)


def encode_schema(layouts: Sequence[Layout]) -> bytes:
    """The blob from which `decode_schema` restores ``layouts``."""
    return _encode(list(layouts))


def decode_schema(blob: bytes) -> list[Layout]:
    """The layouts of one configuration, in block order.

    Raises:
        msgspec.MsgspecError: The blob is not a schema.
    """
    return _decode(blob, type=list[Layout])


@dataclass(frozen=True, slots=True)
class Values:
    """Readings of one poll as stored: columns in the order of ``layout``, or of ``index``."""

    layout: Layout
    values: Sequence[Scalar]
    quality: bytes | None
    index: Sequence[int] | None
    source_time_ns: Sequence[int | None] | None
    server_time_ns: Sequence[int | None] | None = None


class Made(NamedTuple):
    """When a record was made, as it says itself."""

    time_ns: int
    mono_ns: int | None
    boot: str

    def age_ns(self, boot: str, now: Stamp) -> int:
        """How long ago that was; the wall clock tells only of another boot."""
        if self.mono_ns is None or now.mono_ns is None or self.boot != boot:
            return now.time_ns - self.time_ns
        return now.mono_ns - self.mono_ns


Body: TypeAlias = Values | Gap | Alarm | Event


@dataclass(frozen=True, slots=True)
class Record:
    """One record as stored; its stream, seq and incarnation are the journal's to say."""

    time_ns: int
    state: ClockState
    bound_ms: int | None
    mono_ns: tuple[int, int] | None
    """Request and reply of a poll; of what was not polled, twice when it was written."""
    boot: str
    body: Body

    @property
    def made(self) -> Made:
        """When that was."""
        return Made(self.time_ns, self.mono_ns and self.mono_ns[1], self.boot)


class Encoder:
    """Turns what happened into records of this boot."""

    def __init__(
        self, boot: str, blocks: Sequence[Block[Any]], layouts: Sequence[Layout]
    ) -> None:
        """blocks, layouts: in one order; a record names its block by position in it."""
        self._boot = bytes.fromhex(boot)
        self._blocks = {
            id(block): (number, layout.packing)
            for number, (block, layout) in enumerate(zip(blocks, layouts, strict=True))
        }
        self._kept = blocks  # ids stay unique only while the blocks live

    def batch(self, batch: Batch, stamp: Stamp) -> bytes:
        """The record of ``batch``; ``batch.block`` is one of the blocks given."""
        number, packing = self._blocks[id(batch.block)]
        flags, quality = 0, batch.quality
        packed = _packed(batch, packing)
        if packed is None:
            server = batch.server_time_ns
            columns = (batch.values, quality, batch.index, batch.source_time_ns)
            body = _encode(columns if server is None else (*columns, server))
        else:
            body = packed
            flags |= _PACKED
            if quality is not None:
                body += quality
                flags |= _HAS_QUALITY
        head = self._head(_VALUES, flags, stamp, batch.time_ns, batch.mono_ns, number)
        return head + body

    def gap(self, gap: Gap, stamp: Stamp) -> bytes:
        """The record of ``gap``."""
        window = (gap.from_ns, gap.to_ns, gap.tags)
        count = (gap.count, gap.exact)
        body = _encode((gap.id, gap.cause, *window, *count, gap.seqs, gap.after))
        return self._head(_GAP, 0, stamp, stamp.time_ns, None, 0) + body

    def alarm(
        self, alarm: Alarm, stamp: Stamp, mono_ns: tuple[int, int] | None = None
    ) -> bytes:
        """The record of ``alarm``; ``mono_ns`` of the reading that decided, if one did."""
        what = (alarm.id, alarm.tag, alarm.level, alarm.state, alarm.priority)
        reading = (alarm.value, alarm.limit, alarm.unit, alarm.quality)
        body = _encode((*what, *reading, alarm.raised_ns, alarm.cleared_ns))
        return self._head(_ALARM, 0, stamp, alarm.time_ns, mono_ns, 0) + body

    def event(self, event: Event, stamp: Stamp) -> bytes:
        """The record of ``event``."""
        body = _encode((event.kind, event.fields))
        return self._head(_EVENT, 0, stamp, stamp.time_ns, None, 0) + body

    def _head(
        self,
        kind: int,
        flags: int,
        stamp: Stamp,
        time_ns: int,
        mono_ns: tuple[int, int] | None,
        block: int,
    ) -> bytes:
        if mono_ns is None and stamp.mono_ns is not None:
            mono_ns = stamp.mono_ns, stamp.mono_ns
        flags |= 0 if mono_ns is None else _HAS_MONO
        request, reply = mono_ns or (0, 0)
        bound = _UNKNOWN_BOUND if stamp.bound_ms is None else stamp.bound_ms
        state = _STATE_CODE[stamp.state]
        return _HEADER.pack(
            kind, state, flags, bound, time_ns, request, reply, self._boot, block
        )


def _packed(batch: Batch, packing: struct.Struct | None) -> bytes | None:
    """The values as one column; None when they are not a full image that fits it."""
    is_timed = batch.source_time_ns is not None or batch.server_time_ns is not None
    if packing is None or batch.index is not None or is_timed:
        return None
    if None in batch.values:  # `struct` would make False of it.
        return None
    try:
        return packing.pack(*batch.values)
    except struct.error:
        # A value is of another kind than its type says; it is kept as it is.
        return None


def decode(payload: bytes, layouts: Sequence[Layout]) -> Record:
    """The record in ``payload``, whose schema is ``layouts``.

    Raises:
        ValueError: The bytes are not a record of that schema.
    """
    try:
        return _decode_record(payload, layouts)
    except (struct.error, LookupError, TypeError, msgspec.MsgspecError) as error:
        raise ValueError(f"not a record: {error}") from error


def _decode_record(payload: bytes, layouts: Sequence[Layout]) -> Record:
    kind, state, flags, bound, time_ns, request, reply, boot, block = _HEADER.unpack_from(
        payload
    )
    body: Body
    if kind == _VALUES:
        body = _values(payload, flags, layouts[block])
    elif kind == _GAP:
        body = _gap(payload[_HEADER.size :])
    elif kind == _ALARM:
        body = _alarm(payload[_HEADER.size :])
    elif kind == _EVENT:
        body = Event(*_decode(payload[_HEADER.size :]))
    else:
        raise ValueError(f"record kind {kind} is not known")
    return Record(
        time_ns,
        _STATES[state],
        None if bound == _UNKNOWN_BOUND else bound,
        (request, reply) if flags & _HAS_MONO else None,
        boot.hex(),
        body,
    )


def _values(payload: bytes, flags: int, layout: Layout) -> Values:
    packing = layout.packing
    if flags & _PACKED and packing is not None:
        values = packing.unpack_from(payload, _HEADER.size)
        end = _HEADER.size + packing.size
        return Values(
            layout, values, payload[end:] if flags & _HAS_QUALITY else None, None, None
        )
    columns = _decode(payload[_HEADER.size :])
    return Values(layout, *columns)


def _gap(body: bytes) -> Gap:
    id_, cause, from_ns, to_ns, tags, count, exact, seqs, after = _decode(body)
    return Gap(
        id_,
        Cause(cause),
        from_ns,
        to_ns,
        None if tags is None else tuple(tags),
        count,
        exact,
        None if seqs is None else (seqs[0], seqs[1]),
        None if after is None else (after[0], after[1]),
    )


def _alarm(body: bytes) -> Alarm:
    id_, tag, level, state, priority, value, limit, unit, quality, raised, cleared = _decode(
        body
    )
    return Alarm(
        id_,
        tag,
        AlarmLevel(level),
        AlarmState(state),
        Priority(priority),
        value,
        limit,
        unit,
        Quality(quality),
        raised,
        cleared,
    )
