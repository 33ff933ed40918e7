"""From the journal to the broker: one task per lane around the function in `lane`.

`Delivery` hears the publisher and shares one window among the lanes; `LaneDelivery`
feeds on the journal, asks `lane.step` what to do, and does it.
Nothing here decides: which record is sent, held or settled is `lane`'s to say.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

import structlog

from gateway import lane as lanes
from gateway.aside import Aside
from gateway.clock import Clock
from gateway.dialects import Dialect
from gateway.dialects.wire import MAX_BYTES
from gateway.feed import Backlog, Feed, Fetched
from gateway.lane import (
    Answered,
    Closed,
    Loaded,
    Opened,
    Policy,
    State,
    Tick,
)
from gateway.model import Lane
from gateway.pace import Pace
from gateway.publisher import (
    STEADY_S,
    Acknowledged,
    Connected,
    Lost,
    Publisher,
    PublisherEvent,
    Received,
)
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
_NO_LIMIT: Final = 1 << 62
_REPEAT: Final = 1
"""Key of a repeat in the mail."""
PACKET_BYTES: Final = 16
"""Fixed header, packet identifier, properties and topic length of a PUBLISH."""
TAKEN_OVER: Final = 0x8E
CONFLICT_SHOWN_S: Final = 600.0
"""How long a session taken over is reported: two gateways with one name take turns."""
CUT_SHORT: Final = 3
"""Connections in a row that stood, did not last, and ended without a reason."""
_log = structlog.get_logger()


class Sender(Protocol):
    """Who publishes messages and waits for their acknowledgement."""

    lane: Lane
    """Whose share of the window it uses."""

    def tell(self, event: lanes.Event) -> None:
        """Hear `Answered` and `Closed`."""


class _Mail(NamedTuple):
    """Who waits for an acknowledgement: a lane's message, or a retained topic."""

    lane: Sender | None
    key: int
    topic: str
    volatile: bool
    """It stands for records that are not on disk."""


