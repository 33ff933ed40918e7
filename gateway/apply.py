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
from gateway.loader import Problem, Site, WrongConfigError, point_at
from gateway.messages import language, text, told
from gateway.planning import PlannedLink, plan_site
from gateway.reload import Difference, difference
from gateway.systemd import sd_notify

log = structlog.get_logger()


class Told(NamedTuple):
    """One mistake, as a person reads it."""

    place: str
    """``file:line:col``, as far as it has one."""
    message: str
    excerpt: str = ""
    """The line as written, and a caret under the fault."""


class Refusal(NamedTuple):
    """Why a configuration does not run."""

    reasons: tuple[str, ...]
    """Words for the ``status`` topic."""
    mistakes: tuple[Told, ...]

    @property
    def first(self) -> str:
        """The first mistake, with its place, on one line."""
        return f"{self.mistakes[0].place}: {self.mistakes[0].message}"


def refusal(problems: Sequence[Problem]) -> Refusal:
    """What speaks against a file with these ``problems``."""
    errors = [problem for problem in problems if problem.severity == "error"]
    first = errors[0]
    word = f"config_wrong.{Path(first.file).name}:{first.line}:{first.column}"
    return Refusal((word,), tuple(map(_told, errors)))


def _told(problem: Problem) -> Told:
    lang = language()
    place = f"{problem.file}:{problem.line}:{problem.column}"
    return Told(place, problem.message(lang), problem.excerpt)


def unusable(file: Path, error: ConfigError) -> Refusal:
    """The same for a mistake that shows only when the whole is planned."""
    if isinstance(error, WrongConfigError):
        return refusal(error.problems)
    message = told(error, language())
    return Refusal((f"config_wrong.{file.name}",), (Told(str(file), message),))


def frozen_keys(file: Path, keys: Sequence[str]) -> Refusal:
    """The same for keys that cannot change while the gateway runs. Reads ``file``."""
    found = [problem for key in keys for problem in point_at(file, key, "config_needs_restart")]
    words = tuple(f"config_needs_restart.{key}" for key in keys)
    return Refusal(words, tuple(map(_told, found)))


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
            why = await asyncio.to_thread(frozen_keys, self._files.file, found.needs_restart)
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
        for place, message, excerpt in why.mistakes:
            log.error("configuration mistake", place=place, error=message, excerpt=excerpt)
        log.error("configuration not applied", mistakes=len(why.mistakes))
        self._line.refuse(why, text(code, language(), first=why.first))


def merged(old: PlannedLink, new: PlannedLink, found: Difference) -> PlannedLink:
    """``new`` on the connections of ``old``, with the very blocks of what is kept."""
    kept = [block for block in old.blocks if block.device in found.kept]
    fresh = [block for block in new.blocks if block.device not in found.kept]
    return PlannedLink(new.site, old.drivers, (*kept, *fresh))
