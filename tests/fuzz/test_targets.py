"""Every target over its kept inputs and seeded mutations; long runs are a command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from drivers.opcua.codec import decode_publish, decode_read, decode_republish
from gateway.model import Batch
from tests.fuzz import opcua
from tests.fuzz.mutate import mutations
from tests.fuzz.targets import CORPUS, TARGETS, kept
from tests.fuzz.watch import MOST_BYTES, TooMuchWork, within_bounds

COUNT = {"recovery": 25, "configuration": 150}
"""Mutations of the slow ones; of the others `USUAL`."""
USUAL = 400
SEED = 1
MOST_CORPUS_BYTES = 200_000


@pytest.mark.parametrize("name", TARGETS)
def test_every_kept_input_is_read_or_refused_as_declared(name: str) -> None:
    for data in kept(name):
        within_bounds(TARGETS[name].run, data)


@pytest.mark.parametrize("name", TARGETS)
def test_every_seeded_mutation_is_read_or_refused_as_declared(name: str) -> None:
    for data in mutations(kept(name), COUNT.get(name, USUAL), SEED):
        within_bounds(TARGETS[name].run, data)


def test_what_is_kept_is_small() -> None:
    sizes = [path.stat().st_size for path in CORPUS.glob("*/*")]
    assert sum(sizes) <= MOST_CORPUS_BYTES
    assert max(sizes, default=0) <= MOST_BYTES


def test_mutations_of_one_seed_are_the_same() -> None:
    one, other = (list(mutations([b"abc", b"defgh"], 20, seed)) for seed in (7, 7))
    assert one == other
    assert len(set(one)) > 10


def test_a_target_that_works_too_long_is_stopped() -> None:
    def busy(data: bytes) -> None:
        while True:
            len(data)

    with pytest.raises(TooMuchWork):
        within_bounds(busy, b"")


def test_a_target_that_raises_what_is_not_declared_is_a_finding() -> None:
    with pytest.raises(IndexError):
        within_bounds(lambda data: data[9], b"")


def test_the_first_inputs_of_opcua_come_out_as_values() -> None:
    read, republished, published = opcua.seeds()
    assert len(decode_read(read[1:])) == 10
    assert len(decode_republish(republished[1:]).samples) == 10
    assert len(decode_publish(published[1:]).notification.samples) == 10
    said = opcua.said(published, opcua.plant().items)
    values = [value for item in said if isinstance(item, Batch) for value in item.values]
    assert {True, 5, 1.5, -2.25, "abc"} <= set(values)


def test_the_command_names_every_target() -> None:
    listed = _command()
    assert listed.returncode == 0
    assert all(f"TARGET={name} " in listed.stdout for name in TARGETS)


def test_the_command_runs_one_input_again_and_fails_where_it_is_a_finding(
    tmp_path: Path,
) -> None:
    (tmp_path / "good").write_bytes(TARGETS["frames"].seeds()[0])
    assert "no finding" in _command("frames", str(tmp_path / "good")).stdout
    assert _command("frames", str(tmp_path / "missing")).returncode != 0


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
