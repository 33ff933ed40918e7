"""Each trial for a few crashes; `python -m tests.crash` goes on for thousands."""

from __future__ import annotations

import pytest

from tests.crash.catalogue import TRIALS
from tests.faults.rigs import absent


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [name for name, trial in TRIALS.items() if trial.few])
def test_what_was_accepted_survives(name: str) -> None:
    trial = TRIALS[name]
    reasons = [reason for rig in trial.requires if (reason := absent(rig))]
    if reasons:
        pytest.skip(reasons[0])
    result = trial.run(trial.few, 7)
    if result.proves_nothing:
        pytest.skip(f"the control lost nothing: {result.text()}")
    assert not result.failures, result.text()
