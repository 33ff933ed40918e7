"""One link's life: connect, poll what is due, and survive everything that fails.

A link is one socket or serial line, or several sockets to the same device side by
side; each connection has one task and at most one request in flight. All share one
schedule, so a block is polled by whichever connection is free.

Who is slowed down, and by how much:

* A device that does not answer is tried again behind everybody else, then ever more
  rarely (`PAUSES_S`), so it costs its neighbours one timeout at a time.
* When in a whole round no device answered, the link itself is down and backs off.
* A block that its device never answers, though it answers others, rests alone.
* A connection on which nothing ever answers, while another works, backs off alone.
* A refused block is halved until the refused tags stand alone (`division`).

Devices that speak up by themselves are not polled but heard (`hearing`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from typing import Any

import structlog

from gateway.clock import Clock
from gateway.config import LinkConfig
from gateway.division import Division
from gateway.driver import Driver, Subscribing
from gateway.errors import (
    ConnectError,
    DeviceError,
    DeviceSilentError,
    LinkError,
    LinkTimeoutError,
)
from gateway.hearing import Hearing
from gateway.model import Batch, Block, Cause, Quality, TagClass
from gateway.schedule import Schedule, Slot, skip
from gateway.sink import Sink

log = structlog.get_logger()

PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses after 1, 2, … failures in a row; the last one repeats."""
_UNREACHABLE = (ConnectError, LinkTimeoutError)
LONGEST_PAUSE_S = 5.0
"""The same while a server that is listened to cannot be reached: it is heard within 10 s."""
REFUSED_PAUSE_S = 60.0
"""How often a refused block is tried again."""
LOOK_S = 1.0
"""Longest sleep of a connection: what was added meanwhile may be due earlier."""


class _Device:
    """What the link knows about one device: whether it answers, and when to ask again."""

    def __init__(self, *, patient: bool, interval_s: float) -> None:
        self._patient = patient
        self._interval_s = interval_s
        self.failures = 0
        self.ask_at = 0.0
        self.asked = False
        """Whether it failed to answer since the connection was opened."""
        self.cause = Cause.DEVICE_TIMEOUT

    @property
    def silent(self) -> bool:
        return self.failures > 1

    def failed(self, cause: Cause, now: float, spent_s: float) -> None:
        """It gave no answer, and that took ``spent_s`` of the line's time."""
        self.failures += 1
        self.asked = True
        self.cause = cause
        pause = _pause_s(self.failures - 1) if self.silent else 0.0
        if not self._patient:
            # A safety device is not slowed, but may not take more than a quarter of the line.
            pause = min(pause, max(self._interval_s, 3 * spent_s))
        self.ask_at = now + pause


