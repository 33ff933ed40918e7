"""The agent: wires the line together and runs it.

    links ──▶ intake ──▶ journal ──▶ delivery ──▶ broker        health looks at all of it

Start: the configuration is loaded and planned before this, the journal is recovered, then
READY, and links and delivery connect in their own time. Stop: links, journal, a bounded
drain, the clean marker.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from gateway import logs
from gateway.again import Again
from gateway.alarm_file import AlarmFile
from gateway.alarms import Limit, limits_of
from gateway.announce import VERSION, Announcer
from gateway.annunciator import Annunciator
from gateway.apply import Refusal, Reloader, merged
from gateway.clock import Clock
from gateway.config import Config, MqttConfig
from gateway.deliver import Delivery
from gateway.desk import Desk, desk_topics
from gateway.dialects.json import JsonDialect
from gateway.errors import JournalError, NoDiskError
from gateway.health import Health
from gateway.intake import GATEWAY_STREAM, Intake
from gateway.journal import Journal, Settings
from gateway.journal.files import DiskFiles
from gateway.lane import Policy
from gateway.last_good import ConfigFiles
from gateway.link import Link
from gateway.loader import Site
from gateway.model import Block, Event, Gap, Lane
from gateway.mqtt import Credentials, MqttPublisher, MqttSettings, TlsFiles
from gateway.pace import Pace
from gateway.planning import PlannedLink, plan_site
from gateway.receipts import Watermarks
from gateway.record import Encoder, encode_schema, layout_of
from gateway.reload import Difference
from gateway.systemd import sd_notify

log = structlog.get_logger()

DISK_RETRY_S = 30.0
DRAIN_S = 3.0
"""How long a stop waits for what is not delivered yet; the rest is delivered after a start."""
SYNC_S = 1.5
GOODBYE_S = 0.05
"""Time for the last message to leave the socket."""


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


class Unstored(NamedTuple):
    """What a run in memory alone leaves to the run that follows it."""

    gaps: Mapping[str, Gap]
    """For each device that gave readings, how many no disk holds."""
    alarms: bytes
    """The state file of its alarms."""


class Line:
    """The parts between the links and the broker, wired together."""

    def __init__(
        self,
        site: Site,
        planned: list[PlannedLink],
        settings: MqttSettings,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self.site = site
        mqtt = site.config.mqtt
        blocks = [block for link in planned for block in link.blocks]
        encoder = encoder_of(blocks, clock)
        self._blocks = blocks
        self._alarm_file = AlarmFile(DiskFiles(), Path(site.config.journal.path))
        self.alarms = Annunciator(journal, encoder, clock, self._alarm_file)
        self.intake = Intake(journal, encoder, clock, by_device(blocks), self.alarms)
        self._planned = {plan.site.config.name: plan for plan in planned}
        self.links = {name: self._link(plan) for name, plan in self._planned.items()}
        self._tasks: asyncio.TaskGroup | None = None
        self._running: dict[Link, asyncio.Task[None]] = {}
        dialect = JsonDialect(mqtt.root, site.config.gateway.id)
        self.publisher = MqttPublisher(
            settings,
            clock,
            credentials=lambda: mqtt_credentials(self.site.config.mqtt),
            will=lambda: self._announcer.will(),
        )
        self._announcer = Announcer(
            site, journal, self.intake, dialect, self._connection, clock
        )
        watermarks = Watermarks(journal.contents.farthest)
        self.delivery = Delivery(
            journal,
            self.publisher,
            dialect,
            clock,
            policy=policy_of(mqtt),
            window=mqtt.window,
            pace=Pace(mqtt.catch_up),
            recorded=lambda: self.intake.recorded_total,
            on_open=lambda _: self.health.opened(),
            on_received=lambda received: self._desk.hear(received),
            holds=watermarks.holds,
        )
        self.again = Again(
            self.delivery,
            journal,
            journal.contents,
            dialect,
            clock,
            tell_event=self.intake.event,
            pace=Pace(1.0),
            recorded=lambda: self.intake.recorded_total,
        )
        self._desk = Desk(
            watermarks,
            clock,
            moved=lambda lane, stream: self.delivery.lanes[lane].received(stream),
            request=self.again.request,
            tell_event=self.intake.event,
        )
        self._timeouts = {
            self.links[name]: plan.longest_timeout_s for name, plan in self._planned.items()
        }
        self.health = Health(
            self._timeouts,
            journal,
            self.intake,
            self.delivery,
            self.publisher,
            self._announcer,
            clock,
        )

    def _link(self, plan: PlannedLink) -> Link:
        name = plan.site.config.name
        return Link(name, plan.drivers, plan.blocks, self.intake, self._clock)

    def _connection(self) -> int:
        return self.publisher.status.connection

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Let every link run, here and later, in ``tasks``."""
        self._tasks = tasks
        for link in self.links.values():
            self._running[link] = tasks.create_task(link.run())

    async def halt(self, names: Iterable[str]) -> None:
        """Stop these links for good and close their connections."""
        links = [self.links.pop(name) for name in list(names)]
        for link in links:
            self._timeouts.pop(link)
        await cancelled([self._running.pop(link) for link in links])

    async def change(
        self, site: Site, planned: Sequence[PlannedLink], found: Difference
    ) -> None:
        """Run by ``site`` from now on; what is kept goes on undisturbed.

        Between the links that stop and those that start there is one step without a
        pause, in which blocks, records and announcements become those of ``site``.
        """
        await self.halt(found.stopped)
        old, self._planned = self._planned, {}
        for plan in planned:
            name = plan.site.config.name
            stays = name not in found.started
            self._planned[name] = merged(old[name], plan, found) if stays else plan
        self._exchange(site, found)
        before, self.site = self.site, site
        self._retune(before.config, site.config)
        self._say_changed(before, found)

    def _exchange(self, site: Site, found: Difference) -> None:
        """From here on the blocks are those now planned: of records, links and watch."""
        blocks = [block for plan in self._planned.values() for block in plan.blocks]
        schema = encode_schema([layout_of(block) for block in blocks])
        self._journal.use_schema(schema, site.fingerprint)
        fresh = found.added | found.changed
        devices = {name: its for name, its in by_device(blocks).items() if name in fresh}
        gone = found.removed | found.changed
        self.intake.change(encoder_of(blocks, self._clock), gone, devices)
        self.alarms.use(blocks, limits(site))
        self.intake.review()
        for change in found.amended:
            plan = self._planned[change.link]
            its = [block for block in plan.blocks if block.device in change.fresh]
            self.links[change.link].amend(plan.site.config, change.gone, its)
            self._timeouts[self.links[change.link]] = plan.longest_timeout_s
        for name in found.started:
            self._begin_link(name)

    def _begin_link(self, name: str) -> None:
        link = self.links[name] = self._link(self._planned[name])
        self._timeouts[link] = self._planned[name].longest_timeout_s
        if self._tasks is not None:
            self._running[link] = self._tasks.create_task(link.run())

    def _retune(self, before: Config, now: Config) -> None:
        """Everything but the links, as far as it differs."""
        journal, mqtt = now.journal, now.mqtt
        if journal != before.journal:
            self._journal.tune(
                commit_s=journal.commit,
                memory=journal.memory,
                retain_settled_s=journal.retain_settled,
            )
        if mqtt != before.mqtt:
            self.delivery.change(policy_of(mqtt), mqtt.window, Pace(mqtt.catch_up))
            self.publisher.change(mqtt_settings(mqtt, now.gateway.id))
        if now.log != before.log:
            logs.configure(now.log.level, now.log.format)

    def _say_changed(self, before: Site, found: Difference) -> None:
        """Tell everybody that ``site`` runs, and what that changed."""
        names = {
            "added": sorted(found.added),
            "changed": sorted(found.changed),
            "removed": sorted(found.removed),
        }
        counts = {word: len(devices) for word, devices in names.items()}
        fingerprint = self.site.fingerprint
        log.info("configuration applied", config=fingerprint, **counts, kept=len(found.kept))
        fields = {"config": fingerprint, "previous": before.fingerprint, **names}
        self.intake.event(Event("config_applied", fields))
        self._announcer.change(self.site)
        self._announcer.schemas(self.delivery)
        self._announcer.status(self.delivery, *self.health.state())

    def refuse(self, why: Refusal | None, told: str) -> None:
        """Say that another configuration was to run; None: all is well again."""
        self.health.config(() if why is None else why.reasons, told)

    def account(self, unstored: Unstored) -> None:
        """Answer for a run in memory alone that came before this; call it before `begin`."""
        self.intake.account(unstored.gaps)
        try:
            self._alarm_file.read()
            self._alarm_file.write(unstored.alarms)
        except OSError as error:
            log.error("alarm state not saved", error=str(error))

    def unstored(self) -> Unstored:
        """What no disk holds of this run, now that it has ended."""
        return Unstored(self.intake.unstored(), self.alarms.state())

    def begin(self) -> None:
        """Say that the gateway has started."""
        recovered = self._journal.recovered
        log.info(
            "started",
            version=VERSION,
            incarnation=self._journal.incarnation,
            config=self.site.fingerprint,
            links=len(self.links),
            clean=recovered.clean,
            first_start=recovered.first_start,
        )
        self.alarms.start(self._blocks, limits(self.site))
        self.intake.start()
        fields = {
            "version": VERSION,
            "config": self.site.fingerprint,
            "clean": recovered.clean,
            "quarantined": list(recovered.quarantined),
        }
        self.intake.event(Event("start", fields))
        known = {device.name for link in self.site.links for device in link.config.devices}
        earlier = {device for _, device in recovered.streams} - known - {GATEWAY_STREAM}
        self._announcer.forget(self.delivery, sorted(earlier))
        self._announcer.schemas(self.delivery)

    async def end(self) -> None:
        """Make everything durable, deliver what can be delivered soon, say goodbye."""
        self.intake.finish()
        self.intake.event(Event("stop", {}))
        try:
            self.intake.mark()
            async with asyncio.timeout(SYNC_S):
                await self.alarms.flush()
                for lane in Lane:
                    await self._journal.durable(lane)
                await self.alarms.flush()
        except (JournalError, TimeoutError) as error:
            log.error("journal not synced", error=str(error) or "slow disk")
        if not self.delivery.online:
            return
        try:
            async with asyncio.timeout(DRAIN_S):
                await self.delivery.drained()
        except TimeoutError:
            left = self._journal.stats().unsettled_records
            log.warning("stopped before everything was delivered", records=left)
        self._announcer.status(self.delivery, "offline", ["stopped"])
        await asyncio.sleep(GOODBYE_S)


