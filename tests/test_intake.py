"""What the journal is told beside the bytes of a record: whose time, how many readings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import pytest

from gateway.annunciator import Annunciator
from gateway.epochs import Epoch, Turn
from gateway.intake import Intake
from gateway.journal import Journal
from gateway.journal.words import Recovered, StreamState
from gateway.model import Batch, Cause, ClockState, Gap, Lane, Quality
from gateway.record import Encoder, decode, layout_of
from tests.delivery.plant import BOOT, EARLIER_RUN, START_NS, StillClock, block

SECOND = 1_000_000_000
PUMP = block("pump")


class Taken(NamedTuple):
    time_ns: int
    readings: int
    payload: bytes
    covers: bool


class NotingJournal:
    """Takes everything."""

    def __init__(self) -> None:
        before = StreamState(EARLIER_RUN, 41, START_NS - 60 * SECOND)
        self.recovered = Recovered(True, False, EARLIER_RUN, {(Lane.DATA, "pump"): before})
        self.taken: list[Taken] = []

    def append(
        self, lane: Lane, stream: str, payload: bytes, *, time_ns: int, readings: int,
        covers: bool,
    ) -> int:  # fmt: skip
        self.taken.append(Taken(time_ns, readings, payload, covers))
        return len(self.taken)


class NoAlarms:
    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@pytest.fixture
def journal() -> NotingJournal:
    return NotingJournal()


@pytest.fixture
def intake(journal: NotingJournal) -> Intake:
    encoder = Encoder(BOOT, [PUMP], [layout_of(PUMP)])
    alarms = cast(Annunciator, NoAlarms())
    return Intake(cast(Journal, journal), encoder, StillClock(), {"pump": [PUMP]}, alarms)


def poll(intake: Intake, second: int) -> None:
    time_ns = START_NS + second * SECOND
    intake.readings(Batch(PUMP, time_ns, (1, 2, 3, 4), mono_ns=(time_ns, time_ns)))


def test_the_gap_of_a_start_lies_where_it_began_so_that_whoever_evicts_it_covers_it(
    intake: Intake, journal: NotingJournal
) -> None:
    poll(intake, 0)
    gap = decode(journal.taken[0].payload, [layout_of(PUMP)])
    assert gap.body.cause is Cause.NOT_RUNNING_CLEAN  # type: ignore[union-attr]
    assert journal.taken[0].time_ns == START_NS - 60 * SECOND
    assert journal.taken[0].readings == 61 * 4


def test_an_outage_from_the_start_leaves_the_time_before_it_accounted_for(
    intake: Intake, journal: NotingJournal
) -> None:
    """Else a later start, after a crash in that outage, would not know since when to answer."""
    intake.device_missing("pump", Cause.DEVICE_TIMEOUT, Quality.BAD_NO_COMMUNICATION)
    assert [taken.covers for taken in journal.taken] == [True, False, False]
    assert journal.taken[0].time_ns == START_NS - 60 * SECOND


def test_a_gap_of_a_start_that_is_told_again_takes_back_nothing(
    intake: Intake, journal: NotingJournal
) -> None:
    poll(intake, 0)
    gap = decode(journal.taken[0].payload, [layout_of(PUMP)]).body
    begun = len(journal.taken)
    intake._write_gap(intake._streams["pump"], gap)  # type: ignore[arg-type]
    assert [taken.covers for taken in journal.taken[begun:]] == [False]


def test_readings_that_were_never_taken_count_once_when_their_gap_closes(
    intake: Intake, journal: NotingJournal
) -> None:
    poll(intake, 0)
    begun = len(journal.taken)
    intake.device_missing("pump", Cause.DEVICE_TIMEOUT, Quality.BAD_NO_COMMUNICATION)
    intake.polls_missed(PUMP, range(4), Cause.DEVICE_TIMEOUT, 5)
    poll(intake, 6)
    assert [taken.readings for taken in journal.taken[begun:]] == [0, 0, 5 * 4, 4]


class TurningClock(StillClock):
    """It was set when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Turn] = []

    def turns(self) -> Sequence[Turn]:
        told, self.told = self.told, []
        return told


def test_what_no_disk_holds_begins_by_the_clock_that_ends_it(journal: NotingJournal) -> None:
    def begin() -> Intake:
        encoder = Encoder(BOOT, [PUMP], [layout_of(PUMP)])
        alarms = cast(Annunciator, NoAlarms())
        return Intake(cast(Journal, journal), encoder, clock, {"pump": [PUMP]}, alarms)

    clock, step = TurningClock(), 50 * 365 * 86_400 * SECOND
    forward = Epoch(BOOT, 7, 0, step, ClockState.UNSYNCED, ClockState.SYNCED, 3)
    first = begin()
    clock.told.append(forward)
    poll(first, 0)
    assert first.unstored()["pump"].from_ns == START_NS + step
    second = begin()
    second.account(first.unstored())
    clock.told.append(forward)
    journal.taken.clear()
    second.readings(Batch(PUMP, START_NS + 3 * step, (1, 2, 3, 4)))
    bodies = [decode(taken.payload, [layout_of(PUMP)]).body for taken in journal.taken]
    (gap,) = [b for b in bodies if isinstance(b, Gap) and b.cause is Cause.STORAGE_FAILED]
    assert gap.from_ns == START_NS + 2 * step
