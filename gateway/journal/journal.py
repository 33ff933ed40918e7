"""The journal as the rest of the gateway sees it."""

from __future__ import annotations

import asyncio
import errno
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from gateway.clock import Clock
from gateway.errors import JournalError
from gateway.journal.files import DiskFiles, File, Files
from gateway.journal.format import COVERS, FORMAT, FULL, Draft, Kind, Row, pack_rows
from gateway.journal.loan import Loan
from gateway.journal.log import Log
from gateway.journal.pool import DISK_FULL, Pool
from gateway.journal.quarantine import Quarantine
from gateway.journal.reader import Reader
from gateway.journal.recovery import Recovery, StreamKey
from gateway.journal.schemas import Schemas
from gateway.journal.slots import SlotFile
from gateway.journal.tail import Births, Origin
from gateway.journal.words import (
    ENDED,
    KEPT_BACK,
    Damage,
    Entry,
    Recovered,
    Settings,
    Stats,
)
from gateway.journal.writer import Grower, Writer, commit_and_say
from gateway.model import Lane

log = structlog.get_logger()
_FOLDERS = (
    *(lane.value for lane in Lane),
    "pool",
    "pool/large",
    "pool/small",
    "quarantine",
    "schemas",
)
_READY_SEGMENTS = 2 + KEPT_BACK
"""Files of each pool written before `Journal.open` returns."""
_READ_BYTES = 1 << 20
_READ_RECORDS = 10_000


@dataclass(slots=True)
class _Waiter:
    """Somebody who waits until a lane has committed ``count`` frames."""

    log: Log
    count: int
    future: asyncio.Future[None] = field(repr=False)


