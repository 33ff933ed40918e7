"""A mutation proves nothing once the line that it breaks is gone, or its test."""

from __future__ import annotations

from tests.mutants import ROOT, Mutation, mutations


def test_every_mutation_breaks_a_line_that_is_there() -> None:
    assert [m.name for m in mutations() if not _breaks_something(m)] == []


def test_every_mutation_names_a_test_that_is_there() -> None:
    assert [m.test for m in mutations() if not _is_there(m.test)] == []


def _breaks_something(mutation: Mutation) -> bool:
    return mutation.new != mutation.old and mutation.old in (ROOT / mutation.path).read_text()


def _is_there(test: str) -> bool:
    path, *names = test.split("::")
    if not names:
        return (ROOT / path).exists()
    text = (ROOT / path).read_text()
    return all(name.partition("[")[0] in text for name in names)
