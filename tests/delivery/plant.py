"""A journal in memory, a clock that stands, and records to deliver."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence

from gateway.clock import Clock
from gateway.journal.words import Damage, Entry
from gateway.model import Batch, Block, ClockState, DataType, Gap, Lane, Stamp, Tag
from gateway.record import Encoder, encode_schema, layout_of

BOOT = "b0" * 16
RUN = "1a" * 16
EARLIER_RUN = "0e" * 16
START_NS = 1_795_316_645_123_456_789  # 2026-11-22T03:04:05.123456789Z
GATEWAY, ROOT, CONFIG = "huangma-cr1", "park/v1", "0123456789abcdef"


class StillClock(Clock):
    """A clock that moves when told."""

    def __init__(self) -> None:
        super().__init__()
        self.ns = START_NS
        self.s = 1000.0

    def now_ns(self) -> int:
        return self.ns

    def monotonic(self) -> float:
        return self.s

    async def sleep_until(self, deadline: float) -> None:
        self.s = max(self.s, deadline)
        await asyncio.sleep(0)


def block(device: str, width: int = 4, data_type: DataType = DataType.INT16) -> Block[None]:
    """A block of ``width`` tags."""
    tags = [Tag(f"t{i:03d}", device, i, data_type) for i in range(width)]
    return Block(device, tuple(tags), 1.0, None)


class MemoryJournal:
    """The journal's door for delivery, on lists."""

    def __init__(self, *blocks: Block[None]) -> None:
        self.blocks = blocks
        self.layouts = [layout_of(b) for b in blocks]
        self.encoder = Encoder(BOOT, blocks, self.layouts)
        self.entries: dict[Lane, list[Entry | Damage]] = {lane: [] for lane in Lane}
        self.settlements: dict[Lane, int] = dict.fromkeys(Lane, 0)
        self.refused: list[bytes] = []
        self.sick: str | None = None
        """Why the disk takes nothing; what is kept meanwhile is in ``memory``."""
        self.memory: dict[Lane, list[Entry | Damage]] = {lane: [] for lane in Lane}
        self.debts: dict[Lane, list[Damage]] = {lane: [] for lane in Lane}
        self._seqs: dict[tuple[Lane, str, str], int] = {}

    def committed(self, lane: Lane) -> int:
        entries = self.entries[lane]
        return entries[-1].position if entries else 0

    def settled(self, lane: Lane) -> int:
        return self.settlements[lane]

    def schema(self, key: int) -> bytes:
        return encode_schema(self.layouts)

    def settle(self, lane: Lane, position: int) -> None:
        assert self.settlements[lane] <= position <= self.committed(lane)
        self.settlements[lane] = position

    def settle_held(
        self, lane: Lane, holds: Callable[[str, str, int], bool], up_to: int
    ) -> bool:
        before = self.settlements[lane]
        for entry in self.entries[lane][before // 10 : up_to // 10]:
            last = entry.last_seq if isinstance(entry, Damage) else entry.seq
            if not holds(entry.incarnation, entry.stream, last):
                break
            self.settle(lane, entry.position)
        return self.settlements[lane] > before

    def knows_next(self, lane: Lane, up_to: int) -> bool:
        return True

    def follow(self, lane: Lane) -> bool:
        return False

    def read_again(
        self, lane: Lane, after: int, *, max_bytes: int, max_records: int
    ) -> Sequence[Entry | Damage]:
        return self.read(lane, after, max_bytes=max_bytes, max_records=max_records)

    def read(
        self, lane: Lane, after: int, *, max_bytes: int, max_records: int
    ) -> Sequence[Entry | Damage]:
        size, found = 0, list[Entry | Damage]()
        # Positions are 10, 20, 30 …: like a real journal's, not consecutive.
        for entry in self.entries[lane][after // 10 : after // 10 + max_records]:
            size += len(entry.payload) if isinstance(entry, Entry) else 0
            if found and size > max_bytes:
                break
            found.append(entry)
        return found

    def append(
        self,
        payload: bytes,
        device: str,
        *,
        lane: Lane = Lane.DATA,
        time_ns: int = START_NS,
        run: str = RUN,
        skip: int = 0,
    ) -> Entry:
        """Store one record as the next of its stream, ``skip`` seqs later."""
        key = (lane, run, device)
        seq = self._seqs[key] = self._seqs.get(key, 0) + 1 + skip
        position = self.committed(lane) + 10
        entry = Entry(position, device, run, seq, 1, time_ns, 1, payload)
        self.entries[lane].append(entry)
        return entry

    def trouble(self, lane: Lane) -> str | None:
        return self.sick

    def unsaved(self, lane: Lane, after: int, limit: int) -> list[tuple[int, Entry | Damage]]:
        return list(enumerate(self.memory[lane], start=1))[after : after + limit]

    def quarantine(self, lines: Sequence[bytes]) -> None:
        self.refused += lines

    def owed(self, lane: Lane) -> list[Damage]:
        return list(self.debts[lane])

    def owe(self, lane: Lane, gaps: Sequence[Damage]) -> None:
        self.debts[lane] = list(gaps)

    def keep_in_memory(self, device: str, count: int, *, lane: Lane = Lane.DATA) -> None:
        """Take polls that no disk takes."""
        of = next(b for b in self.blocks if b.device == device)
        key = (lane, RUN, device)
        for _ in range(count):
            seq = self._seqs[key] = self._seqs.get(key, 0) + 1
            batch = Batch(of, START_NS, (seq,) * len(of.tags), mono_ns=(1, 2))
            payload = self.encoder.batch(batch, stamp())
            self.memory[lane].append(Entry(0, device, RUN, seq, 1, START_NS, 1, payload))

    def recover(self) -> None:
        """The disk takes again: what was in memory is committed."""
        self.sick = None
        for lane, entries in self.memory.items():
            for entry in entries:
                position = self.committed(lane) + 10
                self.entries[lane].append(entry._replace(position=position))
            entries.clear()

    def damage(self, device: str, count: int, readings: int | None) -> Damage:
        """Store ``count`` records that cannot be read."""
        key = (Lane.DATA, RUN, device)
        first = self._seqs.get(key, 0) + 1
        self._seqs[key] = last = first + count - 1
        position = self.committed(Lane.DATA) + 10
        damage = Damage(position, device, RUN, first, last, START_NS, START_NS + 1, readings)
        self.entries[Lane.DATA].append(damage)
        return damage

    def poll(self, number: int = 0, *, lane: Lane = Lane.DATA, value: int = 0) -> Entry:
        """Store one full image of the block ``number``."""
        of = self.blocks[number]
        batch = Batch(of, START_NS, (value,) * len(of.tags), mono_ns=(1, 2))
        return self.append(self.encoder.batch(batch, stamp()), of.device, lane=lane)

    def gap(self, gap: Gap, device: str, *, skip: int = 0) -> Entry:
        """Store a gap record."""
        return self.append(self.encoder.gap(gap, stamp()), device, skip=skip)


def stamp(time_ns: int = START_NS) -> Stamp:
    """A stamp of a synchronised clock."""
    return Stamp(time_ns, ClockState.SYNCED, 3)


def float32(value: float) -> float:
    """The nearest float32, as a double."""
    number: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return number
