"""From a link's configuration to its drivers and blocks; no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.clock import Clock
from gateway.driver import Driver, check_plan
from gateway.loader import LinkSite, Site
from gateway.model import Block


@dataclass(frozen=True, slots=True)
class PlannedLink:
    """One link, ready to run: a driver for each connection, and what they will read."""

    site: LinkSite
    drivers: tuple[Driver[Any], ...]
    blocks: tuple[Block[Any], ...]

    @property
    def longest_timeout_s(self) -> float:
        """How long one answer may take on this link."""
        config = self.site.config
        return max([config.timeout, *(device.timeout or 0.0 for device in config.devices)])


def plan_link(link: LinkSite, clock: Clock) -> PlannedLink:
    """What will be asked on ``link``.

    Raises:
        ConfigError: The driver's plan breaks its promises.
    """
    drivers = tuple(link.driver(link.config, clock) for _ in range(link.config.connections))
    blocks = tuple(drivers[0].plan(link.tags))
    check_plan(link.tags, blocks)
    return PlannedLink(link, drivers, blocks)


def plan_site(site: Site, clock: Clock) -> list[PlannedLink]:
    """What will be asked on every link that has tags.

    Raises:
        ConfigError: A driver's plan breaks its promises.
    """
    return [plan_link(link, clock) for link in site.links if link.tags]
