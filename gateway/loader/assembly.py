"""Putting a `Site` together from the trees of its files.

A mistake does not end the search. What is wrong is left out, or stands in without its
wrong keys where nothing else depends on them, and the rest is checked. Nothing is
connected and no secret is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import ValidationError, create_model

from gateway import model
from gateway.config import (
    OWN,
    AlarmsConfig,
    Config,
    Defaults,
    DeviceConfig,
    DropIn,
    LinkConfig,
    Model,
    TagConfig,
    passed_down,
)
from gateway.driver import Driver
from gateway.errors import Mistake
from gateway.loader.explain import explain, found_in, near, words
from gateway.loader.problem import Path as KeyPath
from gateway.loader.problem import Place, Report
from gateway.loader.resolve import written_out
from gateway.loader.templates import Library
from gateway.loader.yaml_tree import Map, Seq, locate
from gateway.notation import NAME
from gateway.registry import driver as driver_called
from gateway.registry import installed
from gateway.series import expand
from gateway.site import LinkSite, Site

ModelT = TypeVar("ModelT", bound=Model)

_PER_TAG: Final = frozenset({"name", "address", "label"})


class _Scope(NamedTuple):
    """Where the tags of one device are read; None stands for settings that are wrong."""

    driver: type[Driver[Any]]
    word: str
    """The name of the driver."""
    link: LinkConfig | None
    device: DeviceConfig | None = None


class Assembly:
    """Puts one `Site` together; remembers names over all its files."""

    def __init__(self, report: Report, folder: Path | None) -> None:
        self._report = report
        self._library = Library(folder, report)
        self._folder = folder or Path()
        self._links: dict[str, Place] = {}
        self._devices: dict[str, Place] = {}
        self._conversions: dict[Any, model.Conversion | None] = {}
        self._hash = hashlib.sha256()

    def site(self, main: Map | None, more: Sequence[Map]) -> Site | None:
        """The whole; None when anything is wrong."""
        config = None if main is None else self._validated(Config, main, without=("links",))
        for node in more:
            self._validated(DropIn, node, without=("links",), levels={"level_main": Config})
        defaults = Defaults() if config is None else config.defaults
        nodes = [node for node in (main, *more) if node is not None]
        found = [
            self._link(link, path, defaults)
            for node in nodes
            for link, path in self._children(node, "links")
        ]
        if main is not None and not any(node.get("links") for node in nodes):
            self._report.note(Place(main.file, 1, 1), "no_links", {}, severity="warning")
        links = tuple(link for link in found if link is not None)
        return None if config is None or self._report.failed else self._whole(config, links)

    def _whole(self, config: Config, links: tuple[LinkSite, ...]) -> Site:
        mqtt = config.mqtt
        if mqtt.client_id is None:
            mqtt = mqtt.model_copy(update={"client_id": config.gateway.id})
        own = {"mqtt": mqtt, "links": tuple(link.config for link in links)}
        config = config.model_copy(update=own)
        self._hash.update(repr(config).encode())
        return Site(config, links, self._hash.hexdigest()[:16])

    def _link(self, node: Map, path: KeyPath, defaults: Defaults) -> LinkSite | None:
        self._unique("duplicate_link", self._links, node, path)
        driver, node = self._driver(node, path)
        if driver is None:
            for child, child_path in self._children(node, "devices", path):
                self._unique("duplicate_device", self._devices, child, child_path)
            return None
        levels = {"level_device": driver.Device, "level_tag": driver.Tag}
        link = self._validated(driver.Link, node, path, without=("devices",), levels=levels)
        if link is not None:
            link = link.model_copy(update=passed_down(defaults, link)).lies_in(self._folder)
        devices: list[DeviceConfig] = []
        tags: list[model.Tag] = []
        alarms: dict[tuple[str, str], AlarmsConfig] = {}
        for child, child_path in self._children(node, "devices", path):
            scope = self._device(child, child_path, _Scope(driver, node["driver"], link))
            if scope.device is not None:
                devices.append(scope.device)
            for group, limits in self._tags(child, child_path, scope):
                tags += group
                if limits is not None:
                    alarms.update({(tag.device, tag.name): limits for tag in group})
        if link is None:
            return None
        link = link.model_copy(update={"devices": tuple(devices)})
        return LinkSite(link, driver, tuple(tags), alarms)

    def _driver(self, node: Map, path: KeyPath) -> tuple[type[Driver[Any]] | None, Map]:
        """The driver of a link; a misspelt one is reported, and the near match is used."""
        word = node.get("driver")
        if not isinstance(word, str):
            self._no_driver_word(node, path)
            return None, node
        try:
            return driver_called(word), node
        except Mistake as mistake:
            meant = near(word, installed()) if mistake.code == "unknown_driver" else None
            self._mistake(mistake, node, path, suggestion=meant)
            if meant is None:
                return None, node
        twin = node.without()
        twin["driver"] = meant
        return driver_called(meant), twin

    def _no_driver_word(self, node: Map, path: KeyPath) -> None:
        meant = next((key for key in node if near(key, ("driver",))), None)
        if "driver" in node:
            found = found_in(node["driver"])
            place = node.value_place("driver")
            self._report.add(place, "not_text", path=(*path, "driver"), found=found)
        elif meant is not None:
            place, where = node.key_place(meant), (*path, meant)
            self._report.note(
                place, "unknown_key", {"key": meant}, path=where, suggestion="driver"
            )
        else:
            self._report.add(locate(node, ()), "missing_key", path=path, key="driver")

    def _device(self, node: Map, path: KeyPath, scope: _Scope) -> _Scope:
        self._unique("duplicate_device", self._devices, node, path)
        levels = {"level_link": scope.driver.Link, "level_tag": scope.driver.Tag}
        kind = scope.driver.Device
        device = self._validated(kind, node, path, without=("tags",), levels=levels)
        if device is not None and scope.link is not None:
            device = device.model_copy(update=passed_down(scope.link, device))
        return scope._replace(device=device)

    def _tags(
        self, node: Map, path: KeyPath, scope: _Scope
    ) -> Iterator[tuple[list[model.Tag], AlarmsConfig | None]]:
        """The tags of a device: those of its template first, then its own."""
        names: dict[str, Place] = {}
        template = self._library.tags(node, path, scope.word)
        if template is not None:
            for tag, where in self._children(template, "tags"):
                yield from self._tag(tag, where, scope, names)
        for tag, where in self._children(node, "tags", path):
            yield from self._tag(tag, where, scope, names)
        if not node.get("tags") and "template" not in node:
            place, told = locate(node, ("name",)), node.get("name")
            self._report.note(place, "no_tags", {"device": told}, path=path, severity="warning")

    def _tag(
        self, node: Map, path: KeyPath, scope: _Scope, names: dict[str, Place]
    ) -> Iterator[tuple[list[model.Tag], AlarmsConfig | None]]:
        levels = {"level_device": scope.driver.Device, "level_link": scope.driver.Link}
        config = self._validated(scope.driver.Tag, node, path, levels=levels, stands_in=False)
        tags = None if config is None else self._written_out(config, node, path, scope)
        if config is None or tags is None:
            found = _names_as_written(node)
        else:
            found = [tag.name for tag in tags]
            yield tags, config.alarms
        self._check_names(found, node, path, names)

    def _written_out(
        self, config: TagConfig, node: Map, path: KeyPath, scope: _Scope
    ) -> list[model.Tag] | None:
        link, device = scope.link, scope.device
        if link is None or device is None:
            return None
        config = config.model_copy(update=passed_down(device, config))
        try:
            tags = written_out(
                config,
                device.name,
                lambda tag: scope.driver.address(tag, device, link),
                self._conversions,
            )
        except Mistake as mistake:
            self._mistake(mistake, node, path)
            return None
        self._add_to_fingerprint(config, tags)
        return tags

    def _add_to_fingerprint(self, config: TagConfig, tags: list[model.Tag]) -> None:
        """A series and the same tags written out count alike."""
        common = repr([pair for pair in config if pair[0] not in _PER_TAG])
        lines = [f"{tag.device}/{tag.name}@{tag.address!r}{tag.label}" for tag in tags]
        self._hash.update(f"{common}\n".join([*lines, ""]).encode())

    def _check_names(
        self, found: Sequence[str], node: Map, path: KeyPath, names: dict[str, Place]
    ) -> None:
        """Names of tags are well-formed, and unique in their device; one complaint a series."""
        place, path = node.value_place("name"), (*path, "name")
        for name in found:
            if not NAME.fullmatch(name):
                self._report.add(place, "not_a_name", path=path, value=name)
                return
            first = names.setdefault(name, place)
            if first is not place:
                self._report.add(place, "duplicate_tag", path=path, name=name, **_first(first))
                return

    def _unique(self, code: str, seen: dict[str, Place], node: Map, path: KeyPath) -> None:
        name, place = node.get("name"), node.value_place("name")
        if not isinstance(name, str):
            return
        first = seen.setdefault(name, place)
        if first is not place:
            path = (*path, "name")
            self._report.add(place, code, path=path, name=name, **_first(first))

    def _validated(
        self,
        kind: type[ModelT],
        node: Map,
        path: KeyPath = (),
        *,
        without: tuple[str, ...] = (),
        levels: Mapping[str, type[Model]] | None = None,
        stands_in: bool = True,
    ) -> ModelT | None:
        """``node`` as a ``kind``, without the keys ``without``.

        stands_in: when some keys are wrong that others do not depend on, the object
        without them, so that what is inside it can be checked all the same.
        """
        raw = node.without(*without) if without else node
        try:
            return kind.model_validate(raw)
        except ValidationError as error:
            explain(error, node, kind, self._report, path=path, levels=levels)
            return _stand_in(kind, raw, error) if stands_in else None

    def _children(
        self, node: Map, key: str, path: KeyPath = ()
    ) -> Iterator[tuple[Map, KeyPath]]:
        """The mappings in the list under ``key``, with their paths; all else is reported."""
        items = node.get(key, ())
        if not isinstance(items, Seq):
            if key in node:
                place, found = node.value_place(key), found_in(items)
                self._report.add(place, "not_a_list", path=(*path, key), found=found)
            return
        for position, item in enumerate(items):
            where = (*path, key, position)
            if isinstance(item, Map):
                yield item, where
            else:
                place, found = items.item_place(position), found_in(item)
                self._report.add(place, "not_a_mapping", path=where, found=found)

    def _mistake(
        self, mistake: Mistake, node: Map, path: KeyPath, *, suggestion: str | None = None
    ) -> None:
        place, path = locate(node, mistake.path), path + mistake.path
        self._report.note(place, mistake.code, mistake.fields, path=path, suggestion=suggestion)


def _first(place: Place) -> dict[str, Any]:
    return {"first_file": place.file, "first_line": place.line}


def _names_as_written(node: Map) -> list[str]:
    """The names of a tag that is otherwise wrong, as far as they can be told."""
    written = node.get("name")
    if not isinstance(written, str):
        return []
    try:
        return [name for (name,) in expand({"name": written})]
    except Mistake:
        return []  # told already, with the tag


def _stand_in(kind: type[ModelT], raw: Map, error: ValidationError) -> ModelT | None:
    """``raw`` in spite of its wrong keys; None when what is inside may depend on them.

    Keys every driver has, and those that never pass inwards, cannot change what an address
    means. Wrong ones are left out; those that must be there are taken as they are.
    """
    places = ((*found["loc"], *found.get("ctx", {}).get("at", ())) for found in error.errors())
    wrong = {place[0] for place in places if place}
    common = {word for base in (LinkConfig, DeviceConfig, Config) for word in words(base)}
    if not wrong or not wrong <= common | OWN:
        return None
    fields = {field.alias or name: field for name, field in kind.model_fields.items()}
    required = {str(key) for key in wrong if key in fields and fields[key].is_required()}
    loose: dict[str, Any] = dict.fromkeys(required, (Any, None))
    twin = create_model(kind.__name__, __base__=kind, **loose)
    try:
        return twin.model_validate(raw.without(*(wrong - required)))
    except ValidationError:
        return None
