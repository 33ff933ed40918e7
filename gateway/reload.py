"""What a new configuration changes: a comparison of two sites. Pure.

    old Site ─┐
              ├─ difference ─▶ links that stop, links that start, links that are amended
    new Site ─┘

A device is *kept* when its link has the same settings and it has the same settings and
tags itself: it is polled on, in its phase, on its connection, under its seq. A link with
a kept device stays and is amended, if its driver can; any other link of which something
changed is stopped and started. Labels and limits change nothing about polling.

Laws, each held by a test in ``tests/living/test_reload.py``
    * Between a site and itself there is no difference.
    * Each device of either site is kept, changed, removed or added, and exactly one.
    * Backwards, what was added is removed and what was removed is added.
    * A kept device is on a link that is neither stopped nor started.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from gateway.config import Config, Model
from gateway.driver import Driver
from gateway.model import Tag
from gateway.site import Site

NEEDS_RESTART: Final = ("gateway.id", "mqtt.root", "journal.path", "journal.size")
"""Keys that name what lies on disk or at the platform; a running gateway keeps them."""
_THROUGH_TAGS: Final = frozenset(
    {"label", "devices", "tags", "template", "parameters"}
    | {"interval", "max_silence", "deadband", "tag_class"}
)
"""Keys of a link or device that act through its tags, or not at all."""


class Amendment(NamedTuple):
    """A link that stays while some of its devices do not."""

    link: str
    gone: frozenset[str]
    """Devices whose present blocks end: removed, or changed."""
    fresh: frozenset[str]
    """Devices whose new blocks begin: added, or changed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What has to happen so that the new site is the one that runs.

    Links and devices without tags do not occur: nothing is asked of them.
    """

    needs_restart: tuple[str, ...]
    """Keys that differ and cannot while the gateway runs; with any, nothing is applied."""
    stopped: frozenset[str]
    started: frozenset[str]
    """Links; one that is in both runs anew with other settings."""
    amended: tuple[Amendment, ...]
    kept: frozenset[str]
    changed: frozenset[str]
    removed: frozenset[str]
    added: frozenset[str]
    """Devices."""


class _Polled(NamedTuple):
    """Everything that decides how a device is polled."""

    link: str
    driver: type[Driver[Any]]
    wiring: tuple[object, ...]
    settings: tuple[object, ...]
    tags: tuple[Tag, ...]


def difference(old: Site, new: Site) -> Difference:
    """What turns ``old``, which runs, into ``new``."""
    before, after = dict(_polled(old)), dict(_polled(new))
    both = before.keys() & after.keys()
    kept = _kept(before, after)
    staying = {before[name].link for name in kept}
    disturbed = before.keys() - kept, after.keys() - kept
    gone, fresh = (
        {name: polled[name].link for name in names}
        for polled, names in zip((before, after), disturbed, strict=True)
    )
    return Difference(
        needs_restart=tuple(_needs_restart(old.config, new.config)),
        stopped=frozenset(gone.values()) - staying,
        started=frozenset(fresh.values()) - staying,
        amended=tuple(_amendments(sorted(staying), gone, fresh)),
        kept=kept,
        changed=frozenset(both - kept),
        removed=frozenset(before.keys() - after.keys()),
        added=frozenset(after.keys() - before.keys()),
    )


def _kept(before: dict[str, _Polled], after: dict[str, _Polled]) -> frozenset[str]:
    """The devices that nothing disturbs, neither their own change nor a neighbour's."""
    same = {name for name in before.keys() & after.keys() if before[name] == after[name]}
    disturbed = {
        polled[name].link for polled in (before, after) for name in polled.keys() - same
    }
    return frozenset(
        name
        for name in same
        if before[name].link not in disturbed or before[name].driver.can_adopt
    )


def _amendments(
    links: list[str], gone: dict[str, str], fresh: dict[str, str]
) -> Iterator[Amendment]:
    for link in links:
        amendment = Amendment(
            link,
            frozenset(name for name, its in gone.items() if its == link),
            frozenset(name for name, its in fresh.items() if its == link),
        )
        if amendment.gone or amendment.fresh:
            yield amendment


def _needs_restart(old: Config, new: Config) -> Iterator[str]:
    for key in NEEDS_RESTART:
        section, _, word = key.partition(".")
        if getattr(getattr(old, section), word) != getattr(getattr(new, section), word):
            yield key


def _polled(site: Site) -> Iterator[tuple[str, _Polled]]:
    for link in site.links:
        tags_of: dict[str, list[Tag]] = {}
        for tag in link.tags:
            unlabelled = replace(tag, label="") if tag.label else tag
            tags_of.setdefault(tag.device, []).append(unlabelled)
        wiring = _settings(link.config)
        for device in link.config.devices:
            if device.name in tags_of:
                tags, settings = tuple(tags_of[device.name]), _settings(device)
                name = link.config.name
                yield device.name, _Polled(name, link.driver, wiring, settings, tags)


def _settings(config: Model) -> tuple[Any, ...]:
    return tuple(pair for pair in config if pair[0] not in _THROUGH_TAGS)
