"""Tag series: one line of YAML that stands for many tags.

``p{01..32}.lel`` with ``holding/{258..320..2}`` are 32 tags. The ranges of one tag run in
step, are padded as written, and must be equally long; an end of ``*`` takes the length
of the others. ``{name}`` in a template is a parameter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.errors import Mistake

MAX_TAGS: Final = 100_000
"""Longest series; more tags than one gateway is built for."""

_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_RANGE: Final = re.compile(r"(\d{1,15})\.\.(\d{1,15}|\*)(?:\.\.(\d{1,15}))?")
_PARAMETER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Range(NamedTuple):
    """``{first..last..step}``, counting up or down; ``last`` None: as long as the others."""

    written: str
    first: int
    last: int | None
    step: int
    width: int

    @property
    def length(self) -> int:
        """How many numbers it names; 0 while its end is open."""
        return 0 if self.last is None else abs(self.last - self.first) // self.step + 1

    def texts(self, count: int) -> Iterator[str]:
        """``count`` numbers, padded as written."""
        step = -self.step if self.last is not None and self.last < self.first else self.step
        numbers = range(self.first, self.first + count * step, step)
        return (f"{number:0{self.width}d}" for number in numbers)


def expand(written: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """The texts of each tag, in the order of ``written``; a single one without any range.

    written: the texts that may hold ranges, by key. ``label`` may hold other braces. Without
        ``name``, addresses alone.

    Raises:
        Mistake: A range is not one, or they do not fit each other; the path names the key.
    """
    if not any("{" in value for value in written.values()):
        return iter([tuple(written.values())])
    parts = {key: _split(key, value) for key, value in written.items()}
    count = _count(parts)
    if count is None:
        return iter([tuple(written.values())])
    return zip(*(_texts(pieces, count) for pieces in parts.values()), strict=True)


def faults(written: Mapping[str, str]) -> list[Mistake]:
    """Every text of ``written`` with a wrong range, else why they do not fit each other."""
    found = []
    for key, value in written.items():
        try:
            _split(key, value)
        except Mistake as mistake:
            found.append(mistake)
    if not found:
        try:
            expand(written)
        except Mistake as mistake:
            found.append(mistake)
    return found


def substitute(node: Any, values: Mapping[str, object]) -> Any:
    """A template's text with ``{parameter}`` replaced; a lone parameter keeps its type."""
    if not isinstance(node, str) or "{" not in node:
        return node
    alone = _PARAMETER.fullmatch(node)
    if alone and alone[1] in values:
        return values[alone[1]]
    return _PARAMETER.sub(lambda found: str(values.get(found[1], found[0])), node)


def parameters_in(written: str) -> list[str]:
    """The names of the parameters a template's text stands on."""
    return _PARAMETER.findall(written)


def _split(key: str, written: str) -> list[str | Range]:
    """Text and ranges in turn."""
    pieces: list[str | Range] = []
    for position, piece in enumerate(_BRACES.split(written)):
        if position % 2 == 0:
            pieces.append(piece)
        elif (found := _RANGE.fullmatch(piece)) is not None:
            pieces.append(_range(key, found))
        elif key == "label":
            pieces.append(f"{{{piece}}}")
        elif ".." in piece:
            raise Mistake("series_bad_range", path=(key,), range=piece)
        else:
            raise Mistake("unknown_placeholder", path=(key,), name=piece)
    return pieces


def _range(key: str, found: re.Match[str]) -> Range:
    first, last, step = found.groups()
    if step is not None and int(step) == 0:
        raise Mistake("series_zero_step", path=(key,), range=found[0])
    padded = [end for end in (first, last) if end.startswith("0") and len(end) > 1]
    return Range(
        found[0],
        int(first),
        None if last == "*" else int(last),
        int(step or 1),
        max(map(len, padded), default=0),
    )


def _count(parts: Mapping[str, Sequence[str | Range]]) -> int | None:
    """How many tags there are; None without any range."""
    ranges = {key: [p for p in pieces if isinstance(p, Range)] for key, pieces in parts.items()}
    every = [(key, each) for key, found in ranges.items() for each in found]
    if not every:
        return None
    lengths = {each.written: each.length for _, each in every if each.last is not None}
    if not lengths:
        raise Mistake("series_open", path=(every[0][0],), range=every[0][1].written)
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{{{written}}} = {length}" for written, length in lengths.items())
        raise Mistake("series_uneven", path=(every[-1][0],), lengths=told)
    count = next(iter(lengths.values()))
    if count > MAX_TAGS:
        raise Mistake("series_too_long", path=(every[0][0],), count=count, limit=MAX_TAGS)
    if "name" in ranges and not ranges["name"]:
        raise Mistake("series_same_name", path=("name",))
    if "address" in ranges and not ranges["address"]:
        raise Mistake("series_same_address", path=("address",), count=count)
    return count


def _texts(pieces: Sequence[str | Range], count: int) -> Iterator[str]:
    """``count`` texts, each range a step further."""
    columns = [
        piece.texts(count) if isinstance(piece, Range) else (piece,) * count
        for piece in pieces
        if piece != ""
    ]
    return map("".join, zip(*columns, strict=True)) if columns else iter(("",) * count)
