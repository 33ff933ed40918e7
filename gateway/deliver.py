"""From the journal to the broker: one task per lane around the function in `lane`.

`Delivery` hears the publisher and shares one window among the lanes; `LaneDelivery`
turns journal entries into encoded records, asks `lane.step` what to do, and does it.
Nothing here decides: which record is sent, held or settled is `lane`'s to say.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import structlog
from msgspec import MsgspecError

from gateway import lane as lanes
from gateway.clock import Clock
from gateway.dialects import Dialect, Origin
from gateway.dialects.wire import MAX_BYTES
from gateway.errors import JournalError
from gateway.journal.words import Damage, Entry
from gateway.lane import Answered, Closed, Item, Loaded, Message, Opened, Policy, State, Tick
from gateway.model import Cause, ClockState, Gap, Lane
from gateway.publisher import (
    Acknowledged,
    Connected,
    Lost,
    Publisher,
    PublisherEvent,
    Received,
)
from gateway.record import Layout, Record, decode, decode_schema
from gateway.window import Window

LATE_NS: Final = 10_000_000_000
POLL_S: Final = 0.25
"""How long a lane that nobody wakes stays unaware of new records."""
READ_BYTES: Final = 64 * 1024
READ_RECORDS: Final = 1000
"""One turn of a lane: small enough that the loop is never held for long."""
HELD_BYTES: Final = 4 * 1024 * 1024
"""Encoded records of one lane that wait in memory to be settled."""
READY_MESSAGES: Final = 8
_PACKET_BYTES: Final = 16
"""Fixed header, packet identifier, properties and topic length of a PUBLISH."""
TAKEN_OVER: Final = 0x8E
CONFLICT_SHOWN_S: Final = 600.0
"""How long a session taken over is reported: two gateways with one name take turns."""
_log = structlog.get_logger()


class Backlog(Protocol):
    """What delivery needs of the journal; positions rise within a lane."""

    def committed(self, lane: Lane) -> int:
        """Position of the last durable record."""

    def settled(self, lane: Lane) -> int:
        """Position of the last settled record."""

    def read(
        self, lane: Lane, after: int, *, max_bytes: int, max_records: int
    ) -> Sequence[Entry | Damage]:
        """Committed records behind position ``after``, in journal order."""

    def schema(self, key: int) -> bytes:
        """The schema that entries name by ``key``."""

    def settle(self, lane: Lane, position: int) -> None:
        """Everything up to ``position`` has been delivered."""


class _Held(NamedTuple):
    """An encoded record, kept until it is settled."""

    part: bytes
    time_ns: int
    boot: str | None


class _Mail(NamedTuple):
    """Who waits for an acknowledgement: a lane's message, or a retained topic."""

    lane: LaneDelivery | None
    key: int
    topic: str


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
        on_open: Callable[[Connected], None] = lambda _: None,
        on_received: Callable[[Received], None] = lambda _: None,
        dice: Callable[[], float] = random.random,
    ) -> None:
        """on_open: called at each new connection, before anything is published on it."""
        self.window = Window(window)
        self._publisher = publisher
        self._clock = clock
        self._dice = dice
        self._on_open = on_open
        self._on_received = on_received
        self.lanes = {
            lane: LaneDelivery(lane, journal, self, dialect, clock, policy)
            for lane in (Lane.ALARM, Lane.META, Lane.DATA)
        }
        self._mail: dict[int, _Mail] = {}
        self._retained: dict[str, bytes] = {}
        self._unsent: dict[str, bytes] = {}
        self._topics_refused: dict[str, int] = {}
        self._lost = Lost(None, "not connected yet")
        self._conflict_until_s = float("-inf")
        self.online = False

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

    def reasons(self) -> list[str]:
        """Why delivery is not in order, in words for the ``status`` topic."""
        found = [] if self.online else ["broker_unreachable"]
        if self._clock.monotonic() < self._conflict_until_s:
            found.append("client_id_conflict")
        if self._topics_refused:
            found.append("announcement_refused")
        for lane in self.lanes.values():
            found += [f"{lane.lane}.{word}" for word in lanes.reasons(lane.state)]
        return found

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
        self.online = True
        self.window.open(event.receive_maximum)
        self._on_open(event)
        self._topics_refused.clear()
        self._unsent = dict(self._retained)
        for lane in self.lanes.values():
            lane.opened(event)

    def _closed(self, event: Lost) -> None:
        if self.online or event.text != self._lost.text:
            _log.warning("broker lost", reason=event.reason, error=event.text)
        self.online, self._lost = False, event
        if event.reason == TAKEN_OVER:
            self._conflict_until_s = self._clock.monotonic() + CONFLICT_SHOWN_S
        self._mail.clear()
        self.window.close(event.reason)
        for lane in self.lanes.values():
            lane.tell(Closed(event.reason))

    def _acknowledged(self, token: int, reason: int) -> None:
        mail = self._mail.pop(token, None)
        if mail is None:
            return
        now_s = self._clock.monotonic()
        self.window.acknowledged(token, now_s)
        if mail.lane is not None:
            mail.lane.tell(Answered(mail.key, reason, now_s, self._dice()))
        elif reason >= 0x80:
            self._topics_refused[mail.topic] = reason
        else:
            self._topics_refused.pop(mail.topic, None)

    def _flush(self) -> None:
        """Send the retained topics that have something new, while there are slots."""
        while self._unsent and self.window.slots(Lane.META, alarm_waits=self.alarm_waits) > 0:
            topic = next(iter(self._unsent))
            if not self.send(None, topic, self._unsent[topic], retain=True):
                return
            del self._unsent[topic]

    @property
    def alarm_waits(self) -> bool:
        """Whether the alarm lane could use the next free slot."""
        return self.lanes[Lane.ALARM].is_ready

    def send(
        self,
        lane: LaneDelivery | None,
        topic: str,
        payload: bytes,
        *,
        key: int = 0,
        retain: bool = False,
    ) -> bool:
        """Hand one message to the publisher; False when there is no connection."""
        token = self._publisher.publish(topic, payload, qos=1, retain=retain)
        if token is None:
            return False
        self._mail[token] = _Mail(lane, key, topic)
        name = Lane.META if lane is None else lane.lane
        self.window.sent(token, name, len(payload), self._clock.monotonic())
        return True

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
        self._journal = journal
        self._outlet = outlet
        self._dialect = dialect
        self._clock = clock
        self._read_to = self.state.settled
        self._held: dict[int, _Held] = {}
        self._held_bytes = 0
        self._schemas: dict[int, list[Layout]] = {}
        self._woken = asyncio.Event()
        self._progress = asyncio.Event()

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            self._woken.clear()
            if self.turn():
                await asyncio.sleep(0)
                continue
            try:
                async with asyncio.timeout(POLL_S):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def drained(self) -> None:
        """Return when all that is committed now is settled."""
        goal = self._journal.committed(self.lane)
        while self.state.settled < goal:
            self._progress.clear()
            await self._progress.wait()

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    def turn(self) -> bool:
        """Load and send what there is room for; True when there is more to do at once."""
        loaded = self._load()
        window, lane = self._outlet.window, self.lane
        slots = window.slots(lane, alarm_waits=self._outlet.alarm_waits)
        now_s = self._clock.monotonic()
        self.tell(Tick(now_s, slots, window.room(lane), window.message_bytes))
        return loaded

    def tell(self, event: lanes.Event) -> None:
        """Let `lane.step` decide what follows from ``event``, and do it."""
        self.state, actions = lanes.step(self.state, event)
        for action in actions:
            match action:
                case lanes.Publish(message):
                    self._publish(message)
                case lanes.Settle(position):
                    self._settle(position)
                case lanes.Reconnect():
                    _log.warning("no acknowledgement", lane=self.lane)
                    self._outlet.reconnect()

    def opened(self, event: Connected) -> None:
        """A connection stands, with these limits."""
        longest = MAX_BYTES
        if event.maximum_packet_bytes is not None:
            topic = len(self._dialect.topic(self.lane, "x" * 64))
            longest = min(longest, event.maximum_packet_bytes - topic - _PACKET_BYTES)
        self.tell(Opened(event.can_refuse, longest - self._dialect.head_bytes))

    @property
    def is_ready(self) -> bool:
        """Whether something waits that may be sent now."""
        state = self.state
        return (
            state.online
            and bool(state.waiting or self._has_more)
            and not (state.probing and state.flight)
            and self._clock.monotonic() >= state.resume_s
        )

    @property
    def oldest_ns(self) -> int | None:
        """Time of the oldest record read and not settled; None when there is none."""
        held = next(iter(self._held.values()), None)
        return None if held is None else held.time_ns

    @property
    def _has_more(self) -> bool:
        return self._journal.committed(self.lane) > self._read_to

    def _load(self) -> bool:
        """Read and encode the next records, while few messages are ready to go."""
        state = self.state
        if not state.online or len(state.waiting) >= READY_MESSAGES:
            return False
        if self._held_bytes >= HELD_BYTES or not self._has_more:
            return False
        entries = self._journal.read(
            self.lane, self._read_to, max_bytes=READ_BYTES, max_records=READ_RECORDS
        )
        if entries:
            self._read_to = entries[-1].position
            items = [self._hold(entry) for entry in entries]
            self.tell(Loaded(items, self._outlet.window.message_bytes))
        return bool(entries)

    def _hold(self, entry: Entry | Damage) -> Item:
        """Keep ``entry`` encoded; what `lane` has to know of it."""
        if isinstance(entry, Damage):
            record, first, seq = _lost_record(entry), entry.first_seq, entry.last_seq
        else:
            record, seq = self._decode(entry), entry.seq
            body = record.body
            first = body.seqs[0] if isinstance(body, Gap) and body.seqs is not None else seq
        part = self._dialect.record(seq, record)
        self._held[entry.position] = _Held(part, record.time_ns, record.boot or None)
        self._held_bytes += len(part)
        size = len(part) + self._dialect.overhead_bytes
        return Item(entry.position, (entry.incarnation, entry.stream), first, seq, size)

    def _decode(self, entry: Entry) -> Record:
        """The record of ``entry``; a gap in its place when its bytes make no sense."""
        try:
            return decode(entry.payload, self._layouts(entry.schema))
        except (ValueError, MsgspecError, JournalError) as error:
            _log.warning("record unreadable", lane=self.lane, seq=entry.seq, error=str(error))
            at, seq = entry.time_ns, entry.seq
            damage = Damage(
                entry.position,
                entry.stream,
                entry.incarnation,
                seq,
                seq,
                at,
                at,
                entry.readings,
            )
            return _lost_record(damage)

    def _layouts(self, key: int) -> list[Layout]:
        if key not in self._schemas:
            self._schemas[key] = decode_schema(self._journal.schema(key))
        return self._schemas[key]

    def _publish(self, message: Message) -> None:
        held = [self._held[item.position] for item in message.items]
        incarnation, device = message.items[0].stream
        boot = next((record.boot for record in held if record.boot), None)
        first, last = message.items[0].first, message.items[-1].last
        origin = Origin(incarnation, boot, device, self.lane, first, last)
        edge_ns = self._clock.now_ns() - LATE_NS
        payload = self._dialect.message(
            origin,
            [record.part for record in held],
            [record.time_ns < edge_ns for record in held],
        )
        topic = self._dialect.topic(self.lane, device)
        self._outlet.send(self, topic, payload, key=message.key)

    def _settle(self, position: int) -> None:
        self._journal.settle(self.lane, position)
        done = []
        for held in self._held:
            if held > position:
                break
            done.append(held)
        for held in done:
            self._held_bytes -= len(self._held.pop(held).part)
        self._progress.set()


def _lost_record(damage: Damage) -> Record:
    """The gap that is delivered in the place of records nobody can read any more."""
    gap = Gap(
        f"corrupt-{damage.first_seq}-{damage.last_seq}",
        Cause.JOURNAL_CORRUPT,
        damage.from_ns,
        damage.to_ns,
        count=damage.readings,
        exact=damage.readings is not None,
        seqs=(damage.first_seq, damage.last_seq),
    )
    return Record(damage.to_ns, ClockState.UNSYNCED, None, None, "", gap)
