"""The door to the configuration: from a file to a `Site`, or to every mistake in it.

    bytes ─ source, yaml_tree ─▶ tree with places ─ assembly ─▶ settings, and tags by resolve
                                      ▲                 │
                            templates │         explain ▼
                                       every mistake, in one problem.Report

Nothing is connected and no secret is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.errors import ConfigError
from gateway.loader.assembly import Assembly
from gateway.loader.problem import Problem, Report
from gateway.loader.source import read, tree
from gateway.loader.yaml_tree import locate
from gateway.messages import language
from gateway.site import LinkSite, Site

__all__ = [
    "LinkSite",
    "Problem",
    "Site",
    "WrongConfigError",
    "from_text",
    "inspect",
    "load",
    "point_at",
]


class WrongConfigError(ConfigError):
    """The configuration cannot be used; ``problems`` says why, each with its place."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        lang = language()
        super().__init__("\n".join(problem.render(lang) for problem in problems))


def load(path: Path) -> Site:
    """The configuration in ``path`` and in ``conf.d/*.yaml`` beside it.

    Raises:
        WrongConfigError: It has mistakes; all of them are in ``problems``.
    """
    return _or_raise(*inspect(path))


def inspect(path: Path) -> tuple[Site | None, list[Problem]]:
    """The same without raising: None when there is an error; warnings come with a site."""
    report = Report()
    main = read(path, report)
    more = [read(file, report) for file in _drop_ins(path.parent / "conf.d")]
    assembly = Assembly(report, path.parent)
    site = assembly.site(main, [node for node in more if node is not None])
    return site, report.in_order()


def point_at(path: Path, key: str, code: str) -> list[Problem]:
    """The problem ``code`` with ``key``, written ``section.word``, of the file in ``path``.

    Where the file does not have the key it is its section, or the first line; a file that
    cannot be read any more has problems of its own.
    """
    report = Report()
    main = read(path, report)
    if main is not None:
        where = tuple(key.split("."))
        report.add(locate(main, where), code, path=where, key=key)
    return report.in_order()


def from_text(text: str, name: str = "<text>") -> Site:
    """The configuration written in ``text``; ``name`` is the file that problems speak of.

    Raises:
        WrongConfigError: It has mistakes.
    """
    report = Report()
    site = Assembly(report, None).site(tree(text, name, report), [])
    return _or_raise(site, report.in_order())


def _or_raise(site: Site | None, problems: list[Problem]) -> Site:
    if site is None:
        raise WrongConfigError(problems)
    return site


def _drop_ins(folder: Path) -> Iterator[Path]:
    """In the order of their names, so that ``10-a.yaml`` comes before ``20-b.yaml``."""
    try:
        yield from sorted(f for f in folder.iterdir() if f.suffix in (".yaml", ".yml"))
    except OSError:
        return  # No such folder; one that may not be entered holds the main file too.
