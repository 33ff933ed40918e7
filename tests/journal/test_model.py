"""Ten thousand steps of the journal's model, the same ones each time."""

from __future__ import annotations

import pytest

from tests.journal.model import MACHINES, STEPS, LyingMachine, Machine, run

STEPS_IN_ALL = 10_000


@pytest.mark.parametrize("machine", MACHINES)
def test_whatever_happens_nothing_is_lost_invented_or_silent(machine: type[Machine]) -> None:
    run(machine, STEPS_IN_ALL // (STEPS * len(MACHINES)) + 1)


def test_without_flushes_the_crash_model_loses_records() -> None:
    with pytest.raises(AssertionError):
        run(LyingMachine, 60)
