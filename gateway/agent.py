"""The agent: wires the line together and runs it.

    links ──▶ intake ──▶ journal ──▶ delivery ──▶ broker        health looks at all of it

Start: the configuration is loaded and planned before this, the journal is recovered, then
READY, and links and delivery connect in their own time. Stop: links, journal, a bounded
drain, the clean marker.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import structlog

from gateway.announce import VERSION, Announcer
from gateway.clock import Clock
from gateway.config import MqttConfig
from gateway.deliver import Delivery
from gateway.dialects.json import JsonDialect
from gateway.errors import JournalError
from gateway.health import Health, sd_notify
from gateway.intake import Intake
from gateway.journal import Journal, Settings
from gateway.lane import Policy
from gateway.link import Link
from gateway.loader import Site
from gateway.model import Block, Event, Lane
from gateway.mqtt import Credentials, MqttPublisher, MqttSettings, TlsFiles
from gateway.pace import Pace
from gateway.planning import PlannedLink, plan_site
from gateway.record import Encoder, encode_schema, layout_of

log = structlog.get_logger()

DRAIN_S = 3.0
"""How long a stop waits for what is not delivered yet; the rest is delivered after a start."""
SYNC_S = 1.5
GOODBYE_S = 0.05
"""Time for the last message to leave the socket."""


class Agent:
    """One gateway, from its configuration to its last breath."""

    def __init__(self, site: Site, clock: Clock) -> None:
        """Plans every link.

        Raises:
            ConfigError: A plan does not hold.
        """
        self._site = site
        self._clock = clock
        self._planned = plan_site(site, clock)
        self._stopping = asyncio.Event()
        self._journal: Journal | None = None

    def backlog(self) -> int:
        """Records on disk that are not delivered yet."""
        return 0 if self._journal is None else self._journal.stats().unsettled_records

    def stop(self) -> None:
        """Stop in order; a second call changes nothing."""
        self._stopping.set()

    async def run(self) -> None:
        """Run until `stop`.

        Raises:
            JournalError: The journal cannot be opened; nothing was started.
        """
        journal = self._journal = self._open_journal()
        clean = False
        try:
            await self._run(journal)
            clean = True
        finally:
            await journal.close(clean=clean)
        log.info("stopped", clean=clean)

    def _open_journal(self) -> Journal:
        config = self._site.config.journal
        settings = Settings(
            path=Path(config.path),
            size=config.size,
            commit_s=config.commit,
            memory=config.memory,
            retain_settled_s=config.retain_settled,
        )
        return Journal.open(
            settings,
            gateway=self._site.config.gateway.id,
            schema=encode_schema([layout_of(block) for block in self._blocks()]),
            clock=self._clock,
            boot=self._clock.boot_id(),
            config=self._site.fingerprint,
        )

    def _blocks(self) -> list[Block[object]]:
        return [block for planned in self._planned for block in planned.blocks]

    async def _run(self, journal: Journal) -> None:
        line = Line(self._site, self._planned, journal, self._clock)
        journal.start(line.delivery.committed)
        line.begin()
        sd_notify("READY=1")
        async with asyncio.TaskGroup() as tasks:
            links = [tasks.create_task(link.run()) for link in line.links]
            rest = [
                tasks.create_task(line.delivery.run()),
                tasks.create_task(line.health.run()),
            ]
            await self._stopping.wait()
            sd_notify("STOPPING=1")
            for task in links:
                task.cancel()
            await asyncio.wait(links) if links else None
            await line.end()
            for task in rest:
                task.cancel()


class Line:
    """The parts between the links and the broker, wired together."""

    def __init__(
        self, site: Site, planned: list[PlannedLink], journal: Journal, clock: Clock
    ) -> None:
        self._journal = journal
        self._site = site
        mqtt = site.config.mqtt
        blocks = [block for link in planned for block in link.blocks]
        devices: dict[str, list[Block[object]]] = {}
        for block in blocks:
            devices.setdefault(block.device, []).append(block)
        encoder = Encoder(clock.boot_id(), blocks, [layout_of(block) for block in blocks])
        self.intake = Intake(journal, encoder, clock, devices)
        self.links = [
            Link(link.site.config.name, link.drivers, link.blocks, self.intake, clock)
            for link in planned
        ]
        dialect = JsonDialect(mqtt.root, site.config.gateway.id)
        self.publisher = MqttPublisher(
            mqtt_settings(mqtt, site.config.gateway.id),
            clock,
            credentials=lambda: mqtt_credentials(mqtt),
            will=lambda: self._announcer.will(),
        )
        self._announcer = Announcer(
            site, journal, self.intake, dialect, self._connection, clock
        )
        self.delivery = Delivery(
            journal,
            self.publisher,
            dialect,
            clock,
            policy=Policy(
                accept_no_subscribers=mqtt.no_subscribers == "accept",
                accept_v3_acknowledgements=mqtt.accept_v3_acknowledgements,
            ),
            window=mqtt.window,
            pace=Pace(mqtt.catch_up),
            recorded=lambda: self.intake.recorded_total,
            on_open=lambda _: self.health.opened(),
        )
        timeouts = {
            link: plan.longest_timeout_s for link, plan in zip(self.links, planned, strict=True)
        }
        self.health = Health(
            timeouts,
            journal,
            self.intake,
            self.delivery,
            self.publisher,
            self._announcer,
            clock,
        )

    def _connection(self) -> int:
        return self.publisher.status.connection

    def begin(self) -> None:
        """Say that the gateway has started."""
        recovered = self._journal.recovered
        log.info(
            "started",
            version=VERSION,
            incarnation=self._journal.incarnation,
            config=self._site.fingerprint,
            links=len(self.links),
            clean=recovered.clean,
            first_start=recovered.first_start,
        )
        if any(link.alarms for link in self._site.links):
            log.warning("alarm limits are not evaluated in this version")
        self.intake.start()
        fields = {
            "version": VERSION,
            "config": self._site.fingerprint,
            "clean": recovered.clean,
            "quarantined": list(recovered.quarantined),
        }
        self.intake.event(Event("start", fields))
        self._announcer.schemas(self.delivery)

    async def end(self) -> None:
        """Make everything durable, deliver what can be delivered soon, say goodbye."""
        self.intake.event(Event("stop", {}))
        try:
            async with asyncio.timeout(SYNC_S):
                for lane in Lane:
                    await self._journal.durable(lane)
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


def mqtt_settings(mqtt: MqttConfig, gateway: str) -> MqttSettings:
    """How to reach the brokers that the configuration names."""
    tls = mqtt.tls
    files = TlsFiles()
    if tls is not None:
        files = TlsFiles(
            Path(tls.ca) if tls.ca else None,
            Path(tls.certificate) if tls.certificate else None,
            tls.key.path() if tls.key else None,
        )
    return MqttSettings(
        urls=mqtt.urls,
        client_id=mqtt.client_id or gateway,
        version=5 if mqtt.version == 5 else 4,
        tls=files,
    )


def mqtt_credentials(mqtt: MqttConfig) -> Credentials | None:
    """Who we are to the broker; read anew each time, so that a changed secret is used.

    Raises:
        ConfigError: The secret cannot be read.
    """
    if mqtt.username is None:
        return None
    return Credentials(mqtt.username, mqtt.password.read() if mqtt.password else None)


async def run(site: Site) -> None:
    """Run the agent until SIGTERM or SIGINT.

    Raises:
        ConfigError: A plan does not hold.
        JournalError: The journal cannot be opened.
    """
    agent = Agent(site, Clock())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    await agent.run()
