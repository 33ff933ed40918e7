"""A disk that takes nothing for long: memory is bounded, and what it cannot hold is counted."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

import pytest

from gateway.errors import JournalError
from gateway.journal import Damage, Entry, Journal, Settings
from gateway.model import Cause, Lane
from tests.journal.fake_disk import FakeDisk
from tests.journal.rig import (
    ROOT,
    StillClock,
    close,
    commit,
    entries,
    open_journal,
    read,
    settle_all,
)

MEMORY = 32 << 10


@pytest.fixture
def disk() -> FakeDisk:
    return FakeDisk()


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


def settings(**changes: Any) -> Settings:
    return Settings(
        ROOT, size=1 << 20, memory=MEMORY, data_segment=16 << 10, small_segment=16 << 10,
        **changes,
    )  # fmt: skip


def put(journal: Journal, count: int, stream: str = "s", *, first: int = 0) -> None:
    for n in range(first, first + count):
        journal.append(Lane.DATA, stream, b"p" * 300, time_ns=1000 + n, readings=4, covers=True)


def fail(disk: FakeDisk, journal: Journal, lane: Lane = Lane.DATA) -> None:
    disk.failing = 1000
    assert not commit(journal, lane)


def seqs(items: list[Entry | Damage]) -> list[tuple[int, int]]:
    return [
        (item.first_seq, item.last_seq) if isinstance(item, Damage) else (item.seq, item.seq)
        for item in items
    ]


def test_beyond_memory_the_oldest_become_one_gap_whose_count_is_exact(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(settings(), clock, disk)
    put(journal, 2)
    commit(journal)
    put(journal, 500, first=2)
    fail(disk, journal)
    put(journal, 500, first=502)
    assert journal.stats().memory_bytes <= MEMORY
    disk.failing = 0
    assert commit(journal)
    found = read(journal, Lane.DATA)
    gaps = [item for item in found if isinstance(item, Damage)]
    (gap,) = gaps
    assert gap.cause is Cause.STORAGE_FAILED
    assert (gap.first_seq, gap.from_ns, gap.to_ns) == (3, 1001, 1000 + gap.last_seq - 1)
    assert gap.readings == 4 * (gap.last_seq - gap.first_seq + 1)
    kept = [(n, n) for n in range(gap.last_seq + 1, 1003)]
    assert seqs(found) == [(1, 1), (2, 2), (3, gap.last_seq), *kept]
    assert len(kept) > 40


def test_a_gap_that_is_gathered_at_a_start_keeps_its_very_seqs(
    disk: FakeDisk, clock: StillClock
) -> None:
    """Also where what stood before it was let go, so that nobody knows what was due."""
    journal = open_journal(settings(retain_settled_s=0.0), clock, disk)
    for n in range(120):
        clock.pass_s(1)
        stream = "b" if n else "a"
        journal.append(Lane.ALARM, stream, b"p" * 300, time_ns=n, readings=1, covers=True)
        assert commit(journal)
        settle_all(journal, Lane.ALARM)
    for n in range(60):
        journal.append(Lane.ALARM, "a", b"p" * 300, time_ns=n, readings=1, covers=True)
        fail(disk, journal, Lane.ALARM)
    disk.failing = 0
    assert commit(journal)
    before = read(journal, Lane.ALARM)
    close(journal)
    again = open_journal(settings(), clock, disk)
    found = read(again, Lane.ALARM)
    assert seqs(found) == seqs(before)
    assert seqs(found)[0][0] == 2
    assert seqs(found)[-1] == (61, 61)
    gap = found[0]
    assert isinstance(gap, Damage)
    count = gap.last_seq - 1
    assert (gap.readings, gap.from_ns, gap.to_ns) == (count, 0, count - 1)


def test_each_stream_has_its_gap_in_its_own_place(disk: FakeDisk, clock: StillClock) -> None:
    journal = open_journal(settings(), clock, disk)
    put(journal, 1, "a")
    fail(disk, journal)
    for n in range(300):
        put(journal, 1, "ab"[n % 2], first=n + 1)
    disk.failing = 0
    assert commit(journal)
    for stream, last in (("a", 151), ("b", 150)):
        found = [i for i in read(journal, Lane.DATA) if i.stream == stream]
        covered = [n for first, end in seqs(found) for n in range(first, end + 1)]
        assert covered == list(range(1, last + 1))
        assert [isinstance(item, Damage) for item in found].count(True) == 1


def test_the_gap_outlives_a_power_cut_a_gathering_and_a_clean_start(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(settings(), clock, disk)
    put(journal, 1)
    fail(disk, journal)
    put(journal, 200, first=1)
    disk.failing = 0
    assert commit(journal)
    want = [item[1:] for item in read(journal, Lane.DATA)]
    disk.crash(random.Random(1))
    for clean in (False, True, True):
        again = open_journal(settings(), clock, disk)
        assert [item[1:] for item in read(again, Lane.DATA)] == want
        close(again, clean=clean)


def test_a_settled_gap_is_not_told_again(disk: FakeDisk, clock: StillClock) -> None:
    journal = open_journal(settings(), clock, disk)
    put(journal, 1)
    fail(disk, journal)
    put(journal, 200, first=1)
    disk.failing = 0
    assert commit(journal)
    gap, first, *_ = read(journal, Lane.DATA)
    assert isinstance(gap, Damage)
    journal.settle(Lane.DATA, gap.position)
    close(journal)
    again = open_journal(settings(), clock, disk)
    assert seqs(read(again, Lane.DATA))[0] == seqs([first])[0]


def test_an_evicted_gap_still_counts_what_it_stood_for(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(settings(), clock, disk)
    put(journal, 1)
    fail(disk, journal)
    put(journal, 200, first=1)
    disk.failing = 0
    assert commit(journal)
    for n in range(4000 // 40):
        put(journal, 40, first=300 + 40 * n)
        assert commit(journal, Lane.DATA)
    evicted, *rest = read(journal, Lane.DATA)
    assert isinstance(evicted, Damage)
    assert evicted.cause is Cause.JOURNAL_EVICTED
    assert evicted.first_seq == 1
    assert evicted.readings == 4 * evicted.last_seq
    assert seqs(rest) == [(n, n) for n in range(evicted.last_seq + 1, 4202)]


async def test_durable_never_returns_for_what_memory_gave_up(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(settings(), clock, disk)
    put(journal, 1)
    waiting = asyncio.gather(journal.durable(Lane.DATA))
    await asyncio.sleep(0)
    put(journal, 200, first=1)
    assert commit(journal, Lane.DATA)
    journal._told(journal._logs[Lane.DATA])
    with pytest.raises(JournalError):
        await waiting
    await journal.durable(Lane.DATA)


def test_what_waits_can_be_seen_once_each_and_has_the_seq_it_will_keep(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(settings(), clock, disk)
    put(journal, 3)
    journal.mark({(Lane.DATA, "s"): 5})
    fail(disk, journal)
    assert journal.trouble(Lane.DATA) == "Input/output error"
    first = journal.unsaved(Lane.DATA, 0, 2)
    rest = journal.unsaved(Lane.DATA, first[-1][0], 100)
    assert seqs([item for _, item in first + rest]) == [(1, 1), (2, 2), (3, 3)]
    put(journal, 1, first=3)
    assert seqs([item for _, item in journal.unsaved(Lane.DATA, rest[-1][0], 9)]) == [(4, 4)]
    disk.failing = 0
    assert commit(journal)
    assert journal.trouble(Lane.DATA) is None
    assert journal.unsaved(Lane.DATA, 0, 9) == []
    assert [e.seq for e in entries(journal, Lane.DATA)] == [1, 2, 3, 4]


def test_of_what_memory_gave_up_unseen_the_gap_can_be_seen(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(settings(), clock, disk)
    put(journal, 1)
    fail(disk, journal)
    ((number, _),) = journal.unsaved(Lane.DATA, 0, 10)
    put(journal, 200, first=1)
    seen = [item for _, item in journal.unsaved(Lane.DATA, number, 1000)]
    gap = seen[0]
    assert isinstance(gap, Damage)
    assert (gap.first_seq, gap.cause) == (1, Cause.STORAGE_FAILED)
    assert seqs(seen)[-1] == (201, 201)


class HungDisk(FakeDisk):
    """A disk that answers a sync only when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()
        self.asked = threading.Event()
        self.answers.set()

    def touch_sync(self) -> None:
        self.asked.set()
        assert self.answers.wait(30)

    def rename(self, old: Any, new: Any) -> None:
        self.asked.set()
        assert self.answers.wait(30)
        super().rename(old, new)


