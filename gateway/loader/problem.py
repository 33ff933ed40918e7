"""One mistake in a file, with its place and its line, ready to be told in any language."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from gateway.messages import text

Severity: TypeAlias = Literal["error", "warning"]
Path: TypeAlias = tuple[str | int, ...]

_LINE_LIMIT: Final = 160
_SECRETS: Final = (
    re.compile(r"""((?:password|passphrase|secret)["']?\s*[:：]\s*)(?![{\s])[^,}#]+"""),
    re.compile(r"(://[^/@\s:]*:)[^@\s]+(?=@)"),
)


class Place(NamedTuple):
    """Where something is written; line and column count from 1."""

    file: str
    line: int
    column: int


class Phrase(NamedTuple):
    """A field of a message that is itself a message, so that it follows the language."""

    code: str
    fields: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake (or a doubt, as a warning) and the place a person must look at."""

    place: Place
    code: str
    fields: Mapping[str, object] = field(default_factory=dict)
    severity: Severity = "error"
    path: Path = ()
    """Keys and positions that lead from the top of the file to the fault."""
    source: str = ""
    """The line as written, with secrets blanked."""
    suggestion: str | None = None
    """What was probably meant."""

    @property
    def file(self) -> str:
        """The file as it was named on the command line, or found beside it."""
        return self.place.file

    @property
    def line(self) -> int:
        """Counts from 1."""
        return self.place.line

    @property
    def column(self) -> int:
        """Counts characters from 1."""
        return self.place.column

    def message(self, lang: str) -> str:
        """What is wrong and what to do, one sentence, without the place."""
        told = text(
            self.code, lang, **{key: _spoken(value, lang) for key, value in self.fields.items()}
        )
        if self.suggestion is None:
            return told
        return text("did_you_mean", lang, told=told, word=self.suggestion)

    def render(self, lang: str) -> str:
        """``file:line:col: error: message``, the line, and a caret under the fault."""
        severity = text(f"severity_{self.severity}", lang)
        head = f"{self.file}:{self.line}:{self.column}: {severity}: {self.message(lang)}"
        return f"{head}\n{self.excerpt}" if self.source else head

    @property
    def excerpt(self) -> str:
        """The line as written, and a caret under the fault; empty without a line to show."""
        if not self.source:
            return ""
        before, number = self.source[: self.column - 1], str(self.line)
        return f"  {number} | {self.source}\n  {' ' * len(number)} | {_blank(before)}^"

    def as_dict(self, lang: str) -> dict[str, Any]:
        """The same for programs; ``code`` never changes, ``message`` may."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "severity": self.severity,
            "code": self.code,
            "path": dotted(self.path),
            "message": self.message(lang),
            "suggestion": self.suggestion,
        }


def dotted(path: Path) -> str:
    """``links[0].devices[1].name``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[
        1 if path and isinstance(path[0], str) else 0 :
    ]


def shown(line: str, column: int, *, secret: bool = False) -> str:
    """``line`` as it may be printed: secrets blanked, cut when very long.

    secret: the fault itself is (part of) a secret, so everything from it on is blanked.
    """
    line = line.rstrip("\r\n")
    if secret:
        return line[: column - 1] + "…"
    for pattern in _SECRETS:
        line = pattern.sub(r"\1…", line)
    if column > _LINE_LIMIT:
        return ""
    return line if len(line) <= _LINE_LIMIT else line[:_LINE_LIMIT] + "…"


def _blank(before: str) -> str:
    """White space as wide as ``before`` on a terminal."""
    return "".join("\t" if char == "\t" else " " * _columns(char) for char in before)


def _columns(char: str) -> int:
    """A Chinese character takes two columns, an accent on the letter before it none."""
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _spoken(value: object, lang: str) -> object:
    if isinstance(value, Phrase):
        return text(value.code, lang, **value.fields)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple | frozenset):
        return ", ".join(str(_spoken(part, lang)) for part in value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    return "null" if value is None else value


class Report:
    """Collects the problems of one look at a configuration, over all its files."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._lines: dict[str, list[str]] = {}

    def opened(self, file: str, content: str) -> None:
        """Remember ``file``, so that its lines can be shown."""
        self._lines[file] = content.splitlines()

    def add(self, place: Place, code: str, *, path: Path = (), **fields: object) -> None:
        """Note an error."""
        self.note(place, code, fields, path=path)

    def note(
        self,
        place: Place,
        code: str,
        fields: Mapping[str, object],
        *,
        path: Path = (),
        severity: Severity = "error",
        suggestion: str | None = None,
        secret: bool = False,
    ) -> None:
        """Note a problem.

        suggestion: what was probably meant.
        secret: the fault is (part of) a secret: its line is blanked from there on.
        """
        lines = self._lines.get(place.file, [])
        line = lines[place.line - 1] if place.line <= len(lines) else ""
        source = shown(line, place.column, secret=secret)
        self.problems.append(Problem(place, code, fields, severity, path, source, suggestion))

    def in_order(self) -> list[Problem]:
        """Each place and code once, as a person reads: by file, line and column.

        What many devices share, by a template or an alias, has many paths and one place.
        """
        files = {file: rank for rank, file in enumerate(self._lines)}
        unique = {(found.place, found.code, found.path[-1:]): found for found in self.problems}
        return sorted(unique.values(), key=lambda p: (files.get(p.file, -1), p.line, p.column))

    @property
    def failed(self) -> bool:
        """Whether anything found forbids using the configuration."""
        return any(problem.severity == "error" for problem in self.problems)
