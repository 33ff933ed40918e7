"""One link's life: connect, poll what is due, and survive everything that fails.

A link is one socket or serial line, or several sockets to the same device side by
side; each connection has one task and at most one request in flight. All share one
schedule, so a block is polled by whichever connection is free.

Who is slowed down, and by how much:

* A device that does not answer is tried once more behind everybody else, then ever
  more rarely (`PAUSES_S`), so it costs its neighbours one timeout at a time.
* When in a whole round no device answered, the link itself is down and backs off.
* A refused block is halved until the refused tags stand alone (`division`).

Blocks whose devices speak up by themselves are not polled: the driver listens to them,
and the link decides what its silence means. A lost subscription is an outage of its
devices from the last word to the first of the next one, however short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import structlog

from gateway.clock import Clock
from gateway.division import Division
from gateway.driver import Driver, Missing, News, Subscribing
from gateway.errors import (
    ConnectError,
    DeviceError,
    DeviceSilentError,
    JournalError,
    LinkError,
    LinkTimeoutError,
    SubscriptionLostError,
)
from gateway.model import Batch, Block, Cause, Quality, TagClass
from gateway.schedule import Schedule, Slot, skip

log = structlog.get_logger()

PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses after 1, 2, … failures in a row; the last one repeats."""
_UNREACHABLE = (ConnectError, LinkTimeoutError)
STEADY_S = 10.0
"""A subscription that stood so long is made anew at once when it is lost."""
DISK_PAUSE_S = 1.0
"""How often a disk that failed is asked again whether it has what was subscribed."""
REFUSED_PAUSE_S = 60.0
"""How often a refused block is tried again."""


class Sink(Protocol):
    """What a link tells the gateway. Plain calls that only fill memory."""

    def readings(self, batch: Batch) -> None:
        """A poll gave ``batch``."""

    def device_missing(self, device: str, cause: Cause, quality: Quality) -> None:
        """From now on nothing comes from ``device``; repeated calls are one outage."""

    def block_missing(
        self, block: Block[Any], rows: Sequence[int], cause: Cause, quality: Quality
    ) -> None:
        """From now on ``rows`` of ``block`` give nothing; repeated calls are one outage."""

    def polls_missed(
        self, block: Block[Any], rows: Sequence[int], cause: Cause, polls: int
    ) -> None:
        """So many polls of ``rows`` of ``block`` were due and gave nothing."""

    def changes_lost(self, block: Block[Any], rows: Sequence[int], cause: Cause) -> None:
        """Changes of ``rows`` of ``block`` are lost; their newest values follow."""

    async def durable(self) -> None:
        """Return when everything said so far is on disk.

        Raises:
            JournalError: It is not, and nobody knows when it will be.
        """


class _Device:
    """What the link knows about one device: whether it answers, and when to ask again."""

    def __init__(self, *, patient: bool, interval_s: float) -> None:
        self._patient = patient
        self._interval_s = interval_s
        self.failures = 0
        self.ask_at = 0.0
        self.cause = Cause.DEVICE_TIMEOUT

    @property
    def silent(self) -> bool:
        return self.failures > 1

    def failed(self, cause: Cause, now: float) -> None:
        self.failures += 1
        self.cause = cause
        pause = PAUSES_S[min(self.failures, len(PAUSES_S) + 1) - 2] if self.silent else 0.0
        self.ask_at = now + (pause if self._patient else min(pause, self._interval_s))


