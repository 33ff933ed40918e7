"""Readings and gaps together cover all time a device is to be watched."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.coverage import ANNOUNCE_S, Before, Coverage, Item
from gateway.model import Batch, Block, Cause, Gap, Quality
from tests.fakes import tags

S = 10**9
BAD = Quality.BAD_NO_COMMUNICATION


def watched(count: int = 1, before: Before | None = None) -> tuple[Coverage, list[Block[None]]]:
    blocks = [Block("pump", tuple(tags("pump", 2)), 1.0, None) for _ in range(count)]
    ids = itertools.count(1)
    return Coverage("pump", blocks, lambda: f"g-{next(ids)}", before, 0), blocks


def good(block: Block[None], at_s: float) -> Batch:
    return Batch(block, int(at_s * S), [1.0] * len(block.tags))


def gaps(items: Sequence[Item]) -> list[Gap]:
    return [item for item in items if isinstance(item, Gap)]


def test_a_first_start_begins_without_a_gap() -> None:
    coverage, (block,) = watched()
    assert not coverage.readings(good(block, 5))


def test_the_first_word_after_a_restart_is_how_long_the_gateway_was_not_running() -> None:
    coverage, (block,) = watched(before=Before("aa", 41, 2 * S, clean=False))
    (gap,) = coverage.readings(good(block, 9))
    assert (gap.cause, gap.from_ns, gap.to_ns) == (Cause.NOT_RUNNING_UNCLEAN, 2 * S, 9 * S)
    assert gap.after == ("aa", 41)
    assert gap.tags is None
    assert (gap.count, gap.exact) == (16, False)
    assert not coverage.readings(good(block, 10))


def test_a_clean_stop_is_called_so_and_is_said_even_when_no_device_answers() -> None:
    coverage, _ = watched(before=Before("aa", 41, 2 * S, clean=True))
    first = gaps(coverage.device_missing(Cause.DEVICE_TIMEOUT, BAD, 9 * S))[0]
    assert first.cause is Cause.NOT_RUNNING_CLEAN


def test_records_seen_torn_have_a_gap_of_their_own_after_it() -> None:
    torn = Gap("g-t", Cause.UNCOMMITTED_WINDOW, S, 2 * S, count=4)
    coverage, (block,) = watched(before=Before("aa", 41, S, clean=False, torn=torn))
    stopped, lost = coverage.readings(good(block, 9))
    assert (stopped.cause, stopped.from_ns) == (Cause.NOT_RUNNING_UNCLEAN, 2 * S)
    assert (lost.cause, lost.to_ns) == (Cause.UNCOMMITTED_WINDOW, 2 * S)


def test_an_outage_is_one_bad_image_and_one_gap_that_stays_open_until_readings_return() -> None:
    coverage, (block,) = watched()
    coverage.readings(good(block, 1))
    items = coverage.device_missing(Cause.DEVICE_TIMEOUT, BAD, 2 * S)
    assert [type(item) for item in items] == [Batch, Gap]
    opened = gaps(items)[0]
    assert (opened.from_ns, opened.to_ns, opened.count) == (S, None, None)
    assert not coverage.device_missing(Cause.DEVICE_TIMEOUT, BAD, 3 * S)
    assert not coverage.watched
    coverage.polls_missed(block, range(2), Cause.DEVICE_TIMEOUT, 7)
    (closed,) = coverage.readings(good(block, 9))
    assert closed.id == opened.id
    assert (closed.from_ns, closed.to_ns, closed.count, closed.exact) == (S, 9 * S, 14, True)


def test_an_open_gap_is_announced_again_every_minute_with_the_same_id() -> None:
    coverage, _ = watched()
    opened = gaps(coverage.device_missing(Cause.DEVICE_TIMEOUT, BAD, 0))[0]
    assert not coverage.announce(5.0)
    assert not coverage.announce(ANNOUNCE_S + 4.9)
    assert [gap.id for gap in coverage.announce(ANNOUNCE_S + 5)] == [opened.id]
    assert not coverage.announce(ANNOUNCE_S + 6)


def test_skipped_polls_between_two_good_ones_are_one_closed_gap_of_that_block() -> None:
    coverage, (first, second) = watched(2)
    coverage.readings(good(first, 1))
    coverage.readings(good(second, 1))
    coverage.polls_missed(first, range(2), Cause.POLL_OVERRUN, 3)
    for second_s in range(2, 6):
        assert not coverage.readings(good(second, second_s))
    (gap,) = coverage.readings(good(first, 5))
    assert (gap.cause, gap.from_ns, gap.to_ns, gap.count) == (
        Cause.POLL_OVERRUN,
        S,
        5 * S,
        6,
    )


def test_what_one_block_missed_before_the_device_fell_silent_has_a_gap_of_its_own() -> None:
    coverage, (first, second) = watched(2)
    coverage.readings(good(first, 1))
    coverage.readings(good(second, 1))
    coverage.polls_missed(first, range(2), Cause.POLL_OVERRUN, 3)
    for second_s in range(2, 6):
        coverage.readings(good(second, second_s))
    early, opened = gaps(coverage.device_missing(Cause.DEVICE_TIMEOUT, BAD, 6 * S))
    assert (early.cause, early.from_ns, early.to_ns) == (Cause.POLL_OVERRUN, S, 5 * S)
    assert early.tags == tuple(tag.name for tag in first.tags)
    assert (early.count, early.exact) == (6, False)
    assert opened.from_ns == 5 * S
    coverage.polls_missed(first, range(2), Cause.DEVICE_TIMEOUT, 1)
    (closed, *_) = coverage.readings(good(first, 7))
    assert (closed.id, closed.count, closed.exact) == (opened.id, 2, True)


def test_a_refused_tag_is_named_while_its_neighbours_go_on() -> None:
    coverage, (block,) = watched()
    coverage.readings(good(block, 1))
    items = coverage.block_missing(block, [1], Cause.DEVICE_REFUSED, BAD, 2 * S)
    bad, gap = items
    assert isinstance(bad, Batch)
    assert isinstance(gap, Gap)
    assert list(bad.index or ()) == [1]
    assert gap.tags == ("t1",)
    for second_s in (2, 3):
        assert not coverage.readings(Batch(block, second_s * S, [1.0], index=[0]))
    assert coverage.watched
    (closed,) = coverage.readings(Batch(block, 4 * S, [1.0], index=[1]))
    assert closed.id == gap.id


def test_two_polls_on_time_with_a_slow_answer_between_them_have_a_gap_too() -> None:
    coverage, (block,) = watched()
    coverage.readings(good(block, 1))
    (gap,) = coverage.readings(good(block, 2.9))
    assert (gap.cause, gap.count, gap.exact) == (Cause.POLL_OVERRUN, 2, False)


def test_in_a_divided_block_a_lost_poll_is_a_gap_of_its_own_rows_alone() -> None:
    (block,) = [Block("pump", tuple(tags("pump", 4)), 1.0, None)]
    coverage = Coverage("pump", [block], iter("abcdef").__next__, None, 0)
    for second in (1, 2):
        coverage.readings(Batch(block, second * S, [1.0, 1.0], index=[0, 1]))
        coverage.readings(Batch(block, second * S, [1.0, 1.0], index=[2, 3]))
    assert not coverage.readings(Batch(block, 3 * S, [1.0, 1.0], index=[0, 1]))
    coverage.polls_missed(block, (2, 3), Cause.DEVICE_TIMEOUT, 1)
    assert not coverage.readings(Batch(block, 4 * S, [1.0, 1.0], index=[0, 1]))
    (gap,) = coverage.readings(Batch(block, 4 * S, [1.0, 1.0], index=[2, 3]))
    assert (gap.tags, gap.from_ns, gap.to_ns, gap.count) == (("t2", "t3"), 2 * S, 4 * S, 2)


def test_a_whole_that_takes_the_place_of_its_pieces_replaces_their_gaps() -> None:
    coverage, (block,) = watched()
    coverage.readings(good(block, 1))
    refused = Cause.DEVICE_REFUSED
    (_, piece) = coverage.block_missing(block, [0], refused, BAD, 2 * S)
    items = gaps(coverage.block_missing(block, [0, 1], refused, BAD, 3 * S))
    assert isinstance(piece, Gap)
    assert [(gap.id, gap.from_ns, gap.to_ns) for gap in items] == [
        (piece.id, S, 3 * S),
        ("g-2", 3 * S, None),
    ]


def test_what_was_skipped_is_said_when_polling_ends() -> None:
    coverage, (block,) = watched()
    coverage.readings(good(block, 1))
    coverage.polls_missed(block, range(2), Cause.DEVICE_TIMEOUT, 1)
    (gap,) = coverage.finish(int(2.5 * S))
    assert (gap.cause, gap.from_ns, gap.to_ns, gap.count) == (
        Cause.DEVICE_TIMEOUT,
        S,
        int(2.5 * S),
        2,
    )


def test_a_clock_that_is_set_makes_no_gap() -> None:
    coverage, (block,) = watched()
    for second in range(3):
        at = second * S, second * S
        batch = Batch(block, (second + 3600 * (second > 1)) * S, [1.0, 1.0], mono_ns=at)
        assert not coverage.readings(batch)


Step = tuple[str, float]


@given(
    st.lists(
        st.tuples(st.sampled_from(["good", "missing", "late"]), st.floats(0.5, 1.4)),
        min_size=2,
        max_size=40,
    )
)
def test_no_hole_is_longer_than_one_and_a_half_intervals(steps: list[Step]) -> None:
    coverage, (block,) = watched()
    covered: list[tuple[int, int | None]] = []
    points: list[int] = []
    now = 0
    for what, pause in steps:
        now += int(pause * S)
        items: Sequence[Any] = ()
        if what == "good":
            items = coverage.readings(Batch(block, now, [1.0, 1.0]))
            points.append(now)
        elif what == "missing":
            items = coverage.device_missing(Cause.DEVICE_TIMEOUT, BAD, now)
            coverage.polls_missed(block, range(2), Cause.DEVICE_TIMEOUT, 1)
        else:
            coverage.polls_missed(block, range(2), Cause.POLL_OVERRUN, 1)
        covered += [(gap.from_ns, gap.to_ns) for gap in gaps(items)]
    for before, after in itertools.pairwise(points):
        hole = after - before > 1.5 * S
        assert not hole or any(a <= before and b is not None and b >= after for a, b in covered)


def test_a_device_that_goes_ends_with_a_closed_gap_from_its_last_reading() -> None:
    coverage, (block,) = watched()
    coverage.readings(good(block, 5))
    (gap,) = coverage.end(7 * S)
    assert (gap.cause, gap.from_ns, gap.to_ns) == (Cause.CONFIG_REMOVED, 5 * S, 7 * S)
    assert (gap.tags, gap.count, gap.exact) == (None, 6, False)


def test_a_device_that_goes_during_an_outage_closes_it_first() -> None:
    coverage, (block,) = watched()
    coverage.readings(good(block, 5))
    opened = gaps(coverage.device_missing(Cause.DEVICE_TIMEOUT, BAD, 8 * S))[-1]
    coverage.polls_missed(block, (0, 1), Cause.DEVICE_TIMEOUT, 2)
    closed, removed = coverage.end(9 * S)
    assert (closed.id, closed.to_ns, closed.count) == (opened.id, 9 * S, 4)
    assert (removed.cause, removed.from_ns, removed.to_ns) == (
        Cause.CONFIG_REMOVED,
        9 * S,
        9 * S,
    )


def test_polls_missed_before_a_device_goes_are_not_forgotten() -> None:
    coverage, (block,) = watched()
    coverage.readings(good(block, 5))
    coverage.polls_missed(block, (0, 1), Cause.POLL_OVERRUN, 1)
    overrun, removed = coverage.end(7 * S)
    assert (overrun.cause, overrun.count, overrun.to_ns) == (Cause.POLL_OVERRUN, 2, 7 * S)
    assert removed.cause is Cause.CONFIG_REMOVED


def test_a_change_is_a_gap_from_the_last_reading_before_to_the_first_word_after() -> None:
    before, (block,) = watched()
    before.readings(good(block, 5))
    assert before.end(7 * S, removed=()) == []
    ids = itertools.count(1)
    after = Coverage(
        "pump", [block], lambda: f"h-{next(ids)}", None, before.covered_to_ns, changed=True
    )
    (gap,) = after.readings(good(block, 9))
    assert (gap.cause, gap.from_ns, gap.to_ns) == (Cause.CONFIG_REMOVED, 5 * S, 9 * S)


def heard(interval_s: float = 1.0) -> tuple[Coverage, Block[None]]:
    block = Block("pump", tuple(tags("pump", 2)), interval_s, None, subscribed=True)
    return Coverage("pump", [block], lambda: "g-1", None, 0), block


def test_words_without_rows_move_on_how_far_a_subscribed_device_was_watched() -> None:
    coverage, block = heard()
    coverage.readings(good(block, 5))
    coverage.readings(Batch(block, 9 * S, (), None, ()))
    assert coverage.covered_to_ns == 9 * S
    (gap,) = gaps(coverage.device_missing(Cause.SUB_RECREATED, BAD, 12 * S))
    assert gap.from_ns == 7 * S


def test_nobody_claims_to_know_how_many_changes_an_outage_of_a_subscription_cost() -> None:
    coverage, block = heard()
    coverage.readings(good(block, 5))
    coverage.device_missing(Cause.SUB_RECREATED, BAD, 12 * S)
    (gap,) = coverage.readings(good(block, 20))
    assert (gap.to_ns, gap.count) == (20 * S, None)


def test_changes_lost_are_one_closed_gap_of_their_tags_alone() -> None:
    coverage, block = heard()
    coverage.readings(good(block, 5))
    (gap,) = coverage.changes_lost(block, (1,), Cause.SUB_OVERFLOW, 9 * S)
    assert (gap.tags, gap.from_ns, gap.to_ns, gap.count) == (("t1",), 3 * S, 9 * S, None)


def test_a_word_that_was_long_on_its_way_covers_only_up_to_when_it_was_said() -> None:
    coverage, block = heard()
    coverage.readings(Batch(block, 20 * S, [1.0], None, [0], known_to_ns=15 * S))
    assert coverage.covered_to_ns == 15 * S
    (gap,) = coverage.changes_lost(block, (0,), Cause.SUB_OVERFLOW, 21 * S)
    assert (gap.from_ns, gap.to_ns) == (13 * S, 21 * S)


def test_one_word_of_what_is_subscribed_ends_the_outage_of_all_of_it() -> None:
    first, second = (
        Block("pump", tuple(tags("pump", 1)), 1.0, None, subscribed=True) for _ in range(2)
    )
    coverage = Coverage("pump", [first, second], lambda: "g", None, 0)
    coverage.readings(good(first, 5))
    coverage.device_missing(Cause.SUB_RECREATED, BAD, 6 * S)
    (gap,) = coverage.readings(good(first, 9))
    assert gap.to_ns == 9 * S
    assert coverage.readings(good(second, 9)) == ()


def test_a_polled_answer_does_not_end_the_outage_of_what_is_subscribed() -> None:
    polled = Block("pump", tuple(tags("pump", 1)), 1.0, None)
    spoken = Block("pump", tuple(tags("pump", 2)), 1.0, None, subscribed=True)
    ids = itertools.count(1)
    coverage = Coverage("pump", [polled, spoken], lambda: f"g-{next(ids)}", None, 0)
    coverage.readings(good(polled, 10))
    coverage.readings(good(spoken, 10))
    coverage.device_missing(Cause.SUB_RECREATED, BAD, 10 * S)
    ended, begun = coverage.readings(good(polled, 11))
    assert (ended.to_ns, begun.from_ns, begun.to_ns) == (11 * S, 11 * S, None)
    (closed,) = coverage.readings(good(spoken, 31))
    assert (closed.id, closed.to_ns, closed.tags) == (begun.id, 31 * S, ("t0", "t1"))


class Plant:
    """One block read once a second, under a wall clock that can be set."""

    def __init__(self, before: Before | None = None) -> None:
        self.coverage, (self.block,) = watched(before=before)
        self.ahead_s = 0.0

    def wall_ns(self, at_s: float) -> int:
        return int((1000 + at_s + self.ahead_s) * S)

    def read(self, at_s: float) -> list[Gap]:
        mono_ns = int(at_s * S)
        batch = Batch(self.block, self.wall_ns(at_s), [1.0, 1.0], mono_ns=(mono_ns, mono_ns))
        return list(self.coverage.readings(batch))

    def set_clock(self, step_s: float) -> None:
        self.ahead_s += step_s
        self.coverage.clock_set(int(step_s * S))


STEPS = pytest.mark.parametrize("step_s", [-3600.0, -10.0, 2.0, 3600.0, 2e9])


@STEPS
def test_a_step_between_two_readings_is_no_gap(step_s: float) -> None:
    plant = Plant()
    plant.read(1)
    plant.set_clock(step_s)
    assert not plant.read(2)
    assert plant.coverage.covered_to_ns == plant.wall_ns(2)


@STEPS
def test_an_outage_during_which_the_clock_is_set_is_closed_as_long_as_it_was(
    step_s: float,
) -> None:
    plant = Plant()
    plant.read(1)
    plant.coverage.device_missing(Cause.DEVICE_TIMEOUT, BAD, plant.wall_ns(2))
    plant.set_clock(step_s)
    (gap,) = plant.read(61)
    assert (gap.from_ns, gap.to_ns) == (plant.wall_ns(1), plant.wall_ns(61))


@STEPS
def test_an_open_gap_is_announced_by_the_clock_of_the_day(step_s: float) -> None:
    plant = Plant()
    plant.read(1)
    plant.coverage.block_missing(
        plant.block, range(2), Cause.DEVICE_REFUSED, BAD, plant.wall_ns(2)
    )
    plant.coverage.announce(0)
    plant.set_clock(step_s)
    (gap,) = plant.coverage.announce(ANNOUNCE_S)
    assert (gap.from_ns, gap.to_ns) == (plant.wall_ns(1), None)


@STEPS
def test_polls_skipped_while_the_clock_is_set_are_one_gap_as_long_as_it_took(
    step_s: float,
) -> None:
    plant = Plant()
    plant.read(1)
    plant.coverage.polls_missed(plant.block, range(2), Cause.POLL_OVERRUN, 3)
    plant.set_clock(step_s)
    (gap,) = plant.read(5)
    assert (gap.from_ns, gap.to_ns) == (plant.wall_ns(1), plant.wall_ns(5))


def test_the_time_not_running_is_told_again_when_the_clock_can_be_trusted() -> None:
    plant = Plant(Before("aa", 41, 5_000 * S, clean=True))
    (first,) = plant.read(1)
    assert (first.from_ns, first.to_ns) == (plant.wall_ns(1), plant.wall_ns(1))
    began_ns = plant.wall_ns(1) + 9_000 * S
    plant.set_clock(9_000)
    (again,) = plant.coverage.clock_trusted()
    assert (again.id, again.from_ns, again.to_ns) == (first.id, 5_000 * S, began_ns)
    assert again.after == first.after
    assert not plant.coverage.clock_trusted()


def test_the_time_not_running_is_told_once_when_it_was_right() -> None:
    plant = Plant(Before("aa", 41, 500 * S, clean=True))
    plant.read(1)
    assert not plant.coverage.clock_trusted()
