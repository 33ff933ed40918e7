"""YAML 1.2 as plain values that remember where they were written.

Only the core schema: ``on`` is a word, ``0502`` is 502, ``1e3`` is 1000.0. Tags, anchors,
aliases, merge keys and second documents are mistakes. An alias is told and stands for what
was meant, so that the rest can be checked, up to `MAX_ALIASED` values: a small file cannot
become a large one.
Mappings and lists are `Map` and `Seq`; each knows the place of everything in it.

The only importer of yaml. The events of libyaml are read straight into values, without
a node graph in between.

Source: YAML 1.2.2, 10.3.2 (tag resolution of the core schema).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import yaml

from gateway.loader.problem import Path, Place, Problem, shown

MAX_DEPTH: Final = 32
MAX_VALUES: Final = 2_000_000
MAX_ALIASED: Final = 100_000
"""Values that aliases may stand for."""
_MAX_DIGITS: Final = 40
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_FIXED: Final[dict[str, bool | float | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NUMERIC: Final = frozenset("+-.0123456789")

_FULLWIDTH: Final = dict(zip("：，－＃　“”‘’［］｛｝", ":,-# \"\"''[]{}", strict=True))
_SYNTAX: Final = (
    ("mapping values are not allowed", "yaml_nested_colon"),
    ("could not find expected ':'", "yaml_no_colon"),
    ("unexpected end of stream", "yaml_quote"),
    ("document indicator", "yaml_quote"),
    ("flow ", "yaml_unclosed"),
    ("did not find expected ',' or", "yaml_unclosed"),
    ("unknown escape character", "yaml_escape"),
    ("did not find expected hexdecimal", "yaml_escape"),
    ("block ", "yaml_indent"),
    ("did not find expected key", "yaml_indent"),
    ("did not find expected '-'", "yaml_indent"),
    ("<document start>", "yaml_indent"),
)
"""Words of libyaml and of PyYAML's own scanner → codes of the catalogue."""

_TIGHT_COLON: Final = re.compile(r"^\s*(?:- )?[A-Za-z_]+(:)[^\s/:]")
"""``name:level``: without a space the colon is part of the text."""
_QUOTED: Final = re.compile(r"""\"[^\"]*\"|'[^']*'|(?:^|\s)#.*""")
"""Where full-width signs are just text: quotes and comments."""

Span: TypeAlias = tuple[int, int, int, int]
"""Line and column of a key, line and column of its value; all count from 0."""


class Map(dict[Any, Any]):
    """A mapping, and where each of its keys and values stands."""

    __slots__ = ("column", "file", "line", "origins", "spans")

    def __init__(self, file: str, line: int, column: int) -> None:
        super().__init__()
        self.file, self.line, self.column = file, line, column
        self.spans: dict[Any, Span] = {}
        self.origins: Mapping[Any, Place] = {}
        """Values that come from elsewhere, and where they are written."""

    def key_place(self, key: object) -> Place:
        """Where ``key`` is written; where the mapping begins when it is not."""
        line, column, _, _ = self.spans.get(key, (self.line, self.column, 0, 0))
        return Place(self.file, line + 1, column + 1)

    def value_place(self, key: object) -> Place:
        """Where the value of ``key`` begins; where the mapping begins without it."""
        if key in self.origins:
            return self.origins[key]
        _, _, line, column = self.spans.get(key, (0, 0, self.line, self.column))
        return Place(self.file, line + 1, column + 1)

    def like(self) -> Map:
        """An empty mapping at the same places."""
        twin = Map(self.file, self.line, self.column)
        twin.spans, twin.origins = self.spans, self.origins
        return twin

    def without(self, *keys: object) -> Map:
        """The same mapping with ``keys`` taken out; places stay."""
        twin = self.like()
        twin.update((key, value) for key, value in self.items() if key not in keys)
        return twin


class Seq(list[Any]):
    """A list, and where each of its items begins."""

    __slots__ = ("column", "file", "line", "origins", "spans")

    def __init__(self, file: str, line: int, column: int) -> None:
        super().__init__()
        self.file, self.line, self.column = file, line, column
        self.spans: list[tuple[int, int]] = []
        self.origins: Mapping[int, Place] = {}
        """Items that come from elsewhere, and where they are written."""

    def item_place(self, position: int) -> Place:
        """Where an item begins; where the list begins when there is no such item."""
        if position in self.origins:
            return self.origins[position]
        known = position < len(self.spans)
        line, column = self.spans[position] if known else (self.line, self.column)
        return Place(self.file, line + 1, column + 1)

    def like(self) -> Seq:
        """An empty list at the same places."""
        twin = Seq(self.file, self.line, self.column)
        twin.spans, twin.origins = self.spans, self.origins
        return twin


