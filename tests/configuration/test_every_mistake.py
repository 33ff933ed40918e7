"""Every mistake of a configuration is told in one run, each at its place, and nothing else."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.loader import inspect
from tests.configuration.mistakes import MAIN, MISTAKES, Found, Mistake, spoilt, told, written


def not_told_and_not_made(
    mistakes: Sequence[Mistake], folder: Path
) -> tuple[list[Found], list[Found]]:
    """Mistakes that were made and not told, and that were told and not made."""
    spots = {}
    (folder / "conf.d").mkdir(exist_ok=True)
    for name, tree in spoilt(mistakes).items():
        text, spots[name] = written(name, tree)
        (folder / name).write_text(text)
    problems = inspect(folder / MAIN)[1]
    found = Counter(
        (str(Path(p.file).relative_to(folder)), p.line, p.column, p.code) for p in problems
    )
    made = Counter(told(mistake, spots) for mistake in mistakes)
    return sorted(made - found), sorted(found - made)


def some(count: int, seed: int) -> list[Mistake]:
    """``count`` mistakes at most that can be made together."""
    chosen: list[Mistake] = []
    for mistake in random.Random(seed).sample(MISTAKES, len(MISTAKES)):
        if len(chosen) < count and all(mistake.goes_with(other) for other in chosen):
            chosen.append(mistake)
    return chosen


def test_the_files_are_good_before_they_are_spoilt(tmp_path: Path) -> None:
    assert not_told_and_not_made([], tmp_path) == ([], [])


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: f"{m.code}-{'+'.join(m.changes)}")
def test_a_single_mistake_is_told_at_its_place_and_brings_forth_no_other(
    mistake: Mistake, tmp_path: Path
) -> None:
    assert not_told_and_not_made([mistake], tmp_path) == ([], [])


@pytest.mark.parametrize("count", [2, 5, 12, 200])
@pytest.mark.parametrize("seed", range(25))
def test_every_one_of_many_mistakes_is_told_at_its_place_and_nothing_else(
    count: int, seed: int, tmp_path: Path
) -> None:
    assert not_told_and_not_made(some(count, seed), tmp_path) == ([], [])


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: f"{m.code}-{'+'.join(m.changes)}")
def test_no_mistake_hides_another(mistake: Mistake, tmp_path: Path) -> None:
    others = [other for other in MISTAKES if mistake.goes_with(other)]
    for other in random.Random(7).sample(others, 4):
        assert not_told_and_not_made([mistake, other], tmp_path) == ([], [])
