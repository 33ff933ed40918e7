"""The stage itself, proved on a toy gateway: an honest one passes, a lying one is found out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.faults.brokers import Loopback
from tests.faults.catalogue import FAULTS
from tests.faults.child import module
from tests.faults.foreign import FOREIGN
from tests.faults.run import Row, perform


def judged(name: str, directory: Path, *lie: str) -> Row:
    """A short run of the toy gateway."""
    site = replace(FAULTS[name].site, interval_s=0.25, timeout_s=0.1)
    fault = replace(FAULTS[name], site=site, drain_s=2.0 if lie else 10.0)
    agent = module("fake_agent", *lie)
    return perform(fault, directory, seed=1, seconds=3.0, broker=Loopback, agent=agent)


def test_an_honest_gateway_passes_an_outage_of_the_broker(tmp_path: Path) -> None:
    row = judged("M1", tmp_path)
    assert row.passed, row.text()
    assert row.verdict.counts["readings"] > 500


def test_an_honest_gateway_passes_a_silent_unit(tmp_path: Path) -> None:
    row = judged("P1", tmp_path)
    assert row.passed, row.text()


def test_a_gateway_that_believes_every_answer_is_found_out(tmp_path: Path) -> None:
    row = judged("P4", tmp_path, "--lie", "trusting")
    assert {"I3", "I4"} & set(row.verdict.laws), row.text()


def test_a_gateway_that_settles_before_the_acknowledgement_is_found_out(tmp_path: Path) -> None:
    row = judged("flaps", tmp_path, "--lie", "settle_early")
    assert {"I1", "I6"} <= set(row.verdict.laws), row.text()


def test_a_gateway_that_hides_its_gaps_is_found_out(tmp_path: Path) -> None:
    assert "I2" in judged("P1", tmp_path, "--lie", "no_gap").verdict.laws


def foreign(name: str, directory: Path) -> Row:
    """A short run of a program that is nothing like the agent."""
    site = replace(FAULTS[name].site, timeout_s=0.1)
    fault = replace(FAULTS[name], site=site, drain_s=10.0, needs=frozenset())
    return perform(fault, directory, seed=1, seconds=3.0, broker=Loopback, agent=FOREIGN)


def test_a_foreign_program_can_be_judged_and_tells_the_truth(tmp_path: Path) -> None:
    row = foreign("quiet", tmp_path)
    assert row.passed, row.text()
    assert row.verdict.counts["readings"] > 300


def test_a_foreign_program_without_gaps_hides_that_a_unit_was_silent(tmp_path: Path) -> None:
    assert "I2" in foreign("P1", tmp_path).verdict.laws
