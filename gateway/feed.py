"""The records of one lane between the journal and their acknowledgement, encoded.

A record is decoded and encoded once, when it is read. It stays here until it is settled,
so that sending it again costs no disk and no encoding.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import structlog
from msgspec import MsgspecError

from gateway.clock import Clock
from gateway.dialects import Dialect, Origin
from gateway.errors import JournalError
from gateway.journal import Damage, Entry
from gateway.lane import Item, Message
from gateway.model import Cause, ClockState, Gap, Lane
from gateway.record import Layout, Made, Record, decode, decode_schema

LATE_NS: Final = 10_000_000_000
"""A record that is published or waits longer after it was made is late."""
READ_BYTES: Final = 16 * 1024
READ_RECORDS: Final = 1000
"""One turn of a lane: small enough that the loop is never held for long."""
HELD_BYTES: Final = 4 * 1024 * 1024
"""Encoded records of one lane that wait in memory to be settled."""
RETRY_S: Final = 30.0
"""Pause after the disk could not be read."""
SCHEMA_TRIES: Final = 3
"""A schema that cannot be read so often is lost, and its records with it."""
_log = structlog.get_logger()


class Backlog(Protocol):
    """What delivery needs of the journal; positions rise within a lane."""

    def committed(self, lane: Lane) -> int:
        """Position of the last durable record."""

    def settled(self, lane: Lane) -> int:
        """Position of the last settled record."""

    def read(
        self, lane: Lane, after: int, *, max_bytes: int, max_records: int
    ) -> Sequence[Entry | Damage]:
        """Committed records behind position ``after``, in journal order."""

    def schema(self, key: int) -> bytes:
        """The schema that entries name by ``key``."""

    def settle(self, lane: Lane, position: int) -> None:
        """Everything up to ``position`` has been delivered; settle what is remembered of it."""

    def settle_held(
        self, lane: Lane, holds: Callable[[str, str, int], bool], up_to: int
    ) -> bool:
        """Settle what ``holds``, by incarnation, device and seq; True: call again."""

    def knows_next(self, lane: Lane, up_to: int) -> bool:
        """Whether the next record to be settled is remembered, or there is none."""

    def follow(self, lane: Lane) -> bool:
        """Read on, to settle it; False when there is nothing. Blocks."""

    def read_again(
        self, lane: Lane, after: int, *, max_bytes: int, max_records: int
    ) -> Sequence[Entry | Damage]:
        """As `read`, settled records too; nothing is settled by it."""

    def trouble(self, lane: Lane) -> str | None:
        """Why the disk takes nothing of ``lane`` at present; None: it does."""

    def unsaved(self, lane: Lane, after: int, limit: int) -> list[tuple[int, Entry | Damage]]:
        """Records that wait for the disk, behind number ``after``, each with its number."""

    def quarantine(self, lines: Sequence[bytes]) -> None:
        """Keep ``lines`` about refused records, durably; blocks."""

    def owed(self, lane: Lane) -> list[Damage]:
        """Gaps owed to topics that took nothing."""

    def owe(self, lane: Lane, gaps: Sequence[Damage]) -> None:
        """Exactly ``gaps`` are owed from now on, durably; blocks."""


class _Held(NamedTuple):
    part: bytes
    made: Made
    told: Damage
    """What a gap in its place would say."""
    readings: int = 0
    """That it carries: a gap is short, however many it counts."""


class Fetched(NamedTuple):
    """What one look at the disk gave."""

    entries: Sequence[Entry | Damage]
    up_to: int
    """Position that was read to."""


class Feed:
    """Reads ahead in one lane, within bounds."""

    def __init__(self, lane: Lane, journal: Backlog, dialect: Dialect, clock: Clock) -> None:
        self._lane = lane
        self._journal = journal
        self._dialect = dialect
        self._clock = clock
        self.read_to = journal.settled(lane)
        """Position of the last record read."""
        self._held: dict[int, _Held] = {}
        self._held_bytes = 0
        self._schemas: dict[int, list[Layout] | None] = {}
        """By key; None: lost for good."""
        self._schema_failures: dict[int, int] = {}
        self._retry_s = float("-inf")
        self.owed: dict[tuple[str, str], Damage] = {}
        """Gaps owed to denied topics, by incarnation and device."""
        self._places: dict[tuple[str, str], int] = {}

    @property
    def has_more(self) -> bool:
        """Whether the journal holds records that may be read now."""
        return (
            self._journal.committed(self._lane) > self.read_to
            and self._held_bytes < HELD_BYTES
            and self._clock.monotonic() >= self._retry_s
        )

    @property
    def is_unreadable(self) -> bool:
        """Whether the disk refused the last read."""
        return self._clock.monotonic() < self._retry_s

    @property
    def is_late(self) -> bool:
        """Whether the oldest record read and not settled is late."""
        # Below position 0 lie gaps that are owed: old, and none of the backlog.
        oldest = next((held for at, held in self._held.items() if at > 0), None)
        return oldest is not None and any(self.late([oldest.made]))

    async def fetch(self) -> Fetched | None:
        """The next records of the disk; None while it cannot be read.

        It is read in a thread: a disk that hangs must not keep the links from polling.
        """
        goal = self._journal.committed(self._lane)
        try:
            entries = await asyncio.to_thread(self._read)
        except JournalError as error:
            self._unreadable(error)
            return None
        # Behind the last record a committed position may end a frame that is none.
        return Fetched(entries, entries[-1].position if entries else goal)

    def take(self, fetched: Fetched) -> list[Item]:
        """Hold what was fetched, in order; nothing while a schema cannot be read."""
        try:
            items = self.hold(fetched.entries)
        except JournalError as error:
            self._unreadable(error)
            return []
        self.read_to = fetched.up_to
        return items

    def hold(self, entries: Sequence[Entry | Damage]) -> list[Item]:
        """``entries`` as items, held here from now on.

        Raises:
            JournalError: A schema cannot be read now; none is held.
        """
        records = [self.record(entry) for entry in entries]
        return [self._hold(*pair) for pair in zip(entries, records, strict=True)]

    def _unreadable(self, error: JournalError) -> None:
        _log.warning("journal unreadable", lane=self._lane, error=str(error))
        self._retry_s = self._clock.monotonic() + RETRY_S

    def _read(self) -> Sequence[Entry | Damage]:
        """The next records, and every schema they name."""
        entries = self._journal.read(
            self._lane, self.read_to, max_bytes=READ_BYTES, max_records=READ_RECORDS
        )
        return self._with_schemas(entries)

    async def again(self, after: int) -> Sequence[Entry | Damage]:
        """Records behind position ``after``, settled or not.

        Raises:
            JournalError: The disk cannot read.
        """
        return await asyncio.to_thread(self._read_again, after)

    def _read_again(self, after: int) -> Sequence[Entry | Damage]:
        entries = self._journal.read_again(
            self._lane, after, max_bytes=READ_BYTES, max_records=READ_RECORDS
        )
        return self._with_schemas(entries)

    def _with_schemas(self, entries: Sequence[Entry | Damage]) -> Sequence[Entry | Damage]:
        for key in {entry.schema for entry in entries if isinstance(entry, Entry)}:
            self._layouts(key)
        return entries

    def payload(self, message: Message, replay: str | None = None) -> bytes:
        """``message`` as it is published now; ``replay``: again, and why."""
        held = [self._held[item.position] for item in message.items]
        incarnation, device = message.items[0].stream
        boot = next((record.made.boot for record in held if record.made.boot), None)
        first, last = message.items[0].first, message.items[-1].last
        origin = Origin(incarnation, boot, device, self._lane, first, last, replay)
        parts = [record.part for record in held]
        return self._dialect.message(origin, parts, self.late(record.made for record in held))

    def late(self, made: Iterable[Made]) -> list[bool]:
        """Which of the records that were made then are late by now."""
        now, boot = self._clock.stamp(), self._clock.boot
        return [moment.age_ns(boot, now) > LATE_NS for moment in made]

    def readings(self, message: Message) -> int:
        """Readings in ``message``."""
        return sum(self._held[item.position].readings for item in message.items)

    def release(self, position: int) -> None:
        """Forget what is settled: everything up to ``position``."""
        done = []
        for held in self._held:
            if held > position:
                break
            if held > 0:
                done.append(held)
        for held in done:
            self._held_bytes -= len(self._held.pop(held).part)

    def replace(self, position: int) -> int:
        """Hold the gap that stands for the quarantined record there; its bytes."""
        return self._hold_gap(position, self._held[position].told)

    def refused(self, positions: Sequence[int], reason: int) -> list[bytes]:
        """A line for a person about each of these records."""
        form = b'{"lane":"%s","device":"%s","incarnation":"%s","reason":%d,"record":%s}}'
        lane, lines = self._lane.encode(), list[bytes]()
        for held in (self._held[position] for position in positions):
            device, incarnation = held.told.stream.encode(), held.told.incarnation.encode()
            lines.append(form % (lane, device, incarnation, reason, held.part))
        return lines

    def owing(self, positions: Sequence[int]) -> dict[tuple[str, str], Damage]:
        """What will be owed in all when these records are put aside."""
        owed = dict(self.owed)
        for position in positions:
            told = self._held[position].told
            key = (told.incarnation, told.stream)
            former = owed.get(key)
            owed[key] = told if former is None else _joined(former, told)
        return owed

    def paid(self, stream: tuple[str, str]) -> None:
        """The gap owed to ``stream`` was delivered."""
        self.owed = {key: gap for key, gap in self.owed.items() if key != stream}
        held = self._held.pop(self._places.pop(stream, 0), None)
        self._held_bytes -= len(held.part) if held else 0

    def hold_owed(self) -> list[Item]:
        """The gaps that are owed as items, behind position 0, now held here."""
        found = []
        for stream, gap in self.owed.items():
            position = self._places.setdefault(
                stream, min(self._places.values(), default=0) - 1
            )
            size = self._hold_gap(position, gap)
            found.append(Item(position, stream, gap.first_seq, gap.last_seq, size, True))
        return found

    def _hold_gap(self, position: int, damage: Damage) -> int:
        record = _lost_record(damage)
        part = self._dialect.record(damage.last_seq, record)
        former = self._held.get(position)
        self._held_bytes += len(part) - (len(former.part) if former else 0)
        self._held[position] = _Held(part, record.made, damage)
        return len(part) + self._dialect.overhead_bytes

    def _hold(self, entry: Entry | Damage, record: Record) -> Item:
        seq = entry.last_seq if isinstance(entry, Damage) else entry.seq
        body = record.body
        first = body.seqs[0] if isinstance(body, Gap) and body.seqs is not None else seq
        part = self._dialect.record(seq, record)
        told = _told(entry, record, first, seq)
        readings = 0 if isinstance(body, Gap) else entry.readings or 0
        self._held[entry.position] = _Held(part, record.made, told, readings)
        self._held_bytes += len(part)
        size = len(part) + self._dialect.overhead_bytes
        return Item(entry.position, (entry.incarnation, entry.stream), first, seq, size)

    def record(self, entry: Entry | Damage) -> Record:
        """What to deliver for ``entry``; a gap in its place when its bytes make no sense.

        Raises:
            JournalError: Its schema cannot be read now.
        """
        if isinstance(entry, Damage):
            return _lost_record(entry)
        layouts = self._layouts(entry.schema)
        try:
            if layouts is not None:
                return decode(entry.payload, layouts)
        except ValueError as error:
            _log.warning("record unreadable", lane=self._lane, seq=entry.seq, error=str(error))
        at, seq = entry.time_ns, entry.seq
        return _lost_record(
            Damage(
                entry.position,
                entry.stream,
                entry.incarnation,
                seq,
                seq,
                at,
                at,
                entry.readings,
            )
        )

    def _layouts(self, key: int) -> list[Layout] | None:
        """The schema ``key``; None when it is lost for good.

        Raises:
            JournalError: It cannot be read now.
        """
        if key not in self._schemas:
            try:
                self._schemas[key] = decode_schema(self._journal.schema(key))
            except MsgspecError:
                self._schemas[key] = None
            except JournalError:
                failures = self._schema_failures.get(key, 0) + 1
                self._schema_failures[key] = failures
                if failures < SCHEMA_TRIES:
                    raise
                self._schemas[key] = None
        return self._schemas[key]


def _told(entry: Entry | Damage, record: Record, first: int, last: int) -> Damage:
    """What a gap would say that stands for ``entry`` because the broker refuses it."""
    gap = record.body if isinstance(record.body, Gap) else None
    asked_ns = record.mono_ns[1] - record.mono_ns[0] if record.mono_ns else 0
    since_ns = gap.from_ns if gap and gap.seqs else record.time_ns - asked_ns
    readings = gap.count if gap and gap.seqs else entry.readings
    return Damage(
        entry.position, entry.stream, entry.incarnation, first, last, since_ns,
        record.time_ns, readings, Cause.QUARANTINED,
    )  # fmt: skip


def _joined(former: Damage, later: Damage) -> Damage:
    counts = (former.readings, later.readings)
    known = [count for count in counts if count is not None]
    return later._replace(
        first_seq=former.first_seq,
        from_ns=former.from_ns,
        readings=sum(known) if len(known) == len(counts) else None,
    )


def _lost_record(damage: Damage) -> Record:
    """The gap that is delivered in the place of records that are not there any more."""
    word = damage.cause.removeprefix("journal_")
    gap = Gap(
        f"{word}-{damage.first_seq}-{damage.last_seq}",
        damage.cause,
        damage.from_ns,
        damage.to_ns,
        count=damage.readings,
        exact=damage.readings is not None,
        seqs=(damage.first_seq, damage.last_seq),
    )
    return Record(damage.to_ns, ClockState.UNSYNCED, None, None, "", gap)
