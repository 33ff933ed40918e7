"""Gathers the unsealed tails of a lane into sealed segments, so that restarts take no room."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from gateway.journal.files import Files
from gateway.journal.format import (
    COVERS,
    HEADER_BYTES,
    Draft,
    Frame,
    Header,
    Kind,
    Row,
    first_of,
    frame_bytes,
    row_bytes,
)
from gateway.journal.pool import Pool
from gateway.journal.scan import read_seal, walk
from gateway.journal.segment import DELIVERED, Segment, Tally, capacity, place, write_whole
from gateway.journal.settling import Expected, Key
from gateway.model import Lane


@dataclass(slots=True)
class LaneFound:
    """One lane as it lies on disk."""

    lane: Lane
    folder: Path
    segments: list[Segment] = field(default_factory=list)
    frames: dict[int, list[Frame]] = field(default_factory=dict)
    """Frames of each unsealed segment, by its number."""
    unreadable: set[str] = field(default_factory=set)
    """Incarnations of which an unsealed segment holds frames that could not be parsed."""
    settled: int = 0
    last_number: int = 0
    states: dict[bytes, Row] = field(default_factory=dict)
    """Last row of each stream, by name."""
    heads: dict[Key, int] = field(default_factory=dict)
    """Last seq of each stream of each incarnation."""
    torn: dict[Key, list[Frame]] = field(default_factory=dict)
    discarded: list[Segment] = field(default_factory=list)
    """Originals whose content now stands elsewhere; recycled once the cursor says so."""

    def is_all_there(self, header: Header) -> bool:
        """Nothing of the incarnation that took it was let go: its streams begin at 1."""
        if header.gathered or header.evicts or self.settled >> 32 > header.origin:
            return False
        if any(
            s.is_tomb and s.header.evicts <= header.origin <= s.number for s in self.segments
        ):
            return False
        # A later incarnation may have let it go: the newest segment of all knows.
        oldest = [s.header.oldest for s in self.segments if not s.is_tomb][-1]
        return oldest is not None and oldest <= header.origin


def seal_rows(files: Files, segment: Segment) -> tuple[Row, ...]:
    """The streams in ``segment``; none when nothing says so.

    Raises:
        OSError: The disk cannot be read.
    """
    if segment.rows is not None:
        return segment.rows
    if not segment.sealed:
        return ()
    file = files.open(segment.path)
    try:
        seal = read_seal(file, segment.generation, segment.size)
    finally:
        file.close()
    return seal.rows if seal else ()


def restate(expected: Expected, row: Row) -> None:
    """Expect what ``row`` of a gathered segment begins with, whatever came before it.

    What was settled is left out of such a segment, so a stream may begin later in it than
    the one before ended. Power that goes between a gathering and the recycling leaves both
    copies, so it may begin earlier too; once the cursor stands in it, this one counts.
    """
    expected[row.incarnation, row.name] = (row.first_seq, row.first_ns)


class Gathering:
    """Rewrites the unsealed segments of one lane. Settled records are left out."""

    def __init__(self, found: LaneFound, files: Files, pool: Pool, table: list[Draft]) -> None:
        self._found = found
        self._files = files
        self._pool = pool
        self._table = table
        self._expected: Expected = {}
        self._kept: list[Segment] = []
        self._group: list[Segment] = []
        self._drafts: list[Draft] = []
        self._tally = Tally(found.lane)
        self._bytes = 0

    def run(self) -> None:
        """Rewrite; afterwards the lane's segments are the new ones, in their order.

        Raises:
            OSError: The disk refused; segments not yet rewritten stay as they are.
        """
        segments = list(self._found.segments)
        try:
            for segment in segments:
                self._step(segment, segments)
            self._finish()
        except OSError:
            done = self._kept[-1].number if self._kept else -1
            dropped = {s.path for s in self._found.discarded}
            rest = [s for s in segments if s.number > done and s.path not in dropped]
            self._found.segments = self._kept + rest
            raise
        self._found.segments = self._kept

    def _step(self, segment: Segment, segments: list[Segment]) -> None:
        if self._is_loose(segment, segments):
            self._add(segment)
            return
        self._finish()
        self._kept.append(segment)
        for row in seal_rows(self._files, segment):
            self._expected[row.incarnation, row.name] = (row.last_seq + 1, row.last_ns)

    def _is_loose(self, segment: Segment, segments: list[Segment]) -> bool:
        """Unsealed; or gathered before, small, and followed by an unsealed one."""
        if not segment.sealed:
            return True
        following = next((s for s in segments if s.number > segment.number), None)
        is_small = segment.header.gathered and segment.end * 2 <= segment.size
        return is_small and following is not None and not following.sealed

    def _add(self, segment: Segment) -> None:
        """Take ``segment`` into the group, into a new one if need be."""
        rows = seal_rows(self._files, segment)
        size = segment.end - HEADER_BYTES + sum(row_bytes(row.name) for row in rows)
        size += 8 * len(segment.schemas)
        room = capacity(self._pool.segment_bytes) - self._tally.reserve(b"")
        room -= sum(frame_bytes(b"", draft.payload) for draft in self._table)
        if self._group and self._bytes + size > room:
            self._finish()
        self._group.append(segment)
        if segment.sealed:
            for row in rows:
                self._seed(row)
                if self._found.settled >= place(segment.number, HEADER_BYTES):
                    restate(self._expected, row)
        for frame in self._frames(segment):
            self._take(segment, frame)
        if segment.sealed:
            for row in rows:
                # What is not due any more stands here, or in an earlier segment.
                due = self._expected[row.incarnation, row.name][0]
                self._tally.reach(row._replace(first_seq=max(row.first_seq, due)))

    def _frames(self, segment: Segment) -> list[Frame]:
        if segment.number in self._found.frames:
            return self._found.frames[segment.number]
        file = self._files.open(segment.path)
        try:
            return walk(file, segment.generation, segment.size)[0]
        finally:
            file.close()

    def _seed(self, row: Row) -> None:
        """Keep what a seal knows of a stream, even if no frame of it is left."""
        key = (row.incarnation, row.name)
        if key not in self._expected:
            self._expected[key] = (row.first_seq, row.first_ns)
        if row.first_seq > row.last_seq:
            self._tally.drop(row)

    def _take(self, segment: Segment, frame: Frame) -> None:
        if frame.kind not in DELIVERED:
            return
        key = (frame.incarnation, frame.name)
        first, first_ns = first_of(frame)
        due = self._expected.get(key) or (self._origin(segment, key, first), first_ns)
        if frame.seq < due[0]:
            return
        self._expected[key] = (frame.seq + 1, frame.time_ns)
        if place(segment.number, frame.end) <= self._found.settled:
            self._tally.drop(_row(self._found.lane, frame))
            return
        is_new = key not in self._tally.rows
        draft = _draft(frame)
        self._drafts.append(draft)
        self._bytes += frame_bytes(draft.name, draft.payload)
        self._tally.add(draft, HEADER_BYTES + self._table_bytes() + self._bytes)
        if is_new:
            self._tally.expect(key, due[0])

    def _origin(self, segment: Segment, key: Key, first: int) -> int:
        """The seq a stream nobody saw before must begin with, if ``first`` is what there is."""
        header = segment.header
        oldest = (self._kept + self._group)[0].number
        is_native = key[0].hex() == header.incarnation and not header.gathered
        is_whole = oldest <= header.origin or self._found.is_all_there(header)
        return 1 if is_native and is_whole else first

    def _table_bytes(self) -> int:
        return sum(frame_bytes(b"", draft.payload) for draft in self._table)

    def _finish(self) -> None:
        """Write the group; it takes the place of its last segment."""
        group, found = self._group, self._found
        if not group:
            return
        last = group[-1]
        numbers = {segment.number for segment in group}
        was_settled_here = found.settled >> 32 in numbers
        if self._drafts or self._tally.rows or self._table:
            written = self._write(last)
            self._kept.append(written)
            found.discarded += [s for s in group if s.path != written.path]
            if was_settled_here:
                found.settled = place(written.number, HEADER_BYTES)
        else:
            found.discarded += group
            if was_settled_here:
                former = self._kept[-1] if self._kept else None
                found.settled = place(former.number, former.size) if former else 0
        for number in numbers:
            found.frames.pop(number, None)
        self._group, self._drafts, self._bytes = [], [], 0
        self._tally = Tally(found.lane)

    def _write(self, last: Segment) -> Segment:
        header = last.header._replace(generation=int.from_bytes(os.urandom(8)), gathered=True)
        drafts = self._table + self._drafts
        written = write_whole(
            self._files, self._pool, self._found.folder, header, drafts, self._tally
        )
        if written.path == last.path:
            self._pool.lost()
        return written


def _draft(frame: Frame) -> Draft:
    """``frame`` as it is kept: what cannot be read is kept as lost, with its count."""
    kind = Kind.LOST if frame.payload is None else frame.kind
    return Draft(kind, *frame[1:8], frame.payload or b"")


def _row(lane: Lane, frame: Frame) -> Row:
    """A row that says: this stream went so far, and nothing of it is here."""
    covered = frame.time_ns if frame.flags & COVERS else None
    return Row(
        lane, frame.name, frame.incarnation, frame.seq + 1, frame.seq, frame.time_ns,
        frame.time_ns, 0, covered,
    )  # fmt: skip
