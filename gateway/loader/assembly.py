"""Putting a `Site` together from the trees of its files.

A mistake does not end the search. An object with mistakes goes on as `Partly`, so that what
is inside it is checked wherever it does not depend on what is wrong. Nothing is connected
and no secret is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import ConfigDict, ValidationError

from gateway import model
from gateway.config import (
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
from gateway.loader.explain import explain, found_in
from gateway.loader.keys import near
from gateway.loader.partly import Partly, Settings, Unknown
from gateway.loader.problem import Path as KeyPath
from gateway.loader.problem import Place, Report
from gateway.loader.resolve import mistakes, written_out
from gateway.loader.templates import Library
from gateway.loader.yaml_tree import Map, Seq, locate
from gateway.notation import NAME
from gateway.registry import driver as driver_called
from gateway.registry import installed
from gateway.series import expand
from gateway.site import LinkSite, Site

ModelT = TypeVar("ModelT", bound=Model)

_PER_TAG: Final = frozenset({"name", "address", "label"})


class _AnyLink(LinkConfig):
    model_config = ConfigDict(extra="ignore")


class _AnyDevice(DeviceConfig):
    model_config = ConfigDict(extra="ignore")


class _AnyTag(TagConfig):
    model_config = ConfigDict(extra="ignore")


class _AnyDriver(Driver[Any]):
    """Where nobody can tell which driver is meant: the keys that all have are checked."""

    Link, Device, Tag = _AnyLink, _AnyDevice, _AnyTag

    @classmethod
    def address(cls, tag: TagConfig, device: DeviceConfig, link: LinkConfig) -> None:
        """Any."""


class _Scope(NamedTuple):
    """Where the tags of one device are read."""

    driver: type[Driver[Any]]
    word: str | None
    """The name of the driver; None when nobody can tell which one is meant."""
    link: Settings
    device: Settings


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
        config = None if main is None else self._settings(Config, main, without=("links",))
        for node in more:
            self._settings(DropIn, node, without=("links",), levels={"level_main": Config})
        known = config is not None and config.knows("defaults")
        defaults = config.defaults if config is not None and known else Defaults()
        nodes = [node for node in (main, *more) if node is not None]
        found = [
            self._link(link, path, defaults)
            for node in nodes
            for link, path in self._children(node, "links")
        ]
        if main is not None and all(node.get("links", []) == [] for node in nodes):
            self._report.note(Place(main.file, 1, 1), "no_links", {}, severity="warning")
        links = tuple(link for link in found if link is not None)
        if not isinstance(config, Config) or self._report.failed:
            return None
        return self._whole(config, links)

    def _whole(self, config: Config, links: tuple[LinkSite, ...]) -> Site:
        mqtt = config.mqtt
        if mqtt.client_id is None:
            mqtt = mqtt.model_copy(update={"client_id": config.gateway.id})
        own = {"mqtt": mqtt, "links": tuple(link.config for link in links)}
        config = config.model_copy(update=own)
        self._hash.update(repr(config).encode())
        return Site(config, links, self._hash.hexdigest()[:16])

    def _link(self, node: Map, path: KeyPath, defaults: Settings) -> LinkSite | None:
        self._unique("duplicate_link", self._links, node, path)
        driver, node = self._driver(node, path)
        word = None if driver is _AnyDriver else node["driver"]
        levels = {"level_device": driver.Device, "level_tag": driver.Tag}
        link = self._settings(
            driver.Link, node, path, defaults, without=("devices",), levels=levels
        )
        if isinstance(link, LinkConfig):
            link = link.lies_in(self._folder)
        devices: list[DeviceConfig] = []
        tags: list[model.Tag] = []
        alarms: dict[tuple[str, str], AlarmsConfig] = {}
        for child, child_path in self._children(node, "devices", path):
            device = self._device(child, child_path, driver, link)
            if isinstance(device, DeviceConfig):
                devices.append(device)
            scope = _Scope(driver, word, link, device)
            for group, limits in self._tags(child, child_path, scope):
                tags += group
                if limits is not None:
                    alarms.update({(tag.device, tag.name): limits for tag in group})
        if not isinstance(link, LinkConfig):
            return None
        link = link.model_copy(update={"devices": tuple(devices)})
        return LinkSite(link, driver, tuple(tags), alarms)

    def _driver(self, node: Map, path: KeyPath) -> tuple[type[Driver[Any]], Map]:
        """The driver of a link, and what the link is checked as.

        A misspelt driver is reported, and the near match is used.
        """
        node = self._driver_key(node, path)
        word = node.get("driver")
        if not isinstance(word, str):
            return _AnyDriver, node
        try:
            return driver_called(word), node
        except Mistake as mistake:
            meant = near(word, installed()) if mistake.code == "unknown_driver" else None
            self._mistake(mistake, node, path, suggestion=meant)
        if meant is None:
            return _AnyDriver, node
        twin = node.without()
        twin["driver"] = meant
        return driver_called(meant), twin

    def _driver_key(self, node: Map, path: KeyPath) -> Map:
        """``node`` with the key ``driver``; when that is misspelt, it is reported."""
        word = next((key for key in node if near(key, ("driver",))), "driver")
        if "driver" in node or word not in node:
            return node
        fields, where = {"key": word}, (*path, word)
        self._report.note(
            node.key_place(word), "unknown_key", fields, path=where, suggestion="driver"
        )
        twin = node.without(word)
        twin["driver"] = node[word]
        twin.spans = {**node.spans, "driver": node.spans[word]}
        return twin

    def _device(
        self, node: Map, path: KeyPath, driver: type[Driver[Any]], link: Settings
    ) -> Settings:
        self._unique("duplicate_device", self._devices, node, path)
        levels = {"level_link": driver.Link, "level_tag": driver.Tag}
        return self._settings(driver.Device, node, path, link, without=("tags",), levels=levels)

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
        config = self._settings(scope.driver.Tag, node, path, scope.device, levels=levels)
        tags = self._written_out(config, node, path, scope)
        if isinstance(config, TagConfig) and tags:
            found = [tag.name for tag in tags]
            yield tags, config.alarms
        else:
            found = _names_as_written(node)
        self._check_names(found, node, path, names)

    def _written_out(
        self, config: TagConfig | Partly, node: Map, path: KeyPath, scope: _Scope
    ) -> list[model.Tag]:
        """The tags; none when anything in them is wrong."""

        def address(tag: Any) -> Any:
            device: Any = scope.device
            link: Any = scope.link
            return scope.driver.address(tag, device, link)

        if isinstance(config, TagConfig) and isinstance(scope.device, DeviceConfig):
            try:
                tags = written_out(config, scope.device.name, address, self._conversions)
            except (Mistake, Unknown):
                pass
            else:
                self._add_to_fingerprint(config, tags)
                return tags
        for mistake in mistakes(config, address):
            self._mistake(mistake, node, path)
        return []

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

    def _settings(
        self,
        kind: type[ModelT],
        node: Map,
        path: KeyPath = (),
        outer: Settings | None = None,
        *,
        without: tuple[str, ...] = (),
        levels: Mapping[str, type[Model]] | None = None,
    ) -> ModelT | Partly:
        """``node`` as a ``kind``, without the keys ``without``, with what ``outer`` passes in.

        `Partly` when it or ``outer`` has mistakes.
        """
        raw = node.without(*without) if without else node
        try:
            found = kind.model_validate(raw)
        except ValidationError as error:
            explain(error, node, kind, self._report, path=path, levels=levels)
            return Partly(kind, raw, outer)
        if isinstance(outer, Partly):
            return Partly(kind, raw, outer)
        passed = {} if outer is None else passed_down(outer, found)
        return found.model_copy(update=passed) if passed else found

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
