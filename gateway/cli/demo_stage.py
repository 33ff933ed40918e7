"""The demo's stage: simulated devices, a loopback broker, the agent, and the platform.

Everything is real but the physics: real sockets, the real protocol, a journal on disk.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Self

from msgspec import UNSET

from gateway.agent import Agent
from gateway.cli.simulate import redirected, start, url_of
from gateway.clock import Clock
from gateway.continuity import Continuity
from gateway.dialects import wire
from gateway.driver import Simulation
from gateway.loader import Site, from_text
from gateway.model import Scalar
from gateway.simulation.broker import Broker

RECENT = 6
"""Lines of the log and of the platform's findings that are kept to be shown."""


class Log:
    """A stream that keeps the last lines."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=RECENT)

    def write(self, text: str) -> int:
        """Keep ``text``, line by line."""
        self.lines.extend(line for line in text.splitlines() if line)
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""


@dataclass(slots=True)
class Shown:
    """What the platform knows of one device."""

    time: str = ""
    values: dict[str, Scalar] = field(default_factory=dict)
    quality: dict[str, str] = field(default_factory=dict)
    """Of the tags that are not good."""


@dataclass(slots=True)
class Alarmed:
    """A change of an alarm, as it arrived."""

    device: str
    alarm: wire.Alarm
    time: str
    overtook: int = 0
    """Readings that are older and arrived later."""
    took_s: float = 0.0
    """From the reading that changed it to its arrival."""


class Platform:
    """The other side of the broker: what arrived, and whether anything is missing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.continuity = Continuity()
        self.devices: dict[str, Shown] = {}
        self.alarms: deque[Alarmed] = deque(maxlen=RECENT)
        self.active: set[str] = set()
        """Ids of the alarms that are active."""
        self.gaps: deque[tuple[str, wire.Gap]] = deque(maxlen=RECENT)
        self.arrived = asyncio.Event()

    def receive(self, topic: str, payload: bytes) -> None:
        """Take in one message."""
        message = wire.parse(topic, payload)
        if isinstance(message, wire.Heads):
            self.continuity.heads("demo", message)
        if isinstance(message, wire.LaneMessage):
            self.continuity.message(message)
            for record in message.records:
                self._record(message.device, record)

    def _record(self, device: str, record: wire.Record) -> None:
        if record.gap is not UNSET:
            self.gaps.append((device, record.gap))
        if record.alarm is not UNSET:
            self._alarm(device, record, record.alarm)
        if record.values is UNSET:
            return
        for alarmed in self.alarms:
            if record.time < alarmed.time:
                alarmed.overtook += len(record.values)
        shown = self.devices.setdefault(device, Shown())
        shown.time = max(shown.time, record.time)
        shown.values.update(record.values)
        for name in record.values:
            shown.quality.pop(name, None)
        shown.quality.update({} if record.quality is UNSET else record.quality)
        self.arrived.set()

    def age_s(self, time: str) -> float:
        """Seconds from ``time``, as a message gives it, until now."""
        return self._clock.now_ns() / 1e9 - datetime.fromisoformat(time).timestamp()

    def _alarm(self, device: str, record: wire.Record, alarm: wire.Alarm) -> None:
        if alarm.snapshot and alarm.id in self.active:
            return
        if alarm.state == "active":
            self.active.add(alarm.id)
        else:
            self.active.discard(alarm.id)
        known = {(seen.alarm.id, seen.alarm.state) for seen in self.alarms}
        if (alarm.id, alarm.state) not in known:
            took_s = self.age_s(record.time)
            self.alarms.append(Alarmed(device, alarm, record.time, took_s=took_s))


class Stage:
    """All of it together; use as ``async with``."""

    def __init__(self, lang: str) -> None:
        self._lang = lang
        self._stack = AsyncExitStack()
        self.broker = Broker()
        self.broker_up = True
        self.clock = Clock()
        self.platform = Platform(self.clock)
        self.most_waiting = 0
        """Records that waited on disk when most did, since it was empty."""
        self.simulations: dict[str, Simulation] = {}
        """By link."""
        self.faults: dict[str, str] = {}
        """Device → the fault it shows."""
        self.site = _demo_site({})
        self.agent: Agent | None = None
        self._agent_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-demo-"))
        await self.broker.start()
        self.broker.listen("#", self.platform.receive)
        urls = {
            "mqtt://127.0.0.1:4": self.broker.url,
            "/nonexistent": str(Path(folder, "journal")),
        }
        for link in self.site.links:
            simulation = await start(link, 0, self._lang)
            self.simulations[link.config.name] = simulation
            urls[url_of(link)] = simulation.url
        self.site = _demo_site(urls)
        tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self.agent = Agent(self.site, self.clock)
        self._agent_task = tasks.create_task(self.agent.run())
        return self

    async def __aexit__(self, *error: object) -> None:
        """Stop the agent in order while the broker still listens, then everything else."""
        if not self.broker_up:
            await self.switch_broker()
        if self.agent is not None and self._agent_task is not None:
            self.agent.stop()
            await asyncio.wait([self._agent_task])
        for simulation in self.simulations.values():
            await simulation.stop()
        await self.broker.stop()
        await self._stack.aclose()

    def waiting(self) -> int:
        """Records that wait on disk."""
        waiting = self.agent.backlog() if self.agent else 0
        self.most_waiting = max(self.most_waiting, waiting)
        return waiting

    async def switch_broker(self) -> None:
        """Stop the broker, or start it again."""
        if self.broker_up:
            await self.broker.stop()
        else:
            await self.broker.start()
        self.broker_up = not self.broker_up

    def switch(self, device: str, fault: str) -> None:
        """Let ``device`` show ``fault``, or none if it shows it already."""
        healed = self.faults.pop(device, None) == fault
        if not healed:
            self.faults[device] = fault
        for link in self.site.links:
            if any(device == known.name for known in link.config.devices):
                self.simulations[link.config.name].fail(device, None if healed else fault)


def _demo_site(urls: dict[str, str]) -> Site:
    text = files("gateway.simulation").joinpath("demo.yaml").read_text(encoding="utf-8")
    return from_text(redirected(text, urls), "demo.yaml")
