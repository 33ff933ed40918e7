"""One segment in memory: where it is, what it holds, and how a new one is born."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.journal.files import File, Files
from gateway.journal.format import (
    COVERS,
    FOOTER_BYTES,
    HEADER_BYTES,
    Draft,
    Frame,
    Header,
    Kind,
    Row,
    Seal,
    first_of,
    pack_frame,
    pack_header,
    pack_seal,
    row_bytes,
    seal_bytes,
)
from gateway.journal.pool import Pool
from gateway.model import Lane

PREFIX = "seg-"
TOMB_PREFIX = "gone-"
_LONG_AGO = -(1 << 63)
DELIVERED = frozenset((Kind.RECORD, Kind.LOST, Kind.DROPPED))


def place(number: int, offset: int) -> int:
    """The position of ``offset`` in segment ``number``."""
    return number << 32 | offset


@dataclass(slots=True)
class Segment:
    """A segment file that belongs to a lane."""

    header: Header
    path: Path
    size: int
    end: int = HEADER_BYTES
    """Where its committed frames end."""
    last_record: int = 0
    """Where the last committed frame that is delivered ends; 0: none."""
    records: int = 0
    readings: int = 0
    first_ns: int = 0
    last_ns: int = 0
    schemas: tuple[int, ...] = ()
    touched_s: float = 0.0
    """When its newest frame was committed, or it was found, on the monotonic clock."""
    sealed: bool = False
    rows: tuple[Row, ...] | None = None
    """Known here only when no seal on disk says it, and of a tomb."""
    paid_before: Mapping[tuple[bytes, bytes], int] = field(default_factory=dict)
    """Of a tomb: readings of each stream that were settled when it was made."""

    @property
    def number(self) -> int:
        """Its place in the order of the lane."""
        return self.header.number

    @property
    def generation(self) -> int:
        """What its frames carry, and no bytes of an earlier use."""
        return self.header.generation

    @property
    def is_tomb(self) -> bool:
        """It holds no records, but names those that were evicted."""
        return self.header.evicts > 0

    def describe(self, seal: Seal) -> None:
        """Take over what ``seal`` says."""
        self.end, self.last_record = seal.end, seal.last_record
        self.records, self.readings = seal.records, seal.readings
        self.first_ns, self.last_ns = seal.first_ns, seal.last_ns
        self.schemas = seal.schemas


@dataclass(slots=True)
class Tally:
    """What the frames written so far add up to: the seal in the making."""

    lane: Lane
    rows: dict[tuple[bytes, bytes], Row] = field(default_factory=dict)
    schemas: set[int] = field(default_factory=set)
    last_record: int = 0
    records: int = 0
    readings: int = 0
    first_ns: int = 0
    last_ns: int = 0
    row_total: int = 0

    def add(self, frame: Draft | Frame, end: int) -> None:
        """Count ``frame``, which ends at ``end``."""
        kind, flags, incarnation, name, seq, schema, time_ns, readings = frame[:8]
        if kind not in DELIVERED:
            return
        covered = time_ns if flags & COVERS else None
        key = (incarnation, name)
        row = self.rows.get(key)
        if row is None:
            self.row_total += row_bytes(name)
            first, first_ns = first_of(frame)
            row = Row(
                self.lane, name, incarnation, first, seq, first_ns, time_ns, readings, covered
            )
        else:
            # The later record tells, also when the clock was set back between the two.
            covered = row.covered_ns if covered is None else covered
            row = Row(
                self.lane, name, incarnation, row.first_seq, seq, row.first_ns, time_ns,
                row.readings + readings, covered,
            )  # fmt: skip
        self.rows[key] = row
        self.schemas.add(schema)
        if not self.records:
            self.first_ns = time_ns
        self.records += 1
        self.readings += readings
        self.last_ns = time_ns
        self.last_record = end

    @classmethod
    def of(cls, frames: Iterable[Frame], lane: str) -> Tally:
        """What ``frames`` add up to."""
        tally = cls(Lane(lane))
        for frame in frames:
            tally.add(frame, frame.end)
        return tally

    def bury(self, row: Row, segment_bytes: int) -> None:
        """Name what was evicted; each row ends where no frame can, behind the segment."""
        self.rows[row.incarnation, row.name] = row
        self.row_total += row_bytes(row.name)
        self.first_ns = min(self.first_ns or row.first_ns, row.first_ns)
        self.last_ns = max(self.last_ns, row.last_ns)
        self.last_record = segment_bytes + len(self.rows)

    def expect(self, key: tuple[bytes, bytes], seq: int) -> None:
        """Let the row of ``key`` begin at ``seq``; what stood there is lost."""
        self.rows[key] = self.rows[key]._replace(first_seq=seq)

    def drop(self, row: Row) -> None:
        """Remember a stream of which nothing is kept here up to ``row.last_seq``."""
        key = (row.incarnation, row.name)
        former = self.rows.get(key)
        if former is None:
            self.row_total += row_bytes(row.name)
        elif former.covered_ns is not None:
            row = row._replace(covered_ns=max(former.covered_ns, row.covered_ns or _LONG_AGO))
        self.rows[key] = row

    def reach(self, row: Row) -> None:
        """Let a row of a former seal say how far its stream went, readable or not."""
        key = (row.incarnation, row.name)
        mine = self.rows.get(key)
        if mine is not None and mine.last_seq < row.last_seq:
            self.rows[key] = mine._replace(last_seq=row.last_seq, last_ns=row.last_ns)
        elif mine is None:
            self.row_total += row_bytes(row.name)
            self.rows[key] = row

    def reserve(self, name: bytes) -> int:
        """Bytes a seal would take if one more row and one more schema came."""
        return seal_bytes(self.row_total + row_bytes(name), len(self.schemas) + 1)

    def seal(self, end: int) -> Seal:
        """The seal of a segment whose frames end at ``end``."""
        return Seal(
            end, self.last_record, self.records, self.readings, self.first_ns, self.last_ns,
            tuple(sorted(self.schemas)), tuple(self.rows.values()),
        )  # fmt: skip

    def copy(self) -> Tally:
        """A tally that can be thrown away."""
        twin = copy.copy(self)
        twin.rows, twin.schemas = dict(self.rows), set(self.schemas)
        return twin


def give_birth(files: Files, pool: Pool, folder: Path, header: Header) -> tuple[Segment, File]:
    """A new segment in ``folder``, durable before anything is written to it.

    Raises:
        OSError: There is no room, or the disk failed.
    """
    source = pool.take()
    target = folder / f"{PREFIX}{header.number:010d}"
    try:
        file = files.open(source)
        try:
            # Synced before it has its name: a file in a lane always has its own header.
            file.write(pack_header(header), 0)
            file.sync()
            files.rename(source, target)
            # Where renaming is two changes (FAT): better no name left than two.
            files.sync_folder(source.parent)
            files.sync_folder(folder)
        except OSError:
            file.close()
            raise
    except OSError:
        pool.lost()
        raise
    return Segment(header, target, pool.segment_bytes), file


def write_whole(
    files: Files, pool: Pool, folder: Path, header: Header, drafts: Iterable[Draft],
    tally: Tally,
) -> Segment:  # fmt: skip
    """A sealed segment of ``drafts``; it takes its name, and the place of a former one, last.

    tally: counts every frame of ``drafts``.

    Raises:
        OSError: There is no room, or the disk failed; nothing changed.
    """
    source = pool.take(last=True)
    target = folder / f"{TOMB_PREFIX if header.evicts else PREFIX}{header.number:010d}"
    frames = b"".join(pack_frame(draft, header.generation) for draft in drafts)
    seal = tally.seal(HEADER_BYTES + len(frames))
    tail = pack_seal(seal, header.generation, pool.segment_bytes)
    if not frames and 2 * len(tail) <= capacity(pool.segment_bytes):
        # Of a tomb nothing else can be walked: one bad bit must not take all it names.
        frames = tail[:-FOOTER_BYTES]
    try:
        file = files.open(source)
        try:
            file.write(pack_header(header) + frames, 0)
            file.write(tail, pool.segment_bytes - len(tail))
            file.sync()
            files.rename(source, target)
            file.sync()  # see `Files.rename`
        finally:
            file.close()
        files.sync_folder(folder)
        files.sync_folder(source.parent)
    except OSError:
        pool.lost()
        raise
    segment = Segment(header, target, pool.segment_bytes, sealed=True)
    segment.describe(seal)
    return segment


def capacity(segment_bytes: int) -> int:
    """Bytes of frames and seal a segment can hold."""
    return segment_bytes - HEADER_BYTES - FOOTER_BYTES