def locate(node: Map | Seq, path: Path, *, key: bool = False) -> Place:
    """Where ``path`` leads, as far as it exists; parts the file does not have are skipped.

    key: the place of the last key instead of its value.
    """
    place = Place(node.file, node.line + 1, node.column + 1)
    at: Any = node
    for part in path:
        if isinstance(at, Map) and part in at:
            place = at.key_place(part) if key else at.value_place(part)
            at = at[part]
        elif isinstance(at, Seq) and isinstance(part, int) and part < len(at):
            place, at = at.item_place(part), at[part]
    return place


def resolve(written: str) -> Any:
    """A plain scalar by the core schema: null, bool, int, float or the text itself."""
    if written in _FIXED:
        return _FIXED[written]
    if written[0] not in _NUMERIC:
        return written
    if len(written) <= _MAX_DIGITS:
        if _INTEGER.fullmatch(written):
            return int(written)
        if _BASED.fullmatch(written):
            return int(written, 0)
        if _FLOAT.fullmatch(written):
            return float(written)
    return written


class _Refusal(Exception):
    """Reading stops here; the message is for the person who wrote the file."""

    def __init__(self, code: str, mark: Any, **fields: object) -> None:
        super().__init__(code)
        self.code, self.mark, self.fields = code, mark, fields


class _Builder:
    """Turns the events of one document into values; keeps what is wrong but bearable."""

    def __init__(self, content: str, file: str) -> None:
        self.file = file
        self.lines = content.splitlines()
        self.problems: list[Problem] = []
        self._next: Callable[[], Any] = _LOADER(content).get_event
        self._known: dict[str, Any] = {}
        self._values = 0
        self._aliased = 0
        self._anchored: dict[str, tuple[Any, int]] = {}
        """What an anchor marks, and how many values that are."""

    def document(self) -> Any:
        """The one document; None when there is none."""
        self._next()
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        value = self._value(self._next(), 0)
        self._next()
        after = self._next()
        if isinstance(after, yaml.DocumentStartEvent):
            raise _Refusal("yaml_documents", after.start_mark)
        return value

    def line(self, number: int) -> str:
        """A line of the file, counted from 0; empty beyond its end."""
        return self.lines[number] if 0 <= number < len(self.lines) else ""

    def add(self, code: str, line: int, column: int, **fields: object) -> None:
        """Note a problem; line and column count from 0."""
        place = Place(self.file, line + 1, column + 1)
        source = shown(self.line(line), place.column)
        self.problems.append(Problem(place, code, fields, source=source))

    def _value(self, event: Any, depth: int) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _Refusal("yaml_large", event.start_mark, limit=MAX_VALUES)
        mark = event.start_mark
        if event.anchor is not None:
            self.add("yaml_anchor", mark.line, mark.column)
        if isinstance(event, yaml.AliasEvent):
            return self._meant(event)
        if event.tag is not None:
            self.add("yaml_tag", mark.line, mark.column, tag=event.tag)
        before = self._values + self._aliased
        value = self._plain(event, depth)
        if event.anchor is not None:
            self._anchored[event.anchor] = value, self._values + self._aliased - before + 1
        return value

    def _meant(self, alias: Any) -> Any:
        """What the anchor of ``alias`` marks; inside of itself that is nothing."""
        value, count = self._anchored.get(alias.anchor, (None, 1))
        self._aliased += count
        if self._aliased > MAX_ALIASED:
            raise _Refusal("yaml_large", alias.start_mark, limit=MAX_ALIASED)
        return value

    def _plain(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if depth >= MAX_DEPTH:
            raise _Refusal("yaml_deep", event.start_mark, limit=MAX_DEPTH)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(event, depth + 1)
        return self._sequence(event, depth + 1)

    def _scalar(self, event: Any) -> Any:
        written: str = event.value
        if not event.implicit[0]:
            return written
        if written not in self._known:
            self._known[written] = resolve(written)
        return self._known[written]

    def _mapping(self, start: Any, depth: int) -> Map:
        mark = start.start_mark
        found = Map(self.file, mark.line, mark.column)
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key_mark = event.start_mark
            if not isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
                raise _Refusal("yaml_key", key_mark)
            key = self._key(event, depth)
            value_event = self._next()
            value_mark = value_event.start_mark
            value = self._value(value_event, depth)
            if key == "<<":
                self._merge(found, value, key_mark)
                continue
            if key in found:
                first = found.key_place(key).line
                place = (key_mark.line, key_mark.column)
                self.add("duplicate_key", *place, key=key, first_line=first)
                continue
            found[key] = value
            found.spans[key] = (
                key_mark.line, key_mark.column, value_mark.line, value_mark.column,
            )  # fmt: skip
        return found

    def _key(self, event: Any, depth: int) -> str | int:
        """A whole number or text; ``~``, ``true`` and ``1.5`` are the text that was written."""
        key = self._value(event, depth)
        if isinstance(key, Map | Seq):
            raise _Refusal("yaml_key", event.start_mark)
        if type(key) in (str, int):
            return key  # type: ignore[no-any-return]
        return f"*{event.anchor}" if isinstance(event, yaml.AliasEvent) else str(event.value)

    def _merge(self, found: Map, more: Any, mark: Any) -> None:
        """Tell about ``<<``, and do what was meant, so that no key seems to be missing."""
        self.add("yaml_anchor", mark.line, mark.column)
        if isinstance(more, Map):
            found.update({key: more[key] for key in more if key not in found})
            found.spans.update({key: more.spans[key] for key in more if key not in found.spans})

    def _sequence(self, start: Any, depth: int) -> Seq:
        mark = start.start_mark
        found = Seq(self.file, mark.line, mark.column)
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            item = event.start_mark
            found.append(self._value(event, depth))
            found.spans.append((item.line, item.column))
        return found


def parse(content: str, file: str) -> tuple[Any, list[Problem]]:
    """The value of ``content``, None when it cannot be read, and what is wrong with it."""
    if (control := _control_character(content, file)) is not None:
        return None, [control]
    builder = _Builder(content, file)
    try:
        value = builder.document()
    except _Refusal as refusal:
        mark = refusal.mark
        builder.add(refusal.code, mark.line, mark.column, **refusal.fields)
        return None, builder.problems
    except yaml.MarkedYAMLError as error:
        _explain(builder, error)
        return None, builder.problems
    except yaml.YAMLError as error:
        builder.add("yaml_broken", 0, 0, reason=error)
        return None, builder.problems
    return value, builder.problems


def full_width(written: str) -> str | None:
    """The first full-width character that was typed for a YAML sign; None if there is none."""
    return next((char for char in written if char in _FULLWIDTH), None)


def ascii_of(char: str) -> str:
    """The YAML sign a full-width character was typed for."""
    return _FULLWIDTH[char]


def _control_character(content: str, file: str) -> Problem | None:
    """Characters YAML does not allow, before libyaml stumbles over them without a column."""
    bad = re.search(
        r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]", content
    )
    if bad is None:
        return None
    line = content.count("\n", 0, bad.start()) + 1
    column = bad.start() - content.rfind("\n", 0, bad.start())
    return Problem(
        Place(file, line, column), "control_character", {"character": f"U+{ord(bad[0]):04X}"}
    )


