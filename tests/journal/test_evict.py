"""What a full journal gives up, in which order, and what stands in its place."""

from __future__ import annotations

import asyncio
import errno
import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clock import Clock
from gateway.errors import JournalError, JournalFullError
from gateway.journal import Damage, Entry, Journal
from gateway.journal.files import DiskFiles, File
from gateway.journal.format import FOOTER_BYTES
from gateway.journal.words import LEAST_SEGMENTS
from gateway.model import Cause, Lane
from tests.journal.fake_disk import FakeDisk, PowerCutError
from tests.journal.rig import (
    SEGMENT,
    StillClock,
    close,
    commit,
    open_journal,
    read,
    settle_all,
    small,
)

BLOCK = b"x" * 1000
TINY = small(size=1)


@pytest.fixture
def disk() -> FakeDisk:
    return FakeDisk()


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


def put(journal: Journal, stream: str = "tk101", *, count: int = 1, readings: int = 3,
        lane: Lane = Lane.DATA, first_ns: int = 1) -> None:  # fmt: skip
    for n in range(count):
        journal.append(
            lane, stream, BLOCK, time_ns=first_ns + n, readings=readings, covers=True
        )
        assert commit(journal)


def evicted(journal: Journal) -> list[Damage]:
    found = [item for item in read(journal, Lane.DATA) if isinstance(item, Damage)]
    assert all(item.cause is Cause.JOURNAL_EVICTED for item in found)
    return found


def numbers(journal: Journal, stream: str = "tk101") -> list[int]:
    """Every seq of ``stream`` that is read, as a record or inside a gap."""
    found: list[int] = []
    for item in read(journal, Lane.DATA):
        if item.stream == stream:
            first = item.seq if isinstance(item, Entry) else item.first_seq
            found += range(first, (item.seq if isinstance(item, Entry) else item.last_seq) + 1)
    return found


def test_the_oldest_go_first_and_a_gap_counts_them_in_their_place(
    disk: FakeDisk, clock: Clock
) -> None:
    journal = open_journal(TINY, clock, disk)
    put(journal, count=200, first_ns=1001)
    (gap,) = evicted(journal)
    assert read(journal, Lane.DATA)[0] == gap
    assert (gap.first_seq, gap.from_ns) == (1, 1001)
    assert gap.to_ns == 1000 + gap.last_seq
    assert gap.readings == 3 * gap.last_seq
    assert numbers(journal) == list(range(1, 201))
    assert journal.stats().lanes[Lane.DATA].evicted_records == gap.last_seq
    close(journal)


def test_each_stream_has_a_gap_of_its_own(disk: FakeDisk, clock: Clock) -> None:
    journal = open_journal(TINY, clock, disk)
    for n in range(120):
        put(journal, f"tk10{n % 3}", readings=n % 3 + 1)
    gaps = evicted(journal)
    assert {gap.stream: gap.readings for gap in gaps} == {
        gap.stream: gap.last_seq * (int(gap.stream[-1]) + 1) for gap in gaps
    }
    assert len(gaps) == 3
    for stream in ("tk100", "tk101", "tk102"):
        assert numbers(journal, stream) == list(range(1, 41))
    close(journal)


def test_settled_records_go_before_any_that_are_not(disk: FakeDisk, clock: Clock) -> None:
    journal = open_journal(TINY, clock, disk)
    put(journal, count=26)
    settle_all(journal, Lane.DATA)
    put(journal, count=22)
    assert evicted(journal) == []
    assert numbers(journal) == list(range(27, 49))
    close(journal)


def test_a_gap_never_counts_what_was_settled(disk: FakeDisk, clock: Clock) -> None:
    journal = open_journal(TINY, clock, disk)
    put(journal, count=26)
    journal.settle(Lane.DATA, read(journal, Lane.DATA)[4].position)
    put(journal, count=40)
    (gap,) = evicted(journal)
    assert gap.first_seq == 6
    assert gap.readings == 3 * (gap.last_seq - 5)
    close(journal)


