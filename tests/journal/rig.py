"""A journal under test: small segments, a clock the test owns, commits when the test says."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.clock import Clock
from gateway.journal import Damage, Entry, Journal, Settings
from gateway.journal.files import Files
from gateway.model import Lane

SEGMENT = 16 << 10
ROOT = Path("/journal")


class StillClock(Clock):
    """Time moves when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.time_ns = 1_800_000_000_000_000_000
        self.mono_s = 100.0

    def now_ns(self) -> int:
        return self.time_ns

    def monotonic(self) -> float:
        return self.mono_s

    def monotonic_ns(self) -> int:
        return int(self.mono_s * 1e9)

    def pass_s(self, seconds: float) -> None:
        self.time_ns += int(seconds * 1e9)
        self.mono_s += seconds


def small(
    path: Path = ROOT,
    *,
    size: int = 24 * SEGMENT,
    retain_s: float = 1e9,
    memory: int = 32 << 20,
) -> Settings:
    """Segments of 16 KiB; 4 of each small lane, the rest data."""
    return Settings(
        path, size=size, retain_settled_s=retain_s, data_segment=SEGMENT,
        small_segment=SEGMENT, memory=memory,
    )  # fmt: skip


def open_journal(
    settings: Settings,
    clock: Clock,
    files: Files | None = None,
    schema: bytes = b"layout",
) -> Journal:
    return Journal.open(
        settings, gateway="g1", schema=schema, clock=clock, boot="b" * 32, config="c" * 16,
        files=files,
    )  # fmt: skip


def commit(journal: Journal, *lanes: Lane) -> bool:
    """What the writer threads do, here and now."""
    done = [journal._logs[lane].commit() for lane in lanes or tuple(Lane)]
    return all(done)


def read(journal: Journal, lane: Lane, after: int | None = None) -> list[Entry | Damage]:
    """Everything behind ``after``, or behind the settled position."""
    start = journal.settled(lane) if after is None else after
    found: list[Entry | Damage] = []
    while items := journal.read(lane, start, max_bytes=4096, max_records=7):
        found += items
        start = items[-1].position
    return found


def entries(journal: Journal, lane: Lane, after: int | None = None) -> list[Entry]:
    """What `read` finds, when nothing is damaged."""
    found = read(journal, lane, after)
    assert not [item for item in found if isinstance(item, Damage)]
    return [item for item in found if isinstance(item, Entry)]


def settle_all(journal: Journal, lane: Lane) -> None:
    """Everything committed was acknowledged, whether it was read or not."""
    while journal.follow(lane):
        journal.settle(lane, journal.committed(lane))
    journal.settle(lane, journal.committed(lane))


def close(journal: Journal, *, clean: bool = True) -> None:
    asyncio.run(journal.close(clean=clean))
