"""The table of faults is whole, and says of nothing that it survived when it did not run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.crash.catalogue import TRIALS
from tests.faults.campaign import TABLE, Result, outcome_of, parts_of, table
from tests.faults.catalogue import FAULTS
from tests.faults.rows import BESIDE, ROWS, TableRow

ROOT = Path(__file__).parents[2]
GROUPS = {"S": 16, "T": 6, "M": 17, "L": 12}
ROW = TableRow("X1", "something", "nothing", ("S1", "S4"))


def result(name: str, outcome: str) -> Result:
    return Result(name, outcome, "5 replies", 7, 1.0)


def outcome(*results: Result) -> str:
    return outcome_of(ROW, {r.name: r for r in results})[0]


def test_every_row_of_the_fault_list_is_there_once_and_in_order() -> None:
    wanted = [f"{group}{n}" for group, last in GROUPS.items() for n in range(1, last + 1)]
    assert [row.id for row in ROWS] == wanted


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_every_row_is_shown_by_something_or_says_why_not(row: TableRow) -> None:
    assert bool(row.faults or row.tests) != bool(row.absent)
    assert set(row.faults) <= FAULTS.keys()
    assert set(row.trials) <= TRIALS.keys()
    for node in row.tests:
        file, _, name = node.partition("::")
        text = (ROOT / file).read_text()
        assert re.search(rf"def {name.rpartition('::')[2]}\(", text) if name else text


def test_no_fault_is_left_out_of_the_campaign() -> None:
    assert {name for row in ROWS for name in row.faults} | set(BESIDE) == FAULTS.keys()


def test_every_trial_of_the_journal_stands_behind_a_row() -> None:
    assert {name for row in ROWS for name in row.trials} == TRIALS.keys()


def test_the_table_that_is_checked_in_has_every_row() -> None:
    ids = re.findall(r"^\| ([STML]\d+) \|", TABLE.read_text(), re.MULTILINE)
    assert ids == [row.id for row in ROWS]


def test_a_row_survives_when_everything_behind_it_did() -> None:
    assert outcome(result("S1", "survived"), result("S4", "survived")) == "survived"


def test_a_row_of_which_something_was_not_run_has_not_survived() -> None:
    assert outcome(result("S1", "survived")) == "not run: S4 has no result"
    absent = result("S4", "not run: mkfs.ext4 is not installed")
    assert outcome(result("S1", "survived"), absent) == absent.outcome


def test_a_row_fails_with_the_laws_that_were_broken() -> None:
    failed = outcome(result("S1", "failed: I1 I2"), result("S4", "survived"))
    assert failed == "**failed**: S1 I1 I2"


def test_the_table_counts_what_survived() -> None:
    results = {name: result(name, "survived") for name in ("S3", "kill_in_outage", "S9")}
    assert f"Survived: 2 of {len(ROWS)}." in table(results)


def test_a_mix_is_the_same_for_the_same_seed() -> None:
    assert parts_of("mix", 7) == parts_of("mix", 7) != parts_of("mix", 8)