def test_records_already_handed_out_are_not_in_the_gap_that_follows_them(
    disk: FakeDisk, clock: Clock
) -> None:
    journal = open_journal(TINY, clock, disk)
    put(journal, count=26)
    early = journal.read(Lane.DATA, 0, max_bytes=1 << 20, max_records=7)
    put(journal, count=60)
    (gap,) = journal.read(Lane.DATA, early[-1].position, max_bytes=1 << 20, max_records=1)
    assert isinstance(gap, Damage)
    assert gap.first_seq == 8
    assert gap.readings == 3 * (gap.last_seq - 7)
    put(journal, count=30)
    journal.settle(Lane.DATA, early[-1].position)
    (again,) = journal.read(Lane.DATA, gap.position, max_bytes=1 << 20, max_records=1)
    assert isinstance(again, Damage)
    assert again.first_seq == gap.last_seq + 1
    assert again.readings == 3 * (again.last_seq - gap.last_seq)
    close(journal)


def test_after_a_gap_at_the_limit_of_a_read_the_next_record_follows(
    disk: FakeDisk, clock: Clock
) -> None:
    journal = open_journal(TINY, clock, disk)
    put(journal, count=60)
    (gap,) = journal.read(Lane.DATA, 0, max_bytes=1 << 20, max_records=1)
    (entry,) = journal.read(Lane.DATA, gap.position, max_bytes=1 << 20, max_records=1)
    assert isinstance(gap, Damage)
    assert isinstance(entry, Entry)
    assert entry.seq == gap.last_seq + 1
    close(journal)


def test_a_gap_begins_with_its_first_reading_also_where_that_was_gathered(
    disk: FakeDisk, clock: StillClock
) -> None:
    """The first segment was left by a failed flush; it holds what was taken before it."""
    journal = open_journal(TINY, clock, disk)
    first_ns = clock.now_ns()
    clock.pass_s(9)
    put(journal, count=3, first_ns=first_ns)
    journal.append(Lane.DATA, "tk101", BLOCK, time_ns=clock.now_ns(), readings=3, covers=True)
    disk.failing_syncs = 1
    assert commit(journal)
    put(journal, count=20, first_ns=clock.now_ns())
    for _ in range(2):
        close(journal)
        journal = open_journal(TINY, clock, disk)
    put(journal, "tk102", count=60, first_ns=clock.now_ns())
    gap = evicted(journal)[0]
    assert (gap.first_seq, gap.from_ns) == (1, first_ns)


def test_a_full_journal_never_holds_more_files_than_its_share(
    disk: FakeDisk, clock: StillClock
) -> None:
    """Also where gaps are settled, go, and come anew: a gap has no file beside the share."""
    journal = open_journal(TINY, clock, disk)
    pool = journal._pools[Lane.DATA]
    for n in range(300):
        put(journal, first_ns=n)
        if n % 60 == 59:
            journal.settle(Lane.DATA, read(journal, Lane.DATA)[10].position)
        assert journal.stats().lanes[Lane.DATA].segments <= TINY.quota(Lane.DATA)
        assert pool.lent + pool.free <= pool.limit
    assert journal.stats().lanes[Lane.DATA].evicted_records > 100
    close(journal)


def test_the_gap_takes_one_file_however_long_the_broker_is_away(
    disk: FakeDisk, clock: Clock
) -> None:
    journal = open_journal(TINY, clock, disk)
    put(journal, count=1000)
    names = [name for name in disk.names(TINY.path / "data") if name.startswith("gone-")]
    assert len(names) == 1
    assert len(evicted(journal)) == 1
    close(journal)


def test_the_gap_is_kept_over_restarts_and_goes_on_growing(
    disk: FakeDisk, clock: StillClock
) -> None:
    counts = []
    for _ in range(4):
        journal = open_journal(TINY, clock, disk)
        put(journal, f"s-{journal.incarnation[:4]}", count=60)
        counts.append(sum(gap.readings or 0 for gap in evicted(journal)))
        close(journal)
    journal = open_journal(TINY, clock, disk)
    kept = [item for item in read(journal, Lane.DATA) if isinstance(item, Entry)]
    assert counts == sorted(counts)
    assert sum(gap.readings or 0 for gap in evicted(journal)) + 3 * len(kept) == 4 * 60 * 3
    close(journal)


