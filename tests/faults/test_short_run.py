"""The faults that matter most, each for a few seconds, against the real agent.

The whole table is in `tests.faults.catalogue`; `make faults` runs it at length.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.brokers import Loopback
from tests.faults.catalogue import FAULTS
from tests.faults.rigs import absent
from tests.faults.run import perform

SECONDS = {
    "S1": 3.0,
    "sigterm_in_outage": 3.0,
    "kill_in_outage": 3.0,
    "A2": 3.0,
    "S2": 4.0,
    "S4": 3.0,
    "P1": 3.0,
    "P2": 3.0,
    "P4": 4.0,
    "P6": 3.0,
}


@pytest.mark.parametrize("name", SECONDS)
def test_every_law_is_kept_under(name: str, tmp_path: Path) -> None:
    reasons = [reason for rig in FAULTS[name].requires if (reason := absent(rig))]
    if reasons:
        pytest.skip(reasons[0])
    row = perform(FAULTS[name], tmp_path, seed=1, seconds=SECONDS[name], broker=Loopback)
    assert row.passed, row.text()
    assert row.verdict.counts["readings"] > 0