def _explain(builder: _Builder, error: yaml.MarkedYAMLError) -> None:
    """One problem in plant language for a syntax error of libyaml."""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        builder.add("yaml_broken", 0, 0, reason=error.problem)
        return
    said = f"{error.context or ''} / {error.problem or ''}"
    line = builder.line(mark.line)
    typed = next(_typed_full_width(builder, error), None)
    if "\t" in line[: len(line) - len(line.lstrip())] or line[mark.column :][:1] == "\t":
        builder.add("yaml_tab", mark.line, line.index("\t"))
    elif typed is not None:
        at, column, char = typed
        builder.add("yaml_fullwidth", at, column, character=char, ascii=_FULLWIDTH[char])
    elif "cannot start any token" in said:
        character = line[mark.column :][:1]
        builder.add("yaml_reserved", mark.line, mark.column, character=character)
    elif (tight := _TIGHT_COLON.match(builder.line(mark.line - 1))) is not None:
        builder.add("yaml_no_colon", mark.line - 1, tight.start(1))
    else:
        code = next((code for words, code in _SYNTAX if words in said), None)
        if code in ("yaml_unclosed", "yaml_quote") and error.context_mark is not None:
            mark = error.context_mark
        fields = {} if code else {"reason": error.problem}
        builder.add(code or "yaml_broken", mark.line, mark.column, **fields)


def _typed_full_width(
    builder: _Builder, error: yaml.MarkedYAMLError
) -> Iterator[tuple[int, int, str]]:
    """Full-width signs near the fault: line, column and character of each."""
    for mark in (error.problem_mark, error.context_mark):
        for at in () if mark is None else (mark.line, mark.line - 1):
            bare = _QUOTED.sub(lambda found: " " * len(found[0]), builder.line(at))
            for column, char in enumerate(bare):
                if char in _FULLWIDTH:
                    yield at, column, char