class Journal:
    """Records of three lanes on disk: append, commit, read in order, settle.

    Every call belongs to the event loop's thread. `open` recovers; nothing is written
    durably before `start`.
    """

    def __init__(
        self, settings: Settings, files: Files, clock: Clock, claim: File, state: SlotFile,
        cursor: SlotFile, schemas: Schemas, origin: Origin, recovery: Recovery,
        recovered: Recovered, pools: Mapping[Lane, Pool], loan: Loan,
    ) -> None:  # fmt: skip
        self.incarnation = origin.incarnation
        self.recovered = recovered
        self._settings = settings
        self._files = files
        self._clock = clock
        self._claim = claim
        self._state = state
        self._cursor = cursor
        self._schemas = schemas
        self._quarantine = Quarantine(files, settings.path / "quarantine")
        self._schema = 0
        self._origin = origin
        self._pools = pools
        self._loan = loan
        self._key = bytes.fromhex(origin.incarnation)
        self._covered: dict[StreamKey, Row] = dict(recovery.covered)
        self._logs = {lane: self._log(lane, recovery) for lane in Lane}
        self._readers = {
            lane: Reader(log, files, self._key) for lane, log in self._logs.items()
        }
        self._cursor_said: dict[str, tuple[int, int, int]] = {}
        self._waiters: list[_Waiter] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_commit: Callable[[Lane], None] = lambda lane: None
        alarm, data, meta = (self._logs[lane] for lane in (Lane.ALARM, Lane.DATA, Lane.META))
        self._writers = (
            Writer("data", (data, meta), clock, self._tell, self._save_cursor),
            Writer("alarm", (alarm,), clock, self._tell, lambda: None),
        )
        self._grower = Grower(list({id(pool): pool for pool in pools.values()}.values()))

    @classmethod
    def open(
        cls, settings: Settings, *, gateway: str, schema: bytes, clock: Clock, boot: str,
        config: str, files: Files | None = None,
    ) -> Journal:  # fmt: skip
        """Recover what is on disk and begin a new incarnation.

        schema: layout of the records to come, given back by `schema` for their key.
        boot, config: ids of this boot and of the configuration, for the segment headers.

        Raises:
            JournalError: Not ours, in use, of a newer format, or the disk failed.
        """
        files = files or DiskFiles()
        claim = _claim(files, settings)
        try:
            return cls._open(settings, gateway, schema, clock, boot, config, files, claim)
        except OSError as error:
            claim.close()
            raise JournalError(f"{settings.path}: {error}").in_words(
                "journal_disk", path=settings.path, reason=error
            ) from error
        except JournalError:
            claim.close()
            raise

    @classmethod
    def _open(
        cls, settings: Settings, gateway: str, schema: bytes, clock: Clock, boot: str,
        config: str, files: Files, claim: File,
    ) -> Journal:  # fmt: skip
        path = settings.path
        state, cursor = SlotFile(files, path / "state"), SlotFile(files, path / "cursor")
        pools = _pools(files, settings)
        before = state.read()
        if before is not None and before["format"] > FORMAT:
            raise JournalError(
                f"{path}: format {before['format']} is newer than this program; "
                "nothing was touched: install the version that wrote it"
            ).in_words("journal_newer", path=path, format=before["format"])
        if before is not None and before["gateway"] != gateway:
            raise JournalError(
                f"{path}: belongs to gateway {before['gateway']}, and this is {gateway}; "
                "nothing was touched: use another directory, or the old name until all is "
                "delivered"
            ).in_words(
                "journal_of_another", path=path, owner=before["gateway"], gateway=gateway
            )
        recovery = Recovery(files, path, pools, before, cursor.read())
        recovery.check_formats()
        for folder in _FOLDERS:
            files.make_folder(path / folder)
        for pool in (pools[Lane.DATA], pools[Lane.ALARM]):
            pool.open()
        recovered = recovery.run()
        cursor.write(recovery.cursor(), sync=True)
        recovery.discard()
        origin = Origin(gateway, uuid.uuid4().hex, recovered.previous, boot, config)
        schemas = Schemas(files, path / "schemas")
        key = schemas.use(schema)
        schemas.keep(recovery.schemas() | {key})
        schemas.save()
        large, small = pools[Lane.DATA], pools[Lane.ALARM]
        loan = Loan(settings, large, small, len(recovery.lanes[Lane.ALARM].segments))
        for pool in (large, small):
            _make_ready(pool)
        mark = {"format": FORMAT, "gateway": gateway, "incarnation": origin.incarnation}
        state.write({**mark, "previous": origin.previous, "clean": False}, sync=True)
        journal = cls(
            settings, files, clock, claim, state, cursor, schemas, origin, recovery, recovered,
            pools, loan,
        )  # fmt: skip
        journal._schema = key
        return journal

    def _log(self, lane: Lane, recovery: Recovery) -> Log:
        found = recovery.lanes[lane]
        births = Births(
            lane, self._files, self._pools[lane], found.folder, self._origin, self._clock,
            found.last_number + 1,
        )  # fmt: skip
        preface = self._table if lane is Lane.META else tuple
        return Log(
            self._settings, births, self._clock, self._schemas, found.segments,
            recovery.settling(lane), self._key, preface, self._loan,
        )  # fmt: skip

    def start(self, on_commit: Callable[[Lane], None]) -> None:
        """Start the writer threads; ``on_commit(lane)`` runs on this event loop."""
        self._loop = asyncio.get_running_loop()
        self._loan.wake = self._logs[Lane.DATA].wake
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
            JournalError: Too much waits for the disk. Nothing was taken, no seq was used.
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
            JournalError: The disk failed; the records wait in memory.
        """
        log = self._logs[lane]
        if log.failed is not None:
            raise JournalError(f"{lane}: {log.failed}")
        if log.committed_count >= log.appended:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiters.append(_Waiter(log, log.appended, future))
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
            if waiter.future.done():
                self._waiters.remove(waiter)
            elif log.committed_count >= waiter.count:
                self._waiters.remove(waiter)
                waiter.future.set_result(None)
            elif log.failed is not None:
                self._waiters.remove(waiter)
                waiter.future.set_exception(JournalError(f"{log.lane}: {log.failed}"))
        if log.failed is None:
            self._on_commit(log.lane)

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
        try:
            return self._readers[lane].read(after, max_bytes, max_records)
        except OSError as error:
            raise JournalError(f"{lane}: cannot read: {error}") from error

    def schema(self, key: int) -> bytes:
        """The blob whose key stands in an entry's ``schema``.

        Raises:
            JournalError: It is missing, damaged, or the disk cannot read.
        """
        try:
            return self._schemas.read(key)
        except OSError as error:
            raise JournalError(f"schema {key:016x}: {error}") from error

    def use_schema(self, blob: bytes, config: str) -> None:
        """From now on records have the layout ``blob``, under configuration ``config``."""
        self._schema = self._schemas.use(blob)
        self._origin.config = config

    def tune(self, *, commit_s: float, memory: int, retain_settled_s: float) -> None:
        """Go on with these settings; path and size of an open journal never change."""
        self._settings = replace(
            self._settings, commit_s=commit_s, memory=memory, retain_settled_s=retain_settled_s
        )
        for log in self._logs.values():
            log.tune(self._settings)

    def settle(self, lane: Lane, position: int) -> None:
        """Everything up to ``position`` of ``lane`` was acknowledged.

        Raises:
            JournalError: Records up to there were never read, and the disk cannot read them.
        """
        log = self._logs[lane]
        while log.settling.noted < min(position, log.committed):
            after = log.settling.noted
            if not self.read(lane, after, max_bytes=_READ_BYTES, max_records=_READ_RECORDS):
                break
        log.settle(position)

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
        pools = (self._pools[Lane.DATA], self._pools[Lane.ALARM])
        reserved = sum((pool.free + pool.lent) * pool.segment_bytes for pool in pools)
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
            self._release()

    def _release(self) -> None:
        for reader in self._readers.values():
            reader.close()
        for log in self._logs.values():
            log.close()
        self._claim.close()

    def _stop(self) -> None:
        for thread in (*self._writers, self._grower):
            thread.stop()
        for log in self._logs.values():
            commit_and_say(log)

    def _finish(self, *, clean: bool) -> None:
        self._cursor.write(self._cursor_now(), sync=True)
        failed = any(log.failed is not None for log in self._logs.values())
        if clean and not failed:
            self._state.write({**(self._state.read() or {}), "clean": True}, sync=True)

    def _cursor_now(self) -> dict[str, tuple[int, int, int]]:
        return {lane.value: log.cursor() for lane, log in self._logs.items()}

    def _save_cursor(self) -> None:
        """Unsynced: a lost cursor costs duplicates, a flush each second costs flash."""
        now = self._cursor_now()
        if now == self._cursor_said:
            return
        try:
            self._cursor.write(now, sync=False)
        except OSError:
            return  # tried again in a second; the commits tell of a failed disk
        self._cursor_said = now


def _claim(files: Files, settings: Settings) -> File:
    try:
        return files.claim(settings.path)
    except BlockingIOError as error:
        raise JournalError(f"{settings.path}: another instance is using this journal").in_words(
            "journal_in_use", path=settings.path
        ) from error
    except OSError as error:
        code = _CLAIM_REFUSED.get(error.errno or 0, "journal_disk")
        raise JournalError(f"{settings.path}: {error.strerror or error}").in_words(
            code, path=settings.path, reason=error
        ) from error


_CLAIM_REFUSED = {errno.ENOTDIR: "journal_not_a_folder", errno.EPERM: "journal_not_private"}
"""What `Files.claim` says of a folder that cannot be ours alone."""


def _make_ready(pool: Pool) -> None:
    """Have some files written; a full disk is no reason not to start."""
    try:
        pool.trim()
        while pool.free < _READY_SEGMENTS and pool.grow():
            pass
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        log.warning("journal pool cannot grow", error=str(error))


def _pools(files: Files, settings: Settings) -> dict[Lane, Pool]:
    folder = settings.path / "pool"
    small = settings.quota(Lane.ALARM) + settings.quota(Lane.META) + KEPT_BACK
    data = settings.quota(Lane.DATA) + KEPT_BACK
    large = Pool(files, folder / "large", settings.data_segment, data, KEPT_BACK)
    others = Pool(files, folder / "small", settings.small_segment, small, KEPT_BACK)
    return {Lane.DATA: large, Lane.ALARM: others, Lane.META: others}
