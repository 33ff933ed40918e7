"""Register maps as data: finding a template, reading it, filling in its parameters.

A template is looked for in ``templates/`` beside the configuration, then among the
installed data, then in the source tree.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import Field, StrictInt, ValidationError

from gateway.loader.explain import explain
from gateway.loader.keys import near
from gateway.loader.problem import Path as KeyPath
from gateway.loader.problem import Place, Report
from gateway.loader.source import read
from gateway.loader.yaml_tree import Map, Seq
from gateway.notation import NAME, Model, Number
from gateway.series import parameters_in, substitute

SHARED: Final = (
    Path(sysconfig.get_path("data"), "share/tidegate/config/templates"),
    Path(__file__).parents[2] / "config" / "templates",
)


class Source(Model):
    """Where a register map comes from, so that a reader can check it."""

    manual: str
    """Title or number of the document."""
    revision: str
    """Its revision or date; `unknown` when the document names none."""
    page: str
    """Page or chapter."""


class Parameter(Model):
    """A value that a template leaves to the device."""

    default: str | StrictInt | Number | None = None
    """Used when the device gives none; without it the device must."""
    description: str = ""
    """What it is."""


class Template(Model):
    """The register map of one type of device, as data."""

    version: Literal[1]
    """Version of this format."""
    title: str
    """Maker and model."""
    driver: str
    """The protocol its addresses are written for."""
    source: Source
    """Where the map comes from."""
    notes: str = ""
    """What an engineer must know or set on the device."""
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    """What the device may set."""
    tags: Annotated[tuple[Any, ...], Field(min_length=1)]
    """The tags, as in a device; `{name}` stands for a parameter."""


class Sheet(NamedTuple):
    """A template as it was read."""

    tree: Map
    template: Template


class Library:
    """The templates one configuration can use; each file is read once."""

    def __init__(self, beside: Path | None, report: Report) -> None:
        self._folders = SHARED if beside is None else (beside / "templates", *SHARED)
        self._report = report
        self._sheets: dict[Path, Sheet | None] = {}

    def tags(self, device: Map, path: KeyPath, driver: str | None) -> Map | None:
        """A mapping whose ``tags`` are those of the device's template, filled in.

        driver: the link's; None when nobody can tell.
        None without a template, or when it cannot be used (which is then reported).
        """
        name = device.get("template")
        if name is None and "parameters" in device:
            place = device.key_place("parameters")
            self._report.add(place, "parameters_without_template", path=path)
        sheet = self._sheet(device, path) if isinstance(name, str) else None
        if sheet is None:
            return None
        wanted = sheet.template.driver
        if driver is not None and wanted != driver:
            self._report.add(
                device.value_place("template"),
                "template_driver",
                path=(*path, "template"),
                template=name,
                wanted=wanted,
                driver=driver,
            )
            return None
        given = device.get("parameters")
        if not isinstance(given, Map):
            given = Map(device.file, device.line, device.column)
        values = self._values(device, path, sheet.template, given)
        own = sheet.tree.without(*(key for key in sheet.tree if key != "tags"))
        return None if values is None else _filled(own, values, given)

    def _sheet(self, device: Map, path: KeyPath) -> Sheet | None:
        name: str = device["template"]
        files = (folder / f"{name}.yaml" for folder in self._folders if NAME.fullmatch(name))
        file = next((file for file in files if file.is_file()), None)
        if file is not None:
            if file not in self._sheets:
                self._sheets[file] = self._read(file)
            return self._sheets[file]
        known = {file.stem for folder in self._folders for file in folder.glob("*.yaml")}
        self._report.note(
            device.value_place("template"),
            "unknown_template",
            {"template": name},
            path=(*path, "template"),
            suggestion=near(name, sorted(known)),
        )
        return None

    def _read(self, file: Path) -> Sheet | None:
        tree = read(file, self._report)
        if tree is None:
            return None
        try:
            return Sheet(tree, Template.model_validate(tree))
        except ValidationError as error:
            explain(error, tree, Template, self._report)
            return None

    def _values(
        self, device: Map, path: KeyPath, template: Template, given: Map
    ) -> dict[str, object] | None:
        """The template's defaults and what the device sets; None when one has neither."""
        for key in given.keys() - template.parameters.keys():
            known = list(template.parameters) or "-"
            self._report.note(
                given.key_place(key),
                "template_unknown_parameter",
                {"template": device["template"], "parameter": key, "known": known},
                path=(*path, "parameters", key),
                suggestion=near(key, template.parameters),
            )
        defaults = {key: each.default for key, each in template.parameters.items()}
        values = {key: given.get(key, default) for key, default in defaults.items()}
        missing = [key for key, value in values.items() if value is None]
        for key in missing:
            self._report.add(
                device.value_place("template"),
                "template_missing_parameter",
                path=(*path, "parameters", key),
                template=device["template"],
                parameter=key,
            )
        told = any(isinstance(value, Map | Seq | bool) for value in values.values())
        return None if missing or told else values


def _filled(node: Any, values: Mapping[str, object], given: Map) -> Any:
    """``node`` with each ``{parameter}`` replaced.

    Places stay those of the template, but for what stems from ``given``: a person looks there.
    """
    if isinstance(node, Map):
        twin = node.like()
        twin.update((key, _filled(value, values, given)) for key, value in node.items())
        twin.origins = dict(_origins(node.items(), given))
        return twin
    if isinstance(node, Seq):
        row = node.like()
        row.extend(_filled(value, values, given) for value in node)
        row.origins = dict(_origins(enumerate(node), given))
        return row
    return substitute(node, values)


def _origins(items: Iterable[tuple[Any, Any]], given: Map) -> Iterator[tuple[Any, Place]]:
    for key, value in items:
        for name in parameters_in(value) if isinstance(value, str) else ():
            if name in given:
                yield key, given.value_place(name)
