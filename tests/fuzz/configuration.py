"""A configuration file: any text is a site, or mistakes that can be told.

An input is the content of one file, as bytes.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from gateway.clock import Clock
from gateway.errors import ConfigError
from gateway.loader import Problem, WrongConfigError, from_text
from gateway.planning import plan_site

ROOT = Path(__file__).parents[2]


def configuration(data: bytes) -> None:
    """Load it, and plan what it asks for; tell what is wrong in both languages."""
    try:
        content = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return
    try:
        site = from_text(content)
    except WrongConfigError as error:
        _tell(error.problems)
    else:
        with suppress(ConfigError):
            plan_site(site, Clock())


def _tell(problems: list[Problem]) -> None:
    assert problems
    for problem in problems:
        assert problem.render("en")
        assert problem.render("zh")
        assert problem.as_dict("en")


def seeds() -> list[bytes]:
    """The examples, and every mistake that has a scenario."""
    paths = [*ROOT.glob("config/*.yaml"), *ROOT.glob("tests/scenarios/config/*.yaml")]
    contents = (path.read_bytes() for path in sorted(paths))
    return [content for content in contents if len(content) <= 4096]
