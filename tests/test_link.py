"""What a link owes its readers, whatever the devices do."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from gateway.driver import News
from gateway.errors import (
    ConnectError,
    DeviceError,
    DeviceSilentError,
    JournalError,
    LinkError,
    LinkTimeoutError,
    SubscriptionLostError,
)
from gateway.link import REFUSED_PAUSE_S, Link
from gateway.model import Batch, Block, Cause, Quality, Tag, TagClass
from gateway.schedule import Schedule, Slot, skip
from tests.fakes import FakeClock, FakeSink, ScriptedDriver, tags


def zeros(block: Block[None]) -> Sequence[Any]:
    return [0.0] * len(block.tags)


async def run(driver: ScriptedDriver, items: Sequence[Tag], connections: int = 1) -> FakeSink:
    sink = FakeSink()
    link = Link("line", [driver] * connections, driver.plan(items), sink, driver.clock)
    try:
        await link.run()
    except asyncio.CancelledError:
        pass
    return sink


def silent(block: Block[None]) -> Sequence[Any]:
    raise DeviceSilentError("no answer", Quality.BAD_NO_COMMUNICATION, Cause.DEVICE_TIMEOUT)


async def test_each_block_is_polled_on_its_own_grid() -> None:
    driver = ScriptedDriver(FakeClock(end=4.0), zeros)
    await run(driver, tags("pump", 1) + tags("fan", 1, interval_s=2.0))
    assert [at for at, _ in driver.reads] == [0.0, 0.0, 1.0, 2.0, 2.0, 3.0]


def test_a_late_poll_belongs_to_the_nearest_grid_point_and_the_rest_was_missed() -> None:
    (block,) = ScriptedDriver(FakeClock(), zeros).plan(tags("pump", 1))
    slot = Slot(0.0, block)
    assert skip(slot, now=3.4) == 3
    assert slot.due == 3.0
    assert skip(slot, now=3.6) == 1
    assert slot.due == 4.0
    assert skip(slot, now=4.3) == 0


async def test_overrun_skips_missed_polls_and_counts_them() -> None:
    driver = ScriptedDriver(FakeClock(end=10.0), zeros, latency_s=2.25)
    sink = await run(driver, tags("pump", 3))
    assert [at for at, _ in driver.reads] == [0.0, 2.25, 4.5, 6.75, 9.0]
    assert sink.polls == 3 * (1 + 1 + 2 + 1)


def test_of_two_blocks_due_at_once_the_safety_block_is_polled_first() -> None:
    driver = ScriptedDriver(FakeClock(), zeros)
    ordinary = driver.plan(tags("fan", 1))
    safety = driver.plan(tags("gas", 1, tag_class=TagClass.SAFETY))
    schedule = Schedule([*ordinary, *safety], start=0.0)
    slot = schedule.pop()
    assert slot is not None
    assert slot.block is safety[0]


async def test_a_silent_device_costs_its_neighbours_one_timeout_at_a_time() -> None:
    clock = FakeClock(end=100.0)

    def answer(block: Block[None]) -> Sequence[Any]:
        if block.device == "dead":
            clock.now += 0.3
            return silent(block)
        return zeros(block)

    driver = ScriptedDriver(clock, answer)
    sink = await run(driver, tags("dead", 1) + tags("alive", 1))
    alive = [b.time_ns / 1e9 for b in sink.batches]
    assert len(alive) == 100
    assert max(b - a for a, b in itertools.pairwise(alive)) <= 1.3 + 1e-6


async def test_a_silent_device_is_asked_more_and_more_rarely() -> None:
    driver = ScriptedDriver(
        FakeClock(end=200.0), lambda b: silent(b) if b.device == "dead" else zeros(b)
    )
    await run(driver, tags("dead", 1) + tags("alive", 1))
    assert len(driver.reads) - 200 <= 12


async def test_a_silent_safety_device_is_asked_at_every_interval() -> None:
    driver = ScriptedDriver(
        FakeClock(end=50.0), lambda b: silent(b) if b.device == "gas" else zeros(b)
    )
    await run(driver, tags("gas", 1, tag_class=TagClass.SAFETY) + tags("fan", 1))
    assert len(driver.reads) >= 99


async def test_one_lost_answer_costs_one_poll_and_no_pause() -> None:
    clock = FakeClock(end=6.0)
    driver = ScriptedDriver(clock, lambda b: silent(b) if clock.now == 2.0 else zeros(b))
    sink = await run(driver, tags("pump", 1))
    assert [b.time_ns // 10**9 for b in sink.batches] == [0, 1, 3, 4, 5]
    assert sink.polls == 1
    assert sink.devices == []
    assert driver.connects == 2


async def test_when_no_device_answers_the_link_backs_off_and_every_device_is_missing() -> None:
    driver = ScriptedDriver(FakeClock(end=120.0), silent)
    sink = await run(driver, tags("a", 1) + tags("b", 1))
    assert {device for device, _ in sink.devices} == {"a", "b"}
    assert len(driver.reads) < 20


async def test_a_link_that_cannot_be_opened_makes_its_devices_missing_and_is_tried_again() -> (
    None
):
    clock = FakeClock(end=60.0)
    driver = ScriptedDriver(clock, zeros)
    driver.connect_error = ConnectError("refused")
    sink = await run(driver, tags("pump", 1))
    assert sink.devices[0] == ("pump", Cause.DEVICE_TIMEOUT)
    assert 3 <= driver.connects <= 8


async def test_polls_of_an_outage_are_counted_exactly() -> None:
    clock = FakeClock(end=30.0)
    driver = ScriptedDriver(clock, lambda b: silent(b) if 5 <= clock.now < 20 else zeros(b))
    sink = await run(driver, tags("pump", 4))
    assert sink.polls + sum(map(len, sink.batches)) == 4 * 30


async def test_a_refused_address_does_not_blind_its_neighbours() -> None:
    def answer(block: Block[None]) -> Sequence[Any]:
        if any(tag.name == "t5" for tag in block.tags):
            raise DeviceError(
                "exc 2", Quality.BAD_CONFIGURATION, Cause.DEVICE_REFUSED, divisible=True
            )
        return zeros(block)

    driver = ScriptedDriver(FakeClock(end=3.0), answer)
    sink = await run(driver, tags("pump", 16))
    assert sink.refused == [("t5",)]
    for second in range(3):
        rows = [
            i
            for b in sink.batches
            if b.time_ns // 10**9 == second
            for i in b.index or range(16)
        ]
        assert sorted(rows) == [i for i in range(16) if i != 5]
    assert {b.block.device for b in sink.batches} == {"pump"}
    assert all(len(b.block.tags) == 16 for b in sink.batches)


async def test_a_refused_block_is_read_as_a_whole_again_once_it_answers() -> None:
    clock = FakeClock(end=3 * REFUSED_PAUSE_S)

    def answer(block: Block[None]) -> Sequence[Any]:
        if clock.now < 10:
            raise DeviceError(
                "exc 2", Quality.BAD_CONFIGURATION, Cause.DEVICE_REFUSED, divisible=True
            )
        return zeros(block)

    driver = ScriptedDriver(clock, answer)
    sink = await run(driver, tags("pump", 8))
    assert sink.refused
    assert driver.reads[-1][1] == tuple(f"t{i}" for i in range(8))
    assert len([1 for at, _ in driver.reads if at < 10]) < 20


async def test_two_connections_share_the_blocks_and_never_poll_one_twice() -> None:
    driver = ScriptedDriver(FakeClock(end=30.0), zeros)
    sink = await run(driver, tags("a", 1) + tags("b", 1) + tags("c", 1), connections=2)
    polls = [(batch.block.device, batch.time_ns) for batch in sink.batches]
    assert len(set(polls)) == len(polls)
    assert {device for device, _ in polls} == {"a", "b", "c"}


async def test_a_connection_closed_while_idle_is_opened_again_without_an_outage() -> None:
    clock = FakeClock(end=20.0)
    closed: list[float] = []

    def answer(block: Block[None]) -> Sequence[Any]:
        if clock.now in (5.0, 10.0) and clock.now not in closed:
            closed.append(clock.now)
            raise LinkError("closed by the device")
        return zeros(block)

    driver = ScriptedDriver(clock, answer)
    sink = await run(driver, tags("pump", 1))
    assert sink.devices == []
    assert sink.polls == 0
    assert len(sink.batches) == 20
    assert driver.connects == 3


async def test_a_device_that_accepts_and_closes_at_once_is_an_outage_and_is_not_hammered() -> (
    None
):
    def answer(block: Block[None]) -> Sequence[Any]:
        raise LinkError("closed by the device")

    driver = ScriptedDriver(FakeClock(end=60.0), answer)
    sink = await run(driver, tags("pump", 1))
    assert sink.devices[0] == ("pump", Cause.DEVICE_TIMEOUT)
    assert driver.connects < 10


def refused(block: Block[None]) -> Sequence[Any]:
    raise DeviceError("exc 2", Quality.BAD_CONFIGURATION, Cause.DEVICE_REFUSED, divisible=True)


async def test_a_block_that_is_never_answered_is_missing_while_its_device_goes_on() -> None:
    def answer(block: Block[None]) -> Sequence[Any]:
        return silent(block) if block.interval_s == 2.0 else zeros(block)

    driver = ScriptedDriver(FakeClock(end=120.0), answer)
    deaf = tags("pump", 3, interval_s=2.0)
    sink = await run(driver, tags("pump", 1) + deaf)
    assert sink.refused == [("t0", "t1", "t2")] * len(sink.refused)
    assert sink.refused
    assert sink.devices == []
    asked = [names for _, names in driver.reads if len(names) == 3]
    assert len(asked) < 15
    assert len(sink.batches) == 120


async def test_one_bad_address_does_not_keep_a_block_dark_after_everything_was_refused() -> (
    None
):
    clock = FakeClock(end=900.0)

    def answer(block: Block[None]) -> Sequence[Any]:
        everything = 100 <= clock.now < 220
        if everything or any(tag.name == "t5" for tag in block.tags):
            return refused(block)
        return zeros(block)

    driver = ScriptedDriver(clock, answer)
    sink = await run(driver, tags("pump", 8))
    last = {i: b.time_ns for b in sink.batches for i in b.index or range(8)}
    assert sorted(last) == [0, 1, 2, 3, 4, 6, 7]
    assert min(last.values()) >= 895 * 10**9
    first_again = min(b.time_ns for b in sink.batches if b.time_ns > 220 * 10**9)
    assert first_again <= (220 + 2 * REFUSED_PAUSE_S + 1) * 10**9


async def test_after_an_outage_of_all_every_device_is_asked_before_the_link_backs_off() -> None:
    clock = FakeClock(end=300.0)

    def answer(block: Block[None]) -> Sequence[Any]:
        if block.device == "pump" and clock.now >= 60:
            return zeros(block)
        clock.now += 0.5
        return silent(block)

    driver = ScriptedDriver(clock, answer)
    dead = [tag for i in range(9) for tag in tags(f"dead{i}", 1, tag_class=TagClass.SAFETY)]
    sink = await run(driver, dead + tags("pump", 1))
    first = min(b.time_ns for b in sink.batches) / 1e9
    assert first <= 60 + 30


async def test_a_dead_unit_behind_a_gateway_is_asked_more_and_more_rarely() -> None:
    def answer(block: Block[None]) -> Sequence[Any]:
        if block.device == "dead":
            raise DeviceError(
                "exc 11", Quality.BAD_NO_COMMUNICATION, Cause.DEVICE_EXCEPTION, silent=True
            )
        return zeros(block)

    driver = ScriptedDriver(FakeClock(end=200.0), answer)
    sink = await run(driver, tags("dead", 1) + tags("alive", 1))
    assert len(driver.reads) - 200 <= 12
    assert driver.connects == 1
    assert sink.devices[0] == ("dead", Cause.DEVICE_EXCEPTION)


async def test_a_silent_safety_device_takes_no_more_than_a_quarter_of_the_line() -> None:
    clock = FakeClock(end=100.0)

    def answer(block: Block[None]) -> Sequence[Any]:
        if block.device == "gas":
            clock.now += 1.0
            return silent(block)
        return zeros(block)

    gas = tags("gas", 1, interval_s=0.25, tag_class=TagClass.SAFETY)
    sink = await run(ScriptedDriver(clock, answer), gas + tags("fan", 1))
    assert len(sink.batches) >= 70


async def test_a_connection_on_which_nothing_answers_backs_off_without_an_outage() -> None:
    clock = FakeClock(end=60.0)
    good, mute = ScriptedDriver(clock, zeros), ScriptedDriver(clock, silent)
    sink = FakeSink()
    link = Link("line", [good, mute], good.plan(tags("pump", 1)), sink, clock)
    with suppress(asyncio.CancelledError):
        await link.run()
    assert sink.devices == []
    assert len(mute.reads) < 12
    assert len(sink.batches) >= 55


Emit = Callable[[News], Awaitable[None]]
GAP = Cause.SUB_GAP


class Listener(ScriptedDriver):
    """A driver whose blocks are all subscribed; each subscription says what ``script`` does."""

    resumed = False

    def __init__(self, clock: FakeClock, script: Callable[[Emit], Awaitable[None]]) -> None:
        super().__init__(clock, zeros)
        self.script = script

    def plan(self, tags: Sequence[Tag]) -> Sequence[Block[None]]:
        return [replace(block, subscribed=True) for block in super().plan(tags)]

    async def subscribe(self, blocks: Sequence[Block[Any]], emit: Emit) -> None:
        self.blocks = blocks
        await self.script(emit)


async def test_subscribed_blocks_are_heard_and_never_polled() -> None:
    async def speak(emit: Emit) -> None:
        (block,) = driver.blocks
        emit([Batch(block, 5, [1.0], None, [1])])
        raise asyncio.CancelledError

    driver = Listener(FakeClock(end=9.0), speak)
    sink = await run(driver, tags("pump", 2))
    assert [list(batch.values) for batch in sink.batches] == [[1.0]]
    assert driver.reads == []


async def test_a_lost_subscription_is_an_outage_at_once_and_is_made_anew_at_once() -> None:
    began: list[float] = []

    async def speak(emit: Emit) -> None:
        began.append(driver.clock.now)
        emit([Batch(driver.blocks[0], 5, [1.0, 2.0])])
        await driver.clock.sleep_until(driver.clock.now + 20)
        raise LinkError("cut") if driver.connects == 1 else SubscriptionLostError("-", GAP)

    driver = Listener(FakeClock(end=70.0), speak)
    sink = await run(driver, tags("pump", 2))
    assert sink.devices == [("pump", Cause.SUB_RECREATED), ("pump", GAP), ("pump", GAP)]
    assert began == [0.0, 20.0, 40.0, 60.0]


async def test_a_server_that_drops_every_subscription_at_once_is_not_hammered() -> None:
    async def speak(emit: Emit) -> None:
        emit([Batch(driver.blocks[0], 5, [1.0, 2.0])])
        raise LinkError("cut")

    driver = Listener(FakeClock(end=60.0), speak)
    await run(driver, tags("pump", 2))
    assert driver.connects < 10


async def test_a_server_that_was_away_for_an_hour_is_found_within_ten_seconds() -> None:
    tries: list[float] = []

    class Away(Listener):
        async def connect(self) -> None:
            tries.append(self.clock.now)
            raise ConnectError("refused")

    driver = Away(FakeClock(end=3600.0), lambda _: asyncio.sleep(0))
    await run(driver, tags("pump", 1))
    assert max(b - a for a, b in itertools.pairwise(tries)) <= 5.0


class Kept(Listener):
    """A driver that finds its subscription again; it is refused ``away`` times before."""

    away = 0
    is_cut = False

    async def connect(self) -> None:
        await super().connect()
        if self.is_cut and self.away:
            self.away -= 1
            raise ConnectError("refused")
        self.resumed, self.is_cut = self.is_cut, False

    async def subscribe(self, blocks: Sequence[Block[Any]], emit: Emit) -> None:
        try:
            await super().subscribe(blocks, emit)
        except LinkError:
            self.is_cut = True
            raise

    async def close(self) -> None:
        self.resumed = False


async def test_a_cut_after_which_the_subscription_is_found_again_is_no_outage() -> None:
    async def speak(emit: Emit) -> None:
        emit([Batch(driver.blocks[0], 5, [1.0, 2.0])])
        await driver.clock.sleep_until(driver.clock.now + 20)
        raise LinkTimeoutError("silent")

    driver = Kept(FakeClock(end=70.0), speak)
    sink = await run(driver, tags("pump", 2))
    assert sink.devices == []
    assert len(sink.batches) == 4


async def test_a_subscription_found_after_an_outage_was_told_is_made_anew() -> None:
    began: list[bool] = []

    async def speak(emit: Emit) -> None:
        began.append(driver.resumed)
        emit([Batch(driver.blocks[0], 5, [1.0, 2.0])])
        await driver.clock.sleep_until(driver.clock.now + 20)
        raise LinkError("cut")

    driver = Kept(FakeClock(end=30.0), speak)
    driver.away = 1
    sink = await run(driver, tags("pump", 2))
    assert sink.devices[0] == ("pump", Cause.SUB_RECREATED)
    assert began == [False, False]


async def test_what_was_heard_counts_as_durable_only_when_the_disk_says_so() -> None:
    order: list[str] = []

    async def speak(emit: Emit) -> None:
        await emit([Batch(driver.blocks[0], 5, [1.0, 2.0])])
        order.append(f"durable at {driver.clock.now}")
        raise asyncio.CancelledError

    driver = Listener(FakeClock(end=60.0), speak)
    sink = FakeSink(durable_errors=[JournalError("disk full")] * 3)
    link = Link("line", [driver], driver.plan(tags("pump", 2)), sink, driver.clock)
    with contextlib.suppress(asyncio.CancelledError):
        await link.run()
    assert order == ["durable at 3.0"]


async def test_polled_and_subscribed_blocks_share_one_connection_and_fail_together() -> None:
    async def speak(emit: Emit) -> None:
        await driver.clock.sleep_until(2.5)
        raise LinkError("cut")

    driver = Listener(FakeClock(end=12.0), speak)
    blocks = [*driver.plan(tags("pump", 1)), *ScriptedDriver.plan(driver, tags("fan", 1))]
    sink = FakeSink()
    link = Link("line", [driver], blocks, sink, driver.clock)
    with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
        await link.run()
    assert {batch.block.device for batch in sink.batches} == {"fan"}
    assert driver.connects > 1
