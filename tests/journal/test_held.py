"""Settling by what the platform holds, and reading again what is settled."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from gateway.journal import Entry, Journal, settling
from gateway.model import Lane
from gateway.receipts import Watermarks
from tests.journal.rig import SEGMENT, StillClock, close, commit, entries, open_journal, small
from tests.journal.test_journal import fill, put, seqs


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def journal(path: Path, clock: StillClock) -> Iterator[Journal]:
    journal = open_journal(small(path), clock)
    yield journal
    close(journal)


def settle_held(journal: Journal, held: dict[str, int], up_to: int) -> None:
    def holds(_run: str, name: str, seq: int) -> bool:
        return seq <= held.get(name, 0)

    while journal.settle_held(Lane.DATA, holds, up_to) or (
        not journal.knows_next(Lane.DATA, up_to) and journal.follow(Lane.DATA)
    ):
        pass


def again(journal: Journal, after: int = 0) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    while items := journal.read_again(Lane.DATA, after, max_bytes=4096, max_records=7):
        found += [(item.stream, item.seq) for item in items if isinstance(item, Entry)]
        after = items[-1].position
    return found


def test_only_the_prefix_that_the_platform_holds_is_settled(journal: Journal) -> None:
    for name in ("a", "b", "a", "b"):
        put(journal, name)
    commit(journal)
    found = entries(journal, Lane.DATA)
    settle_held(journal, {"a": 2}, found[-1].position)
    assert journal.settled(Lane.DATA) == found[0].position
    settle_held(journal, {"a": 2, "b": 1}, found[-1].position)
    assert journal.settled(Lane.DATA) == found[2].position
    assert journal.heads()[Lane.DATA, "b"] == (2, 1)


def test_nothing_is_settled_beyond_what_the_broker_acknowledged(journal: Journal) -> None:
    put(journal, count=3)
    commit(journal)
    found = entries(journal, Lane.DATA)
    settle_held(journal, {"tk101": 3}, found[1].position)
    assert journal.settled(Lane.DATA) == found[1].position


@pytest.mark.parametrize("most", [1, 3, 10_000])
def test_what_was_read_long_ago_is_settled_as_exactly_as_what_is_remembered(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(settling, "MOST_NOTES", most)
    for number in range(60):
        put(journal, "ab"[number % 2])
    commit(journal)
    first = entries(journal, Lane.DATA)
    last = first[-1].position
    for held in ({"a": 4, "b": 9}, {"a": 40, "b": 9}, {"a": 40, "b": 30}):
        settle_held(journal, held, last)
        if held["a"] == 4:
            put(journal, "a", count=10)
            commit(journal)
            last = entries(journal, Lane.DATA, last)[-1].position
            settle_held(journal, held, last)
        due = [item for item in first if item.seq > held[item.stream]]
        edge = due[0].position if due else last + 1
        assert max(i.position for i in first if i.position < edge) <= journal.settled(Lane.DATA)
        assert journal.settled(Lane.DATA) < edge
    assert journal.stats().unsettled_records == 0
    assert journal.heads()[Lane.DATA, "a"] == (40, 40)


@pytest.mark.parametrize("most", [1, 10_000])
def test_position_is_settled_whatever_is_remembered(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(settling, "MOST_NOTES", most)
    put(journal, count=60)
    commit(journal)
    found = entries(journal, Lane.DATA)
    while journal.settled(Lane.DATA) < found[50].position:
        assert journal.knows_next(Lane.DATA, found[50].position) or journal.follow(Lane.DATA)
        journal.settle(Lane.DATA, found[50].position)
    assert journal.settled(Lane.DATA) == found[50].position
    assert journal.stats().lanes[Lane.DATA].unsettled_records == 9
    assert seqs(entries(journal, Lane.DATA)) == list(range(52, 61))


def test_what_is_settled_is_read_again_until_it_is_recycled(
    path: Path, clock: StillClock
) -> None:
    journal = open_journal(small(path), clock)
    put(journal, count=20)
    commit(journal)
    found = entries(journal, Lane.DATA)
    journal.settle(Lane.DATA, found[-1].position)
    assert again(journal) == [("tk101", seq) for seq in range(1, 21)]
    assert again(journal, found[9].position) == [("tk101", seq) for seq in range(11, 21)]
    places = journal.contents.places(Lane.DATA, "tk101", journal.incarnation, 18, 20)
    assert places is not None
    assert places[0] < found[17].position < found[19].position <= places[1]
    assert journal.contents.places(Lane.DATA, "tk102", "0" * 32, 1, 2) is not None, "may be"
    fill(journal)
    assert journal.stats().lanes[Lane.DATA].segments * SEGMENT <= 24 * SEGMENT
    assert ("tk101", 1) not in again(journal)
    close(journal)


def test_platform_can_hold_what_was_taken_and_of_earlier_runs_more_than_was_stored(
    path: Path, clock: StillClock
) -> None:
    journal = open_journal(small(path), clock)
    put(journal, count=40)
    commit(journal)
    first = journal.incarnation
    close(journal)
    journal = open_journal(small(path), clock)
    put(journal, count=2)
    farthest = journal.contents.farthest
    assert farthest(Lane.DATA, "tk101", journal.incarnation) == 2, "not committed, but told"
    assert (farthest(Lane.DATA, "tk101", first) or 0) > 40
    assert farthest(Lane.DATA, "tk102", first) is None
    assert farthest(Lane.ALARM, "tk101", first) is None
    assert farthest(Lane.DATA, "tk101", "0" * 32) is None
    close(journal)


def test_receipt_for_records_that_died_in_memory_still_settles_what_was_stored(
    path: Path, clock: StillClock
) -> None:
    journal = open_journal(small(path), clock)
    put(journal, count=10)
    commit(journal)
    first = journal.incarnation
    close(journal, clean=False)
    journal = open_journal(small(path), clock)
    marks = Watermarks(journal.contents.farthest)
    receipt = b'{"incarnation":"%s","seq":12}' % first.encode()
    assert marks.take("park/gw/receipt/data/tk101", receipt)
    last = entries(journal, Lane.DATA)[-1].position
    while journal.settle_held(Lane.DATA, partial(marks.holds, Lane.DATA), last):
        continue
    assert journal.stats().unsettled_records == 0
    close(journal)