def limits(site: Site) -> dict[tuple[str, str], tuple[Limit, ...]]:
    """The limits of every tag that has any, by device and tag."""
    return {
        (tag.device, tag.name): limits_of(alarms, tag)
        for link in site.links
        for tag in link.tags
        if (alarms := link.alarms.get((tag.device, tag.name))) is not None
    }


async def cancelled(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel ``tasks`` and return when they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def by_device(blocks: Iterable[Block[object]]) -> dict[str, list[Block[object]]]:
    """The blocks of each device."""
    found: dict[str, list[Block[object]]] = {}
    for block in blocks:
        found.setdefault(block.device, []).append(block)
    return found


def encoder_of(blocks: Sequence[Block[object]], clock: Clock) -> Encoder:
    """What writes the records of ``blocks``, in the order of their schema."""
    return Encoder(clock.boot, blocks, [layout_of(block) for block in blocks])


def policy_of(mqtt: MqttConfig) -> Policy:
    """What counts as delivered."""
    return Policy(
        accept_no_subscribers=mqtt.no_subscribers == "accept",
        accept_v3_acknowledgements=mqtt.accept_v3_acknowledgements,
        receipts=mqtt.delivery == "receipt",
    )


def mqtt_settings(mqtt: MqttConfig, gateway: str) -> MqttSettings:
    """How to reach the brokers that the configuration names."""
    tls = mqtt.tls
    files = TlsFiles()
    if tls is not None:
        files = TlsFiles(
            Path(tls.ca) if tls.ca else None,
            Path(tls.certificate) if tls.certificate else None,
            tls.key.path if tls.key else None,
        )
    return MqttSettings(
        urls=mqtt.urls,
        client_id=mqtt.client_id or gateway,
        version=5 if mqtt.version == 5 else 4,
        tls=files,
        subscriptions=desk_topics(mqtt, gateway),
    )


def mqtt_credentials(mqtt: MqttConfig) -> Credentials | None:
    """Who we are to the broker; read anew each time, so that a changed secret is used.

    Raises:
        ConfigError: The secret cannot be read.
    """
    if mqtt.username is None:
        return None
    return Credentials(mqtt.username, mqtt.password.read() if mqtt.password else None)


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
