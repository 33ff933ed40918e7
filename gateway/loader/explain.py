"""What the models refuse, in plant language: pydantic's errors → problems with a place.

The texts of pydantic never reach a person. Each of its error types has a code of the
catalogue here; errors that our own validators raise are codes already.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from gateway.loader.keys import meant, models_in, near, words
from gateway.loader.partly import clashes_in
from gateway.loader.problem import Path, Phrase, Report
from gateway.loader.yaml_tree import Map, Seq, ascii_of, full_width, locate
from gateway.messages import CATALOGUE
from gateway.notation import limit_as_written

Levels = Mapping[str, type[BaseModel]]
"""Where else a key may belong: code of the level's name → its model."""

_BOOL_WORDS: Final = frozenset({"on", "off", "yes", "no", "y", "n"})
_SECRET_KEYS: Final = frozenset({"password", "passphrase", "secret", "key"})
_LIST_TYPES: Final = frozenset({"tuple_type", "list_type", "set_type", "frozen_set_type"})
_MAP_TYPES: Final = frozenset(
    {"model_type", "model_attributes_type", "dict_type", "dataclass_type"}
)
_LIMITS: Final = {
    "greater_than": ("not_above", "gt"),
    "greater_than_equal": ("too_small", "ge"),
    "less_than": ("not_below", "lt"),
    "less_than_equal": ("too_large", "le"),
}
_ORDER: Final = {"extra_forbidden": 0, "invalid_key": 0, "missing": 2}
"""Unknown keys first: another key may be missing, or cut short, because of them."""
_LENGTHS: Final = {
    "too_short": ("too_few", "min_length"),
    "too_long": ("too_many", "max_length"),
    "string_too_short": ("text_short", "min_length"),
    "string_too_long": ("text_long", "max_length"),
}

Told = tuple[str, dict[str, Any]]
"""A code of the catalogue and its fields."""


def explain(
    error: ValidationError,
    node: Map,
    model: type[BaseModel],
    report: Report,
    *,
    path: Path = (),
    levels: Levels | None = None,
) -> None:
    """Add one problem to ``report`` for each thing that is wrong in ``node``.

    That is what ``model`` refused, and each clash of the keys that it did not refuse.
    path: leads from the top of the file to ``node``.
    """
    seen: set[Path] = set()
    misspelt: set[tuple[Path, object]] = set()
    errors = error.errors(include_url=False)
    for found in sorted(errors, key=lambda each: _ORDER.get(each["type"], 1)):
        at = _existing(node, (*found["loc"], *found.get("ctx", {}).get("at", ())))
        key = found["loc"][-1] if found["loc"] else ""
        if found["type"] == "missing":
            if (at, key) not in misspelt:
                _missing(found, node, at, report, path)
        elif at in seen:
            continue  # the other members of a union say the same in other words
        elif found["type"] in ("extra_forbidden", "invalid_key"):
            suggested = _unknown_key(node, at, model, report, path=path, levels=levels or {})
            misspelt.add((at[:-1], suggested))
            seen.update(_cut_short(node, at))
        else:
            _one(found, node, at, report, path)
        seen.add(at)
    for where, fault in clashes_in(model, node):
        told = {"type": fault.type, "ctx": fault.context or {}}
        _one(told, node, _existing(node, where), report, path)


def found_in(value: object) -> Phrase:
    """What stands where something else was expected."""
    match value:
        case None:
            return Phrase("found_nothing")
        case bool():
            return Phrase("found_bool", {"value": str(value).lower()})
        case int() | float():
            return Phrase("found_number", {"value": value})
        case str():
            return Phrase("found_text", {"value": _short(value)})
        case Mapping():
            return Phrase("found_mapping")
        case _:
            return Phrase("found_list")


def _cut_short(node: Map, at: Path) -> set[Path]:
    """The key whose value a decimal comma cut short: ``scale: 0,1`` is a 0 and a key 1."""
    present = _mapping_at(node, at[:-1])
    if not isinstance(at[-1], int) or present[at[-1]] is not None:
        return set()
    keys = list(present)
    return {(*at[:-1], key) for key in keys[: keys.index(at[-1])][-1:]}


def is_secret(path: Path) -> bool:
    """Whether what stands at ``path`` must not be shown."""
    return not _SECRET_KEYS.isdisjoint(part for part in path if isinstance(part, str))


def _one(found: Any, node: Map, at: Path, report: Report, path: Path) -> None:
    code, fields = _told(found)
    hidden = is_secret(at)
    if hidden:
        fields = {key: Phrase("secret_hidden") for key in fields}
    allowed, value = fields.get("allowed"), fields.get("value")
    report.note(
        locate(node, at),
        code,
        fields,
        path=path + at,
        suggestion=near(value, allowed) if isinstance(allowed, list) else None,
        secret=hidden,
    )


def _missing(found: Any, node: Map, at: Path, report: Report, path: Path) -> None:
    """Tell about a key, or about an item of a list, that is not there."""
    place, key = locate(node, at), found["loc"][-1]
    if isinstance(key, int):
        report.add(place, "too_few", path=path + at, count=len(found["input"]), limit=key + 1)
    else:
        report.add(place, "missing_key", path=(*path, *at, key), key=key)


