"""Delivery, publisher and broker put together, and a platform that listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from gateway.deliver import Delivery
from gateway.dialects.json import JsonDialect
from gateway.lane import Policy
from gateway.mqtt import MqttPublisher, MqttSettings
from gateway.pace import Pace
from gateway.simulation.broker import Broker
from tests.delivery.plant import GATEWAY, ROOT, MemoryJournal, StillClock
from tests.delivery.schema import checked

DIALECT = JsonDialect(ROOT, GATEWAY)


class Platform:
    """Keeps what it is sent; every message is held against the JSON Schema."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Any]] = []

    def hear(self, topic: str, payload: bytes) -> None:
        self.messages.append((topic, checked(topic, payload)))

    def of(self, lane: str) -> list[Any]:
        """Messages of one lane, in the order they came."""
        return [m for topic, m in self.messages if topic.split("/")[-2] == lane]

    def seqs(self, device: str, lane: str = "data") -> list[int]:
        """Seqs of one stream in the order they came, doubles too."""
        messages = [m for m in self.of(lane) if m["device"] == device]
        return [record["seq"] for message in messages for record in message["records"]]


@asynccontextmanager
async def broker_with(platform: Platform | None = None, **limits: int) -> AsyncIterator[Broker]:
    """A broker that runs; ``platform`` hears everything published on it."""
    broker = Broker(**limits)  # type: ignore[arg-type]
    await broker.start()
    if platform is not None:
        broker.listen("#", platform.hear)
    try:
        yield broker
    finally:
        await broker.stop()


@asynccontextmanager
async def delivering(
    journal: MemoryJournal,
    url: str | Sequence[str],
    clock: StillClock,
    *,
    version: int = 5,
    policy: Policy | None = None,
    window: int = 64,
    pace: Pace | None = None,
    dice: Callable[[], float] = lambda: 0.5,
    **settings: Any,
) -> AsyncIterator[Delivery]:
    """Delivery that runs until the end of the block."""
    urls = [url] if isinstance(url, str) else url
    publisher = MqttPublisher(
        MqttSettings(urls, GATEWAY, version, **settings), clock, dice=dice
    )
    delivery = Delivery(
        journal,
        publisher,
        DIALECT,
        clock,
        policy=policy or Policy(),
        window=window,
        pace=pace,
        dice=dice,
    )
    task = asyncio.create_task(delivery.run())
    try:
        yield delivery
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