def test_while_a_disk_hangs_nobody_waits_and_memory_is_bounded(clock: StillClock) -> None:
    disk = HungDisk()
    journal = open_journal(settings(), clock, disk)
    put(journal, 3)
    disk.answers.clear()
    writer = threading.Thread(target=commit, args=(journal, Lane.DATA))
    writer.start()
    assert disk.asked.wait(30)
    put(journal, 1000, first=3)
    clock.pass_s(7)
    assert journal.trouble(Lane.DATA) == "no answer for 7 s"
    assert journal.stats().failed is None
    assert journal.stats().memory_bytes <= MEMORY
    assert seqs([item for _, item in journal.unsaved(Lane.DATA, 0, 3)]) == [
        (1, 1), (2, 2), (3, 3)
    ]  # fmt: skip
    settle_all(journal, Lane.DATA)
    disk.answers.set()
    writer.join(30)
    assert commit(journal, Lane.DATA)
    found = read(journal, Lane.DATA)
    covered = [n for first, end in seqs(found) for n in range(first, end + 1)]
    assert covered == list(range(1, 1004))


def test_a_rename_that_hangs_while_a_segment_is_recycled_holds_up_nobody(
    clock: StillClock,
) -> None:
    disk = HungDisk()
    journal = open_journal(settings(retain_settled_s=0.0), clock, disk)
    for n in range(6):
        put(journal, 40, first=40 * n)
        assert commit(journal, Lane.DATA)
    journal.settle(Lane.DATA, read(journal, Lane.DATA)[-1].position)
    disk.asked.clear()
    disk.answers.clear()
    clock.pass_s(1)
    put(journal, 60, first=240)
    writer = threading.Thread(target=commit, args=(journal, Lane.DATA))
    writer.start()
    assert disk.asked.wait(30)
    put(journal, 5, first=300)
    settle_all(journal, Lane.DATA)
    assert journal.stats().lanes[Lane.DATA].segments > 1
    disk.answers.set()
    writer.join(30)
    assert commit(journal, Lane.DATA)


def test_marks_never_stand_before_what_can_be_told_from_memory(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(settings(), clock, disk)
    for _ in range(10):
        journal.mark({(Lane.META, "_gateway"): 1})
    journal.append(Lane.META, "_gateway", b"event", time_ns=1, readings=0, covers=True)
    ((number, item),) = journal.unsaved(Lane.META, 0, 5)
    assert isinstance(item, Entry)
    assert item.payload == b"event"
    assert journal.unsaved(Lane.META, number, 5) == []
