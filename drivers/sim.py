"""A device that needs no hardware: waves, and a line that can be cut.

Read this file first when writing a driver; copy it, then replace the physics.

    links:
      - name: bench
        driver: sim
        devices:
          - {name: pump, tags: [{name: flow, address: sine/60, range: [0, 12], unit: m3/h}]}
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from gateway.clock import Clock
from gateway.config import DeviceConfig, LinkConfig, TagConfig
from gateway.driver import Driver
from gateway.errors import ConnectError, LinkTimeoutError, Mistake
from gateway.model import Batch, Block, Tag
from gateway.normalise import Normaliser

SHAPES: dict[str, Callable[[float], float]] = {
    "sine": lambda phase: 0.5 + 0.5 * math.sin(math.tau * phase),
    "ramp": lambda phase: phase,
    "square": lambda phase: float(phase < 0.5),
}
"""From the phase of a period, 0 to 1, to a level between 0 and 1."""


class Wave(NamedTuple):
    """A tag's address: the wave it follows, between the two values of its ``range``."""

    shape: str
    period_s: float
    low: float
    high: float

    def at(self, time_s: float) -> float:
        """The value at ``time_s``."""
        level = SHAPES[self.shape](time_s / self.period_s % 1.0)
        return self.low + (self.high - self.low) * level


class SimLink(LinkConfig):
    """A link that needs no address."""

    driver: Literal["sim"]


class SimDriver(Driver[Normaliser]):
    """Answers every block at once; ``online = False`` breaks the link."""

    Link = SimLink
    can_adopt = True

    @classmethod
    def address(cls, tag: TagConfig, device: DeviceConfig, link: LinkConfig) -> Wave:
        """``shape/period in seconds``, e.g. ``sine/60``."""
        shape, _, period = tag.address.partition("/")
        if shape not in SHAPES:
            raise Mistake(
                "sim_shape", path=("address",), shape=shape, allowed=", ".join(SHAPES)
            )
        if not period.isdigit() or not int(period):
            raise Mistake("sim_period", path=("address",), period=period)
        low, high = tag.range or (0.0, 1.0)
        return Wave(shape, float(period), low, high)

    def __init__(self, link: LinkConfig, clock: Clock) -> None:
        self._clock = clock
        self.online = True

    def adopt(self, link: LinkConfig) -> None:
        """Any block can be read at any time."""

    def plan(self, tags: Sequence[Tag]) -> Sequence[Block[Normaliser]]:
        """One block per device and interval."""
        groups: dict[tuple[str, float], list[Tag]] = defaultdict(list)
        for tag in tags:
            groups[tag.device, tag.interval_s].append(tag)
        return [
            Block(device, tuple(group), interval_s, Normaliser(group))
            for (device, interval_s), group in groups.items()
        ]

    async def connect(self) -> None:
        """Succeed while ``online``."""
        if not self.online:
            raise ConnectError("simulated link is offline").in_words("sim_offline")

    async def read(self, block: Block[Normaliser]) -> Batch:
        """Evaluate every wave at the current time."""
        if not self.online:
            raise LinkTimeoutError("simulated link went offline").in_words("sim_offline")
        request_ns = self._clock.monotonic_ns()
        now_ns = self._clock.now_ns()
        raw = [tag.address.at(now_ns / 1e9) for tag in block.tags]
        values, quality = block.request.apply(raw)
        mono_ns = request_ns, self._clock.monotonic_ns()
        return Batch(block, now_ns, values, quality, mono_ns=mono_ns)

    async def close(self) -> None:
        """Nothing to release."""


DRIVER = SimDriver
