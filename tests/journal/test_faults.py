"""What the journal does when the disk fails or lies."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import JournalError
from gateway.journal import Damage, Journal, Settings
from gateway.journal.files import DiskFiles
from gateway.journal.format import FRAME_BYTES, HEADER_BYTES
from gateway.journal.log import RETRY_S
from gateway.model import Lane
from tests.journal.fake_disk import FakeDisk, Node, PowerCutError
from tests.journal.rig import (
    ROOT,
    StillClock,
    close,
    commit,
    entries,
    open_journal,
    read,
    settle_all,
    small,
)


@pytest.fixture
def disk() -> FakeDisk:
    return FakeDisk()


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


def put(journal: Journal, count: int = 1, stream: str = "s", *, first_ns: int = 1000) -> None:
    for n in range(count):
        journal.append(
            Lane.DATA, stream, b"p" * 300, time_ns=first_ns + n, readings=4, covers=True
        )


def power_cut(
    disk: FakeDisk, clock: StillClock, chance: random.Random | None = None
) -> Journal:
    disk.crash(chance or random.Random(1))
    return open_journal(small(), clock, disk)


def last_segment(disk: FakeDisk) -> Node:
    return disk.names_seen[max(p for p in disk.names_seen if p.parent.name == "data")]


def test_a_state_file_that_holds_something_else_is_none(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(small(), clock, disk)
    put(journal, 3)
    commit(journal)
    journal._save_cursor()
    disk.names_seen[ROOT / "state"] = disk.names_seen[ROOT / "cursor"]
    again = open_journal(small(), clock, disk)
    assert again.recovered.previous == journal.incarnation
    assert [e.seq for e in entries(again, Lane.DATA)] == [1, 2, 3]


def test_a_commit_of_24_kib_is_one_write_and_one_flush(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(Settings(ROOT, size=16 << 20, data_segment=1 << 20), clock, disk)
    put(journal)
    commit(journal)
    before = disk.syncs
    put(journal, 80)
    commit(journal, Lane.DATA)
    assert disk.syncs == before + 1


def test_a_failed_flush_is_answered_by_another_segment(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(small(), clock, disk)
    put(journal, 3)
    commit(journal)
    put(journal, 3)
    disk.failing_syncs = 1
    assert commit(journal, Lane.DATA)
    assert [e.seq for e in entries(journal, Lane.DATA)] == [1, 2, 3, 4, 5, 6]
    again = power_cut(disk, clock)
    assert [e.seq for e in entries(again, Lane.DATA)] == [1, 2, 3, 4, 5, 6]


def test_a_failed_disk_is_said_and_tried_again_later(disk: FakeDisk, clock: StillClock) -> None:
    journal = open_journal(small(), clock, disk)
    put(journal, 3)
    disk.failing = 1000
    assert not commit(journal, Lane.DATA)
    assert journal.stats().failed == "Input/output error"
    assert journal._logs[Lane.DATA].due_in(clock.monotonic()) == RETRY_S
    assert entries(journal, Lane.DATA) == []
    disk.failing = 0
    assert commit(journal, Lane.DATA)
    assert journal.stats().failed is None
    assert [e.seq for e in entries(journal, Lane.DATA)] == [1, 2, 3]


def test_a_disk_that_fails_for_long_uses_up_no_segments(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(small(), clock, disk)
    put(journal, 3)
    for _ in range(50):
        disk.failing = 2
        commit(journal, Lane.DATA)
    disk.failing = 0
    assert commit(journal, Lane.DATA)
    assert journal.stats().lanes[Lane.DATA].segments <= 2


async def test_durable_raises_when_the_disk_fails(disk: FakeDisk, clock: StillClock) -> None:
    journal = open_journal(small(), clock, disk)
    put(journal)
    waiting = asyncio.gather(journal.durable(Lane.DATA))
    await asyncio.sleep(0)
    disk.failing = 1000
    commit(journal, Lane.DATA)
    journal._told(journal._logs[Lane.DATA])
    with pytest.raises(JournalError):
        await waiting
    with pytest.raises(JournalError):
        await journal.durable(Lane.DATA)


def test_a_torn_payload_at_the_end_is_cut_and_said(disk: FakeDisk, clock: StillClock) -> None:
    journal = open_journal(small(), clock, disk)
    put(journal, 3)
    commit(journal)
    node = last_segment(disk)
    at = HEADER_BYTES + 2 * ((FRAME_BYTES + 1 + 300 + 7) & ~7) + FRAME_BYTES + 100
    node.seen[at] ^= 1
    node.durable[at] ^= 1
    again = power_cut(disk, clock)
    assert [e.seq for e in entries(again, Lane.DATA)] == [1, 2]
    assert again.recovered.torn[Lane.DATA, "s"][:5] == (3, 3, 1002, 1002, 4)
    assert again.recovered.streams[Lane.DATA, "s"] == (journal.incarnation, 2, 1001)


def test_a_bad_payload_in_the_middle_costs_one_frame_and_its_count_is_exact(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(small(), clock, disk)
    put(journal, 3)
    commit(journal)
    at = HEADER_BYTES + ((FRAME_BYTES + 1 + 300 + 7) & ~7) + FRAME_BYTES + 100
    last_segment(disk).durable[at] ^= 1
    again = power_cut(disk, clock)
    one, damage, three = read(again, Lane.DATA)
    assert isinstance(damage, Damage)
    assert damage[1:8] == ("s", journal.incarnation, 2, 2, 1000, 1001, 4)
    assert (one.position, damage.position) < (damage.position, three.position)


@pytest.mark.parametrize("sealed", [False, True])
def test_bad_headers_are_stepped_over_and_the_seq_jump_is_named(
    disk: FakeDisk, clock: StillClock, sealed: bool
) -> None:
    journal = open_journal(small(), clock, disk)
    put(journal, 60 if sealed else 6)
    commit(journal)
    size = (FRAME_BYTES + 1 + 300 + 7) & ~7
    node = disk.names_seen[min(p for p in disk.names_seen if p.parent.name == "data")]
    for frame in (2, 3):
        node.durable[HEADER_BYTES + frame * size + 20] ^= 8
    again = power_cut(disk, clock)
    found = [i for i in read(again, Lane.DATA) if isinstance(i, Damage)]
    assert [(d.first_seq, d.last_seq, d.readings) for d in found] == [(3, 4, None)]


def test_the_first_record_of_a_stream_is_missed_too(disk: FakeDisk, clock: StillClock) -> None:
    journal = open_journal(small(), clock, disk)
    put(journal, 3)
    commit(journal)
    last_segment(disk).durable[HEADER_BYTES + 20] ^= 8
    again = power_cut(disk, clock)
    damage = read(again, Lane.DATA)[0]
    assert isinstance(damage, Damage)
    assert (damage.first_seq, damage.last_seq) == (1, 1)


def test_damage_is_settled_by_its_position_and_not_told_again(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(small(), clock, disk)
    put(journal, 6)
    commit(journal)
    size = (FRAME_BYTES + 1 + 300 + 7) & ~7
    last_segment(disk).durable[HEADER_BYTES + 2 * size + 20] ^= 8
    again = power_cut(disk, clock)
    damage = next(i for i in read(again, Lane.DATA) if isinstance(i, Damage))
    again.settle(Lane.DATA, damage.position)
    assert [e.seq for e in entries(again, Lane.DATA)] == [4, 5, 6]
    close(again)
    last = open_journal(small(), clock, disk)
    assert [e.seq for e in entries(last, Lane.DATA)] == [4, 5, 6]


def test_a_mark_for_records_that_were_lost_says_nothing(
    disk: FakeDisk, clock: StillClock
) -> None:
    journal = open_journal(small(), clock, disk)
    put(journal, 2)
    commit(journal)
    put(journal, 1, first_ns=2000)
    journal.mark({(Lane.DATA, "s"): 9000})
    commit(journal, Lane.META)
    again = power_cut(disk, clock)
    assert again.recovered.streams[Lane.DATA, "s"] == (journal.incarnation, 2, 1001)


def test_a_lost_cursor_costs_duplicates_only(disk: FakeDisk, clock: StillClock) -> None:
    journal = open_journal(small(), clock, disk)
    put(journal, 40)
    commit(journal)
    settle_all(journal, Lane.DATA)
    again = power_cut(disk, clock)
    assert [e.seq for e in entries(again, Lane.DATA)] == list(range(1, 41))


def test_a_gathering_that_fails_loses_nothing(disk: FakeDisk, clock: StillClock) -> None:
    journal = open_journal(small(), clock, disk)
    put(journal, 5)
    commit(journal)
    for failing in range(1, 12):
        disk.crash(random.Random(failing))
        disk.failing = failing
        try:
            journal = open_journal(small(), clock, disk)
        except JournalError:
            continue
        assert [e.seq for e in entries(journal, Lane.DATA)] == [1, 2, 3, 4, 5]
    disk.failing = 0
    assert len(entries(power_cut(disk, clock), Lane.DATA)) == 5


def test_on_fat_what_was_gathered_keeps_its_records_and_their_schema(clock: StillClock) -> None:
    disk = FakeDisk(is_fat=True)
    for life in range(1, 4):
        journal = open_journal(small(), clock, disk, schema=b"layout %d" % life)
        put(journal, 3)
        commit(journal)
        disk.crash(random.Random(life))
        journal = open_journal(small(), clock, disk)
        disk.crash(random.Random(life))
        journal = open_journal(small(), clock, disk)
        found = entries(journal, Lane.DATA)
        assert [e.seq for e in found] == [1, 2, 3] * life
        assert journal.schema(found[-1].schema) == b"layout %d" % life
        close(journal)


def two_tails(disk: FakeDisk, clock: StillClock) -> None:
    """A gathered segment and an unsealed one, both with records settled and not."""
    for _ in range(2):
        journal = open_journal(small(), clock, disk)
        put(journal, 6)
        commit(journal)
        found = entries(journal, Lane.DATA)
        journal.settle(Lane.DATA, found[1].position)
        journal._save_cursor()
    disk.crash(KeepAll())


class KeepAll(random.Random):
    """Chance that lets everything written survive."""

    def randint(self, a: int, b: int) -> int:
        return b

    def choice(self, seq: Any) -> Any:
        return "all"


@pytest.mark.parametrize("chance", [KeepAll(), random.Random(3), random.Random(4)])
def test_power_may_go_at_every_single_change_of_a_start(
    clock: StillClock, chance: random.Random
) -> None:
    for changes in range(200):
        disk = FakeDisk()
        two_tails(disk, clock)
        disk.fuse = changes
        try:
            open_journal(small(), clock, disk)
        except PowerCutError:
            again = power_cut(disk, clock, chance)
            found = [(e.incarnation, e.seq) for e in entries(again, Lane.DATA)]
            assert len(found) == len(set(found))
            assert [seq for _, seq in found][-8:] == [5, 6, 1, 2, 3, 4, 5, 6]
            put(again)
            commit(again)
            last = entries(power_cut(disk, clock, chance), Lane.DATA)
            assert [entry.seq for entry in last][-9:] == [5, 6, 1, 2, 3, 4, 5, 6, 1]
        else:
            assert changes > 15
            return
    raise AssertionError("the start never came to an end")


def test_a_folder_is_flushed_where_its_names_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []

    def flush(fd: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{fd}").readlink())

    monkeypatch.setattr(os, "fsync", flush)
    DiskFiles().sync_folder(tmp_path)
    assert flushed == [tmp_path]