class _Connection:
    """One of a link's connections, and how it fares."""

    def __init__(self, driver: Driver[Any]) -> None:
        self.driver = driver
        self.is_open = False
        self.failures = 0
        """Times it was lost or refused since the last answer."""
        self.proven = False
        """Whether a device has answered on it since it was opened."""
        self.busy_since: float | None = None


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
        self._connections = [_Connection(driver) for driver in drivers]
        self._sink = sink
        self._clock = clock
        self._division = Division(drivers[0].plan)
        self._polled = [block for block in blocks if not block.subscribed]
        subscribed = [block for block in blocks if block.subscribed]
        self._hearing = Hearing(name, subscribed, sink, clock)
        self._devices = {device: _device(device, blocks) for device in _names(blocks)}
        self._has_safety = any(block.tag_class == TagClass.SAFETY for block in blocks)
        self._schedule = Schedule((), 0.0)
        self._wakeup = asyncio.Event()
        self._last_silence = ""
        self._down_since: float | None = None

    def amend(
        self, config: LinkConfig, gone: Collection[str], blocks: Sequence[Block[Any]]
    ) -> None:
        """Read ``blocks`` in place of those of the devices ``gone``; all others go on.

        Where the drivers `can_adopt`, so that all of them are polled. From here on the sink
        hears nothing of what is gone.
        """
        for connection in self._connections:
            connection.driver.adopt(config)
        for block in self._polled:
            if block.device in gone:
                self._division.retire(block)
        stay = [block for block in self._polled if block.device not in gone]
        self._polled = [*stay, *blocks]
        kept = {name: known for name, known in self._devices.items() if name not in gone}
        self._devices = kept | {name: _device(name, blocks) for name in _names(blocks)}
        self._has_safety = any(block.tag_class == TagClass.SAFETY for block in self._polled)
        for block in blocks:
            self._schedule.add(Slot(self._clock.monotonic(), block))
        self._wakeup.set()

    async def run(self) -> None:
        """Run until cancelled; `LinkError` and `DeviceError` are survived here."""
        self._schedule = Schedule(self._polled, self._clock.monotonic())
        async with asyncio.TaskGroup() as tasks:
            for connection in self._connections:
                tasks.create_task(self._keep(connection), name=f"link {self.name}")

    def busy_s(self, now: float) -> float:
        """Seconds that the longest call to a driver under way has taken so far."""
        since = [c.busy_since for c in self._connections if c.busy_since is not None]
        return now - min(since, default=now)

    async def _keep(self, connection: _Connection) -> None:
        """One connection's life."""
        pause_s = 0.0
        while True:
            try:
                connection.proven = False
                await self._connect(connection)
                connection.is_open = True
                await self._serve(connection)
            except LinkError as error:
                connection.is_open = False
                connection.failures += 1
                is_worth_it = self._hearing.is_cut or not isinstance(error, _UNREACHABLE)
                if connection.failures == 1 and is_worth_it:
                    continue  # A device may close an idle connection: open it again at once.
                if not any(other.is_open for other in self._connections):
                    self._down(error)
                pause_s = self._pause_after(error, connection.failures)
            finally:
                await connection.driver.close()
            await self._clock.sleep_until(self._clock.monotonic() + pause_s)

    def _pause_after(self, error: LinkError, failures: int) -> float:
        pause_s = _pause_s(1 if self._has_safety else failures)
        is_away = self._hearing and isinstance(error, ConnectError)
        return min(pause_s, LONGEST_PAUSE_S) if is_away else pause_s

    async def _connect(self, connection: _Connection) -> None:
        connection.busy_since = self._clock.monotonic()
        try:
            await connection.driver.connect()
        finally:
            connection.busy_since = None

    async def _serve(self, connection: _Connection) -> None:
        """Poll and listen until the link fails."""
        if not self._hearing or connection is not self._connections[0]:
            await self._poll(connection)
            return
        began = self._clock.monotonic()
        try:
            if self._polled:
                await _both(self._listen(connection), self._poll(connection))
            else:
                await self._listen(connection)
        except LinkError as error:
            short_lives = self._hearing.ended(error, self._clock.monotonic() - began)
            connection.failures = max(0, short_lives - 1)
            raise

    async def _listen(self, connection: _Connection) -> None:
        """Take in what subscribed devices say, until the link fails."""
        driver = connection.driver
        assert isinstance(driver, Subscribing)  # noqa: S101  # its plan says so
        if driver.resumed and self._down_since is not None:
            # No tag has a value any more; only a new subscription tells them all.
            await driver.close()
            await self._connect(connection)
        await self._hearing.listen(
            driver, lambda name: self._answered(connection, name, self._devices[name])
        )

    async def _poll(self, connection: _Connection) -> None:
        """Read each block when it is due, until the link fails."""
        self._resume()
        driver = connection.driver
        while True:
            slot = self._schedule.pop()
            if slot is None:
                await self._given_back()
                continue
            soon = self._clock.monotonic() + LOOK_S
            try:
                if slot.run_at > soon:
                    await self._clock.sleep_until(soon)
                    continue
                await self._clock.sleep_until(slot.run_at)
                answered = await self._turn(connection, slot)
            finally:
                self._give_back(slot)
            if not answered:
                self._check_round()
                await self._connect(connection)
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
            device.ask_at, device.asked = 0.0, False

    def _missed(self, block: Block[Any], cause: Cause, polls: int = 1) -> None:
        whole, rows = self._division.place(block)
        self._sink.polls_missed(whole, rows, cause, polls)

    async def _turn(self, connection: _Connection, slot: Slot) -> bool:
        """Poll one block, or let it rest; False when the connection has to be opened again."""
        now, block = self._clock.monotonic(), slot.block
        if not self._division.is_current(block):
            return True
        device = self._devices[block.device]
        if missed := skip(slot, now):
            self._missed(block, device.cause if device.silent else slot.cause, missed)
        if device.silent and now < device.ask_at:
            self._missed(block, device.cause)
            slot.due += block.interval_s
            return True
        if device.failures and not slot.deferred:
            # Whoever does not answer waits behind everybody who is due, whatever its class.
            slot.deferred, slot.not_before = True, now
            return True
        slot.deferred, slot.not_before = False, 0.0
        return await self._read(connection, slot, device)

    async def _read(self, connection: _Connection, slot: Slot, device: _Device) -> bool:
        block = slot.block
        outcome: Batch | DeviceError
        connection.busy_since = self._clock.monotonic()
        try:
            outcome = await connection.driver.read(block)
        except DeviceError as error:
            outcome = error
        finally:
            spent_s = self._clock.monotonic() - connection.busy_since
            connection.busy_since = None
        if not self._division.is_current(block):
            return not isinstance(outcome, DeviceSilentError)  # gone while it was asked
        if isinstance(outcome, DeviceError) and outcome.silent:
            return self._silent(connection, slot, device, outcome, spent_s)
        self._answered(connection, block.device, device)
        if isinstance(outcome, DeviceError):
            self._refused(slot, outcome)
        else:
            self._accepted(slot, outcome)
        slot.due += block.interval_s
        return True

    def _accepted(self, slot: Slot, batch: Batch) -> None:
        block = slot.block
        slot.failures, slot.cause = 0, Cause.POLL_OVERRUN
        if block in self._division.samples:
            self._division.revive(block)
            return
        self._sink.readings(self._division.in_whole(batch))
        if block in self._division.refused:
            log.info("refused address answers again", device=block.device)
            whole = self._division.restore(block)
            if whole is not None:
                self._schedule.add(Slot(slot.due + whole.interval_s, whole))

    def _refused(self, slot: Slot, error: DeviceError) -> None:
        """Halve what can be halved; otherwise say what is missing and ask again later."""
        block, division = slot.block, self._division
        if block in division.samples:
            division.samples.discard(block)
            return
        if error.divisible and len(block.tags) > 1 and block not in division.refused:
            for half in division.halve(block):
                self._schedule.add(Slot(slot.due, half))
            return
        self._block_missing(block, error)
        if error.divisible:
            self._rest(slot, error)

    def _block_missing(self, block: Block[Any], error: DeviceError) -> None:
        whole, rows = self._division.place(block)
        self._sink.block_missing(whole, rows, error.cause, error.quality)
        self._missed(block, error.cause)

    def _rest(self, slot: Slot, error: DeviceError) -> None:
        """Ask for a refused block again only after a pause."""
        block, division = slot.block, self._division
        slot.cause = error.cause
        slot.not_before = self._clock.monotonic() + REFUSED_PAUSE_S
        if block in division.refused:
            if len(block.tags) > 1:
                self._schedule.add(Slot(slot.due, division.sample(block)))
            return
        log.warning(
            "address refused", device=block.device, tag=block.tags[0].name, error=str(error)
        )
        whole = division.refuse(block)
        if whole is not None:
            self._sink.block_missing(whole, range(len(whole.tags)), error.cause, error.quality)
            self._schedule.add(Slot(slot.due + whole.interval_s, whole, slot.not_before))

    def _answered(self, connection: _Connection, name: str, device: _Device) -> None:
        if device.silent:
            log.info("device answers again", link=self.name, device=name)
        device.failures = 0
        connection.failures, connection.proven = 0, True
        if self._down_since is not None:
            down_s = round(self._clock.monotonic() - self._down_since)
            log.info("link up", link=self.name, down_s=down_s)
            self._down_since = None

    def _silent(
        self,
        connection: _Connection,
        slot: Slot,
        device: _Device,
        error: DeviceError,
        spent_s: float,
    ) -> bool:
        """A poll gave no answer; whether the connection is still open.

        Raises:
            LinkTimeoutError: Nothing ever answered on this connection, while another of the
                link works: it is the connection, not the device.
        """
        others = (other for other in self._connections if other is not connection)
        if not connection.proven and any(other.proven for other in others):
            raise LinkTimeoutError(str(error)) from error
        now = self._clock.monotonic()
        device.failed(error.cause, now, spent_s)
        self._last_silence = str(error)
        slot.failures, slot.cause = slot.failures + 1, error.cause
        name = slot.block.device
        if device.silent:
            self._missed(slot.block, error.cause)
            self._sink.device_missing(name, error.cause, error.quality)
            if device.failures == 2:
                log.warning("device silent", link=self.name, device=name, error=str(error))
        elif slot.failures > 1:
            # The device answers others: it is this block that it never answers.
            self._block_missing(slot.block, error)
            slot.not_before = now + _pause_s(slot.failures - 1)
        else:
            self._missed(slot.block, error.cause)
        slot.due += slot.block.interval_s
        return not isinstance(error, DeviceSilentError)

    def _check_round(self) -> None:
        if all(device.silent and device.asked for device in self._devices.values()):
            raise LinkTimeoutError(f"no device answers; {self._last_silence}")

    def _down(self, error: LinkError) -> None:
        if self._down_since is None:
            self._down_since = self._clock.monotonic()
            log.warning("link down", link=self.name, error=str(error))
        if self._hearing.is_cut:
            self._hearing.lost(Cause.SUB_RECREATED)
        for name, device in self._devices.items():
            self._sink.device_missing(name, device.cause, Quality.BAD_NO_COMMUNICATION)


def _pause_s(failures: int) -> float:
    return PAUSES_S[min(max(failures, 1), len(PAUSES_S)) - 1]


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
