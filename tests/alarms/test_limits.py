"""Limits: when an alarm is raised and cleared, and that nothing else moves it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.alarms import Limit, LimitRule, limits_of
from gateway.config import AlarmsConfig
from gateway.model import Alarm, AlarmLevel, Batch, Block, Priority, Quality, Tag, TagClass

HIGH, LOW = AlarmLevel.HIGH, AlarmLevel.LOW
EPOCH = 1000
"""Unix time at zero of the monotonic clock; both in nanoseconds."""


class Line:
    """A block of tags with limits, fed reading by reading."""

    def __init__(self, *limits: Sequence[Limit], width: int | None = None) -> None:
        count = width or len(limits)
        tags = tuple(Tag(f"t{n}", "d", None, unit="m") for n in range(count))
        self.block: Block[None] = Block("d", tags, 1.0, None)
        ids = itertools.count(1)
        self.rule = LimitRule(self.block, dict(enumerate(limits)), lambda: f"a{next(ids)}")

    def read(self, at: int, *values: float | None, quality: bytes | None = None) -> list[str]:
        batch = Batch(self.block, EPOCH + at, values, quality)
        return said(self.rule.judge(batch, at))

    def due(self) -> int | None:
        return self.rule.due_ns

    def wait(self, at: int) -> list[str]:
        return said(self.rule.ripen(EPOCH + at, at))


def said(changes: Sequence[Alarm]) -> list[str]:
    return [
        f"{change.tag} {change.level} {change.state} {change.time_ns - EPOCH}"
        for change in changes
    ]


def test_the_limit_itself_raises_and_only_a_value_behind_the_dead_band_clears() -> None:
    line = Line([Limit(HIGH, 10, deadband=2)])
    assert line.read(1, 9.9) == []
    assert line.read(2, 10.0) == ["t0 high active 2"]
    assert line.read(3, 8.0) == []
    assert line.read(4, 7.9) == ["t0 high cleared 4"]
    assert line.read(5, 9.9) == []


def test_a_low_limit_is_the_mirror_of_a_high_one() -> None:
    line = Line([Limit(LOW, 10, deadband=2)])
    assert line.read(2, 10.0) == ["t0 low active 2"]
    assert line.read(3, 12.0) == []
    assert line.read(4, 12.1) == ["t0 low cleared 4"]


def test_each_limit_is_an_alarm_of_its_own() -> None:
    line = Line([Limit(AlarmLevel.HIGH_HIGH, 20), Limit(HIGH, 10)])
    assert line.read(1, 25.0) == ["t0 high_high active 1", "t0 high active 1"]
    assert line.read(2, 15.0) == ["t0 high_high cleared 2"]
    assert line.read(3, 5.0) == ["t0 high cleared 3"]


def test_an_alarm_keeps_its_id_and_the_next_one_has_another() -> None:
    line = Line([Limit(HIGH, 10)])
    batches = [Batch(line.block, EPOCH + at, [v]) for at, v in enumerate([11, 1, 11])]
    ids = [change.id for at, b in enumerate(batches) for change in line.rule.judge(b, at)]
    assert ids == ["a1", "a1", "a2"]


def test_a_value_must_stay_beyond_for_the_whole_on_delay() -> None:
    line = Line([Limit(HIGH, 10, on_delay_ns=10)])
    assert line.read(0, 11.0) == line.read(9, 5.0) == line.read(10, 11.0) == []
    assert line.read(19, 11.0) == []
    assert line.read(20, 12.0) == ["t0 high active 20"]


def test_a_delay_ends_on_time_when_no_reading_comes() -> None:
    line = Line([Limit(HIGH, 10, on_delay_ns=10, off_delay_ns=5)])
    assert line.read(1, 11.0) == []
    assert line.due() == 11
    assert line.wait(10) == []
    assert line.wait(12) == ["t0 high active 11"]
    assert line.due() is None
    assert line.read(20, 5.0) == []
    assert line.wait(25) == ["t0 high cleared 25"]


def test_a_delay_that_ended_before_a_reading_counts_though_nobody_looked() -> None:
    line = Line([Limit(HIGH, 10, on_delay_ns=10)])
    line.read(1, 11.0)
    assert line.read(30, 5.0) == ["t0 high active 11", "t0 high cleared 30"]


def test_an_alarm_is_frozen_while_quality_is_bad() -> None:
    line = Line([Limit(HIGH, 10)])
    line.read(1, 11.0)
    assert line.read(2, None, quality=bytes([Quality.BAD_SENSOR])) == []
    assert line.read(3, 1.0, quality=bytes([Quality.BAD])) == []
    assert line.read(4, 11.0) == []
    assert line.read(5, 1.0) == ["t0 high cleared 5"]


def test_no_delay_runs_while_quality_is_bad() -> None:
    line = Line([Limit(HIGH, 10, on_delay_ns=10)])
    line.read(0, 11.0)
    line.read(4, None, quality=bytes([Quality.BAD_NO_COMMUNICATION]))
    assert line.rule.due_ns is None
    assert line.wait(50) == []
    assert line.read(100, 11.0) == []
    assert line.read(106, 11.0) == ["t0 high active 106"]


def test_no_delay_runs_while_nothing_is_heard() -> None:
    line = Line([Limit(HIGH, 10, on_delay_ns=10)])
    line.read(0, 11.0)
    assert line.rule.freeze(range(1), EPOCH + 4, 4) == []
    assert line.wait(50) == []


def test_an_uncertain_value_is_evaluated_and_says_so() -> None:
    line = Line([Limit(HIGH, 10)])
    doubtful = Quality.UNCERTAIN_OUT_OF_RANGE
    batch = Batch(line.block, EPOCH, [11.0], bytes([doubtful]))
    (raised,) = line.rule.judge(batch, 0)
    assert raised.quality is doubtful


def test_a_value_that_is_no_number_changes_nothing() -> None:
    line = Line([Limit(HIGH, 10)])
    assert line.rule.judge(Batch(line.block, EPOCH, ["much"]), 0) == []


def test_only_some_tags_of_a_block_may_have_limits_or_be_in_a_batch() -> None:
    line = Line([Limit(HIGH, 10)], [Limit(LOW, 0)], width=4)
    assert line.read(1, 5.0, 5.0, 99.0, -99.0) == []
    assert line.read(2, 11.0, -1.0, 0.0, 0.0) == ["t0 high active 2", "t1 low active 2"]
    part = Batch(line.block, EPOCH + 3, [0.0, 5.0], index=[3, 1])
    assert said(line.rule.judge(part, 3)) == ["t1 low cleared 3"]


def test_an_alarm_of_a_limit_that_is_gone_cannot_be_restored() -> None:
    raised = Line([Limit(HIGH, 10)])
    (alarm,) = raised.rule.judge(Batch(raised.block, EPOCH, [11.0]), 0)
    assert Line([Limit(LOW, 1)]).rule.restore(alarm) is False
    again = Line([Limit(HIGH, 20)])
    assert again.rule.restore(alarm) is True
    assert again.read(1, 15.0) == ["t0 high cleared 1"]


def test_class_safety_has_no_delays() -> None:
    config = AlarmsConfig(high=1.0, on_delay="5s", off_delay="5s")  # type: ignore[arg-type]
    plain, safe = Tag("a", "d", None), Tag("a", "d", None, tag_class=TagClass.SAFETY)
    assert limits_of(config, plain)[0].on_delay_ns == 5_000_000_000
    assert (
        limits_of(config, safe)[0].on_delay_ns,
        limits_of(config, safe)[0].off_delay_ns,
    ) == (
        0,
        0,
    )


@pytest.mark.parametrize(
    ("written", "meant"), [(None, Priority.HIGH), (4, Priority.DIAGNOSTIC)]
)
def test_the_outer_limits_are_more_urgent_unless_said_otherwise(
    written: int | None, meant: Priority
) -> None:
    config = AlarmsConfig(high_high=1.0, priority=written)
    assert limits_of(config, Tag("a", "d", None))[0].priority is meant


# -- against a model that is too simple to be wrong, and too slow to be used ----------------


@dataclass
class Slow:
    """One limit, looked at in every nanosecond."""

    limit: Limit
    beyond: bool = False
    active: bool = False
    frozen: bool = False
    held: int = 0

    def pass_one(self, reading: Reading | None) -> bool:
        """Whether the alarm changes in this nanosecond."""
        self.held += not self.frozen
        if reading is not None and reading.is_bad:
            self.frozen = self.frozen or self.beyond != self.active
        elif reading is not None:
            self.frozen = False
            beyond = self._is_beyond(reading.value)
            if beyond != self.beyond:
                self.beyond, self.held = beyond, 0
        delay = self.limit.on_delay_ns if self.beyond else self.limit.off_delay_ns
        if self.frozen or self.beyond == self.active or self.held < delay:
            return False
        self.active = self.beyond
        return True

    def _is_beyond(self, value: float) -> bool:
        limit, band = self.limit.value, self.limit.deadband
        if self.limit.level in ("high", "high_high"):
            return value >= limit or (self.beyond and value >= limit - band)
        return value <= limit or (self.beyond and value <= limit + band)


class Reading(NamedTuple):
    """What one tag shows."""

    pause: int
    value: float
    is_bad: bool = False
    looks: bool = False
    """Whether somebody asks for delays that have ended, half-way before it."""


LIMIT = st.builds(
    Limit,
    st.sampled_from(list(AlarmLevel)),
    st.integers(-3, 3).map(float),
    deadband=st.sampled_from([0.0, 1.0, 2.5]),
    on_delay_ns=st.integers(0, 6),
    off_delay_ns=st.integers(0, 6),
)
READING = st.builds(
    Reading,
    st.integers(1, 8),
    st.integers(-6, 6).map(float),
    st.sampled_from([False, False, False, True]),
    st.booleans(),
)


@given(
    st.lists(
        st.lists(LIMIT, max_size=4, unique_by=lambda limit: limit.level), min_size=1, max_size=3
    ),
    st.lists(READING, max_size=30),
    st.booleans(),
)
def test_alarms_change_exactly_when_the_slow_model_says(
    limits: list[list[Limit]], readings: list[Reading], partial: bool
) -> None:
    line = Line(*limits)
    slow = [(f"t{row}", Slow(limit)) for row, own in enumerate(limits) for limit in own]
    found: list[str] = []
    wanted: list[str] = []
    now = 0
    for number, reading in enumerate(readings):
        shown = number % len(limits)
        if reading.looks:
            found += line.wait(now + reading.pause // 2)
        for at in range(now + 1, now + reading.pause + 1):
            is_read = at == now + reading.pause
            for tag, watch in slow:
                sees = is_read and (not partial or tag == f"t{shown}")
                if watch.pass_one(reading if sees else None):
                    state = "active" if watch.active else "cleared"
                    wanted.append(f"{tag} {watch.limit.level} {state} {at}")
        now += reading.pause
        count = 1 if partial else len(limits)
        batch = Batch(
            line.block,
            EPOCH + now,
            [None if reading.is_bad else reading.value] * count,
            bytes([Quality.BAD]) * count if reading.is_bad else None,
            [shown] if partial else None,
        )
        found += said(line.rule.judge(batch, now))
    found += line.wait(now)
    assert sorted(found) == sorted(wanted)
