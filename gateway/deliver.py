"""From the journal to the broker: hears the publisher, and shares one window among the lanes.

Each lane has a task of its own (`lane_delivery`). Nothing here decides: which record is
sent, held or settled is `lane`'s to say.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

import structlog

from gateway import lane as lanes
from gateway.clock import Clock
from gateway.dialects import Dialect
from gateway.feed import Backlog
from gateway.lane import (
    Answered,
    Closed,
    Policy,
)
from gateway.lane_delivery import PACKET_BYTES, LaneDelivery
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
    Subscribed,
)
from gateway.window import Window

_NO_LIMIT: Final = 1 << 62
_REPEAT: Final = 1
"""Key of a repeat in the mail."""
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
        self._denied: set[str] = set()
        """What of the platform's word the broker does not let us hear, as a reason."""
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
        self._denied.clear()
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
        found += sorted(self._denied)
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
            case Subscribed():
                self._note_subscribed(event)
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

    def _note_subscribed(self, event: Subscribed) -> None:
        """What may not be heard is told; what is to be said goes out all the same."""
        word = "replay_denied" if event.topic_filter.endswith("/replay") else "receipt_denied"
        if not event.is_refused:
            self._denied.discard(word)
        elif word not in self._denied:
            self._denied.add(word)
            reason = f"0x{event.reason:02x}"
            _log.warning("subscription refused", topic=event.topic_filter, reason=reason)

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
