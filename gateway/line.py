"""The line, from the links to the broker: its parts wired together, and changed while it runs.

links ──▶ intake ──▶ journal ──▶ delivery ──▶ broker        health looks at all of it
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from gateway import logs
from gateway.again import Again
from gateway.alarm_file import AlarmFile
from gateway.alarms import Limit, limits_of
from gateway.announce import VERSION, Announcer
from gateway.annunciator import Annunciator
from gateway.apply import Refusal, merged
from gateway.clock import Clock
from gateway.config import Config, MqttConfig
from gateway.deliver import Delivery
from gateway.desk import Desk, desk_topics
from gateway.dialects.json import JsonDialect
from gateway.errors import JournalError
from gateway.health import Health
from gateway.intake import GATEWAY_STREAM, Intake
from gateway.journal import Journal
from gateway.journal.files import DiskFiles
from gateway.lane import Policy
from gateway.link import Link
from gateway.loader import Site
from gateway.model import Block, Event, Gap, Lane
from gateway.mqtt import Credentials, MqttPublisher, MqttSettings, TlsFiles
from gateway.pace import Pace
from gateway.planning import PlannedLink
from gateway.receipts import Watermarks
from gateway.record import Encoder, encode_schema, layout_of
from gateway.reload import Difference

log = structlog.get_logger()

DRAIN_S = 3.0
"""How long a stop waits for what is not delivered yet; the rest is delivered after a start."""
SYNC_S = 1.5
GOODBYE_S = 0.05
"""Time for the last message to leave the socket."""


INSIST_S = 3.0
"""A task that has not ended by then is cancelled once more."""


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
    """Cancel ``tasks`` and return when they have ended.

    One whose group fails at that moment keeps the cancellation to itself: it is told again.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=INSIST_S)


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
