"""A whole configuration, and a file in ``conf.d``."""

from __future__ import annotations

import zoneinfo
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gateway.config.links import Defaults, LinkConfig
from gateway.config.mqtt import MqttConfig
from gateway.notation import Duration, Interval, Model, Name, Size, wrong


def _timezone(written: object) -> object:
    if isinstance(written, str) and written != "UTC" and zoneinfo.TZPATH:
        known = any(Path(folder, written).is_file() for folder in zoneinfo.TZPATH)
        if not known and any(Path(folder).is_dir() for folder in zoneinfo.TZPATH):
            raise wrong("unknown_timezone", value=written)
    return written


class GatewayConfig(Model):
    """Who this gateway is."""

    id: Name
    """Unique in the park; first level of every topic after the root."""
    label: str = ""
    """Free text for people, any language."""
    timezone: Annotated[str, BeforeValidator(_timezone)] = "UTC"
    """For display only; records are always in UTC."""


class JournalConfig(Model):
    """The queue on disk."""

    path: str
    """Its directory."""
    size: Annotated[Size, Field(ge=32 * 2**20)] = 2 * 2**30
    """Disk it may use; when it is full the oldest data goes first, counted in a gap."""
    commit: Annotated[Interval, Field(le=60)] = 0.25
    """A reading is on disk after this time at the latest."""
    memory: Annotated[Size, Field(ge=2**20)] = 32 * 2**20
    """Readings kept in memory while the disk does not take them."""
    retain_settled: Duration = 86400.0
    """How long delivered data is still kept."""


class LogConfig(Model):
    """What the agent says about itself."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Smallest level that is written."""
    format: Literal["journal", "json", "console"] | None = None
    """By where stderr goes unless set."""


class Config(Model):
    """A whole configuration; every file begins with ``version: 1``."""

    version: Literal[1]
    """Version of this format."""
    gateway: GatewayConfig
    """Who this gateway is."""
    defaults: Defaults = Defaults()
    """For every link, device and tag."""
    links: tuple[LinkConfig, ...] = ()
    """Sockets and serial lines; files in `conf.d` may add more."""
    mqtt: MqttConfig
    """Towards the broker."""
    journal: JournalConfig
    """The queue on disk."""
    log: LogConfig = LogConfig()
    """What the agent says about itself."""
    status_page: Literal["off"] = "off"
    """No port is opened; a page comes with a later release."""
    metrics: Literal["off"] = "off"
    """No port is opened; metrics come with a later release."""


class DropIn(Model):
    """A file in ``conf.d``: more links for the main file."""

    version: Literal[1]
    """Version of this format."""
    links: tuple[LinkConfig, ...] = ()
    """Sockets and serial lines."""
