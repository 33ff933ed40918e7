"""One lane: records wait in memory, a writer thread makes them durable, settling frees them.

The event loop appends and settles; one writer thread commits; one thread at a time reads.
``lock`` guards what they share in memory and is never held during a system call: the loop
must not wait for a disk. ``files_lock`` is held while a file is read, and while one changes
its name; the loop never takes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.clock import Clock
from gateway.errors import JournalError, JournalFullError
from gateway.journal.evict import bury, fits, joined, rows_to_bury, unsettled
from gateway.journal.format import (
    HEADER_BYTES,
    NAME_LIMIT,
    Draft,
    Kind,
    frame_bytes,
)
from gateway.journal.loan import Loan
from gateway.journal.pool import DISK_FULL
from gateway.journal.schemas import Schemas
from gateway.journal.segment import DELIVERED, Segment, capacity, place
from gateway.journal.settling import Settling
from gateway.journal.tail import Active, Births, Written
from gateway.journal.waiting import Waiting
from gateway.journal.words import LaneStats, Settings
from gateway.model import Lane

COMMIT_BYTES = 64 << 10
RETRY_S = 30.0
"""Pause after the disk failed twice in a row."""
STALL_S = 5.0
"""A disk that took nothing for so long is in trouble, though it may only be slow."""
_FULL_RETRY_S = 1.0


@dataclass(slots=True)
class Meter:
    """Counters of one lane."""

    commits: int = 0
    last_commit_s: float = 0.0
    busy_since: float | None = None
    evicted_records: int = 0


class Log:
    """The records of one lane, in memory and on disk."""

    def __init__(
        self, settings: Settings, births: Births, clock: Clock, schemas: Schemas,
        segments: list[Segment], settling: Settling, incarnation: bytes,
        preface: Callable[[], Iterable[Draft]], loan: Loan, failed: str | None = None,
    ) -> None:  # fmt: skip
        """failed: why the disk takes nothing, if that is known already."""
        self.lane: Lane = births.lane
        self.lock = threading.Lock()
        self.files_lock = threading.Lock()
        self.segments = segments
        """In order; the active one last."""
        self.settling = settling
        self.wake: Callable[[], None] = lambda: None
        self.meter = Meter()
        self.failed = failed
        """Why the disk took nothing when it was asked last."""
        self.waiting = Waiting(settings.memory_limit(births.lane))
        self.committed_heads: dict[str, int] = {}
        self.heads: dict[str, int] = {}
        """Last seq given to each stream of this incarnation."""
        self._settings = settings
        self._births = births
        self._clock = clock
        self._schemas = schemas
        self._incarnation = incarnation
        self._preface = preface
        self._loan = loan
        self._names: dict[str, bytes] = {}
        self._first_at: float | None = None
        """When the oldest fresh frame was taken."""
        self._writing_since: float | None = None
        """When the oldest frame in the writer's hands was taken."""
        self._retry_at = 0.0
        self._active: Active | None = None
        self._ahead: Active | None = None
        self._delay_s = settings.delay_s(self.lane)
        self._usable = capacity(births.pool.segment_bytes) * 7 // 8
        self._largest = self._usable // 2
        for segment in segments:
            # How long ago that was only a clock that may be set could say: it counts anew.
            segment.touched_s = clock.monotonic()
        last = segments[-1] if segments else None
        self.committed = (
            place(last.number, max(last.end, last.last_record)) if last else settling.position
        )
        self._last_record = max(
            (place(s.number, s.last_record) for s in segments if s.last_record), default=0
        )
        self._settle_marks()
        self._room = self._measure_room()

    # -- event loop ----------------------------------------------------------------

    def tune(self, settings: Settings) -> None:
        """Commit, hold and retain by ``settings`` from now on; path and sizes are the same."""
        self._settings = settings
        with self.lock:
            self.waiting.limit = settings.memory_limit(self.lane)
        self._delay_s = settings.delay_s(self.lane)

    def append(
        self, stream: str, payload: bytes, time_ns: int, readings: int, flags: int, schema: int
    ) -> int:
        """Take one record into memory; its seq.

        Raises:
            JournalFullError: The disk share is used up by records not yet settled.
            JournalError: The record is too large.
        """
        name = self._names.get(stream)
        if name is None:
            name = self._names[stream] = _name(stream)
        size = (72 + len(name) + len(payload) + 7) & ~7
        with self.lock:
            self._admit(size)
            seq = self.heads.get(stream, 0) + 1
            self.heads[stream] = seq
            self._take_in(
                Draft(
                    Kind.RECORD, flags, self._incarnation, name, seq, schema, time_ns,
                    readings, payload,
                ),
                size,
            )  # fmt: skip
        return seq

    def append_mark(self, payload: bytes, flags: int) -> None:
        """Take a mark into memory.

        Raises:
            JournalError: As `append`.
        """
        draft = Draft(
            Kind.MARK, flags, self._incarnation, b"", 0, 0, self._clock.now_ns(), 0, payload
        )
        size = frame_bytes(b"", payload)
        with self.lock:
            self._admit(size)
            self._take_in(draft, size)

    def _take_in(self, draft: Draft, size: int) -> None:
        before = self.waiting.bytes
        self.waiting.add(draft, size)
        if self._first_at is None:
            self._first_at = self._clock.monotonic()
            self.wake()
        elif before < COMMIT_BYTES <= self.waiting.bytes:
            self.wake()

    def _admit(self, size: int) -> None:
        if size > self._largest:
            raise JournalError(f"{self.lane}: a record of {size} bytes is too large")
        if self.waiting.bytes + size > self._room:
            raise JournalFullError(
                f"{self.lane}: journal full, nothing settled is left to recycle"
            )

    def settle(self, position: int) -> None:
        """Everything up to ``position`` was acknowledged; notes must reach that far."""
        with self.lock:
            self.settling.advance(min(position, self.committed))
            self._settle_marks()
            self._room = self._measure_room()

    def _settle_marks(self) -> None:
        """Whatever follows the last record needs no acknowledgement."""
        if self.settling.position >= self._last_record:
            self.settling.advance(self.committed)

    def _measure_room(self) -> int:
        """Bytes that can be appended before the disk share is used up; a little too low."""
        spare = self._births_left() + max(self._settled_segments(), len(self._evictable()))
        spare += self._loan.left if self.lane is Lane.ALARM else 0
        room = spare * self._usable + (self._usable if self._ahead else 0)
        return room + (self._active.room if self._active else 0)

    def _births_left(self) -> int:
        return max(0, self._share() - self._held())

    def _share(self) -> int:
        return self._settings.quota(self.lane) + self._loan.balance(self.lane)

    def _held(self) -> int:
        return len(self.segments) + (self._ahead is not None)

    def _settled_segments(self) -> int:
        """How many of the oldest segments may be recycled; never the newest."""
        position, count = self.settling.position, 0
        for segment in self.segments[:-1]:
            settled = not segment.last_record or position >= place(
                segment.number, segment.last_record
            )
            if not settled or position >> 32 == segment.number:
                break
            count += 1
        return count

    def _evictable(self) -> list[Segment]:
        """Segments that may go unsettled, oldest first; no alarms, never the newest."""
        if self.lane is Lane.ALARM:
            return []
        return [segment for segment in self.segments[:-1] if not segment.is_tomb]

    # -- writer thread -------------------------------------------------------------

    def due_in(self, now: float) -> float | None:
        """Seconds until `commit` should be called; None: nothing waits."""
        first, waiting = self._first_at, self.waiting.bytes
        if self.failed is not None:
            return max(0.0, self._retry_at - now)
        if self._loan.is_wanted and self.lane is Lane.DATA:
            return 0.0
        if first is None:
            return None
        return 0.0 if waiting >= COMMIT_BYTES else max(0.0, first + self._delay_s - now)

    def commit(self) -> bool:
        """Write and flush what waits; True when everything taken is durable."""
        with self.lock:
            self.waiting.begin()
            since = self._first_at if self._writing_since is None else self._writing_since
            self._writing_since, self._first_at = since, None
        started = self._clock.monotonic()
        trouble = self._attempt() and self._attempt()
        self.meter.busy_since = None
        if trouble is None:
            self.meter.last_commit_s = self._clock.monotonic() - started
        with self.lock:
            self.waiting.give_back()
            self.failed = trouble
            if trouble is None:
                self._writing_since = None
            self._room = self._measure_room()
        return trouble is None

    def _attempt(self) -> str | None:
        """One try; why it failed. The segment that failed is never touched again."""
        try:
            self._settle_loan()
            self._schemas.save()
            while self.waiting.writing:
                self._write()
            if self._active and self._active.is_half_full and self._ahead is None:
                self._prepare()
        except JournalFullError as error:
            self._retry_at = self._clock.monotonic() + _FULL_RETRY_S
            return str(error)
        except OSError as error:
            self._retry_at = self._clock.monotonic() + RETRY_S
            return f"{error.strerror or error}"
        return None

    def _prepare(self) -> None:
        """Have the next segment ready, if there is room for one."""
        try:
            self._ahead = self._birth()
        except JournalFullError:
            return

    def _write(self) -> None:
        if self._active is None:
            self._activate()
            return
        done = self._write_to(self._active, self.waiting.writing)
        self._committed(self._active, done)
        if done.sealed:
            self._active.file.close()
            self._active = None

    def _write_to(self, active: Active, drafts: list[Draft]) -> Written:
        try:
            return active.write(drafts, self._watch)
        except OSError:
            self._abandon()
            raise

    def _watch(self) -> None:
        self.meter.busy_since = self._clock.monotonic()

    def _activate(self) -> None:
        active, self._ahead = self._ahead or self._birth(), None
        with self.lock:
            self.segments.append(active.segment)
            self._active = active
        preface = list(self._preface())
        if preface and active.fits(preface):
            self._committed(active, self._write_to(active, preface), foreign=True)

    def _birth(self) -> Active:
        self._retire()
        while not self._births_left():  # the first tomb takes the file of what it stands for
            self._make_room()
        while True:
            self._watch()
            try:
                return self._births.next(self._oldest())
            except OSError as error:
                # Somebody else filled the disk before the pool was whole: what it
                # has of files is all there will be.
                if error.errno not in DISK_FULL:
                    raise
            self._make_room()

    def _oldest(self) -> int | None:
        """Number of the oldest segment that holds records."""
        return next((s.number for s in self.segments if not s.is_tomb), None)

    def _make_room(self) -> None:
        """Give up one segment: the oldest settled one, else the oldest of all.

        Raises:
            JournalFullError: None may go.
        """
        if self._settled_segments():
            self._recycle()
        elif victims := self._evictable():
            self._evict(victims[0])
        else:
            if self.lane is Lane.ALARM:
                self._loan.ask()
            raise JournalFullError(f"{self.lane}: no segment is left")

    def _settle_loan(self) -> None:
        """Lend the alarm lane what it asks for; as the alarm lane, give back what is spare."""
        if self.lane is Lane.DATA and self._loan.is_wanted:
            self._lend()
        elif self.lane is Lane.ALARM and self._loan.balance(Lane.ALARM):
            self._retire()
            self._loan.repay(self._births_left() - 1)

    def _lend(self) -> None:
        try:
            self._loan.grant(self._spare_file())
        except JournalFullError:
            self._loan.is_wanted = False  # only the newest data is left, and it stays

    def _spare_file(self) -> Path:
        """A file of the pool that this lane can do without, lent."""
        while not self._births_left():
            self._make_room()
        while True:
            try:
                return self._births.pool.take()
            except OSError as error:
                if error.errno not in DISK_FULL:
                    raise
            self._make_room()

    def _evict(self, victim: Segment) -> None:
        """Put a tomb in the place of ``victim``, durable before its file is used again."""
        files, pool = self._births.files, self._births.pool
        with self.lock:
            at = self.segments.index(victim)
            tomb = self.segments[at - 1] if at else None
        held = rows_to_bury(files, victim, tomb)
        with self.lock:
            lost = unsettled(victim, held, self.settling)
            told = unsettled(tomb, tomb.rows or (), self.settling) if tomb else []
            rows = joined(told, lost)
            paid = dict(self.settling.paid)
        if tomb and not fits(rows, pool.segment_bytes):
            rows, tomb = lost, None
        self._watch()
        first = tomb.header.evicts if tomb else victim.number
        new = [bury(files, pool, victim.path.parent, victim, first, rows)] if rows else []
        for each in new:
            each.paid_before = paid
        gone = [each for each in (tomb, victim) if each is not None]
        with self.files_lock:
            with self.lock:
                start = self.segments.index(gone[0])
                self.segments[start : at + 1] = new
                self.meter.evicted_records += sum(r.last_seq - r.first_seq + 1 for r in lost)
            for each in gone:
                pool.give(each.path)

    def _retire(self) -> None:
        """Recycle settled segments that are too old, or beyond their quarter."""
        keep = max(1, self._settings.quota(self.lane) // 4)
        oldest_s = self._clock.monotonic() - self._settings.retain_settled_s
        while (settled := self._settled_segments()) and (
            settled > keep or self.segments[0].touched_s < oldest_s
        ):
            self._recycle()

    def _recycle(self) -> None:
        with self.files_lock:
            # No reader may be inside while the file changes hands.
            self._births.pool.give(self.segments[0].path)
            with self.lock:
                del self.segments[0]

    def _committed(self, active: Active, done: Written, *, foreign: bool = False) -> None:
        with self.lock:
            segment, count = active.segment, len(done.drafts)
            segment.describe(active.tally.seal(active.end))
            segment.sealed, segment.touched_s = done.sealed, self._clock.monotonic()
            self.meter.commits += 1
            self.committed = place(segment.number, segment.end)
            if any(draft.kind in DELIVERED for draft in done.drafts):
                self._last_record = place(segment.number, segment.last_record)
            self._settle_marks()
            if foreign:
                return
            self.waiting.finish(count)
            for draft in done.drafts:
                if draft.kind in DELIVERED:
                    self.committed_heads[draft.name.decode()] = draft.seq

    def _abandon(self) -> None:
        """Leave the active segment as it is; what it committed stays readable."""
        active, self._active = self._active, None
        if active is None:
            return
        active.file.close()
        active.segment.rows = active.tally.seal(active.end).rows
        if active.end > HEADER_BYTES:
            return
        with self.files_lock, self.lock:
            self.segments.remove(active.segment)
        self._births.pool.lost()
        try:
            self._births.files.remove(active.segment.path)
        except OSError:
            return  # it holds nothing; the next start takes it back into the pool

    def close(self) -> None:
        """Release files; nothing is written."""
        for active in (self._active, self._ahead):
            if active is not None:
                active.file.close()

    # -- numbers -------------------------------------------------------------------

    def cursor(self) -> tuple[int, int, int]:
        """The settled position as the cursor file says it: number, generation, offset."""
        with self.lock:
            position = self.settling.position
            number = position >> 32
            here = (s.generation for s in self.segments if s.number == number)
            return number, next(here, 0), position & 0xFFFFFFFF

    def stats(self) -> LaneStats:
        """The lane in numbers."""
        with self.lock:
            after = [
                segment
                for segment in self.segments
                if segment.number >= self.settling.position >> 32 and not segment.is_tomb
            ]
            here = sum(s.number == self.settling.position >> 32 for s in after)
            done = self.settling if here else Settling(0, {})
            is_settled = self.settling.position >= self._last_record
            records = 0 if is_settled else sum(s.records for s in after) - done.records
            readings = 0 if is_settled else sum(s.readings for s in after) - done.readings
            size = sum(s.end for s in after) - here * (self.settling.position & 0xFFFFFFFF)
            return LaneStats(
                segments=len(self.segments),
                unsettled_records=records,
                unsettled_readings=readings,
                unsettled_bytes=0 if is_settled else size,
                oldest_unsettled_ns=None if is_settled else self._oldest_ns(after),
                memory_bytes=self.waiting.bytes,
                commits=self.meter.commits,
                last_commit_s=self.meter.last_commit_s,
                failed=self.failed,
                waiting_s=self._waiting_s(),
                evicted_records=self.meter.evicted_records,
            )

    def _waiting_s(self) -> float:
        """How long the oldest frame has waited for the disk."""
        taken = self._first_at if self._writing_since is None else self._writing_since
        return 0.0 if taken is None else self._clock.monotonic() - taken

    def trouble(self) -> str | None:
        """Why nobody should wait for the disk at present; None: it takes what it is given."""
        if self.failed is not None:
            return self.failed
        waited_s = self._waiting_s()
        return f"no answer for {waited_s:.0f} s" if waited_s > STALL_S else None

    def _oldest_ns(self, unsettled: list[Segment]) -> int | None:
        times = (s.first_ns for s in unsettled if s.records)
        oldest = self.settling.oldest_ns
        return oldest if oldest is not None else next(times, None)


def _name(stream: str) -> bytes:
    name = stream.encode()
    if not 0 < len(name) <= NAME_LIMIT:
        raise JournalError(f"stream name of {len(name)} bytes")
    return name