def _unknown_key(
    node: Map, at: Path, model: type[BaseModel], report: Report, *, path: Path, levels: Levels
) -> str | None:
    """Tell about a key that does not belong there; the key that was probably meant."""
    key, place, path = at[-1], locate(node, at, key=True), path + at
    present = _mapping_at(node, at[:-1])
    suggested = meant(key, _model_at(model, at[:-1]), present)
    elsewhere = next((level for level, other in levels.items() if key in words(other)), None)
    char = full_width(str(key))
    if char is not None:
        report.add(place, "yaml_fullwidth", path=path, character=char, ascii=ascii_of(char))
        return suggested
    if isinstance(key, int) and present[key] is None:
        report.add(place, "decimal_comma", path=path)
    elif elsewhere is not None and len(at) == 1:
        report.add(place, "misplaced_key", path=path, key=key, level=Phrase(elsewhere))
    else:
        fields, hidden = {"key": key}, is_secret(at[:-1])
        report.note(
            place, "unknown_key", fields, path=path, suggestion=suggested, secret=hidden
        )
        return suggested
    return None


def _told(found: Any) -> Told:
    kind, value, context = found["type"], found.get("input"), found.get("ctx", {})
    if kind in CATALOGUE:
        return kind, {key: _plain(part) for key, part in context.items() if key != "at"}
    if kind in _LIMITS:
        code, key = _LIMITS[kind]
        return code, {"value": value, "limit": limit_as_written(value, context[key])}
    if kind in _LENGTHS:
        code, key = _LENGTHS[kind]
        count = {"count": len(value)} if isinstance(value, list) else {}
        return code, {"limit": context[key], **count}
    if kind in ("literal_error", "enum"):
        return _not_one_of(value, context["expected"])
    if kind in _LIST_TYPES:
        return "not_a_list", {"found": found_in(value)}
    if kind in _MAP_TYPES:
        return _not_a_mapping(value)
    return _wrong_scalar(kind, value, context)


def _wrong_scalar(kind: str, value: Any, context: Mapping[str, Any]) -> Told:
    found = {"found": found_in(value)}
    told: dict[str, Callable[[], Told]] = {
        "string_type": lambda: _not_text(value),
        "bool_type": lambda: _not_a_bool(value),
        "bool_parsing": lambda: _not_a_bool(value),
        "int_type": lambda: ("not_an_integer", found),
        "int_parsing": lambda: ("not_an_integer", found),
        "int_from_float": lambda: ("not_an_integer", found),
        "float_type": lambda: ("not_a_number", found),
        "float_parsing": lambda: ("not_a_number", found),
        "finite_number": lambda: ("not_finite", {"value": value}),
        "string_pattern_mismatch": lambda: (
            "text_pattern",
            {"value": _plain(value), "pattern": context.get("pattern", "")},
        ),
        "value_error": lambda: (
            "not_usable",
            {"value": _plain(value), "reason": context.get("error", "")},
        ),
    }
    return told[kind]() if kind in told else ("not_usable_here", {"value": _plain(value)})


def _not_text(value: Any) -> Told:
    found = found_in(value)
    if isinstance(value, bool | int | float):
        written = str(value).lower() if isinstance(value, bool) else value
        return "quote_it", {"found": found, "value": written}
    return "not_text", {"found": found}


def _not_a_bool(value: Any) -> Told:
    if isinstance(value, str) and value.lower() in _BOOL_WORDS:
        return "bool_word", {"value": value}
    return "not_a_bool", {"found": found_in(value)}


def _not_a_mapping(value: Any) -> Told:
    char = full_width(value) if isinstance(value, str) else None
    if char is not None:
        return "yaml_fullwidth", {"character": char, "ascii": ascii_of(char)}
    return "not_a_mapping", {"found": found_in(value)}


def _not_one_of(value: Any, expected: str) -> Told:
    """``expected`` is pydantic's list, e.g. ``'a', 'b' or 5``."""
    allowed = [quoted or bare for quoted, bare in re.findall(r"'([^']*)'|(\d[\w.]*)", expected)]
    return "not_one_of", {"value": _plain(value), "allowed": allowed}


def _plain(value: Any) -> Any:
    """A value as part of a sentence; whole mappings and lists do not fit into one."""
    if isinstance(value, str):
        return _short(value)
    return found_in(value) if isinstance(value, Mapping) else value


def _short(written: str) -> str:
    one_line = " ".join(written.split())
    return one_line if len(one_line) <= 60 else one_line[:59] + "…"


def _existing(node: Any, loc: Path) -> Path:
    """The parts of ``loc`` the file has; the names of union members are not in it."""
    path: list[str | int] = []
    for part in loc:
        inside = isinstance(node, Map) and part in node
        if inside or (isinstance(node, Seq) and isinstance(part, int) and part < len(node)):
            path.append(part)
            node = node[part]
    return tuple(path)


def _mapping_at(node: Any, path: Path) -> Map:
    for part in path:
        node = node[part]
    assert isinstance(node, Map)  # noqa: S101 - unknown keys are found in mappings only
    return node


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel]:
    """The model of the mapping at ``path``; positions of lists do not change it."""
    for part in path:
        for name, field in model.model_fields.items():
            if part == (field.alias or name):
                model = next(models_in(field.annotation), model)
    return model
