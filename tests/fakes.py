"""Stand-ins that tests own: time, a scripted driver, a sink that remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.clock import Clock
from gateway.config import DeviceConfig, LinkConfig, TagConfig
from gateway.driver import Driver
from gateway.model import Batch, Block, Cause, ClockState, Quality, Stamp, Tag


class FakeClock(Clock):
    """Time that moves only when someone sleeps; ends the test at ``end``."""

    def __init__(self, end: float = float("inf")) -> None:
        super().__init__()
        self.now, self.end = 0.0, end

    def now_ns(self) -> int:
        return int(self.now * 1e9)

    def monotonic(self) -> float:
        return self.now

    def monotonic_ns(self) -> int:
        return int(self.now * 1e9)

    def stamp(self) -> Stamp:
        return Stamp(self.now_ns(), ClockState.SYNCED, 1)

    async def sleep_until(self, deadline: float) -> None:
        self.now = max(self.now, deadline)
        if self.now >= self.end:
            raise asyncio.CancelledError
        await asyncio.sleep(0)


class ScriptedDriver(Driver[None]):
    """Answers what ``answer`` returns or raises; one block per device and interval."""

    def __init__(
        self,
        clock: FakeClock,
        answer: Callable[[Block[None]], Sequence[Any]],
        latency_s: float = 0.0,
    ) -> None:
        self.clock, self.answer, self.latency_s = clock, answer, latency_s
        self.connects = 0
        self.reads: list[tuple[float, tuple[str, ...]]] = []
        self.connect_error: Exception | None = None

    @classmethod
    def address(cls, tag: TagConfig, device: DeviceConfig, link: LinkConfig) -> str:
        return tag.address

    def plan(self, tags: Sequence[Tag]) -> Sequence[Block[None]]:
        groups: dict[tuple[str, float], list[Tag]] = {}
        for tag in tags:
            groups.setdefault((tag.device, tag.interval_s), []).append(tag)
        return [Block(d, tuple(group), i, None) for (d, i), group in groups.items()]

    async def connect(self) -> None:
        self.connects += 1
        if self.connect_error:
            raise self.connect_error

    async def read(self, block: Block[None]) -> Batch:
        self.reads.append((self.clock.now, tuple(tag.name for tag in block.tags)))
        self.clock.now += self.latency_s
        return Batch(block, self.clock.now_ns(), self.answer(block))

    async def close(self) -> None:
        pass


@dataclass
class FakeSink:
    """Remembers what a link said."""

    batches: list[Batch] = field(default_factory=list)
    devices: list[tuple[str, Cause]] = field(default_factory=list)
    refused: list[tuple[str, ...]] = field(default_factory=list)
    polls: int = 0
    lost: list[tuple[tuple[str, ...], Cause]] = field(default_factory=list)
    durable_errors: list[Exception] = field(default_factory=list)

    def readings(self, batch: Batch) -> None:
        self.batches.append(batch)

    def device_missing(self, device: str, cause: Cause, quality: Quality) -> None:
        self.devices.append((device, cause))

    def block_missing(
        self, block: Block[Any], rows: Sequence[int], cause: Cause, quality: Quality
    ) -> None:
        self.refused.append(tuple(block.tags[row].name for row in rows))

    def changes_lost(self, block: Block[Any], rows: Sequence[int], cause: Cause) -> None:
        self.lost.append((tuple(block.tags[row].name for row in rows), cause))

    async def durable(self) -> None:
        if self.durable_errors:
            raise self.durable_errors.pop(0)

    def polls_missed(
        self, block: Block[Any], rows: Sequence[int], cause: Cause, polls: int
    ) -> None:
        self.polls += polls * len(rows)


def tags(device: str, count: int, interval_s: float = 1.0, **more: Any) -> list[Tag]:
    return [Tag(f"t{i}", device, f"a{i}", interval_s=interval_s, **more) for i in range(count)]
