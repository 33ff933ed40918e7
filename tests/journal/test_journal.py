"""What the journal promises, on real files."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from gateway.clock import Clock
from gateway.errors import JournalError, JournalFullError
from gateway.journal import Entry, Journal, Settings
from gateway.model import Lane
from tests.journal.rig import (
    SEGMENT,
    StillClock,
    close,
    commit,
    entries,
    open_journal,
    settle_all,
    small,
)
from tests.patience import until

BLOCK = b"x" * 1000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


def put(journal: Journal, stream: str = "tk101", *, lane: Lane = Lane.DATA, count: int = 1,
        payload: bytes = BLOCK, time_ns: int = 5, covers: bool = True) -> None:  # fmt: skip
    for _ in range(count):
        journal.append(lane, stream, payload, time_ns=time_ns, readings=3, covers=covers)


def fill(journal: Journal, lane: Lane = Lane.DATA) -> int:
    """Append and commit until ``lane`` takes no more or gives up records; how many it took."""
    for taken in range(10_000):
        try:
            put(journal, lane=lane)
        except JournalFullError:
            return taken
        assert commit(journal)
        if journal.stats().lanes[lane].evicted_records:
            return taken + 1
    raise AssertionError("never full")


def seqs(items: list[Entry]) -> list[int]:
    return [item.seq for item in items]


def test_seq_starts_at_one_in_each_stream_lane_and_incarnation(
    path: Path, clock: Clock
) -> None:
    journal = open_journal(small(path), clock)
    for lane, stream in ((Lane.DATA, "a"), (Lane.DATA, "b"), (Lane.ALARM, "a")):
        assert journal.append(lane, stream, b"", time_ns=1, readings=1, covers=True) == 1
    assert journal.append(Lane.DATA, "a", b"", time_ns=1, readings=1, covers=True) == 2
    close(journal)
    again = open_journal(small(path), clock)
    assert again.append(Lane.DATA, "a", b"", time_ns=1, readings=1, covers=True) == 1
    close(again)


def test_a_record_comes_back_as_it_was_given(path: Path, clock: Clock) -> None:
    journal = open_journal(small(path), clock)
    journal.append(Lane.DATA, "r-201", b"\x00\xffbytes", time_ns=42, readings=7, covers=False)
    commit(journal)
    [entry] = entries(journal, Lane.DATA)
    assert entry[1:4] == ("r-201", journal.incarnation, 1)
    assert entry[5:] == (42, 7, b"\x00\xffbytes")
    assert journal.schema(entry.schema) == b"layout"
    close(journal)


def test_nothing_is_read_before_it_is_committed(path: Path, clock: Clock) -> None:
    journal = open_journal(small(path), clock)
    put(journal)
    assert entries(journal, Lane.DATA) == []
    commit(journal, Lane.DATA)
    assert seqs(entries(journal, Lane.DATA)) == [1]
    close(journal)


def test_reading_crosses_segments_in_order(path: Path, clock: Clock) -> None:
    journal = open_journal(small(path), clock)
    put(journal, count=60)
    commit(journal)
    assert journal.stats().lanes[Lane.DATA].segments > 4
    assert seqs(entries(journal, Lane.DATA)) == list(range(1, 61))
    close(journal)


def test_settled_records_are_not_read_again_after_a_start(path: Path, clock: Clock) -> None:
    journal = open_journal(small(path), clock)
    put(journal, count=30)
    commit(journal)
    journal.settle(Lane.DATA, entries(journal, Lane.DATA)[9].position)
    assert journal.heads()[Lane.DATA, "tk101"] == (30, 10)
    close(journal)
    again = open_journal(small(path), clock)
    assert seqs(entries(again, Lane.DATA)) == list(range(11, 31))
    assert again.stats().unsettled_records == 20
    assert again.stats().unsettled_readings == 60
    close(again)


def test_settled_records_can_be_read_again_while_they_are_kept(
    path: Path, clock: Clock
) -> None:
    journal = open_journal(small(path), clock)
    put(journal, count=30)
    commit(journal)
    found = entries(journal, Lane.DATA)
    journal.settle(Lane.DATA, found[-1].position)
    assert seqs(entries(journal, Lane.DATA, found[3].position)) == list(range(5, 31))
    close(journal)


def test_marks_need_no_acknowledgement(path: Path, clock: Clock) -> None:
    journal = open_journal(small(path), clock)
    journal.mark({(Lane.DATA, "tk101"): 99})
    commit(journal)
    assert entries(journal, Lane.META) == []
    assert journal.settled(Lane.META) == journal.committed(Lane.META) > 0
    close(journal)


def test_the_next_start_knows_where_each_stream_ended(path: Path, clock: Clock) -> None:
    journal = open_journal(small(path), clock)
    assert journal.recovered.first_start
    put(journal, count=3, time_ns=100)
    put(journal, "tk102", lane=Lane.ALARM, covers=False)
    journal.mark({(Lane.DATA, "tk101"): 250})
    commit(journal)
    close(journal, clean=True)
    again = open_journal(small(path), clock)
    found = again.recovered
    assert (found.clean, found.first_start, found.previous) == (
        True,
        False,
        journal.incarnation,
    )
    assert found.streams[Lane.DATA, "tk101"] == (journal.incarnation, 3, 250)
    assert found.streams[Lane.ALARM, "tk102"] == (journal.incarnation, 1, None)
    close(again)


def test_an_unclean_stop_is_seen(path: Path, clock: Clock) -> None:
    close(open_journal(small(path), clock), clean=True)
    close(open_journal(small(path), clock), clean=False)
    again = open_journal(small(path), clock)
    assert not again.recovered.clean
    close(again)


def test_stream_states_outlive_their_recycled_records(path: Path, clock: StillClock) -> None:
    settings = small(path, retain_s=10)
    journal = open_journal(settings, clock)
    put(journal, "old", time_ns=clock.now_ns())
    commit(journal)
    first = journal.incarnation
    close(journal)
    for _ in range(3):
        journal = open_journal(settings, clock)
        for _ in range(80):
            put(journal, "busy", time_ns=clock.now_ns())
            journal.mark({(Lane.DATA, "busy"): clock.now_ns()})
            commit(journal)
            settle_all(journal, Lane.DATA)
            clock.pass_s(10)
        close(journal)
    again = open_journal(settings, clock)
    assert again.recovered.streams[Lane.DATA, "old"][:2] == (first, 1)
    close(again)


def test_a_thousand_empty_restarts_take_no_more_room(path: Path, clock: Clock) -> None:
    journal = open_journal(small(path), clock)
    put(journal, count=20)
    commit(journal)
    close(journal)
    used = []
    for _ in range(60):
        journal = open_journal(small(path), clock)
        put(journal, payload=b"not running")
        commit(journal)
        used.append(journal.stats().lanes[Lane.DATA].segments)
        close(journal, clean=False)
    again = open_journal(small(path), clock)
    assert len(entries(again, Lane.DATA)) == 80
    assert max(used) <= used[0] + 2
    close(again)


def test_when_nothing_may_go_append_refuses_and_earlier_records_stay(
    path: Path, clock: Clock
) -> None:
    journal = open_journal(small(path), clock)
    taken = fill(journal, Lane.ALARM)
    assert len(entries(journal, Lane.ALARM)) == taken > 40
    with pytest.raises(JournalFullError):
        put(journal, lane=Lane.ALARM)
    close(journal)


def test_alarms_and_marks_have_room_when_data_has_none(path: Path, clock: Clock) -> None:
    journal = open_journal(small(path), clock)
    fill(journal)
    put(journal, lane=Lane.ALARM, count=10)
    journal.mark({(Lane.DATA, "tk101"): 1})
    assert commit(journal)
    assert len(entries(journal, Lane.ALARM)) == 10
    close(journal)


def test_settling_makes_room_again(path: Path, clock: Clock) -> None:
    journal = open_journal(small(path), clock)
    for _ in range(600):
        put(journal)
        assert commit(journal)
        settle_all(journal, Lane.DATA)
    stats = journal.stats()
    assert stats.unsettled_records == 0
    assert stats.lanes[Lane.DATA].segments <= small(path).quota(Lane.DATA)
    close(journal)


def test_settled_segments_go_after_their_time(path: Path, clock: StillClock) -> None:
    journal = open_journal(small(path, retain_s=60), clock)
    put(journal, count=40, time_ns=clock.now_ns())
    commit(journal)
    settle_all(journal, Lane.DATA)
    before = journal.stats().lanes[Lane.DATA].segments
    clock.pass_s(61)
    put(journal, count=20, time_ns=clock.now_ns())
    commit(journal)
    assert before >= 3
    assert journal.stats().lanes[Lane.DATA].segments <= 3
    close(journal)


@pytest.mark.parametrize("step_s", [-3600, 3600, 3_000_000_000])
def test_settled_segments_do_not_go_because_the_clock_is_set(
    path: Path, clock: StillClock, step_s: int
) -> None:
    journal = open_journal(small(path, retain_s=60), clock)
    put(journal, count=40, time_ns=clock.now_ns())
    commit(journal)
    settle_all(journal, Lane.DATA)
    before = journal.stats().lanes[Lane.DATA].segments
    clock.time_ns += step_s * 10**9
    clock.pass_s(59)
    put(journal, count=20, time_ns=clock.now_ns())
    commit(journal)
    assert before >= 3
    assert journal.stats().lanes[Lane.DATA].segments > before
    close(journal)


def test_memory_is_bounded_and_alarms_have_their_own(path: Path, clock: Clock) -> None:
    settings = Settings(path, size=1 << 20, memory=64 << 10, data_segment=SEGMENT,
                        small_segment=SEGMENT)  # fmt: skip
    journal = open_journal(settings, clock)
    put(journal, count=1000)
    put(journal, lane=Lane.ALARM, count=5)
    assert journal.stats().memory_bytes <= 64 << 10
    commit(journal)
    assert seqs(entries(journal, Lane.ALARM)) == [1, 2, 3, 4, 5]
    close(journal)


def test_a_record_that_is_refused_uses_no_seq(path: Path, clock: Clock) -> None:
    journal = open_journal(small(path), clock)
    with pytest.raises(JournalError, match="too large"):
        put(journal, payload=bytes(SEGMENT))
    put(journal)
    commit(journal)
    assert seqs(entries(journal, Lane.DATA)) == [1]
    close(journal)


def test_schemas_stay_while_records_refer_to_them(path: Path, clock: Clock) -> None:
    journal = open_journal(small(path), clock, schema=b"one")
    put(journal)
    journal.use_schema(b"two", "c2")
    put(journal)
    commit(journal)
    close(journal)
    again = open_journal(small(path), clock, schema=b"three")
    found = entries(again, Lane.DATA)
    assert [again.schema(entry.schema) for entry in found] == [b"one", b"two"]
    close(again)
    last = open_journal(small(path), clock, schema=b"four")
    assert sorted(last.schema(int(f.name, 16)) for f in (path / "schemas").iterdir()) == [
        b"four", b"one", b"two",
    ]  # fmt: skip
    close(last)


def test_a_flipped_bit_in_a_schema_costs_nothing(path: Path, clock: Clock) -> None:
    close(open_journal(small(path), clock, schema=b"layout of everything"))
    [file] = (path / "schemas").iterdir()
    content = bytearray(file.read_bytes())
    content[20] ^= 4
    file.write_bytes(content)
    again = open_journal(small(path), clock, schema=b"layout of everything")
    assert again.schema(int(file.name, 16)) == b"layout of everything"
    close(again)


def test_a_second_owner_is_refused(path: Path, clock: Clock) -> None:
    journal = open_journal(small(path), clock)
    with pytest.raises(JournalError, match="another instance"):
        open_journal(small(path), clock)
    close(journal)
    close(open_journal(small(path), clock))


def test_a_symbolic_link_is_refused(path: Path, tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError, match="not a directory of its own"):
        open_journal(small(path), clock)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_directory_open_to_others_is_refused(path: Path, clock: Clock) -> None:
    path.mkdir()
    path.chmod(0o755)
    with pytest.raises(JournalError, match="0700"):
        open_journal(small(path), clock)
    assert list(path.iterdir()) == []


def test_files_are_for_this_user_alone(path: Path, clock: Clock) -> None:
    journal = open_journal(small(path), clock)
    put(journal)
    commit(journal)
    close(journal)
    for found in (path, *path.rglob("*")):
        want = 0o700 if found.is_dir() else 0o600
        assert stat.S_IMODE(found.stat().st_mode) == want, found


def test_a_journal_of_another_gateway_is_refused_by_name(path: Path, clock: Clock) -> None:
    close(open_journal(small(path), clock))
    with pytest.raises(JournalError, match="belongs to gateway"):
        Journal.open(
            small(path),
            gateway="other",
            schema=b"",
            clock=clock,
            boot="b" * 32,
            config="c" * 16,
        )


def test_a_newer_format_is_refused_and_nothing_is_touched(path: Path, clock: Clock) -> None:
    journal = open_journal(small(path), clock)
    put(journal)
    commit(journal)
    close(journal)
    segment = next((path / "data").iterdir())
    rewrite_format(segment, 2)
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    with pytest.raises(JournalError, match="newer"):
        open_journal(small(path), clock)
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before


def rewrite_format(segment: Path, number: int) -> None:
    from zlib import crc32

    content = bytearray(segment.read_bytes())
    for at in (0, 2048):
        content[at + 8 : at + 12] = number.to_bytes(4, "little")
        length = int.from_bytes(content[at + 12 : at + 16], "little")
        body = content[at + 20 : at + 20 + length]
        crc = crc32(body, crc32(content[at + 8 : at + 16]))
        content[at + 16 : at + 20] = crc.to_bytes(4, "little")
    segment.write_bytes(content)


def test_a_segment_that_cannot_be_parsed_goes_to_quarantine(path: Path, clock: Clock) -> None:
    journal = open_journal(small(path), clock)
    put(journal, count=30)
    commit(journal)
    close(journal)
    second = sorted((path / "data").iterdir())[1]
    second.write_bytes(bytes(SEGMENT))
    again = open_journal(small(path), clock)
    assert again.recovered.quarantined == (f"data-{second.name}",)
    items = again.read(Lane.DATA, 0, max_bytes=1 << 20, max_records=100)
    covered = [
        seq
        for item in items
        for seq in (
            [item.seq] if isinstance(item, Entry) else range(item.first_seq, item.last_seq + 1)
        )
    ]
    assert covered == list(range(1, 31))
    close(again)


@pytest.mark.parametrize("surgery", ["truncate", "delete", "cursor", "state", "copy"])
def test_file_surgery_never_stops_the_start(path: Path, clock: Clock, surgery: str) -> None:
    journal = open_journal(small(path), clock)
    put(journal, count=30)
    commit(journal)
    journal.settle(Lane.DATA, entries(journal, Lane.DATA)[14].position)
    close(journal)
    first, *_, last = sorted((path / "data").iterdir())
    match surgery:
        case "truncate":
            os.truncate(last, 5000)
        case "delete":
            first.unlink()
        case "copy":
            (path / "data" / "seg-9999999999").write_bytes(first.read_bytes())
        case name:
            (path / name).write_bytes(b"\xff" * 8192)
    again = open_journal(small(path), clock)
    again.read(Lane.DATA, again.settled(Lane.DATA), max_bytes=1 << 20, max_records=100)
    put(again)
    assert commit(again)
    close(again)


async def test_durable_returns_after_the_commit_and_on_commit_runs_on_the_loop(
    path: Path,
) -> None:
    told: list[Lane] = []
    heard = asyncio.Event()

    def on_commit(lane: Lane) -> None:
        told.append(lane)
        heard.set()

    journal = open_journal(small(path), Clock())
    journal.start(on_commit)
    put(journal, lane=Lane.ALARM)
    await asyncio.wait_for(journal.durable(Lane.ALARM), 5)
    await asyncio.wait_for(heard.wait(), 5)
    assert told == [Lane.ALARM]
    assert seqs(entries(journal, Lane.ALARM)) == [1]
    assert all(writer.alive for writer in journal.stats().writers)
    await journal.close(clean=True)


async def test_the_pool_is_reserved_in_the_background(path: Path) -> None:
    journal = open_journal(small(path, size=16 * SEGMENT), Clock())
    journal.start(lambda lane: None)
    await until(lambda: journal.stats().reserved_bytes >= 16 * SEGMENT)
    await journal.close(clean=True)


async def test_close_commits_what_waits(path: Path) -> None:
    journal = open_journal(small(path), Clock())
    journal.start(lambda lane: None)
    put(journal, count=5)
    await journal.close(clean=True)
    again = open_journal(small(path), Clock())
    assert again.recovered.clean
    assert seqs(entries(again, Lane.DATA)) == [1, 2, 3, 4, 5]
    await again.close(clean=True)


def test_a_clock_that_was_set_back_does_not_stretch_what_was_watched(
    path: Path, clock: Clock
) -> None:
    journal = open_journal(small(path), clock)
    for time_ns in (5000, 1000, 2000):
        journal.append(Lane.DATA, "s", b"x", time_ns=time_ns, readings=1, covers=True)
    commit(journal)
    journal.mark({(Lane.DATA, "s"): 3000})
    commit(journal)
    close(journal, clean=False)
    again = open_journal(small(path), clock)
    assert again.recovered.streams[Lane.DATA, "s"].covered_to_ns == 3000
    close(again)