class Link:
    """Keeps the connections of one link polling and hands each batch to ``sink``."""

    def __init__(
        self,
        name: str,
        drivers: Sequence[Driver[Any]],
        blocks: Sequence[Block[Any]],
        sink: Sink,
        clock: Clock,
    ) -> None:
        """drivers: one per connection, alike; the first one plans halves of blocks."""
        self.name = name
        self._drivers = drivers
        self._sink = sink
        self._clock = clock
        self._division = Division(drivers[0].plan)
        self._polled = [block for block in blocks if not block.subscribed]
        self._subscribed = [block for block in blocks if block.subscribed]
        self._devices = {device: _device(device, blocks) for device in _names(blocks)}
        self._has_safety = any(block.tag_class == TagClass.SAFETY for block in blocks)
        self._schedule = Schedule((), 0.0)
        self._wakeup = asyncio.Event()
        self._connected = 0
        self._failures = 0
        self._short_lives = 0
        self._last_silence = ""
        self._down_since: float | None = None
        self._busy: dict[Driver[Any], float] = {}

    async def run(self) -> None:
        """Run until cancelled; `LinkError` and `DeviceError` are survived here."""
        self._schedule = Schedule(self._polled, self._clock.monotonic())
        async with asyncio.TaskGroup() as tasks:
            for driver in self._drivers:
                tasks.create_task(self._keep(driver), name=f"link {self.name}")

    @property
    def online(self) -> bool:
        """Whether a connection is open and a device answers."""
        return self._connected > 0 and self._down_since is None

    @property
    def silent_devices(self) -> list[str]:
        """The devices that do not answer."""
        return [name for name, device in self._devices.items() if device.silent]

    def busy_s(self, now: float) -> float:
        """Seconds that the longest call to a driver under way has taken so far."""
        return now - min(self._busy.values(), default=now)

    @contextmanager
    def _calling(self, driver: Driver[Any]) -> Iterator[None]:
        """Note that ``driver`` has been called and has not come back."""
        self._busy[driver] = self._clock.monotonic()
        try:
            yield
        finally:
            del self._busy[driver]

    async def _connect(self, driver: Driver[Any]) -> None:
        with self._calling(driver):
            await driver.connect()

    async def _keep(self, driver: Driver[Any]) -> None:
        """One connection's life."""
        while True:
            try:
                await self._connect(driver)
                self._connected += 1
                try:
                    await self._serve(driver)
                finally:
                    self._connected -= 1
            except LinkError as error:
                self._failures += 1
                if self._failures == 1 and not isinstance(error, _UNREACHABLE):
                    continue  # A device may close an idle connection: open it again at once.
                if not self._connected:
                    self._down(error)
            finally:
                await driver.close()
            await self._clock.sleep_until(self._clock.monotonic() + self._pause_s())

    def _pause_s(self) -> float:
        pause = PAUSES_S[min(max(self._failures, 1), len(PAUSES_S)) - 1]
        return PAUSES_S[0] if self._has_safety else pause

    async def _serve(self, driver: Driver[Any]) -> None:
        """Poll and listen until the link fails."""
        if not self._subscribed or driver is not self._drivers[0]:
            await self._poll(driver)
        elif not self._polled:
            await self._listen(driver)
        else:
            await _both(self._listen(driver), self._poll(driver))

    async def _listen(self, driver: Driver[Any]) -> None:
        """Take in what subscribed devices say, until the link fails."""
        assert isinstance(driver, Subscribing)  # noqa: S101  # its plan says so
        began = self._clock.monotonic()
        try:
            await driver.subscribe(self._subscribed, self._hear)
        except LinkError as error:
            is_steady = self._clock.monotonic() - began >= STEADY_S
            self._failures = self._short_lives = 0 if is_steady else self._short_lives + 1
            cause = Cause.SUB_RECREATED
            if isinstance(error, SubscriptionLostError):
                cause = error.cause
            for name in _names(self._subscribed):
                self._sink.device_missing(name, cause, Quality.BAD_NO_COMMUNICATION)
            log.warning("subscription lost", link=self.name, cause=cause, error=str(error))
            raise

    def _hear(self, news: News) -> Awaitable[None]:
        """Hand ``news`` on; the awaitable ends when they are on disk, however long it takes."""
        for item in news:
            self._answered(item.block.device, self._devices[item.block.device])
            if not isinstance(item, Missing):
                self._sink.readings(item)
            elif item.quality is None:
                self._sink.changes_lost(item.block, item.rows, item.cause)
            else:
                self._sink.block_missing(item.block, item.rows, item.cause, item.quality)
        return _Later(self._durable)

    async def _durable(self) -> None:
        """Return when the disk has everything said so far; a failed disk is asked again."""
        while True:
            try:
                await self._sink.durable()
            except JournalError:
                await self._clock.sleep_until(self._clock.monotonic() + DISK_PAUSE_S)
            else:
                return

    async def _poll(self, driver: Driver[Any]) -> None:
        """Read each block when it is due, until the link fails."""
        self._resume()
        while True:
            slot = self._schedule.pop()
            if slot is None:
                await self._given_back()
                continue
            try:
                await self._clock.sleep_until(slot.run_at)
                answered = await self._turn(driver, slot)
            finally:
                self._give_back(slot)
            if not answered:
                self._check_round()
                await self._connect(driver)
            if driver.pause_s:
                await self._clock.sleep_until(self._clock.monotonic() + driver.pause_s)

    async def _given_back(self) -> None:
        """Wait until another connection gives a block back."""
        self._wakeup.clear()
        await self._wakeup.wait()

    def _give_back(self, slot: Slot) -> None:
        if self._division.is_current(slot.block):
            self._schedule.add(slot)
        else:
            self._division.drop(slot.block)
        self._wakeup.set()

    def _resume(self) -> None:
        """After an outage: count the polls that did not happen, ask every device again."""
        for block, missed in self._schedule.skip_all(self._clock.monotonic()):
            if self._division.is_current(block):
                self._missed(block, self._devices[block.device].cause, missed)
        for device in self._devices.values():
            device.ask_at = 0.0

    def _missed(self, block: Block[Any], cause: Cause, polls: int = 1) -> None:
        whole, rows = self._division.place(block)
        self._sink.polls_missed(whole, rows, cause, polls)

    async def _turn(self, driver: Driver[Any], slot: Slot) -> bool:
        """Poll one block, or let it rest; False when the connection has to be opened again."""
        now, block = self._clock.monotonic(), slot.block
        device = self._devices[block.device]
        if not self._division.is_current(block):
            return True
        if missed := skip(slot, now):
            self._missed(block, Cause.POLL_OVERRUN, missed)
        if device.silent and now < device.ask_at:
            self._missed(block, device.cause)
            slot.due += block.interval_s
            return True
        if device.failures == 1 and slot.not_before < slot.due:
            slot.not_before = now
            return True
        slot.not_before = 0.0
        return await self._read(driver, slot, device)

    async def _read(self, driver: Driver[Any], slot: Slot, device: _Device) -> bool:
        block = slot.block
        try:
            with self._calling(driver):
                batch = await driver.read(block)
        except DeviceSilentError as error:
            self._missed(block, error.cause)
            slot.due += block.interval_s
            self._silent(block.device, device, error)
            return False
        except DeviceError as error:
            self._answered(block.device, device)
            self._refused(slot, error)
        else:
            self._answered(block.device, device)
            self._accepted(slot, batch)
        slot.due += block.interval_s
        return True

    def _accepted(self, slot: Slot, batch: Batch) -> None:
        self._sink.readings(self._division.in_whole(batch))
        if slot.block in self._division.refused:
            log.info("refused address answers again", device=slot.block.device)
            whole = self._division.restore(slot.block)
            if whole is not None:
                self._schedule.add(Slot(slot.due + whole.interval_s, whole))

    def _refused(self, slot: Slot, error: DeviceError) -> None:
        """Halve what can be halved; otherwise say what is missing and ask again later."""
        block = slot.block
        if error.divisible and len(block.tags) > 1 and block not in self._division.refused:
            for half in self._division.halve(block):
                self._schedule.add(Slot(slot.due, half))
            return
        whole, rows = self._division.place(block)
        self._sink.block_missing(whole, rows, error.cause, error.quality)
        self._missed(block, error.cause)
        if error.divisible:
            self._rest(slot, error)

    def _rest(self, slot: Slot, error: DeviceError) -> None:
        """Ask for a refused block again only after a pause."""
        block = slot.block
        if block not in self._division.refused:
            log.warning(
                "address refused", device=block.device, tag=block.tags[0].name, error=str(error)
            )
        slot.not_before = self._clock.monotonic() + REFUSED_PAUSE_S
        whole = self._division.refuse(block)
        if whole is not None:
            self._schedule.add(Slot(slot.due + whole.interval_s, whole, slot.not_before))

    def _answered(self, name: str, device: _Device) -> None:
        if device.silent:
            log.info("device answers again", link=self.name, device=name)
        device.failures = 0
        self._failures = 0
        if self._down_since is not None:
            down_s = round(self._clock.monotonic() - self._down_since)
            log.info("link up", link=self.name, down_s=down_s)
            self._down_since = None

    def _silent(self, name: str, device: _Device, error: DeviceSilentError) -> None:
        device.failed(error.cause, self._clock.monotonic())
        self._last_silence = str(error)
        if not device.silent:
            return
        self._sink.device_missing(name, error.cause, error.quality)
        if device.failures == 2:
            log.warning("device silent", link=self.name, device=name, error=str(error))

    def _check_round(self) -> None:
        if all(device.silent for device in self._devices.values()):
            raise LinkTimeoutError(f"no device answers; {self._last_silence}")

    def _down(self, error: LinkError) -> None:
        if self._down_since is None:
            self._down_since = self._clock.monotonic()
            log.warning("link down", link=self.name, error=str(error))
        for name in self._devices:
            self._sink.device_missing(
                name, self._devices[name].cause, Quality.BAD_NO_COMMUNICATION
            )


class _Later:
    """An awaitable that begins when it is awaited, and need not be."""

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._begin = begin

    def __await__(self) -> Generator[Any, Any, None]:
        return self._begin().__await__()


async def _both(
    listening: Coroutine[Any, Any, None], polling: Coroutine[Any, Any, None]
) -> None:
    """Run both until one fails; its `LinkError` is raised as it is."""
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listening)
            tasks.create_task(polling)
    except BaseExceptionGroup as group:
        failed, rest = group.split(LinkError)
        if failed is None or rest is not None:
            raise
        raise failed.exceptions[0] from group


def _names(blocks: Sequence[Block[Any]]) -> list[str]:
    return list(dict.fromkeys(block.device for block in blocks))


def _device(name: str, blocks: Sequence[Block[Any]]) -> _Device:
    own = [block for block in blocks if block.device == name]
    safety = [block.interval_s for block in own if block.tag_class == TagClass.SAFETY]
    return _Device(patient=not safety, interval_s=min(safety, default=0.0))
