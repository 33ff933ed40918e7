"""The whole line in one process: an agent at work, and the platform behind the broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from msgspec import UNSET

from gateway.agent import Agent
from gateway.dialects import wire
from gateway.simulation.broker import Broker
from tests.delivery.schema import parsed
from tests.patience import PATIENCE_S


class Platform:
    """Everything the broker passed on; an empty payload takes a retained message back."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.lane: list[wire.LaneMessage] = []
        self.other: dict[str, wire.Message] = {}
        self.statuses: list[wire.Status] = []
        self.topics: list[tuple[str, bytes]] = []
        self._changed = asyncio.Event()
        broker.listen("park/#", self._receive)

    def _receive(self, topic: str, payload: bytes) -> None:
        self.topics.append((topic, payload))
        message = parsed(topic, payload) if payload else None
        if isinstance(message, wire.LaneMessage):
            self.lane.append(message)
        elif message is not None:
            self.other[topic] = message
        if isinstance(message, wire.Status):
            self.statuses.append(message)
        self._changed.set()

    def records(self, device: str | None = None, lane: str = "data") -> list[wire.Record]:
        """Of one device, or of all."""
        found = [m for m in self.lane if m.lane == lane and device in (None, m.device)]
        return [record for message in found for record in message.records]

    def gaps(self, device: str) -> list[wire.Gap]:
        return [r.gap for r in self.records(device) if r.gap is not UNSET]

    def says(self, reason: str) -> bool:
        """Whether the last status gives a reason that begins so."""
        return any(r.startswith(reason) for r in self.statuses[-1].reasons)

    def events(self, kind: str) -> list[dict[str, Any]]:
        events = [r.event for r in self.records("_gateway", "meta") if r.event is not UNSET]
        return [event for event in events if event["kind"] == kind]

    async def until(self, fact: Callable[[], object]) -> None:
        """Return when ``fact`` holds; looked at after each message."""
        async with asyncio.timeout(PATIENCE_S):
            while not fact():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def running(agent: Agent) -> AsyncIterator[Agent]:
    """``agent`` at work; at the end it stops in order."""
    task = asyncio.get_running_loop().create_task(agent.run())
    try:
        yield agent
    finally:
        agent.stop()
        async with asyncio.timeout(PATIENCE_S):
            await task