def test_a_settled_gap_is_gone(disk: FakeDisk, clock: Clock) -> None:
    journal = open_journal(TINY, clock, disk)
    put(journal, count=90)
    (gap,) = evicted(journal)
    journal.settle(Lane.DATA, gap.position)
    assert evicted(journal) == []
    close(journal)
    again = open_journal(TINY, clock, disk)
    assert evicted(again) == []
    assert numbers(again) == list(range(gap.last_seq + 1, 91))
    close(again)


@pytest.mark.parametrize("back", [1, FOOTER_BYTES, FOOTER_BYTES + 60])
def test_a_bit_that_flips_in_a_gap_takes_nothing_of_what_it_names(
    disk: FakeDisk, clock: Clock, back: int
) -> None:
    journal = open_journal(TINY, clock, disk)
    put(journal, count=200)
    before = evicted(journal)
    close(journal)
    tomb = next(n for path, n in disk.names_seen.items() if path.name.startswith("gone-"))
    tomb.seen[len(tomb.seen) - back] ^= 1
    again = open_journal(TINY, clock, disk)
    assert [gap[1:] for gap in evicted(again)] == [gap[1:] for gap in before]
    close(again)


def test_power_may_go_at_every_single_change_of_an_eviction(clock: StillClock) -> None:
    for fuse in range(12):
        disk = FakeDisk()
        journal = open_journal(TINY, clock, disk)
        put(journal, count=44)
        disk.fuse = fuse
        accepted = 44
        try:
            for _ in range(20):
                put(journal)
                accepted += 1
        except PowerCutError:
            pass
        disk.fuse = None

        disk.crash(random.Random(fuse))
        again = open_journal(TINY, clock, disk)
        assert numbers(again)[:accepted] == list(range(1, accepted + 1))
        close(again)


class FullDisk(DiskFiles):
    """A file system on which nothing can grow any more once it is ``full``."""

    def __init__(self) -> None:
        self.full = False

    def open(self, path: Path, *, create: bool = False) -> File:
        if create and self.full and not path.exists():
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return super().open(path, create=create)


def test_a_disk_filled_by_others_is_a_smaller_journal_not_a_failed_one(
    tmp_path: Path, clock: Clock
) -> None:
    files = FullDisk()
    settings = small(tmp_path / "journal")
    journal = open_journal(settings, clock, files)
    put(journal, count=30)
    files.full = True
    put(journal, count=300)
    put(journal, lane=Lane.ALARM, count=3)
    assert journal.stats().failed is None
    assert numbers(journal) == list(range(1, 331))
    assert evicted(journal) != []
    close(journal)
    again = open_journal(settings, clock, files)
    assert again.recovered.clean
    assert numbers(again) == list(range(1, 331))
    close(again)


def test_without_the_reserve_file_nothing_is_given_up(disk: FakeDisk, clock: Clock) -> None:
    journal = open_journal(TINY, clock, disk)
    put(journal, count=200)
    assert journal._pools[Lane.DATA].free >= 1
    close(journal)


def fill_with_alarms(journal: Journal, count: int) -> int:
    """Commit so many alarms, as the writer threads would; how many were taken."""
    for n in range(count):
        try:
            journal.append(Lane.ALARM, "tk101", BLOCK, time_ns=n, readings=0, covers=True)
        except JournalFullError:
            return n
        # Where all is full, each file that data gives up takes a turn of both writers.
        assert any(commit(journal, Lane.DATA, Lane.ALARM) for _ in range(4))
    return count


def alarm_seqs(journal: Journal) -> list[int]:
    found = read(journal, Lane.ALARM)
    return [item.seq for item in found if isinstance(item, Entry)]


