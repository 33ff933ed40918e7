"""The agent: one gateway's life, run after run of its `line`.

Start: the configuration is loaded and planned before this, the journal is recovered, then
READY, and links and delivery connect in their own time. Stop: links, journal, a bounded
drain, the clean marker.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import structlog

from gateway.apply import Refusal, Reloader
from gateway.clock import Clock
from gateway.errors import JournalError, NoDiskError
from gateway.journal import Journal, Settings
from gateway.last_good import ConfigFiles
from gateway.line import Line, Unstored, cancelled, mqtt_settings
from gateway.loader import Site
from gateway.model import Block
from gateway.planning import plan_site
from gateway.record import encode_schema, layout_of
from gateway.systemd import sd_notify

log = structlog.get_logger()

DISK_RETRY_S = 30.0


class Agent:
    """One gateway, from its configuration to its last breath."""

    def __init__(
        self,
        site: Site,
        clock: Clock,
        files: ConfigFiles | None = None,
        refused: Refusal | None = None,
    ) -> None:
        """Plans every link.

        files: where ``site`` was read, and will be read again on `reload`. refused: why
        ``site`` is a copy that stands in for what lies there now.

        Raises:
            ConfigError: A plan does not hold.
        """
        self._site = site
        self._files = files
        self._refused = refused
        self._reload_wanted = asyncio.Event()
        self._clock = clock
        self._planned = plan_site(site, clock)
        self._mqtt = mqtt_settings(site.config.mqtt, site.config.gateway.id)
        self._stopping = asyncio.Event()
        self._over = asyncio.Event()
        """This run of the line ends: to stop, or because the disk takes the journal now."""
        self._journal: Journal | None = None
        self._found: Journal | None = None
        """A journal on disk, to go on with in place of one in memory alone."""

    def backlog(self) -> int:
        """Records on disk that are not delivered yet."""
        return 0 if self._journal is None else self._journal.stats().unsettled_records

    def stop(self) -> None:
        """Stop in order; a second call changes nothing."""
        self._stopping.set()
        self._over.set()

    def reload(self) -> None:
        """Read the configuration again and apply what differs."""
        self._reload_wanted.set()

    async def run(self) -> None:
        """Run until `stop`.

        On a disk that takes nothing it runs in memory, and again from the beginning once
        the disk takes the journal.

        Raises:
            JournalError: The journal cannot be opened; nothing was started.
        """
        try:
            journal = self._open_journal()
        except NoDiskError as error:
            log.error("journal in memory only", error=str(error))
            journal = self._journal_in_memory(str(error))
        unstored = await self._live(journal, None)
        while (found := self._found) is not None:
            self._found = None
            if not self._stopping.is_set():
                self._over.clear()
                self._planned = plan_site(self._site, self._clock)
                unstored = await self._live(found, unstored)
            else:
                await found.close(clean=False)

    async def _live(self, journal: Journal, unstored: Unstored | None) -> Unstored:
        """One run of the line; what no disk holds of it."""
        self._journal, clean = journal, False
        try:
            rest = await self._run(journal, unstored)
            clean = True
        finally:
            await journal.close(clean=clean)
        log.info("stopped", clean=clean)
        return rest

    def _open_journal(self) -> Journal:
        return Journal.open(self._settings(), **self._starter())

    def _journal_in_memory(self, why: str) -> Journal:
        return Journal.without_disk(self._settings(), **self._starter(), why=why)

    def _settings(self) -> Settings:
        config = self._site.config.journal
        return Settings(
            path=Path(config.path),
            size=config.size,
            commit_s=config.commit,
            memory=config.memory,
            retain_settled_s=config.retain_settled,
        )

    def _starter(self) -> dict[str, Any]:
        return {
            "gateway": self._site.config.gateway.id,
            "schema": encode_schema([layout_of(block) for block in self._blocks()]),
            "clock": self._clock,
            "boot": self._clock.boot,
            "config": self._site.fingerprint,
        }

    async def _look_for_disk(self) -> None:
        """Return when the disk takes the journal: this run is then over."""
        while self._found is None:
            await self._clock.sleep_until(self._clock.monotonic() + DISK_RETRY_S)
            try:
                self._found = await asyncio.to_thread(self._open_journal)
            except JournalError as error:
                log.info("journal still in memory only", error=str(error))
        self._over.set()

    def _blocks(self) -> list[Block[object]]:
        return [block for planned in self._planned for block in planned.blocks]

    async def _run(self, journal: Journal, unstored: Unstored | None) -> Unstored:
        line = Line(self._site, self._planned, self._mqtt, journal, self._clock)
        if unstored is not None:
            line.account(unstored)
        journal.start(line.delivery.committed)
        line.begin()
        # What was loaded stays: a collection of 100,000 tags would stop the loop for 80 ms.
        gc.collect()
        gc.freeze()
        sd_notify("READY=1")
        async with asyncio.TaskGroup() as tasks:
            line.start(tasks)
            watch = [tasks.create_task(work) for work in self._reloading(line)]
            if not journal.is_stored:
                watch.append(tasks.create_task(self._look_for_disk()))
            rest = [
                tasks.create_task(line.delivery.run()),
                tasks.create_task(line.again.run(), name="publish again"),
                tasks.create_task(line.health.run()),
                tasks.create_task(line.alarms.run(), name="alarms"),
            ]
            await self._over.wait()
            if self._stopping.is_set():
                sd_notify("STOPPING=1")
            await cancelled(watch)
            await line.halt(line.links)
            await line.end()
            for task in rest:
                task.cancel()
        self._site = line.site
        return line.unstored()

    def _reloading(self, line: Line) -> list[Coroutine[Any, Any, None]]:
        """The task that serves `reload`, where it is known what to read."""
        if self._files is None:
            return []
        reloader = Reloader(self._files, line, self._clock, self._reload_wanted)
        return [reloader.run(self._refused)]


async def run(agent: Agent) -> None:
    """Run the agent until SIGTERM or SIGINT; SIGHUP reads its configuration again.

    Raises:
        JournalError: The journal cannot be opened.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    loop.add_signal_handler(signal.SIGHUP, agent.reload)
    await agent.run()
