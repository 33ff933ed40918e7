"""The configuration as JSON Schema for editors and as a table for people.

Both are made from the models of the gateway and of every installed driver, so they
cannot say anything else than the agent does. The schema keeps to what the YAML language
server of editors reads: draft-07, ``definitions``, ``if``/``then`` by driver.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from gateway.config import Config, DropIn, Model
from gateway.driver import Driver
from gateway.loader.keys import models_in
from gateway.loader.templates import Template
from gateway.notation import DURATION_PATTERN, SIZE_PATTERN, duration, size
from gateway.registry import driver, installed

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
_PREFIX: Final = "#/definitions/"
_WORDS: Final = {
    "array": "list",
    "object": "keys",
    "boolean": "`true` `false`",
    "null": "",
    "string": "text",
    "integer": "whole number",
}
Json = dict[str, Any]


def schema(drivers: Mapping[str, type[Driver[Any]]] | None = None) -> Json:
    """The schema of a configuration file; a file of ``conf.d`` fits it too.

    drivers: by their word; all that are installed unless given.
    """
    if drivers is None:
        drivers = {word: driver(word) for word in installed()}
    models = _models(drivers)
    _, found = models_json_schema(
        [(kind, "validation") for kind in models], ref_template=_PREFIX + "{model}"
    )
    definitions: Json = found["$defs"]
    for kind in models:
        _describe(kind, definitions[kind.__name__])
    for each in drivers.values():
        _nest(definitions, each)
    links = definitions["Config"]["properties"]["links"]
    links["items"] = _any_link(drivers)
    definitions["DropIn"]["properties"]["links"] = links
    used = _reachable(definitions, {"Config", "DropIn"})
    return {
        "$schema": DRAFT,
        "title": "tidegate configuration",
        "if": {"required": ["gateway"]},
        "then": {"$ref": _PREFIX + "Config"},
        "else": {"anyOf": [{"$ref": _PREFIX + "DropIn"}, {"$ref": _PREFIX + "Config"}]},
        "definitions": {name: _plain(definitions[name]) for name in sorted(used)},
    }


def reference(drivers: Mapping[str, type[Driver[Any]]] | None = None) -> str:
    """Every key with its form, default and meaning, as Markdown."""
    whole = schema(drivers)["definitions"]
    found = list(_sections(whole))
    return "\n".join(
        line for path, definition in found for line in _section(path, definition, whole)
    )


def _models(drivers: Mapping[str, type[Driver[Any]]]) -> list[type[Model]]:
    roots: list[type[Model]] = [Config, DropIn, Template]
    for each in drivers.values():
        roots += [each.Link, each.Device, each.Tag]
    found: dict[str, type[Model]] = {}
    for root in roots:
        found.update((kind.__name__, kind) for kind in _with_parts(root))
    return list(found.values())


def _with_parts(kind: type[Model]) -> Iterator[type[Model]]:
    yield kind
    for field in kind.model_fields.values():
        for part in models_in(field.annotation):
            if issubclass(part, Model):
                yield from _with_parts(part)


def _describe(kind: type[Model], definition: Json) -> None:
    """Give each key the docstring under its field; pydantic only sees it at import."""
    for base in reversed(kind.__mro__):
        if base is Model or not issubclass(base, Model):
            continue
        for name, words in _field_docs(base):
            key = kind.model_fields[name].alias or name
            definition["properties"].setdefault(key, {})["description"] = words
            definition["properties"][key].pop("title", None)


def _field_docs(kind: type[Model]) -> Iterator[tuple[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[kind.__module__]))
    body = next(
        n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == kind.__name__
    )
    for field, doc in pairwise(body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant):
            yield field.target.id, inspect.cleandoc(str(doc.value.value))


def _nest(definitions: Json, each: type[Driver[Any]]) -> None:
    """The devices of a driver's link are the driver's, and so are their tags."""
    device, tag = each.Device.__name__, each.Tag.__name__
    link = definitions[each.Link.__name__]["properties"]
    link["devices"]["items"] = {"$ref": _PREFIX + device}
    definitions[device]["properties"]["tags"]["items"] = {"$ref": _PREFIX + tag}


def _any_link(drivers: Mapping[str, type[Driver[Any]]]) -> Json:
    return {
        "type": "object",
        "required": ["name", "driver"],
        "properties": {"driver": {"enum": sorted(drivers)}},
        "allOf": [
            {
                "if": {"properties": {"driver": {"const": word}}, "required": ["driver"]},
                "then": {"$ref": _PREFIX + drivers[word].Link.__name__},
            }
            for word in sorted(drivers)
        ],
    }


def _reachable(definitions: Json, names: set[str]) -> set[str]:
    todo, seen = set(names), set[str]()
    while todo:
        name = todo.pop()
        seen.add(name)
        todo |= {ref.removeprefix(_PREFIX) for ref in _refs(definitions[name])} - seen
    return seen


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from _refs(part)


def _plain(node: Any) -> Any:
    """Without generated titles, and with defaults as a person writes them."""
    if isinstance(node, list):
        return [_plain(part) for part in node]
    if not isinstance(node, dict):
        return node
    found = {
        key: _plain(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str))
    }
    if "default" in found:
        found["default"] = _as_written(node)
    return found


def _as_written(node: Json) -> Any:
    """The default of one key; models hold seconds, bytes and numbers of classes."""
    default, patterns = node["default"], {form.get("pattern") for form in _forms(node)}
    if isinstance(default, int | float) and not isinstance(default, bool):
        if DURATION_PATTERN in patterns:
            return duration(default)
        if SIZE_PATTERN in patterns:
            return size(int(default))
        if "enum" in node and default not in node["enum"]:
            return node["enum"][default]
    return _plain(default)


def _forms(node: Json) -> Iterator[Json]:
    """The alternatives of one key, itself when there are none."""
    if "anyOf" not in node:
        yield node
    for form in node.get("anyOf", ()):
        yield from _forms(form)


def _sections(whole: Json) -> Iterator[tuple[str, Json]]:
    """Where a definition first applies in a file, and the definition; outer ones first."""
    todo: list[tuple[str, str]] = [("", "Config")]
    seen: set[str] = set()
    while todo:
        path, name = todo.pop(0)
        if name in seen:
            continue
        seen.add(name)
        yield path, whole[name]
        for key, prop in whole[name].get("properties", {}).items():
            many = "[]" if "items" in prop else ""
            inner = f"{path}.{key}{many}".lstrip(".")
            for ref in dict.fromkeys(_refs(prop)):
                target = ref.removeprefix(_PREFIX)
                if "properties" in whole[target]:
                    todo.append((_named(inner, target, whole), target))


def _named(path: str, name: str, whole: Json) -> str:
    """``links[]`` has a table for each driver."""
    word = whole[name]["properties"].get("driver", {}).get("const")
    return f"links[driver: {word}]" if path == "links[]" and word else path


def _section(path: str, definition: Json, whole: Json) -> Iterator[str]:
    yield from (f"### `{path}`" if path else "### The file", "")
    yield from (definition.get("description", "").replace("``", "`"), "")
    yield from ("| key | form | default | meaning |", "|---|---|---|---|")
    required = definition.get("required", ())
    for key, prop in definition["properties"].items():
        default = "required" if key in required else _cell(prop.get("default"))
        meaning = " ".join(prop.get("description", "").replace("``", "`").split())
        yield f"| `{key}` | {_form(prop, whole)} | {default} | {meaning} |"
    yield ""


def _cell(default: Any) -> str:
    empty = default in (None, "", [], {}) and default is not False
    return (
        "" if empty or isinstance(default, dict) else f"`{json.dumps(default).strip(chr(34))}`"
    )


def _form(prop: Json, whole: Json) -> str:
    forms = dict.fromkeys(_one_form(form, whole) for form in _forms(prop))
    return " or ".join(form for form in forms if form)


def _one_form(form: Json, whole: Json) -> str:
    if "$ref" in form:
        return _one_form(whole[form["$ref"].removeprefix(_PREFIX)], whole)
    if "const" in form:
        return f"`{form['const']}`"
    if "enum" in form:
        return " ".join(f"`{word}`" for word in form["enum"])
    if form.get("pattern") in (DURATION_PATTERN, SIZE_PATTERN):
        return "duration" if form["pattern"] == DURATION_PATTERN else "size"
    kind = form.get("type")
    kinds: list[str] = kind if isinstance(kind, list) else [str(kind)]
    return " or ".join(_WORDS.get(each, each) for each in kinds)
