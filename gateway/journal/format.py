"""Bytes of a segment: header, frames, seal. Pure; nothing here touches a file.

    0        4096                                                     size
    ├ header ┼ frame ┼ frame ┼ … ┼ (free) ┼ seal frame ┼ footer ┤

Header: two equal copies, at 0 and 2048, so that a flipped bit cannot cost the segment.
Frame:  72 bytes, stream name, payload, padded to 8. The header CRC covers header and
        name; the payload has its own, so that a bad payload can be stepped over.
Seal:   a frame of kind SEAL that ends at the footer; the footer says where it begins.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple
from zlib import crc32

from gateway.model import Lane

FORMAT = 1
HEADER_BYTES = 4096
FRAME_BYTES = 72
NAME_LIMIT = 255

_COPY_AT = (0, HEADER_BYTES // 2)
_HEADER_MAGIC = b"TIDEGATE"
_HEADER = struct.Struct("<8sIII")  # magic, format, length of the body, CRC of the three parts
_FRAME_MAGIC = b"\xf5TGf"
_BODY = struct.Struct("<Q16sQQqIIIHBB")
_FRAME = struct.Struct("<4sIQ16sQQqIIIHBB")
_PREFIX = struct.Struct("<4sI")
_GENERATION_AT = 8
_FOOTER = struct.Struct("<4sIQI")  # magic, offset of the seal, generation, CRC
_FOOTER_MAGIC = b"\xf5TGe"
FOOTER_BYTES = 24
_SEAL = struct.Struct("<IIIQqqBHI")
_ROW = struct.Struct("<16sQQqqQqBH")
_DROPPED = struct.Struct("<QqQ")
_NEVER = -(1 << 63)
_PAD = tuple(b"\0" * (-n % 8) for n in range(8))
_LANES = tuple(Lane)
_new = tuple.__new__  # the constructor of a named tuple costs as much as all else in a frame

COVERS = 1
"""Flag of a record: the stream had been watched up to its time."""
FULL = 2
"""Flag of a mark: it names every stream there is."""


class Kind(IntEnum):
    """What a frame holds."""

    RECORD = 1
    MARK = 2
    """How far streams had been watched; read at recovery, never delivered."""
    SEAL = 3
    LOST = 4
    """Stands for a record whose payload was unreadable when its segment was gathered."""
    DROPPED = 5
    """Stands for records that memory could not hold while the disk took nothing."""


class NewerFormatError(Exception):
    """The segment was written by a later version of this program."""


class Header(NamedTuple):
    """Who wrote a segment, and when."""

    lane: str
    number: int
    generation: int
    gateway: str
    incarnation: str
    previous: str | None
    origin: int
    """Number of the first segment this incarnation took in this lane."""
    boot: str
    time_ns: int
    mono_ns: int
    config: str
    gathered: bool = False
    evicts: int = 0
    """Of a tomb: number of the first segment it stands for; ``number`` is the last."""
    oldest: int | None = None
    """Number of the oldest segment of the lane when this one was born; it may be itself."""


class Draft(NamedTuple):
    """A frame before it has a place."""

    kind: int
    flags: int
    incarnation: bytes
    name: bytes
    seq: int
    schema: int
    time_ns: int
    readings: int
    payload: bytes


class Frame(NamedTuple):
    """A frame in its place; ``payload`` is None when its bytes do not match their CRC."""

    kind: int
    flags: int
    incarnation: bytes
    name: bytes
    seq: int
    schema: int
    time_ns: int
    readings: int
    payload: bytes | None
    at: int
    end: int


class Row(NamedTuple):
    """One stream of one incarnation: in a seal what the segment holds, in a mark its state."""

    lane: Lane
    name: bytes
    incarnation: bytes
    first_seq: int
    last_seq: int
    first_ns: int
    last_ns: int
    readings: int
    covered_ns: int | None


class Seal(NamedTuple):
    """What a full segment holds, so that nobody has to read it to know."""

    end: int
    """Where the frames end."""
    last_record: int
    """Where the last frame that is delivered ends; 0: none."""
    records: int
    readings: int
    first_ns: int
    last_ns: int
    schemas: tuple[int, ...]
    rows: tuple[Row, ...]


def pack_header(header: Header) -> bytes:
    """The first `HEADER_BYTES` of a segment."""
    body = json.dumps(header._asdict()).encode()
    crc = crc32(body, crc32(struct.pack("<II", FORMAT, len(body))))
    copy = _HEADER.pack(_HEADER_MAGIC, FORMAT, len(body), crc) + body
    return copy.ljust(_COPY_AT[1], b"\0") * 2


def unpack_header(data: bytes) -> Header | None:
    """The header at the start of ``data``; None when neither copy is intact.

    Raises:
        NewerFormatError: An intact copy has a format number this program does not know.
    """
    for at in _COPY_AT:
        if len(data) < at + _HEADER.size:
            return None
        magic, number, length, crc = _HEADER.unpack_from(data, at)
        body = data[at + _HEADER.size : at + _HEADER.size + length]
        if magic != _HEADER_MAGIC or crc != crc32(body, crc32(data[at + 8 : at + 16])):
            continue
        if number > FORMAT:
            raise NewerFormatError(number)
        return Header(**json.loads(body))
    return None


def frame_bytes(name: bytes, payload: bytes) -> int:
    """Bytes the frame takes in a segment."""
    return (FRAME_BYTES + len(name) + len(payload) + 7) & ~7


def pack_frame(draft: Draft, generation: int) -> bytes:
    """``draft`` as it stands in a segment of ``generation``."""
    kind, flags, incarnation, name, seq, schema, time_ns, readings, payload = draft
    size = len(payload)
    body = _BODY.pack(
        generation, incarnation, seq, schema, time_ns, size, crc32(payload),
        readings, len(name), kind, flags,
    )  # fmt: skip
    prefix = _PREFIX.pack(_FRAME_MAGIC, crc32(name, crc32(body)))
    return b"".join((prefix, body, name, payload, _PAD[(len(name) + size) & 7]))


def unpack_frame(buffer: bytes, at: int, generation: int, base: int = 0) -> Frame | None:
    """The frame at ``at``; None when no intact header of ``generation`` stands there.

    base: offset of ``buffer`` in the segment, added to the frame's ``at`` and ``end``.
    A frame that reaches beyond ``buffer`` has no payload yet: compare its ``end``.
    """
    start = at + FRAME_BYTES
    if start > len(buffer):
        return None
    (
        magic, crc, stamp, incarnation, seq, schema, time_ns, size, payload_crc,
        readings, name_length, kind, flags,
    ) = _FRAME.unpack_from(buffer, at)  # fmt: skip
    split = start + name_length
    if (
        magic != _FRAME_MAGIC
        or stamp != generation
        or split > len(buffer)
        or crc != crc32(buffer[at + _GENERATION_AT : split])
    ):
        return None
    content = buffer[split : split + size]
    payload = content if crc32(content) == payload_crc else None
    end = (base + split + size + 7) & ~7
    return _new(
        Frame,
        (
            kind, flags, incarnation, buffer[start:split], seq, schema, time_ns, readings,
            payload, base + at, end,
        ),
    )  # fmt: skip


def pack_dropped(first_seq: int, from_ns: int, readings: int) -> bytes:
    """The payload of a frame that stands for the records from ``first_seq`` to its seq."""
    return _DROPPED.pack(first_seq, from_ns, readings)


def unpack_dropped(payload: bytes) -> tuple[int, int, int]:
    """First seq, time of the first record, and readings, as `pack_dropped` wrote them."""
    first_seq, from_ns, readings = _DROPPED.unpack(payload)
    return first_seq, from_ns, readings


def first_of(frame: Draft | Frame) -> tuple[int, int]:
    """First seq that ``frame`` stands for, and the time of that record."""
    if frame.kind == Kind.DROPPED and frame.payload is not None:
        return unpack_dropped(frame.payload)[:2]
    return frame.seq, frame.time_ns


def find_frame(buffer: bytes, start: int, generation: int) -> int:
    """Where the next bytes that may be a frame begin, from ``start`` on; -1: nowhere.

    Frames are 8-aligned, and ``buffer`` begins 8-aligned.
    """
    stamp = struct.pack("<Q", generation)
    found = buffer.find(stamp, start + _GENERATION_AT)
    while found >= 0 and (found % 8 or not buffer.startswith(_FRAME_MAGIC, found - 8)):
        found = buffer.find(stamp, found + 1)
    return found - _GENERATION_AT if found >= 0 else -1


def resembles_frame(head: bytes, generation: int) -> bool:
    """``head`` was a frame of ``generation`` before something damaged it."""
    return head.startswith(_FRAME_MAGIC) or head[8:16] == struct.pack("<Q", generation)


def row_bytes(name: bytes) -> int:
    """Bytes a row takes in a seal or a mark."""
    return _ROW.size + len(name)


def pack_rows(rows: Iterable[Row]) -> bytes:
    """The payload of a mark, and the end of a seal."""
    return b"".join(map(_pack_row, rows))


def _pack_row(row: Row) -> bytes:
    covered = _NEVER if row.covered_ns is None else row.covered_ns
    head = _ROW.pack(
        row.incarnation, row.first_seq, row.last_seq, row.first_ns, row.last_ns,
        row.readings, covered, _LANES.index(row.lane), len(row.name),
    )  # fmt: skip
    return head + row.name


def unpack_rows(data: bytes, at: int = 0) -> Iterator[Row]:
    """The rows `pack_rows` wrote."""
    while at < len(data):
        incarnation, first, last, first_ns, last_ns, readings, covered, lane, length = (
            _ROW.unpack_from(data, at)
        )
        at += _ROW.size + length
        yield Row(
            _LANES[lane], data[at - length : at], incarnation, first, last, first_ns, last_ns,
            readings, None if covered == _NEVER else covered,
        )  # fmt: skip


def seal_bytes(row_total: int, schemas: int) -> int:
    """Bytes a seal and its footer take, for rows of ``row_total`` bytes together."""
    return (FRAME_BYTES + _SEAL.size + 8 * schemas + row_total + 7 & ~7) + FOOTER_BYTES


def pack_seal(seal: Seal, generation: int, segment_bytes: int) -> bytes:
    """The last bytes of a segment: seal frame and footer."""
    head = _SEAL.pack(
        seal.end, seal.last_record, seal.records, seal.readings, seal.first_ns, seal.last_ns,
        0, len(seal.schemas), len(seal.rows),
    )  # fmt: skip
    keys = struct.pack(f"<{len(seal.schemas)}Q", *seal.schemas)
    payload = head + keys + pack_rows(seal.rows)
    frame = pack_frame(Draft(Kind.SEAL, 0, bytes(16), b"", 0, 0, 0, 0, payload), generation)
    offset = segment_bytes - FOOTER_BYTES - len(frame)
    footer = _FOOTER.pack(_FOOTER_MAGIC, offset, generation, 0)[:-4]
    footer += struct.pack("<I", crc32(footer))
    return frame + footer.ljust(FOOTER_BYTES, b"\0")


def seal_offset(footer: bytes, generation: int) -> int | None:
    """Where the seal begins, from the last `FOOTER_BYTES` of a segment; None: not sealed."""
    if len(footer) != FOOTER_BYTES:
        return None
    magic, offset, stamp, crc = _FOOTER.unpack_from(footer)
    intact = magic == _FOOTER_MAGIC and crc == crc32(footer[: _FOOTER.size - 4])
    return int(offset) if intact and stamp == generation else None


def unpack_seal(payload: bytes) -> Seal:
    """The seal in the payload of a SEAL frame."""
    end, last, records, readings, first_ns, last_ns, _, schemas, _ = _SEAL.unpack_from(payload)
    keys = struct.unpack_from(f"<{schemas}Q", payload, _SEAL.size)
    rows = tuple(unpack_rows(payload, _SEAL.size + 8 * schemas))
    return Seal(end, last, records, readings, first_ns, last_ns, keys, rows)
