"""Files of a closed journal cut, zeroed, swapped, doubled, deleted: it starts and says so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.journal import ENDED, Damage, Entry, Journal
from gateway.model import Cause, Lane
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

Surgery = Callable[[list[Path]], None]


def truncated(segments: list[Path]) -> None:
    with segments[1].open("r+b") as file:
        file.truncate(SEGMENT // 2)


def emptied(segments: list[Path]) -> None:
    segments[1].write_bytes(b"")


def zeroed(segments: list[Path]) -> None:
    segments[1].write_bytes(bytes(SEGMENT))


def deleted(segments: list[Path]) -> None:
    segments[1].unlink()


def swapped(segments: list[Path]) -> None:
    one, other = segments[1].read_bytes(), segments[2].read_bytes()
    segments[1].write_bytes(other)
    segments[2].write_bytes(one)


def doubled(segments: list[Path]) -> None:
    shutil.copyfile(segments[1], segments[1].with_name("seg-9999999999"))


def first_deleted(segments: list[Path]) -> None:
    segments[0].unlink()


def filled(path: Path, clock: StillClock, *, settled: int = 0) -> Journal:
    journal = open_journal(small(path), clock)
    for n in range(200):
        journal.append(Lane.DATA, "s", b"p" * 300, time_ns=1000 + n, readings=4, covers=True)
        if n % 10 == 9:
            assert commit(journal)
    if settled:
        items = read(journal, Lane.DATA)
        journal.settle(Lane.DATA, items[settled - 1].position)
    return journal


@pytest.mark.parametrize("settled", [0, 60])
@pytest.mark.parametrize("lost", [truncated, emptied, zeroed, deleted, first_deleted])
def test_a_segment_that_is_gone_is_a_gap_with_its_very_seqs(
    tmp_path: Path, lost: Surgery, settled: int
) -> None:
    """Where a part of it was settled the gap names that too; delivered data supersedes it."""
    clock, path = StillClock(), tmp_path / "journal"
    close(filled(path, clock, settled=settled))
    lost(sorted((path / "data").iterdir()))
    for _ in range(3):
        journal = open_journal(small(path), clock)
        items = read(journal, Lane.DATA)
        seqs = [
            n
            for i in items
            for n in (range(i.first_seq, i.last_seq + 1) if isinstance(i, Damage) else (i.seq,))
        ]
        assert seqs == list(range(seqs[0], 201))
        assert seqs[0] == 1 if not settled else seqs[0] <= settled + 1
        close(journal)


def test_a_stream_whose_only_segment_is_gone_is_remembered_by_its_mark(tmp_path: Path) -> None:
    clock, path = StillClock(), tmp_path / "journal"
    journal = open_journal(small(path), clock)
    for _ in range(5):
        clock.pass_s(1)
        now = clock.now_ns()
        journal.append(Lane.DATA, "s", b"p", time_ns=now, readings=4, covers=True)
    journal.mark({(Lane.DATA, "s"): clock.now_ns()})
    assert commit(journal)
    close(journal)
    for segment in (path / "data").iterdir():
        segment.unlink()
    again = open_journal(small(path), clock)
    lost = again.recovered.torn[Lane.DATA, "s"]
    assert lost.cause is Cause.JOURNAL_CORRUPT
    assert (lost.first_seq, lost.last_seq, lost.readings) == (1, 5, None)
    assert lost.to_ns - lost.from_ns == 5 * 10**9
    close(again)


def test_a_stream_that_was_settled_and_recycled_is_not_missed(tmp_path: Path) -> None:
    clock, path = StillClock(), tmp_path / "journal"
    journal = open_journal(small(path, retain_s=0.0), clock)
    journal.append(Lane.DATA, "s", b"p", time_ns=clock.now_ns(), readings=4, covers=True)
    journal.mark({(Lane.DATA, "s"): clock.now_ns()})
    assert commit(journal)
    journal.settle(Lane.DATA, read(journal, Lane.DATA)[-1].position)
    close(journal)
    for _ in range(3):
        journal = open_journal(small(path, retain_s=0.0), clock)
        assert journal.recovered.torn == {}
        assert read(journal, Lane.DATA) == []
        close(journal)


@pytest.mark.parametrize("moved", [swapped, doubled])
def test_a_segment_that_lies_elsewhere_or_twice_costs_nothing(
    tmp_path: Path, moved: Surgery
) -> None:
    clock, path = StillClock(), tmp_path / "journal"
    close(filled(path, clock))
    moved(sorted((path / "data").iterdir()))
    for _ in range(3):
        journal = open_journal(small(path), clock)
        items = read(journal, Lane.DATA)
        assert [i.seq for i in items if not isinstance(i, Damage)] == list(range(1, 201))
        assert not [i for i in items if isinstance(i, Damage)]
        close(journal)


@pytest.mark.parametrize("name", ["cursor", "state"])
def test_a_stale_or_missing_small_file_costs_duplicates_and_no_start(
    tmp_path: Path, name: str
) -> None:
    clock, path = StillClock(), tmp_path / "journal"
    close(filled(path, clock, settled=30))
    old = (path / name).read_bytes()
    journal = open_journal(small(path), clock)
    journal.settle(Lane.DATA, read(journal, Lane.DATA)[100].position)
    close(journal)
    for content in (old, b"", None):
        (path / name).unlink()
        if content is not None:
            (path / name).write_bytes(content)
        journal = open_journal(small(path), clock)
        seqs = [i.seq for i in read(journal, Lane.DATA) if not isinstance(i, Damage)]
        assert seqs == list(range(seqs[0], 201))
        assert seqs[0] <= 132
        close(journal)


@pytest.mark.parametrize("folder", ["data", "pool", "schemas", "meta", "alarm", "quarantine"])
def test_an_empty_or_missing_folder_is_no_reason_not_to_start(
    tmp_path: Path, folder: str
) -> None:
    clock, path = StillClock(), tmp_path / "journal"
    close(filled(path, clock))
    shutil.rmtree(path / folder)
    for _ in range(2):
        journal = open_journal(small(path), clock)
        journal.append(Lane.DATA, "s", b"x", time_ns=5000, readings=1, covers=True)
        assert commit(journal)
        close(journal)


@pytest.mark.parametrize("max_bytes", [1, 1500, 1 << 20])
def test_records_that_stand_twice_never_hide_what_follows_them(
    tmp_path: Path, max_bytes: int
) -> None:
    """Power that goes after a gathering brings the gathered segment back beside its copy."""
    clock, path = StillClock(), tmp_path / "journal"
    first, kept = path / "data" / "seg-0000000001", b""
    for stream in ("a", "b"):
        journal = open_journal(small(path), clock)
        kept = first.read_bytes() if first.exists() else kept
        for n in range(2):
            journal.append(Lane.DATA, stream, b"p" * 1000, time_ns=n, readings=1, covers=True)
        assert commit(journal)
        close(journal)
    close(open_journal(small(path), clock))
    assert not first.exists()
    first.write_bytes(kept)
    journal = open_journal(small(path), clock)
    found, after = list[tuple[str, int]](), journal.settled(Lane.DATA)
    while items := journal.read(Lane.DATA, after, max_bytes=max_bytes, max_records=9):
        found += [(item.stream, item.seq) for item in items if isinstance(item, Entry)]
        after = items[-1].position
    assert found == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    close(journal)


def flip_frame_of(path: Path, stream: bytes) -> None:
    """Flip one bit in the header of the only frame of ``stream``, which can be read no more."""
    for segment in (path / "data").iterdir():
        content = bytearray(segment.read_bytes())
        if (at := content.find(stream)) > 0:
            content[at - 30] ^= 1
            segment.write_bytes(content)


@pytest.mark.parametrize("marks", [1, 2])
@pytest.mark.parametrize("recycled", [False, True])
def test_a_committed_record_whose_frame_was_flipped_is_named_where_a_mark_counted_it(
    tmp_path: Path, marks: int, recycled: bool
) -> None:
    """It looks like a torn write at the end of the lane; the mark says that it was none."""
    clock, path = StillClock(), tmp_path / "journal"
    journal = open_journal(small(path, retain_s=0.0), clock)
    for n in range(120 if recycled else 0):
        clock.pass_s(1)
        now = clock.now_ns()
        journal.append(Lane.DATA, "a", b"p" * 500, time_ns=now, readings=4, covers=True)
        if n % 10 == 9:
            assert commit(journal)
            settle_all(journal, Lane.DATA)
    taken_ns = clock.now_ns()
    journal.append(Lane.DATA, "pump", b"p", time_ns=taken_ns, readings=4, covers=False)
    for _ in range(marks):
        clock.pass_s(1)
        journal.mark({(Lane.DATA, "pump"): clock.now_ns()})
    assert commit(journal)
    assert (path / "data" / "seg-0000000001").exists() is not recycled
    close(journal)
    flip_frame_of(path, b"pump")
    journal = open_journal(small(path, retain_s=0.0), clock)
    lost = journal.recovered.torn[Lane.DATA, "pump"]
    assert (lost.first_seq, lost.last_seq, lost.cause) == (1, 1, Cause.JOURNAL_CORRUPT)
    assert lost.from_ns <= taken_ns < lost.to_ns <= clock.now_ns()
    close(journal)


@pytest.mark.parametrize("is_over", [False, True])
def test_a_loss_of_which_nobody_knows_the_end_is_named_up_to_the_start_that_found_it(
    tmp_path: Path, is_over: bool
) -> None:
    clock, path = StillClock(), tmp_path / "journal"
    journal = open_journal(small(path), clock)
    clock.pass_s(1)
    journal.append(Lane.DATA, "pump", b"p", time_ns=clock.now_ns(), readings=4, covers=False)
    assert commit(journal)
    if is_over:
        journal.mark({(Lane.DATA, "pump"): ENDED})
    clock.pass_s(1)
    assert commit(journal)
    journal.mark({(Lane.DATA, "other"): clock.now_ns()})
    assert commit(journal)
    close(journal)
    flip_frame_of(path, b"pump")
    clock.pass_s(5)
    journal = open_journal(small(path), clock)
    lost = journal.recovered.torn[Lane.DATA, "pump"]
    assert lost.to_ns - lost.from_ns == 7 * 10**9
    close(journal)


def test_a_stream_whose_records_were_all_let_go_ends_where_its_last_mark_says(
    tmp_path: Path,
) -> None:
    clock, path = StillClock(), tmp_path / "journal"
    journal = open_journal(small(path, retain_s=0.0), clock)
    watched_ns = clock.now_ns()
    for _ in range(3):
        watched_ns += 10**9
        journal.append(Lane.DATA, "pump", b"p", time_ns=watched_ns, readings=4, covers=True)
        journal.mark({(Lane.DATA, "pump"): watched_ns})
        assert commit(journal)
    for now in range(40):
        clock.pass_s(1)
        journal.append(Lane.DATA, "a", b"p" * 1000, time_ns=now, readings=4, covers=True)
        assert commit(journal)
        settle_all(journal, Lane.DATA)
    close(journal)
    assert not (path / "data" / "seg-0000000001").exists()
    journal = open_journal(small(path, retain_s=0.0), clock)
    state = journal.recovered.streams[Lane.DATA, "pump"]
    assert (state.seq, state.covered_to_ns) == (3, watched_ns)
    close(journal)


def test_what_a_later_life_let_go_is_not_missed_when_the_cursor_is_lost(tmp_path: Path) -> None:
    clock, path = StillClock(), tmp_path / "journal"
    close(filled(path, clock))
    clock.pass_s(1)
    journal = open_journal(small(path, retain_s=2.0), clock)
    journal.settle(Lane.DATA, read(journal, Lane.DATA)[100].position)
    clock.pass_s(3)
    for n in range(20):
        journal.append(Lane.DATA, "b", b"p" * 1000, time_ns=n, readings=4, covers=True)
        assert commit(journal)
    close(journal)
    assert not (path / "data" / "seg-0000000001").exists()
    (path / "cursor").unlink()
    journal = open_journal(small(path), clock)
    items = read(journal, Lane.DATA)
    assert not [item for item in items if isinstance(item, Damage)]
    assert len(items) > 100
    close(journal)


def test_a_record_that_stood_twice_is_not_missed_where_it_was_left_out(tmp_path: Path) -> None:
    """Its first copy was kept; the gathered segment that left it out does not claim it."""
    clock, path = StillClock(), tmp_path / "journal"
    first, kept = path / "data" / "seg-0000000001", b""
    for stream in ("a", "b", "c"):
        journal = open_journal(small(path), clock)
        kept = first.read_bytes() if first.exists() else kept
        for n in range(2):
            journal.append(Lane.DATA, stream, b"p", time_ns=n, readings=1, covers=True)
        assert commit(journal)
        close(journal)
    assert not first.exists()
    first.write_bytes(kept)
    journal = open_journal(small(path), clock)
    items = read(journal, Lane.DATA)
    assert [(i.stream, i.position >> 32) for i in items][1:3] == [("a", 1), ("b", 3)]
    journal.settle(Lane.DATA, items[2].position)
    close(journal)
    journal = open_journal(small(path), clock)
    assert read(journal, Lane.DATA) == items[3:]
    close(journal)


def test_a_second_name_of_a_segment_in_the_pool_is_never_written(tmp_path: Path) -> None:
    """What a file system that renames in two steps, as FAT does, leaves of a power cut."""
    clock, path = StillClock(), tmp_path / "journal"
    close(filled(path, clock))
    for segment in sorted((path / "data").iterdir())[:3]:
        (path / "pool" / "large" / f"{900 + int(segment.name[-1])}").hardlink_to(segment)
    for _ in range(3):
        journal = open_journal(small(path), clock)
        for n in range(40):
            journal.append(
                Lane.DATA, "t", b"q" * 300, time_ns=5000 + n, readings=1, covers=True
            )
        assert commit(journal)
        seqs = [
            i.seq
            for i in read(journal, Lane.DATA)
            if not isinstance(i, Damage) and i.stream == "s"
        ]
        assert seqs == list(range(1, 201))
        close(journal)
