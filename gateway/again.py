"""Publishes again what the platform may lack: on its request, or when it falls silent.

One message at a time, behind everything that is live or a backlog, at a pace of its own.
What is published again has the keys of the first time and says ``replay``; it settles
nothing. When the platform is silent about what the broker acknowledged (`receipts.look`),
it gets a stretch of it, gaps in their place. A request gets the records that are still
held, and an event on the meta lane that says how many, and how many are missing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from gateway.clock import Clock
from gateway.deliver import Delivery
from gateway.dialects import Dialect
from gateway.dialects.wire import Replay
from gateway.errors import JournalError
from gateway.feed import Backlog, Feed
from gateway.journal import Damage, Entry
from gateway.lane import (
    ACK_TIMEOUT_S,
    NO_SUBSCRIBERS,
    POISON_LOSSES,
    PROBE_S,
    SUCCESS,
    TRIES,
    Answered,
    Closed,
    Message,
    group,
)
from gateway.lane import Event as LaneEvent
from gateway.model import Event, Lane
from gateway.pace import Pace
from gateway.receipts import Stall, look, published_again

QUEUE: Final = 4
"""Requests that wait; more are refused."""
MOST_RECORDS: Final = 100_000
"""A request is cut to so many."""
_REMEMBERED: Final = 64
"""Requests whose repetition is recognised: a broker may deliver them twice."""
_TICK_S: Final = 1.0
_POLL_S: Final = 0.05
_STALLED: Final = "stalled"
_log = structlog.get_logger()


class Contents(Protocol):
    """What `Again` needs to know of the journal beyond its records."""

    def places(
        self, lane: Lane, stream: str, incarnation: str, first: int, last: int
    ) -> tuple[int, int] | None:
        """Read behind the one and up to the other to find seqs of a stream."""


class RefusedError(Exception):
    """The broker does not take it, however often it is tried."""


@dataclass(slots=True)
class _Stretch:
    """What is to be published again, and what became of it."""

    lane: Lane
    after: int
    """Position behind which it begins; moves on as it is published."""
    up_to: int
    most: int
    """Records left to be published."""
    request: Replay | None = None
    first: int | None = None
    last: int | None = None
    records: int = 0
    seqs: int = 0

    @property
    def why(self) -> str:
        return _STALLED if self.request is None else self.request.id

    def wants(self, entry: Entry | Damage) -> bool:
        """Without a request everything, the places of lost records too."""
        if entry.position > self.up_to:
            return False
        if (asked := self.request) is None:
            return True
        return (
            isinstance(entry, Entry)
            and (entry.stream, entry.incarnation) == (asked.device, asked.incarnation)
            and asked.from_ <= entry.seq <= asked.to
        )

    def note(self, message: Message) -> None:
        """It was acknowledged."""
        first, last = message.items[0].first, message.items[-1].last
        self.first = first if self.first is None else self.first
        self.last = last
        self.records += len(message.items)
        self.seqs += last - first + 1


class Again:
    """One task; it uses the window of the data lane."""

    lane = Lane.DATA

    def __init__(
        self,
        delivery: Delivery,
        journal: Backlog,
        contents: Contents,
        dialect: Dialect,
        clock: Clock,
        *,
        tell_event: Callable[[Event], None],
        pace: Pace,
        recorded: Callable[[], int],
    ) -> None:
        self._delivery = delivery
        self._journal = journal
        self._contents = contents
        self._dialect = dialect
        self._clock = clock
        self._tell_event = tell_event
        self._pace = pace
        self._recorded = recorded
        self._requests: deque[Replay] = deque()
        self._known: deque[str] = deque(maxlen=_REMEMBERED)
        self._stalls: dict[Lane, Stall] = {}
        self._answer: asyncio.Future[int | None] | None = None

    def request(self, request: Replay) -> bool:
        """Publish these again in turn; False: too many wait. A repetition changes nothing."""
        if request.id in self._known:
            return True
        if len(self._requests) >= QUEUE:
            return False
        self._known.append(request.id)
        self._requests.append(request)
        return True

    def tell(self, event: LaneEvent) -> None:
        """What became of the message on its way."""
        if self._answer is None or self._answer.done():
            return
        if isinstance(event, Answered):
            self._answer.set_result(event.reason)
        elif isinstance(event, Closed):
            self._answer.set_result(None)

    async def run(self) -> None:
        """Look and publish until cancelled."""
        while True:
            for lane in self._delivery.lanes:
                await self._look(lane)
            if self._requests:
                await self._serve(self._requests[0])
                self._requests.popleft()
                continue
            await self._clock.sleep_until(self._clock.monotonic() + _TICK_S)

    async def _look(self, lane: Lane) -> None:
        """Publish a stretch again if the platform confirms nothing of ``lane``."""
        now_s, of = self._clock.monotonic(), self._delivery.lanes[lane]
        settled = self._journal.settled(lane)
        if not (of.state.policy.receipts and self._delivery.online):
            self._stalls[lane] = Stall(settled, now_s)
            of.settlement.is_stalled = False
            return
        stall = self._stalls.setdefault(lane, Stall(settled, now_s))
        stall, is_due = look(stall, now_s, settled, of.settlement.acknowledged)
        self._stalls[lane] = stall
        if not is_due:
            of.settlement.is_stalled &= stall.settled == settled and stall.again_to > 0
            return
        if not of.settlement.is_stalled:
            _log.warning("receipts stalled", lane=lane)
        of.settlement.is_stalled = True
        stretch = _Stretch(lane, settled, of.settlement.acknowledged, stall.stretch)
        try:
            await self._publish(stretch)
        except (JournalError, RefusedError) as error:
            _log.warning("not published again", lane=lane, error=str(error))
            return
        now_s = self._clock.monotonic()
        self._stalls[lane] = published_again(stall, stretch.after, now_s)

    async def _serve(self, asked: Replay) -> None:
        """Publish what was asked for, then say what that was."""
        last = min(asked.to, asked.from_ + MOST_RECORDS - 1)
        stretch, refused = _Stretch(asked.lane, 0, 0, MOST_RECORDS, asked), {}
        try:
            stream = asked.lane, asked.device, asked.incarnation
            places = await asyncio.to_thread(self._contents.places, *stream, asked.from_, last)
            if places is not None:
                stretch.after = places[0]
                stretch.up_to = min(
                    places[1], self._delivery.lanes[asked.lane].settlement.acknowledged
                )
                await self._publish(stretch)
        except (JournalError, RefusedError) as error:
            refused = {"refused": str(error)}
        fields = {
            "id": asked.id,
            "lane": asked.lane,
            "device": asked.device,
            "incarnation": asked.incarnation,
            "from": asked.from_,
            "to": last,
            "first": stretch.first,
            "last": stretch.last,
            "records": stretch.records,
            "missing": last - asked.from_ + 1 - stretch.seqs,
        }
        self._tell_event(Event("replay", fields | refused))

    async def _publish(self, stretch: _Stretch) -> None:
        """Publish ``stretch``, as far as its records are still held.

        Raises:
            JournalError: The disk cannot read.
            RefusedError: The broker does not take it.
        """
        feed = Feed(stretch.lane, self._journal, self._dialect, self._clock)
        while stretch.most > 0 and stretch.after < stretch.up_to:
            await self._turn()
            entries = await feed.again(stretch.after)
            if not entries:
                return
            wanted = [entry for entry in entries if stretch.wants(entry)][: stretch.most]
            if len(wanted) == stretch.most:
                entries = wanted
            items = feed.hold(wanted)
            for message in group(items, self._longest(stretch.lane)):
                await self._deliver(feed, message, stretch)
            stretch.after = min(entries[-1].position, stretch.up_to)
            stretch.most -= len(wanted)
            feed.release(entries[-1].position)

    def _longest(self, lane: Lane) -> int:
        return min(
            self._delivery.window.message_bytes, self._delivery.lanes[lane].state.max_bytes
        )

    async def _deliver(self, feed: Feed, message: Message, stretch: _Stretch) -> None:
        """Publish one message until it is acknowledged.

        Raises:
            RefusedError: It was refused each time, or ended the connection each time.
        """
        topic = self._dialect.topic(stretch.lane, message.device)
        policy = self._delivery.lanes[stretch.lane].state.policy
        refusals, losses = list[int](), 0
        while len(refusals) < TRIES and losses < POISON_LOSSES:
            await self._turn()
            payload = feed.payload(message, stretch.why)
            answer = self._answer = asyncio.get_running_loop().create_future()
            if not self._delivery.send(self, topic, payload, key=message.key):
                continue
            self._pace.spend(feed.readings(message))
            reason = await self._answered(answer)
            if reason == SUCCESS or (reason == NO_SUBSCRIBERS and policy.accept_no_subscribers):
                stretch.note(message)
                return
            if reason is None:
                losses += 1
                continue
            refusals.append(reason)
            await self._clock.sleep_until(self._clock.monotonic() + PROBE_S)
        raise RefusedError(
            f"0x{refusals[-1]:02x}" if len(refusals) == TRIES else "connection cut"
        )

    async def _answered(self, answer: asyncio.Future[int | None]) -> int | None:
        """The broker's answer; None when the connection went before it came."""
        try:
            async with asyncio.timeout(ACK_TIMEOUT_S):
                return await answer
        except TimeoutError:
            self._delivery.reconnect()
            return None

    async def _turn(self) -> None:
        """Return when nothing that goes before it is waiting, and its pace allows."""
        while True:
            await asyncio.sleep(0)
            delivery, now_s = self._delivery, self._clock.monotonic()
            self._pace.live(self._recorded(), now_s)
            is_free = delivery.online and not any(
                lane.is_ready for lane in delivery.lanes.values()
            )
            slots = delivery.window.slots(self.lane, alarm_waits=delivery.alarm_waits)
            if is_free and slots > 0 and self._pace.allows(now_s):
                return
            await asyncio.sleep(_POLL_S)
