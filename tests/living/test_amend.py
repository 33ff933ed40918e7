"""A link whose devices change while it polls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from gateway.config import LinkConfig
from gateway.errors import DeviceError, DeviceSilentError
from gateway.link import LOOK_S, Link
from gateway.model import Block, Cause, Quality
from tests.fakes import FakeClock, FakeSink, ScriptedDriver, tags

CONFIG = LinkConfig(name="line", driver="scripted")


class Adopting(ScriptedDriver):
    """Its link is amended by ``act`` when its ``at``-th read is under way."""

    can_adopt = True
    adopted = 0

    def __init__(
        self,
        clock: FakeClock,
        act: Callable[[], None],
        at: int,
        answer: Callable[[Block[None]], Sequence[Any]] | None = None,
    ) -> None:
        super().__init__(clock, answer or (lambda block: [0.0] * len(block.tags)))
        self._act, self._at = act, at

    def adopt(self, link: LinkConfig) -> None:
        self.adopted += 1

    async def read(self, block: Block[None]) -> Any:
        if len(self.reads) + 1 == self._at:
            self._act()
        return await super().read(block)

    def times(self, device_tag: str) -> list[float]:
        return [at for at, names in self.reads if device_tag in names]


async def run(link: Link) -> None:
    try:
        await link.run()
    except asyncio.CancelledError:
        pass


def amended(
    old: dict[str, float],
    gone: set[str],
    new: dict[str, float],
    *,
    at: int,
    end: float,
    answer: Callable[[Block[None]], Sequence[Any]] | None = None,
) -> tuple[Link, Adopting, FakeSink]:
    """A link with the devices ``old``; in its ``at``-th read ``gone`` go and ``new`` come.

    old, new: device → interval in seconds; the one tag of each device is named after it.
    """
    sink = FakeSink()

    def blocks(devices: dict[str, float]) -> Sequence[Block[None]]:
        return [
            Block(name, tuple(tags(name, 1, interval_s)), interval_s, None)
            for name, interval_s in devices.items()
        ]

    driver = Adopting(FakeClock(end), lambda: link.amend(CONFIG, gone, blocks(new)), at, answer)
    link = Link("line", [driver], blocks(old), sink, driver.clock)
    return link, driver, sink


def devices(sink: FakeSink) -> list[tuple[str, float]]:
    return [(batch.block.device, batch.time_ns / 1e9) for batch in sink.batches]


async def test_what_stays_keeps_its_phase_and_its_connection() -> None:
    link, driver, sink = amended({"a": 1.0, "b": 1.0}, {"b"}, {"c": 1.0}, at=3, end=5.0)
    await run(link)
    assert [at for name, at in devices(sink) if name == "a"] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert (driver.connects, driver.adopted) == (1, 1)
    assert sink.polls == 0


async def test_what_has_gone_is_never_asked_again() -> None:
    link, driver, sink = amended({"a": 1.0, "b": 1.0}, {"b"}, {}, at=3, end=5.0)
    await run(link)
    assert [at for name, at in devices(sink) if name == "b"] == [0.0]
    assert len(driver.reads) == 6


async def test_an_answer_that_comes_after_its_device_went_is_dropped() -> None:
    link, driver, sink = amended({"a": 1.0, "b": 1.0}, {"b"}, {}, at=2, end=3.0)
    await run(link)
    assert len(driver.reads) == 4
    assert {name for name, _ in devices(sink)} == {"a"}


async def test_silence_of_a_device_that_went_meanwhile_is_nobodys_outage() -> None:
    def answer(block: Block[None]) -> Sequence[Any]:
        if block.device == "b":
            raise DeviceSilentError(
                "no answer", Quality.BAD_NO_COMMUNICATION, Cause.DEVICE_TIMEOUT
            )
        return [0.0]

    link, driver, sink = amended({"a": 1.0, "b": 1.0}, {"b"}, {}, at=2, end=3.0, answer=answer)
    await run(link)
    assert driver.connects == 2
    assert (sink.devices, sink.polls) == ([], 0)


async def test_a_refusal_of_a_device_that_went_meanwhile_divides_nothing() -> None:
    def answer(block: Block[None]) -> Sequence[Any]:
        if block.device == "b":
            raise DeviceError("no", Quality.BAD, Cause.DEVICE_REFUSED, divisible=True)
        return [0.0]

    link, _, sink = amended({"a": 1.0, "b": 1.0}, {"b"}, {}, at=2, end=3.0, answer=answer)
    await run(link)
    assert (sink.refused, sink.polls) == ([], 0)


async def test_what_is_added_does_not_wait_for_a_block_that_is_rarely_due() -> None:
    sink = FakeSink()
    clock = FakeClock(end=10.0)
    driver = Adopting(clock, lambda: None, 99)
    rare = Block("rare", tuple(tags("rare", 1, 3600.0)), 3600.0, None)
    often = Block("often", tuple(tags("often", 1)), 1.0, None)
    link = Link("line", [driver], [rare], sink, clock)
    loop = asyncio.get_running_loop()
    task = loop.create_task(run(link))
    while not sink.batches:
        await asyncio.sleep(0)
    link.amend(CONFIG, set(), [often])
    await task
    first = next(at for name, at in devices(sink) if name == "often")
    assert first <= 2 * LOOK_S
