"""The journal as the rest of the gateway sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.clock import Clock
from gateway.errors import JournalError
from gateway.journal.contents import Contents
from gateway.journal.files import Files
from gateway.journal.format import COVERS, FULL, Draft, Kind, Row, pack_rows, unpack_dropped
from gateway.journal.ground import Ground, Starter, nowhere, take
from gateway.journal.log import Log
from gateway.journal.pool import Pool
from gateway.journal.quarantine import Quarantine
from gateway.journal.reader import Reader
from gateway.journal.recovery import StreamKey
from gateway.journal.tail import Births
from gateway.journal.words import ENDED, Damage, Entry, Settings, Stats
from gateway.journal.writer import Grower, Writer, commit_and_say
from gateway.model import Cause, Lane

_READ_BYTES = 1 << 20
_READ_RECORDS = 10_000


@dataclass(slots=True)
class _Waiter:
    """Somebody who waits until a lane has committed ``count`` frames."""

    log: Log
    count: int
    sheds: int
    future: asyncio.Future[None] = field(repr=False)


class Journal:
    """Records of three lanes on disk: append, commit, read in order, settle.

    Every call belongs to the event loop's thread. `open` recovers; nothing is written
    durably before `start`.
    """

    def __init__(self, settings: Settings, clock: Clock, ground: Ground) -> None:
        origin, files = ground.origin, ground.files
        self.incarnation = origin.incarnation
        self.recovered = ground.recovered
        self.is_stored = ground.trouble is None
        """False: no disk ever holds what this journal takes."""
        self._settings = settings
        self._clock = clock
        self._ground = ground
        self._quarantine = Quarantine(files, settings.path / "quarantine")
        self._schema = ground.schema
        self._key = bytes.fromhex(origin.incarnation)
        self._covered: dict[StreamKey, Row] = dict(ground.recovery.covered)
        self._logs = {lane: self._log(lane) for lane in Lane}
        self._readers = {
            lane: Reader(log, files, self._key) for lane, log in self._logs.items()
        }
        self._followers = {
            lane: Reader(log, files, self._key) for lane, log in self._logs.items()
        }
        """They read for settling what has been read too long ago to be noted."""
        self._repeaters = {
            lane: Reader(log, files, self._key, notes=False) for lane, log in self._logs.items()
        }
        self.contents = Contents(self._logs, ground.recovery, files, origin.incarnation)
        self._cursor_said: dict[str, tuple[int, int, int]] = {}
        self._waiters: list[_Waiter] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_commit: Callable[[Lane], None] = lambda lane: None
        alarm, data, meta = (self._logs[lane] for lane in (Lane.ALARM, Lane.DATA, Lane.META))
        self._writers = (
            Writer("data", (data, meta), clock, self._tell, self._save_cursor),
            Writer("alarm", (alarm,), clock, self._tell, lambda: None),
        )
        self._pools = ground.pools
        self._grower = Grower(self._each_pool() if self.is_stored else ())

    @classmethod
    def open(
        cls, settings: Settings, *, gateway: str, schema: bytes, clock: Clock, boot: str,
        config: str, files: Files | None = None,
    ) -> Journal:  # fmt: skip
        """Recover what is on disk and begin a new incarnation.

        schema: layout of the records to come, given back by `schema` for their key.
        boot, config: ids of this boot and of the configuration, for the segment headers.

        Raises:
            NoDiskError: The disk does not take it, and may later.
            JournalError: Not ours, in use, of a newer format.
        """
        starter = Starter(gateway, schema, boot, config, clock.now_ns())
        return cls(settings, clock, take(settings, starter, files))

    @classmethod
    def without_disk(
        cls, settings: Settings, *, gateway: str, schema: bytes, clock: Clock, boot: str,
        config: str, why: str,
    ) -> Journal:  # fmt: skip
        """A journal in memory alone, because of ``why``: every commit fails."""
        starter = Starter(gateway, schema, boot, config, clock.now_ns())
        return cls(settings, clock, nowhere(settings, starter, why))

    def _each_pool(self) -> tuple[Pool, Pool]:
        return self._pools[Lane.DATA], self._pools[Lane.ALARM]

    def _log(self, lane: Lane) -> Log:
        ground, recovery = self._ground, self._ground.recovery
        found = recovery.lanes[lane]
        births = Births(
            lane, ground.files, ground.pools[lane], found.folder, ground.origin, self._clock,
            found.last_number + 1,
        )  # fmt: skip
        preface = self._table if lane is Lane.META else tuple
        return Log(
            self._settings, births, self._clock, ground.schemas, found.segments,
            recovery.settling(lane), self._key, preface, ground.loan, ground.trouble,
        )  # fmt: skip

    def start(self, on_commit: Callable[[Lane], None]) -> None:
        """Start the writer threads; ``on_commit(lane)`` runs on this event loop."""
        self._loop = asyncio.get_running_loop()
        self._ground.loan.wake = self._logs[Lane.DATA].wake
        self._on_commit = on_commit
        for writer in self._writers:
            writer.start()
        self._grower.start()

    def append(
        self, lane: Lane, stream: str, payload: bytes, *, time_ns: int, readings: int,
        covers: bool,
    ) -> int:  # fmt: skip
        """Take one record into memory; its seq, 1 for the first of this incarnation.

        covers: the stream was watched up to ``time_ns``.

        Raises:
            JournalFullError: No room, and nothing stored may go yet.
            JournalError: It is too large. Nothing was taken, no seq was used.
        """
        return self._logs[lane].append(
            stream, payload, time_ns, readings, COVERS if covers else 0, self._schema
        )

    def mark(self, covered: Mapping[tuple[Lane, str], int]) -> None:
        """Journal how far streams were watched, Unix time in nanoseconds, or `ENDED`.

        Raises:
            JournalError: As `append`.
        """
        rows = []
        for (lane, stream), time_ns in covered.items():
            seq = self._logs[lane].heads.get(stream, 0)
            rows.append(self._row(lane, stream, seq, time_ns))
        self._logs[Lane.META].append_mark(pack_rows(rows), 0)
        self._covered |= {(row.lane, row.name.decode()): row for row in rows if row.last_seq}

    def _row(self, lane: Lane, stream: str, seq: int, covered_ns: int | None) -> Row:
        return Row(lane, stream.encode(), self._key, seq, seq, 0, 0, 0, covered_ns)

    def _table(self) -> Iterable[Draft]:
        """Every stream there is, for the head of each meta segment; on the writer thread."""
        rows = dict(self._covered)
        for lane, log in self._logs.items():
            for stream, seq in dict(log.committed_heads).items():
                mark = rows.get((lane, stream))
                covered = mark.covered_ns if mark and self._is_true(mark, seq) else None
                rows[lane, stream] = self._row(lane, stream, seq, covered)
        payload = pack_rows(rows.values())
        return [Draft(Kind.MARK, FULL, self._key, b"", 0, 0, 0, 0, payload)]

    def _is_true(self, mark: Row, seq: int) -> bool:
        """Whether ``mark`` holds of its stream, whose last record here is ``seq``."""
        is_early = mark.last_seq < seq and mark.covered_ns != ENDED
        return mark.incarnation == self._key and (mark.last_seq == seq or is_early)

    async def durable(self, lane: Lane) -> None:
        """Return when everything appended to ``lane`` so far is committed.

        Raises:
            JournalError: The disk failed; the records wait in memory, or a gap counts them.
        """
        log = self._logs[lane]
        if log.failed is not None:
            raise JournalError(f"{lane}: {log.failed}")
        if not log.waiting.count:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiters.append(_Waiter(log, log.waiting.taken, log.waiting.sheds, future))
        await future

    def _tell(self, log: Log) -> None:
        """From a writer thread: say on the event loop that ``log`` committed or failed."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        try:
            loop.call_soon_threadsafe(self._told, log)
        except RuntimeError:
            return  # the loop closed in between; nobody is left to hear

    def _told(self, log: Log) -> None:
        for waiter in [w for w in self._waiters if w.log is log]:
            why = log.failed
            if waiter.sheds != log.waiting.sheds:
                why = "the disk was too slow"
            if waiter.future.done():
                self._waiters.remove(waiter)
            elif why is not None:
                self._waiters.remove(waiter)
                waiter.future.set_exception(JournalError(f"{log.lane}: {why}"))
            elif log.waiting.done >= waiter.count:
                self._waiters.remove(waiter)
                waiter.future.set_result(None)
        if log.failed is None:
            self._on_commit(log.lane)

    def trouble(self, lane: Lane) -> str | None:
        """Why nobody should wait for the disk at present; None: ``lane`` is being kept."""
        return self._logs[lane].trouble()

    def unsaved(self, lane: Lane, after: int, limit: int) -> list[tuple[int, Entry | Damage]]:
        """Up to ``limit`` records that wait for the disk, each with its number since start.

        after: the last number seen. Nothing of it has a position yet; what memory could
        not hold is a `Damage`.
        """
        log = self._logs[lane]
        with log.lock:
            drafts = log.waiting.since(after, limit)
        return [(n, _unsaved(draft)) for n, draft in drafts]

    def committed(self, lane: Lane) -> int:
        """Position at which the last committed frame of ``lane`` ends."""
        return self._logs[lane].committed

    def settled(self, lane: Lane) -> int:
        """Position up to which ``lane`` is settled; read on from here after a start."""
        return self._logs[lane].settling.position

    def read(
        self, lane: Lane, after: int, *, max_bytes: int, max_records: int
    ) -> list[Entry | Damage]:
        """Committed records that follow ``after``, in order, and what is missing among them.

        At least one item when there is one; ``max_bytes`` counts payloads.

        Raises:
            JournalError: The disk cannot read.
        """
        return _read(self._readers[lane], lane, after, max_bytes, max_records)

    def read_again(
        self, lane: Lane, after: int, *, max_bytes: int, max_records: int
    ) -> list[Entry | Damage]:
        """As `read`, also of what is settled and still held; nothing can be settled by it."""
        return _read(self._repeaters[lane], lane, after, max_bytes, max_records)

    def schema(self, key: int) -> bytes:
        """The blob whose key stands in an entry's ``schema``.

        Raises:
            JournalError: It is missing, damaged, or the disk cannot read.
        """
        try:
            return self._ground.schemas.read(key)
        except OSError as error:
            raise JournalError(f"schema {key:016x}: {error}") from error

    def use_schema(self, blob: bytes, config: str) -> None:
        """From now on records have the layout ``blob``, under configuration ``config``."""
        self._schema = self._ground.schemas.use(blob)
        self._ground.origin.config = config

    def tune(self, *, commit_s: float, memory: int, retain_settled_s: float) -> None:
        """Go on with these settings; path and size of an open journal never change."""
        self._settings = replace(
            self._settings, commit_s=commit_s, memory=memory, retain_settled_s=retain_settled_s
        )
        for log in self._logs.values():
            log.tune(self._settings)

    def settle(self, lane: Lane, position: int) -> None:
        """Everything up to ``position`` of ``lane`` was acknowledged.

        It is settled as far as it is remembered; the rest has to be followed first.
        """
        log = self._logs[lane]
        log.settle(min(position, log.settling.noted))

    def settle_held(
        self, lane: Lane, holds: Callable[[str, str, int], bool], up_to: int
    ) -> bool:
        """Settle what the platform ``holds``, by incarnation, stream and last seq, in order.

        At most ``up_to``. A call takes some thousand records; True: call again. What was
        read too long ago to be remembered has to be followed first.
        """
        log = self._logs[lane]
        before = log.settling.position
        with log.lock:
            position = log.settling.reach(
                lambda key, seq: holds(key[0].hex(), key[1].decode(), seq), up_to, _READ_RECORDS
            )
        if position > before:
            log.settle(position)
        return position > before

    def knows_next(self, lane: Lane, up_to: int) -> bool:
        """Whether the next record to be settled is remembered, or is none up to ``up_to``."""
        settling = self._logs[lane].settling
        return settling.noted > settling.position or settling.position >= up_to

    def follow(self, lane: Lane) -> bool:
        """Read what comes next for settling; False when there is nothing. Blocks.

        Raises:
            JournalError: The disk cannot read.
        """
        after = self._logs[lane].settling.noted
        follower = self._followers[lane]
        return bool(_read(follower, lane, after, _READ_BYTES, _READ_RECORDS))

    def quarantine(self, lines: Sequence[bytes]) -> None:
        """Keep ``lines`` about records the broker refuses, durably. Blocks: not for the loop.

        Raises:
            JournalError: The disk refused.
        """
        try:
            self._quarantine.keep(lines)
        except OSError as error:
            raise JournalError(f"quarantine: {error}") from error

    def owed(self, lane: Lane) -> list[Damage]:
        """The gaps owed to topics that took nothing, from this incarnation and before.

        Raises:
            JournalError: The disk cannot read.
        """
        try:
            return self._quarantine.owed(lane)
        except (OSError, ValueError, TypeError) as error:
            raise JournalError(f"quarantine/owed-{lane}: {error}") from error

    def owe(self, lane: Lane, gaps: Sequence[Damage]) -> None:
        """From now on exactly ``gaps`` are owed in ``lane``, durably. Blocks: not for the loop.

        Raises:
            JournalError: The disk refused; what was owed before still is.
        """
        try:
            self._quarantine.owe(lane, gaps)
        except OSError as error:
            raise JournalError(f"quarantine/owed-{lane}: {error}") from error

    def heads(self) -> Mapping[tuple[Lane, str], tuple[int, int]]:
        """Of each stream of this incarnation, the last committed and the last settled seq."""
        return {
            (lane, stream): (seq, log.settling.seqs.get((self._key, stream.encode()), 0))
            for lane, log in self._logs.items()
            for stream, seq in list(log.committed_heads.items())
        }

    def stats(self) -> Stats:
        """The journal in numbers."""
        lanes = {lane: log.stats() for lane, log in self._logs.items()}
        used = sum(s.segments * self._pools[lane].segment_bytes for lane, s in lanes.items())
        reserved = sum(
            (pool.free + pool.lent) * pool.segment_bytes for pool in self._each_pool()
        )
        writers = tuple(writer.state() for writer in self._writers)
        return Stats(used, self._settings.size, reserved, lanes, writers)

    async def close(self, *, clean: bool) -> None:
        """Commit what waits, say that the stop was in order if ``clean``, release the lock.

        Raises:
            JournalError: The disk refused; the next start will find an unclean stop.
        """
        await asyncio.to_thread(self._stop)
        for log in self._logs.values():
            self._told(log)
        try:
            await asyncio.to_thread(self._finish, clean=clean)
        except OSError as error:
            raise JournalError(f"{self._settings.path}: {error}") from error
        finally:
            await asyncio.to_thread(self._release)

    def _release(self) -> None:
        for readers in (self._readers, self._followers, self._repeaters):
            for reader in readers.values():
                reader.close()
        for log in self._logs.values():
            log.close()
        self._ground.claim.close()

    def _stop(self) -> None:
        for thread in (*self._writers, self._grower):
            thread.stop()
        for log in self._logs.values():
            commit_and_say(log)

    def _finish(self, *, clean: bool) -> None:
        if not self.is_stored:
            return
        self._ground.cursor.write(self._cursor_now(), sync=True)
        failed = any(log.failed is not None for log in self._logs.values())
        if clean and not failed:
            state = self._ground.state
            state.write({**(state.read() or {}), "clean": True}, sync=True)

    def _cursor_now(self) -> dict[str, tuple[int, int, int]]:
        return {lane.value: log.cursor() for lane, log in self._logs.items()}

    def _save_cursor(self) -> None:
        """Unsynced: a lost cursor costs duplicates, a flush each second costs flash."""
        now = self._cursor_now()
        if now == self._cursor_said:
            return
        try:
            self._ground.cursor.write(now, sync=False)
        except OSError:
            return  # tried again in a second; the commits tell of a failed disk
        self._cursor_said = now


def _read(
    reader: Reader, lane: Lane, after: int, max_bytes: int, max_records: int
) -> list[Entry | Damage]:
    try:
        return reader.read(after, max_bytes, max_records)
    except OSError as error:
        raise JournalError(f"{lane}: cannot read: {error}") from error


def _unsaved(draft: Draft) -> Entry | Damage:
    """``draft`` as it will be read once it is on disk."""
    stream, incarnation, seq = draft.name.decode(), draft.incarnation.hex(), draft.seq
    if draft.kind == Kind.DROPPED:
        first, from_ns, readings = unpack_dropped(draft.payload)
        cause = Cause.STORAGE_FAILED
        return Damage(
            0, stream, incarnation, first, seq, from_ns, draft.time_ns, readings, cause
        )
    record = (seq, draft.schema, draft.time_ns, draft.readings, draft.payload)
    return Entry(0, stream, incarnation, *record)