class Delivery:
    """Everything between the journal and one publisher."""

    def __init__(
        self,
        journal: Backlog,
        publisher: Publisher,
        dialect: Dialect,
        clock: Clock,
        *,
        policy: Policy,
        window: int = 64,
        pace: Pace | None = None,
        recorded: Callable[[], int] = lambda: 0,
        on_open: Callable[[Connected], None] = lambda _: None,
        on_received: Callable[[Received], None] = lambda _: None,
        holds: Callable[[Lane, str, str, int], bool] = lambda *_: False,
        dice: Callable[[], float] = random.random,
    ) -> None:
        """on_open: called at each new connection, before anything is published on it.

        pace: that of a backlog of data; recorded: readings recorded since start. holds:
        whether the platform has a record, by lane, incarnation, device and seq.
        """
        self.pace = pace
        self._recorded = recorded
        self.window = Window(window)
        self._publisher = publisher
        self._clock = clock
        self._dice = dice
        self._on_open = on_open
        self._on_received = on_received
        self.holds = holds
        self.lanes = {
            lane: LaneDelivery(lane, journal, self, dialect, clock, policy)
            for lane in (Lane.ALARM, Lane.META, Lane.DATA)
        }
        self._mail: dict[int, _Mail] = {}
        self._retained: dict[str, bytes] = {}
        self._unsent: dict[str, bytes] = {}
        self._repeats: deque[tuple[str, bytes]] = deque()
        self._topics_refused: dict[str, int] = {}
        self._repeat_losses = 0
        """Connections lost in a row while a repeat was in flight."""
        self._longest = _NO_LIMIT
        self._lost = Lost(None, "not connected yet")
        self._conflict_until_s = float("-inf")
        self.online = False
        self._opened_s = 0.0
        self._cut_short = 0
        self._away_since_s: float | None = None
        self._served = False
        """The broker acknowledged something on this connection."""

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publisher.run(self.hear), name="publisher")
            for lane in self.lanes.values():
                tasks.create_task(lane.run(), name=f"deliver {lane.lane}")

    def committed(self, lane: Lane) -> None:
        """The journal holds more of ``lane``; call it on the event loop."""
        self.lanes[lane].wake()

    async def drained(self) -> None:
        """Return when everything committed so far is settled; the caller bounds the time."""
        for lane in self.lanes.values():
            await lane.drained()

    def announce(self, topic: str, payload: bytes) -> None:
        """Publish a retained message, QoS 1; the newest per topic goes out on each connection.

        It is no record: it takes a slot of the window, but is not sent again when refused.
        """
        self._retained[topic] = payload
        self._unsent[topic] = payload
        self._flush()

    def repeat(self, topic: str, payload: bytes) -> None:
        """Publish once on this connection, QoS 1, ahead of the alarm lane.

        For what the journal holds anyway: it settles nothing, and is forgotten when the
        connection goes.
        """
        if self._repeat_losses >= lanes.POISON_LOSSES:
            return  # the broker cuts each connection that begins so; the records stand for it
        self._repeats.append((topic, payload))
        self._flush()

    def retract(self, topic: str) -> None:
        """Let the broker forget a retained message; tried until it has said that it did."""
        self.announce(topic, b"")

    def change(self, policy: Policy, window: int, pace: Pace) -> None:
        """From the next connection on deliver by ``policy``, ``window`` messages in flight."""
        self.window.resize(window)
        self.pace = pace
        for lane in self.lanes.values():
            lane.state = replace(lane.state, policy=policy)
            lane.review()

    @property
    def lags(self) -> bool:
        """Whether readings that wait are late, or nobody can say."""
        data = self.lanes[Lane.DATA].feed
        return data.is_late or data.is_unreadable

    def reasons(self) -> list[str]:
        """Why delivery is not in order, in words for the ``status`` topic."""
        found = [] if self.online else ["broker_unreachable"]
        if self._clock.monotonic() < self._conflict_until_s:
            found.append("client_id_conflict")
        if self._topics_refused:
            found.append("announcement_refused")
        for lane in self.lanes.values():
            found += [f"{lane.lane}.{word}" for word in lane.reasons()]
        is_short = self._cut_short >= CUT_SHORT and not (self.online and self._is_steady)
        if is_short and not set(found) - {"broker_unreachable"}:
            found.append("connections_cut_short")  # nothing else explains it
        return found

    @property
    def _is_steady(self) -> bool:
        """Whether the connection, open or just lost, was no short affair."""
        return self._clock.monotonic() - self._opened_s >= STEADY_S

    def hear(self, event: PublisherEvent) -> None:
        """Take in what the publisher tells, then let the lanes act, alarms first."""
        match event:
            case Acknowledged(token, reason):
                self._acknowledged(token, reason)
            case Connected():
                self._opened(event)
            case Lost():
                self._closed(event)
            case Received():
                self._on_received(event)
        self._flush()
        for lane in self.lanes.values():
            lane.wake()

    def _opened(self, event: Connected) -> None:
        self._note_back()
        self.window.open(event.receive_maximum)
        self._topics_refused.clear()
        self._longest = event.maximum_packet_bytes or _NO_LIMIT
        self._repeats.clear()
        self._unsent = dict(self._retained)
        if self.pace is not None:
            self.pace.opened(self._clock.monotonic(), self._dice())
        self._on_open(event)
        for lane in self.lanes.values():
            lane.opened(event)

    def _note_back(self) -> None:
        self.online, self._opened_s = True, self._clock.monotonic()
        if self._away_since_s is not None:
            away_s = round(self._clock.monotonic() - self._away_since_s)
            _log.info("broker back", away_s=away_s)
            self._away_since_s = None

    def _closed(self, event: Lost) -> None:
        if self.online or self._away_since_s is None:
            self._away_since_s = self._clock.monotonic()
            _log.warning("broker lost", reason=event.reason, error=event.text)
        if self.online:
            is_cut = event.reason is None and not self._is_steady
            self._cut_short = self._cut_short + 1 if is_cut else 0
        self.online, self._lost = False, event
        if event.reason == TAKEN_OVER:
            self._conflict_until_s = self._clock.monotonic() + CONFLICT_SHOWN_S
        cut = any(mail.lane is None and mail.key == _REPEAT for mail in self._mail.values())
        self._repeat_losses = self._repeat_losses + 1 if cut else 0
        waiting = [mail.lane for mail in self._mail.values() if mail.lane is not None]
        self._mail.clear()
        served, self._served = self._served, False
        self.window.close(event.reason)
        for lane in self.lanes.values():
            lane.volatile.closed()
        for sender in dict.fromkeys([*self.lanes.values(), *waiting]):
            sender.tell(Closed(event.reason, served=served))

    def _acknowledged(self, token: int, reason: int) -> None:
        mail = self._mail.pop(token, None)
        if mail is None:
            return
        now_s = self._clock.monotonic()
        self.window.acknowledged(token, now_s)
        self._served |= reason < 0x80
        if isinstance(mail.lane, LaneDelivery) and mail.volatile:
            mail.lane.volatile.answered(mail.key)
        elif mail.lane is not None:
            mail.lane.tell(Answered(mail.key, reason, now_s, self._dice()))
        elif reason >= 0x80:
            self._topics_refused[mail.topic] = reason
        else:
            self._topics_refused.pop(mail.topic, None)
            if self._retained.get(mail.topic) == b"":
                del self._retained[mail.topic]  # An empty message takes a retained one back.

    def _flush(self) -> None:
        """Send repeats, then retained topics that have something new, while there is room.

        Called at every event, before the lanes act on it: a slot that becomes free is the
        repeats' first. An alarm does not wait behind all schemas of a large site.
        """
        while self._repeats and self.window.slots(Lane.ALARM, alarm_waits=True) > 0:
            topic, payload = self._repeats[0]
            if self.is_too_long(topic, payload):
                self._topics_refused[topic] = lanes.TOO_LARGE
            elif not self.send(None, topic, payload, key=_REPEAT):
                return
            self._repeats.popleft()
        while self._unsent and self.has_room(Lane.META):
            topic, payload = next(iter(self._unsent.items()))
            if self.is_too_long(topic, payload):
                self._topics_refused[topic] = lanes.TOO_LARGE
            elif not self.send(None, topic, payload, retain=True):
                return
            del self._unsent[topic]

    def has_room(self, lane: Lane) -> bool:
        """Whether ``lane`` may send one message more."""
        slots = self.window.slots(lane, alarm_waits=self.alarm_waits)
        return slots > 0 and self.window.room(lane) > 0

    def allows_backlog(self, now_s: float) -> bool:
        """Whether a backlog may go on now."""
        if self.pace is None:
            return True
        self.pace.live(self._recorded(), now_s)
        return self.pace.allows(now_s)

    @property
    def alarm_waits(self) -> bool:
        """Whether the alarm lane could use the next free slot."""
        return self.lanes[Lane.ALARM].is_ready

    def is_too_long(self, topic: str, payload: bytes) -> bool:
        """Whether sending it would cut the connection, and again after each reconnect."""
        return len(topic) + len(payload) + PACKET_BYTES > self._longest

    def send(
        self,
        lane: Sender | None,
        topic: str,
        payload: bytes,
        *,
        key: int = 0,
        retain: bool = False,
        volatile: bool = False,
    ) -> bool:
        """Hand one message to the publisher; False when there is no connection."""
        token = self._publisher.publish(topic, payload, qos=1, retain=retain)
        if token is None:
            return False
        self._mail[token] = _Mail(lane, key, topic, volatile)
        name = Lane.META if lane is None else lane.lane
        self.window.sent(token, name, len(payload), self._clock.monotonic())
        return True

    def soon(self) -> None:
        """What the next connection brings is worth more than a pause."""
        self._publisher.soon()

    def reconnect(self) -> None:
        """Give the connection up: it answers nothing any more."""
        self._publisher.reconnect(self._dice())


class LaneDelivery:
    """One lane's way from the journal to the broker."""

    def __init__(
        self,
        lane: Lane,
        journal: Backlog,
        outlet: Delivery,
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
        found += ["receipts_stalled"] if self.settlement.is_stalled else []
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
