"""A configuration without mistakes: what the agent runs on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway import model
from gateway.config import AlarmsConfig, Config, LinkConfig
from gateway.driver import Driver


@dataclass(frozen=True, slots=True)
class LinkSite:
    """One link, ready to be planned."""

    config: LinkConfig
    """The driver's own model; its devices hold their settings, without tags."""
    driver: type[Driver[Any]]
    tags: tuple[model.Tag, ...]
    """In the order written, devices one after the other."""
    alarms: Mapping[tuple[str, str], AlarmsConfig] = field(default_factory=dict)
    """(device, tag) → its limits."""


@dataclass(frozen=True, slots=True)
class Site:
    """A configuration without mistakes."""

    config: Config
    links: tuple[LinkSite, ...]
    fingerprint: str
    """SHA-256 of the effective configuration, 16 hex digits."""
