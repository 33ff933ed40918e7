"""Reads a lane in order, across segments and incarnations, and says what is missing."""

from __future__ import annotations

from gateway.journal.evict import UNKNOWN_READINGS, fewer, settled_readings
from gateway.journal.files import Files
from gateway.journal.format import (
    HEADER_BYTES,
    Frame,
    Kind,
    Row,
    first_of,
    unpack_dropped,
)
from gateway.journal.gather import seal_rows
from gateway.journal.log import Log
from gateway.journal.scan import Scan
from gateway.journal.segment import DELIVERED, Segment, place
from gateway.journal.settling import Expected, Key, Note
from gateway.journal.words import Damage, Entry
from gateway.model import Cause

_new = tuple.__new__  # half the price of a named tuple's own constructor
_INSIDE = 1
"""Added to the start of a frame: the position of what is missing before it."""


class Reader:
    """A place in a lane. Reading on from where the last read ended costs no search."""

    def __init__(
        self, log: Log, files: Files, incarnation: bytes, *, notes: bool = True
    ) -> None:
        """notes: what it reads may be settled later."""
        self._log = log
        self._notes = notes
        self._files = files
        self._incarnation = incarnation
        self._position = -1
        self._segment: Segment | None = None
        self._scan: Scan | None = None
        self._expected: Expected = {}
        self._is_complete = False
        """``_expected`` knows every stream there was before."""
        self._words: dict[Key, tuple[str, str, Key]] = {}
        """Stream and incarnation as people read them, and one key for all its notes."""

    def read(self, after: int, max_bytes: int, max_records: int) -> list[Entry | Damage]:
        """What follows ``after``, at least one item if there is one.

        Raises:
            OSError: The disk cannot read; the next call starts anew.
        """
        found: list[Entry | Damage] = []
        with self._log.files_lock:
            try:
                if after != self._position:
                    self._seek(after)
                elif self._segment is not None and self._segment not in self._log.segments:
                    self._resume(self._segment.number)
                self._fill(found, after, max_bytes, max_records)
            except OSError:
                self._forget()
                raise
        return found

    def close(self) -> None:
        """Forget the place, when nobody reads any more."""
        with self._log.files_lock:
            self._forget()

    def _forget(self) -> None:
        self._leave_file()
        self._position = -1

    def _leave_file(self) -> None:
        if self._scan is not None:
            self._scan.close()
        self._scan = self._segment = None

    def _resume(self, number: int) -> None:
        """Segment ``number`` was recycled: go on behind it, or in the tomb it lies in."""
        self._skip(number - 1)

    def _skip(self, number: int) -> None:
        """Go on behind segment ``number``, which is read."""
        self._leave_file()
        for segment in self._log.segments:
            if segment.number > number:
                self._enter(segment, HEADER_BYTES)
                return

    def _seek(self, after: int) -> None:
        """Stand at ``after``; at the settled position what must follow is known."""
        self._forget()
        settling = self._log.settling
        with self._log.lock:
            self._is_complete = after == settling.position
            self._expected = dict(settling.expected) if self._is_complete else {}
            if self._is_complete and self._notes:
                settling.restart()
        self._position = after
        number, offset = after >> 32, after & 0xFFFFFFFF & ~7
        for segment in self._log.segments:
            if segment.number >= number:
                is_inside = self._is_complete and segment.number == number
                self._enter(segment, offset if is_inside else HEADER_BYTES)
                return

    def _enter(self, segment: Segment, offset: int) -> None:
        self._leave_file()
        file = self._files.open(segment.path)
        self._segment = segment
        self._scan = Scan(file, segment.generation, offset, segment.end)
        for row in seal_rows(self._files, segment):
            key = (row.incarnation, row.name)
            self._expected.setdefault(key, (row.first_seq, row.first_ns))

    def _fill(
        self, found: list[Entry | Damage], after: int, max_bytes: int, max_records: int
    ) -> None:
        """Add up to ``max_records`` items beyond ``after``."""
        if self._scan is None:
            self._seek(after)
        size = 0
        while self._scan is not None and self._segment is not None:
            # Asked before its end: what is committed while this reads may also seal it.
            is_over = self._segment.sealed or self._segment is not self._log.segments[-1]
            scan, base = self._scan, self._segment.number << 32
            scan.end = self._segment.end
            frame: Frame | None = None
            while len(found) < max_records and size < max_bytes:
                at = scan.at
                frame = scan.next()
                if frame is None:
                    break
                if frame.kind in DELIVERED:
                    length, before = len(frame.payload or b""), len(found)
                    if found and size + length > max_bytes:
                        scan.at = at
                        return
                    self._take(frame, base, after, found)
                    # What stands twice, or before ``after``, is not given out: it counts
                    # nothing, or a read could end with nothing found where there is more.
                    size += length if len(found) > before else 0
            if frame is not None or not is_over:
                return
            if not self._leave(self._segment, after, found):
                return
            if len(found) >= max_records:
                return

    def _take(self, frame: Frame, base: int, after: int, found: list[Entry | Damage]) -> None:
        """Add ``frame`` and what is missing before it."""
        kind, _, incarnation, name, seq, schema, time_ns, readings, payload, at, end = frame
        key = (incarnation, name)
        first, first_ns = (seq, time_ns) if kind != Kind.DROPPED else first_of(frame)
        due = self._expected.get(key)
        if due is None:
            is_first = self._is_complete and incarnation == self._incarnation
            due = (1 if is_first else first, first_ns)
        if seq < due[0]:
            return  # written twice: the flush of its first place failed
        self._expected[key] = (seq + 1, time_ns)
        if first > due[0]:
            position = base | at | _INSIDE
            self._miss(position, key, due, first - 1, time_ns, None, after, found)
            due = (first, first_ns)
        position = base | end
        if position <= after:
            return
        if kind == Kind.DROPPED and payload is not None:
            readings = unpack_dropped(payload)[2]
            cause = Cause.STORAGE_FAILED
            due = (first, first_ns) if first == 1 else due  # before it there was no record
            self._miss(position, key, due, seq, time_ns, readings, after, found, cause)
            return
        if payload is None or kind == Kind.LOST:
            lost = (seq, due[1])
            self._miss(position, key, lost, seq, time_ns, readings, after, found)
            return
        stream, words, key = self._words.get(key) or self._word(key)
        entry = (position, stream, words, seq, schema, time_ns, readings, payload)
        found.append(_new(Entry, entry))
        before, self._position = self._position, position
        self._note(before, _new(Note, (position, key, seq, time_ns, 1, readings)))

    def _note(self, before: int, note: Note) -> None:
        """Let ``note`` be settled, unless it is known, or what came before it is not noted."""
        settling = self._log.settling
        with self._log.lock:
            if self._notes and before <= settling.noted < note.position:
                settling.note(note)

    def _evicted(self, segment: Segment, row: Row, due_seq: int) -> int | None:
        """Readings of ``row`` from ``due_seq`` on; None when nobody knows."""
        if not segment.is_tomb or row.readings == UNKNOWN_READINGS:
            return None
        if due_seq <= row.first_seq:
            return row.readings
        key, settling = (row.incarnation, row.name), self._log.settling
        with self._log.lock:
            gone = settled_readings(segment, key, settling) + settling.unpaid(key, due_seq)
        return fewer(row.readings, gone)

    def _miss(
        self, position: int, key: Key, due: tuple[int, int], last_seq: int, to_ns: int,
        readings: int | None, after: int, found: list[Entry | Damage],
        cause: Cause = Cause.JOURNAL_CORRUPT,
    ) -> None:  # fmt: skip
        if position <= after:
            return
        stream, incarnation, key = self._words.get(key) or self._word(key)
        before, self._position = self._position, position
        found.append(
            Damage(
                position, stream, incarnation, due[0], last_seq, due[1], to_ns, readings, cause
            )
        )
        count = 1 if cause is Cause.STORAGE_FAILED else last_seq - due[0] + 1
        self._note(before, Note(position, key, last_seq, to_ns, count, readings or 0))

    def _word(self, key: Key) -> tuple[str, str, Key]:
        words = self._words[key] = key[1].decode(), key[0].hex(), key
        return words

    def _leave(self, segment: Segment, after: int, found: list[Entry | Damage]) -> bool:
        """Say what is missing at the end of ``segment``; enter the next, if there is one."""
        for n, row in enumerate(seal_rows(self._files, segment), start=1):
            key = (row.incarnation, row.name)
            due = self._expected.get(key, (row.first_seq, row.first_ns))
            if due[0] <= row.last_seq:
                self._expected[key] = (row.last_seq + 1, row.last_ns)
                position = place(segment.number, segment.size + n)
                count = self._evicted(segment, row, due[0])
                cause = Cause.JOURNAL_EVICTED if segment.is_tomb else Cause.JOURNAL_CORRUPT
                self._miss(
                    position, key, due, row.last_seq, row.last_ns, count, after, found, cause
                )
        if segment is self._log.segments[-1]:
            return False
        self._skip(segment.number)
        return True
