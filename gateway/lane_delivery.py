"""One lane's way from the journal to the broker, around the function in `lane`.

Feeds on the journal, asks `lane.step` what to do, and does it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Protocol

import structlog

from gateway import lane as lanes
from gateway.aside import Aside
from gateway.clock import Clock
from gateway.dialects import Dialect
from gateway.dialects.wire import MAX_BYTES
from gateway.feed import Backlog, Feed, Fetched
from gateway.lane import Loaded, Opened, Policy, State, Tick
from gateway.model import Lane
from gateway.pace import Pace
from gateway.publisher import Connected
from gateway.settlement import Settlement
from gateway.volatile import Volatile
from gateway.window import Window

REST: Final = 1.0
"""After a turn a lane rests so many times as long as it took: catching up must not keep the
links from polling, which share the event loop."""
POLL_S: Final = 0.25
"""How long a lane that nobody wakes stays unaware of new records."""
READY_MESSAGES: Final = 8
"""A lane with so many messages to send reads no further."""
PACKET_BYTES: Final = 16
"""Fixed header, packet identifier, properties and topic length of a PUBLISH."""
_log = structlog.get_logger()


class Outlet(Protocol):
    """What the lanes share: one connection, and one window for all of them."""

    window: Window
    pace: Pace | None
    online: bool

    @property
    def alarm_waits(self) -> bool:
        """Whether the alarm lane could use the next free slot."""

    def has_room(self, lane: Lane) -> bool:
        """Whether ``lane`` may send a message now."""

    def allows_backlog(self, now_s: float) -> bool:
        """Whether the next messages of a backlog may go."""

    def holds(self, lane: Lane, incarnation: str, device: str, seq: int, /) -> bool:
        """Whether the platform has a record."""

    def is_too_long(self, topic: str, payload: bytes) -> bool:
        """Whether sending it would cut the connection, and again after each reconnect."""

    def send(
        self,
        sender: LaneDelivery,
        topic: str,
        payload: bytes,
        *,
        key: int,
        volatile: bool = False,
    ) -> bool:
        """Hand one message to the publisher; False when there is no connection."""

    def soon(self) -> None:
        """Let the next attempt to connect come soon, once."""

    def reconnect(self) -> None:
        """Give the connection up: it answers nothing any more."""


class LaneDelivery:
    """One lane's way from the journal to the broker."""

    def __init__(
        self,
        lane: Lane,
        journal: Backlog,
        outlet: Outlet,
        dialect: Dialect,
        clock: Clock,
        policy: Policy,
    ) -> None:
        self.lane = lane
        self.state = State(policy, settled=journal.settled(lane))
        self.feed = Feed(lane, journal, dialect, clock)
        self.volatile = Volatile(lane, journal, self.feed, dialect)
        self._journal = journal
        self._outlet = outlet
        self._dialect = dialect
        self._clock = clock
        self._woken = asyncio.Event()
        self._progress = asyncio.Event()
        self.settlement = Settlement(lane, journal, self.feed, outlet.holds)
        self._aside = Aside(lane, journal, self.feed, self.tell, clock)
        self._fetching: asyncio.Task[Fetched | None] | None = None

    async def run(self) -> None:
        """Deliver until cancelled."""
        await self._aside.remember()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._round(group)

    async def _round(self, group: asyncio.TaskGroup) -> None:
        """One look at what there is to do, and a rest as long as it took."""
        self._woken.clear()
        if await self._aside.obey():
            self._progress.set()
            return
        self.fetch(group)
        self.settlement.follow(group, self.wake)
        began_s = self._clock.monotonic()
        if self.turn():
            ended_s = self._clock.monotonic()
            await self._clock.sleep_until(ended_s + REST * (ended_s - began_s))
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._woken.wait()

    async def drained(self) -> None:
        """Return when all that is committed now is settled."""
        goal = self._journal.committed(self.lane)
        while self.feed.read_to < goal or self.state.loaded or self._aside.orders:
            self._progress.clear()
            await self._progress.wait()

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    def turn(self) -> bool:
        """Load and send what there is room for; True when there is more to do at once."""
        self._pass_on()
        more = self.settlement.step() | self._load()
        window, lane = self._outlet.window, self.lane
        slots = window.slots(lane, alarm_waits=self._outlet.alarm_waits)
        now_s = self._clock.monotonic()
        if self._lags and not self._outlet.allows_backlog(now_s):
            slots = 0
        self.tell(Tick(now_s, slots, window.room(lane), window.message_bytes))
        return more

    def _pass_on(self) -> None:
        """While the disk takes nothing, send what memory holds: it settles nothing."""
        outlet, window = self._outlet, self._outlet.window
        while (
            outlet.online
            and outlet.has_room(self.lane)
            and (message := self.volatile.next(window.message_bytes)) is not None
        ):
            topic = self._dialect.topic(self.lane, message.device)
            if outlet.is_too_long(topic, message.payload):
                self.volatile.answered(message.key)
            else:
                outlet.send(self, topic, message.payload, key=message.key, volatile=True)

    def tell(self, event: lanes.Event) -> None:
        """Let `lane.step` decide what follows from ``event``, and do it."""
        self.state, actions = lanes.step(self.state, event)
        for action in actions:
            match action:
                case lanes.Publish(message):
                    topic = self._dialect.topic(self.lane, message.items[0].stream[1])
                    payload = self.feed.payload(message)
                    self._outlet.send(self, topic, payload, key=message.key)
                    if self._lags and self._outlet.pace is not None:
                        self._outlet.pace.spend(self.feed.readings(message))
                case lanes.Settle(position):
                    self.settlement.acknowledged = position
                    self.feed.release(position)
                    self._progress.set()
                    self.review()
                case lanes.Quarantine() | lanes.Owe():
                    self._aside.orders.append(action)
                    self.wake()
                case lanes.Pay():
                    self._pay(action)
                case lanes.Reconnect():
                    _log.warning("no acknowledgement", lane=self.lane)
                    self._outlet.reconnect()
                case lanes.Soon():
                    self._outlet.soon()

    def opened(self, event: Connected) -> None:
        """A connection stands, with these limits."""
        longest = MAX_BYTES
        if event.maximum_packet_bytes is not None:
            topic = len(self._dialect.topic(self.lane, "x" * 64))
            longest = min(longest, event.maximum_packet_bytes - topic - PACKET_BYTES)
        self.tell(Opened(event.can_refuse, longest - self._dialect.head_bytes))
        if self.state.policy.receipts and not self._aside.orders:
            # The broker that acknowledged these gaps may have lost them since.
            self._aside.say_again()

    @property
    def _lags(self) -> bool:
        """What it sends next is a backlog. Alarms never are one."""
        return self.lane is Lane.DATA and self.feed.is_late

    @property
    def is_ready(self) -> bool:
        """Whether something waits that may be sent now."""
        state = self.state
        return (
            state.online
            and not state.mute
            and bool(lanes.ready(state) or self.feed.has_more)
            and not (state.probing and state.flight)
            and self._clock.monotonic() >= state.resume_s
        )

    def reasons(self) -> list[str]:
        """Why this lane does not deliver, in words for the ``status`` topic."""
        found = lanes.reasons(self.state)
        found += ["no_receipts"] if self.settlement.is_stalled else []
        return [*found, "journal_unreadable"] if self.feed.is_unreadable else found

    def fetch(self, group: asyncio.TaskGroup) -> None:
        """Have the next records read by ``group``, while few messages are ready to go."""
        state = self.state
        if self._fetching is not None or not state.online or not self.feed.has_more:
            return
        if len(state.waiting) >= READY_MESSAGES and lanes.ready(state) >= READY_MESSAGES:
            return
        self._fetching = group.create_task(self.feed.fetch())
        self._fetching.add_done_callback(lambda _: self.wake())

    def _load(self) -> bool:
        """Take in what has been read; True when that was something."""
        if self._fetching is None or not self._fetching.done():
            return False
        fetched, self._fetching = self._fetching.result(), None
        items = self.feed.take(fetched) if fetched is not None else []
        if items:
            self.tell(Loaded(items, self._outlet.window.message_bytes))
        self._progress.set()
        return bool(items)

    def review(self) -> None:
        """Something was acknowledged or confirmed, or is settled by other rules from now on."""
        self.settlement.by_receipt = self.state.policy.receipts
        self.settlement.review()
        self.wake()

    def received(self, stream: lanes.Stream) -> None:
        """The platform holds more of ``stream`` than before."""
        messages = [*self.state.waiting, *(sent.message for sent in self.state.flight)]
        if not any(m.key < 0 and m.items[0].stream == stream for m in messages):
            self._pay(lanes.Pay(stream))
        self.review()

    def _pay(self, order: lanes.Pay) -> None:
        """Strike out a gap that was delivered; with receipts, one the platform has."""
        if not self.state.policy.receipts or self.settlement.has_gap(order.stream):
            self._aside.orders.append(order)
            self.wake()
