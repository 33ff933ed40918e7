"""Applying a new configuration while the gateway runs, or saying why it is not applied.

    SIGHUP ─▶ read and plan ─▶ difference ─▶ links stop ─▶ one step: new blocks, new schema
              (a thread)         (pure)                    ─▶ links start ─▶ kept as last good

Files are read and planned in a thread, so that polling goes on. A wrong configuration
changes nothing; it is named on systemd's status, on the ``status`` topic and in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import structlog

from gateway.clock import Clock
from gateway.errors import ConfigError
from gateway.last_good import ConfigFiles
from gateway.loader import Problem, Site, WrongConfigError
from gateway.messages import language, text, told
from gateway.planning import PlannedLink, plan_site
from gateway.reload import Difference, difference
from gateway.systemd import sd_notify

log = structlog.get_logger()


class Refusal(NamedTuple):
    """Why a configuration does not run."""

    reasons: tuple[str, ...]
    """Words for the ``status`` topic."""
    mistakes: tuple[tuple[str, str], ...]
    """Each with its place, ``file:line:col`` as far as it has one."""

    @property
    def first(self) -> str:
        """The first mistake, with its place, on one line."""
        place, message = self.mistakes[0]
        return f"{place}: {message}"


def refusal(file: Path, problems: Sequence[Problem]) -> Refusal:
    """What speaks against ``file``."""
    errors = [problem for problem in problems if problem.severity == "error"]
    lang = language()
    first = errors[0]
    word = f"config_wrong.{Path(first.file).name}:{first.line}:{first.column}"
    mistakes = [(f"{p.file}:{p.line}:{p.column}", p.message(lang)) for p in errors]
    return Refusal((word,), tuple(mistakes))


def unusable(file: Path, error: ConfigError) -> Refusal:
    """The same for a mistake that shows only when the whole is planned."""
    if isinstance(error, WrongConfigError):
        return refusal(file, error.problems)
    return Refusal((f"config_wrong.{file.name}",), ((str(file), told(error, language())),))


def frozen_keys(file: Path, keys: Sequence[str]) -> Refusal:
    """The same for keys that cannot change while the gateway runs."""
    told = text("config_needs_restart", language(), keys=", ".join(keys))
    return Refusal(tuple(f"config_needs_restart.{key}" for key in keys), ((str(file), told),))


class Line(Protocol):
    """What runs by a configuration."""

    site: Site

    async def change(
        self, site: Site, planned: Sequence[PlannedLink], found: Difference
    ) -> None:
        """Run by ``site`` from now on; what is kept goes on undisturbed."""

    def refuse(self, why: Refusal | None, told: str) -> None:
        """Say that another configuration was to run; None: all is well again."""


class Reloader:
    """Reads the configuration again whenever it is wanted, and applies what differs."""

    def __init__(
        self, files: ConfigFiles, line: Line, clock: Clock, wanted: asyncio.Event
    ) -> None:
        self._files = files
        self._line = line
        self._clock = clock
        self._wanted = wanted

    async def run(self, why: Refusal | None = None) -> None:
        """Serve until cancelled. why: the files are wrong, and a copy of older ones runs."""
        if why is None:
            await self._keep()
        else:
            self._refused(why, "config_copy_runs")
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            now_us = self._clock.monotonic_ns() // 1000
            sd_notify(f"RELOADING=1\nMONOTONIC_USEC={now_us}")
            await self._reload()
            sd_notify("READY=1")

    async def _reload(self) -> None:
        try:
            site, planned, found = await asyncio.to_thread(self._read)
        except ConfigError as error:
            self._refused(unusable(self._files.file, error), "config_kept")
            return
        if found.needs_restart:
            why = frozen_keys(self._files.file, found.needs_restart)
            self._refused(why, "config_kept")
            return
        await self._line.change(site, planned, found)
        self._line.refuse(None, "")
        await self._keep()

    def _read(self) -> tuple[Site, list[PlannedLink], Difference]:
        """The new configuration, planned and compared; in a thread.

        Raises:
            ConfigError: It has mistakes.
        """
        site, problems = self._files.read()
        if site is None:
            raise WrongConfigError(problems)
        return site, plan_site(site, self._clock), difference(self._line.site, site)

    async def _keep(self) -> None:
        try:
            kept = await asyncio.to_thread(self._files.keep, self._line.site)
        except OSError as error:
            log.warning("no copy of the configuration kept", error=str(error))
            return
        if not kept:
            log.warning("no copy of the configuration kept", error="changed while it was read")

    def _refused(self, why: Refusal, code: str) -> None:
        for place, message in why.mistakes:
            log.error("configuration mistake", place=place, error=message)
        log.error("configuration not applied", mistakes=len(why.mistakes))
        self._line.refuse(why, text(code, language(), first=why.first))


def merged(old: PlannedLink, new: PlannedLink, found: Difference) -> PlannedLink:
    """``new`` on the connections of ``old``, with the very blocks of what is kept."""
    kept = [block for block in old.blocks if block.device in found.kept]
    fresh = [block for block in new.blocks if block.device not in found.kept]
    return PlannedLink(new.site, old.drivers, (*kept, *fresh))