def test_alarms_beyond_their_share_push_out_the_oldest_data_and_all_are_kept(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(small(), clock, disk)
    put(journal, count=400)
    assert fill_with_alarms(journal, 120) == 120
    assert alarm_seqs(journal) == list(range(1, 121))
    assert numbers(journal) == list(range(1, 401))
    (gap,) = evicted(journal)
    assert gap.readings == 3 * gap.last_seq
    stats = journal.stats()
    assert stats.bytes_used <= stats.size
    assert stats.reserved_bytes <= stats.size
    close(journal)


def test_data_keeps_its_last_segments_and_only_then_are_alarms_refused(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(small(), clock, disk)
    put(journal, count=400)
    taken = fill_with_alarms(journal, 1000)
    assert 120 < taken < 300
    assert alarm_seqs(journal) == list(range(1, taken + 1))
    assert journal.stats().lanes[Lane.DATA].segments >= LEAST_SEGMENTS - 1
    assert numbers(journal) == list(range(1, 401))
    close(journal)


def test_delivered_alarms_give_their_room_back_to_data(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(small(), clock, disk)
    put(journal, count=400)
    fill_with_alarms(journal, 120)
    room = len(read(journal, Lane.DATA))
    read(journal, Lane.ALARM)
    settle_all(journal, Lane.ALARM)
    put(journal, lane=Lane.ALARM)
    put(journal, count=400)
    assert len(read(journal, Lane.DATA)) > room
    assert journal._ground.loan.balance(Lane.ALARM) == 0
    close(journal)


def test_borrowed_room_is_known_again_after_a_restart(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(small(), clock, disk)
    put(journal, count=400)
    fill_with_alarms(journal, 120)
    extra = journal._ground.loan.balance(Lane.ALARM)
    close(journal)
    again = open_journal(small(), clock, disk)
    assert extra - 1 <= again._ground.loan.balance(Lane.ALARM) <= extra
    assert alarm_seqs(again) == list(range(1, 121))
    assert numbers(again) == list(range(1, 401))
    assert again.stats().reserved_bytes <= again.stats().size
    close(again)


def test_on_a_disk_filled_by_others_alarms_get_the_files_that_data_gives_up(
    tmp_path: Path, clock: StillClock
) -> None:
    files = FullDisk()
    settings = replace(small(tmp_path / "journal", size=64 * SEGMENT), data_segment=4 * SEGMENT)
    journal = open_journal(settings, clock, files)
    put(journal, count=400)
    files.full = True
    put(journal, count=100)
    assert fill_with_alarms(journal, 60) == 60
    assert alarm_seqs(journal) == list(range(1, 61))
    assert numbers(journal) == list(range(1, 501))
    close(journal)


def test_power_may_go_at_every_single_change_of_a_loan(clock: StillClock) -> None:
    for fuse in range(24):
        disk = FakeDisk()
        journal = open_journal(small(), clock, disk)
        put(journal, count=400)
        alarms = fill_with_alarms(journal, 40)
        disk.fuse = fuse
        try:
            for _ in range(20):
                alarms += fill_with_alarms(journal, 1)
        except PowerCutError:
            pass
        disk.fuse = None

        disk.crash(random.Random(fuse))
        again = open_journal(small(), clock, disk)
        assert alarm_seqs(again)[:alarms] == list(range(1, alarms + 1))
        assert numbers(again) == list(range(1, 401))
        close(again)


async def test_alarms_get_room_from_data_while_both_writers_run(disk: FakeDisk) -> None:
    journal = open_journal(replace(small(), commit_s=0.005), Clock(), disk)
    journal.start(lambda lane: None)
    for lane, count in ((Lane.DATA, 400), (Lane.ALARM, 120)):
        for n in range(count):
            journal.append(lane, "tk101", BLOCK, time_ns=n, readings=3, covers=True)
            if n % 4 == 3:
                await kept(journal, lane)
    assert alarm_seqs(journal) == list(range(1, 121))
    assert numbers(journal) == list(range(1, 401))
    await journal.close(clean=True)


async def kept(journal: Journal, lane: Lane) -> None:
    """Return when all of ``lane`` is on disk, whatever trouble there was on the way."""
    async with asyncio.timeout(60):
        while True:
            with suppress(JournalError):
                return await journal.durable(lane)
            await asyncio.sleep(0.01)
