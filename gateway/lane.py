"""One lane's delivery as a pure function: (state, event) → (state, actions).

    journal ──Loaded──▶ waiting ──Publish──▶ flight ──0x00──▶ acknowledged ──▶ Settle
                           ▲                    │
                           └── refused, lost ───┘

What is loaded is grouped into messages: one stream, consecutive seqs. They are sent in
journal order, may be acknowledged in any order, and only the contiguous prefix of
positions is settled. A refused or lost message takes its old place again, in front of
everything younger. After a refusal the lane holds, then sends its oldest message alone;
the full window opens again when that one is acknowledged.

Nothing here reads a clock, rolls dice or touches a socket: `deliver` performs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias

from gateway.dialects.wire import MAX_BYTES, MAX_RECORDS

ACK_TIMEOUT_S: Final = 20.0
PROBE_S: Final = 30.0
"""Pause before a lane without subscribers is tried again."""
STOPPED_PROBE_S: Final = 300.0
"""Pause before a stopped lane is tried again, so that a cured broker is noticed."""
BACKOFF_S: Final = (1.0, 60.0)
"""First and longest pause after a temporary refusal; full jitter."""
TRIES: Final = 3
SUCCESS, NO_SUBSCRIBERS, TOO_LARGE = 0x00, 0x10, 0x95
FINAL: Final = frozenset((0x87, 0x90, 0x99, 0x9A, 0x9B))
"""Refusals that waiting does not cure: not authorized, topic name invalid, payload format
invalid, retain not supported, QoS not supported (MQTT 5, 3.4.2.1)."""

Stream: TypeAlias = tuple[str, str]
"""Incarnation and device."""


class Item(NamedTuple):
    """One stored record as delivery needs to know it."""

    position: int
    stream: Stream
    first: int
    """First seq it stands for; differs from ``last`` in a gap over stored records."""
    last: int
    bytes: int
    """What it adds to a payload."""


class Message(NamedTuple):
    """Consecutive items of one stream."""

    items: tuple[Item, ...]
    bytes: int

    @property
    def key(self) -> int:
        """Position of the oldest item; no two messages of a lane share it."""
        return self.items[0].position


class Sent(NamedTuple):
    """A message on its way."""

    message: Message
    at_s: float


@dataclass(frozen=True, slots=True)
class Policy:
    """What the configuration says about settling."""

    accept_no_subscribers: bool = False
    accept_v3_acknowledgements: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """Everything a lane's delivery knows."""

    policy: Policy = Policy()
    settled: int = 0
    loaded: tuple[int, ...] = ()
    """Positions read from the journal and not settled, ascending."""
    waiting: tuple[Message, ...] = ()
    """To be sent, by key."""
    flight: tuple[Sent, ...] = ()
    """Sent and not answered, in the order they were sent."""
    online: bool = False
    mute: bool = False
    """The broker cannot refuse, and its acknowledgement is not accepted as delivery."""
    max_bytes: int = MAX_BYTES
    """Longest message to build, as far as learned from refusals."""
    broker_bytes: int = MAX_BYTES
    """Longest message the broker says it takes."""
    resume_s: float = 0.0
    """Nothing is sent before this moment of the monotonic clock."""
    probing: bool = False
    """The oldest message goes alone until the broker takes it."""
    refused: int | None = None
    """Key of the oldest message refused on this connection."""
    tries: int = 0
    refusal: int | None = None
    """Reason of the last refusal; None while the broker takes what is sent."""
    stopped: bool = False
    head: int | None = None
    head_losses: int = 0
    """Connections lost in a row while the message ``head`` was in flight and oldest."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Committed records, in journal order, behind all that was loaded before."""

    items: Sequence[Item]
    message_bytes: int = MAX_BYTES


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection stands. ``max_bytes``: longest message the broker takes."""

    can_refuse: bool
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Answered:
    """PUBACK for the message ``key``. ``jitter``: a random number in [0, 1)."""

    key: int
    reason: int
    now_s: float
    jitter: float = 1.0


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is gone, with the reason of the broker's DISCONNECT if it gave one."""

    reason: int | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed or room has come.

    ``slots`` messages and ``room`` bytes may be added to what is in flight; messages
    longer than ``message_bytes`` are divided first. A pace of catching up is kept by
    giving less room.
    """

    now_s: float
    slots: int
    room: int = 1 << 62
    message_bytes: int = MAX_BYTES


Event: TypeAlias = Loaded | Opened | Answered | Closed | Tick


class Publish(NamedTuple):
    """Send this message now."""

    message: Message


class Settle(NamedTuple):
    """Every record up to ``position`` was acknowledged."""

    position: int


class Reconnect(NamedTuple):
    """The connection is of no use any more."""


Action: TypeAlias = Publish | Settle | Reconnect
Step: TypeAlias = tuple[State, list[Action]]


def step(state: State, event: Event) -> Step:
    """What follows from ``event``."""
    match event:
        case Tick():
            return _tick(state, event)
        case Answered():
            return _answered(state, event)
        case Loaded():
            return _load(state, event), []
        case Opened():
            return _open(state, event), []
        case Closed():
            return _close(state, event.reason), []


def reasons(state: State) -> list[str]:
    """Why this lane does not deliver, in words for the ``status`` topic."""
    found = []
    if state.mute:
        found.append("v3_acknowledgements_not_accepted")
    if state.refusal == NO_SUBSCRIBERS:
        found.append("no_subscribers")
    elif state.refusal is not None:
        found.append(f"{'stopped' if state.stopped else 'refused'}_0x{state.refusal:02x}")
    if state.head_losses >= 5:
        found.append("poison_suspected")
    return found


def group(items: Iterable[Item], max_bytes: int) -> list[Message]:
    """``items`` as messages, in the order of their oldest items.

    An item longer than ``max_bytes`` becomes a message of its own.
    """
    opened: dict[Stream, list[Item]] = {}
    sizes: dict[Stream, int] = {}
    runs: list[list[Item]] = []
    for item in items:
        run, size = opened.get(item.stream), sizes.get(item.stream, 0) + item.bytes
        if run is None or not _fits(run, item, size, max_bytes):
            run, size = [], item.bytes
            runs.append(run)
            opened[item.stream] = run
        run.append(item)
        sizes[item.stream] = size
    return [Message(tuple(run), sum(item.bytes for item in run)) for run in runs]


def _fits(run: list[Item], item: Item, size: int, max_bytes: int) -> bool:
    return run[-1].last + 1 == item.first and len(run) < MAX_RECORDS and size <= max_bytes


def _load(state: State, event: Loaded) -> State:
    limit = min(event.message_bytes, state.max_bytes)
    return replace(
        state,
        loaded=state.loaded + tuple(item.position for item in event.items),
        waiting=state.waiting + tuple(group(event.items, limit)),
    )


def _open(state: State, event: Opened) -> State:
    mute = not (event.can_refuse or state.policy.accept_v3_acknowledgements)
    return replace(
        state,
        online=True,
        mute=mute,
        broker_bytes=event.max_bytes,
        max_bytes=min(state.max_bytes, event.max_bytes),
        refused=None,
        tries=0,
    )


def _close(state: State, reason: int | None) -> State:
    """Whatever was in flight counts as not delivered and waits in its old place."""
    state = _count_losses(state)
    if reason == TOO_LARGE and state.flight:
        state = replace(state, max_bytes=max(1, state.flight[0].message.bytes // 2))
    back = (sent.message for sent in state.flight)
    return replace(state, online=False, flight=(), waiting=_in_order(state.waiting, back))


def _count_losses(state: State) -> State:
    oldest = min((sent.message.key for sent in state.flight), default=None)
    if oldest is None:
        return state
    losses = state.head_losses + 1 if oldest == state.head else 1
    return replace(state, head=oldest, head_losses=losses)


def _in_order(waiting: Iterable[Message], back: Iterable[Message]) -> tuple[Message, ...]:
    return tuple(sorted((*waiting, *back), key=_key))


def _key(message: Message) -> int:
    return message.key


def _tick(state: State, tick: Tick) -> Step:
    if state.flight and tick.now_s - state.flight[0].at_s >= ACK_TIMEOUT_S:
        return _close(state, None), [Reconnect()]
    slots = min(tick.slots, 0 if state.flight else 1) if state.probing else tick.slots
    if not state.online or state.mute or tick.now_s < state.resume_s or slots <= 0:
        return state, []
    return _send(state, tick, slots)


def _send(state: State, tick: Tick, slots: int) -> Step:
    """Move up to ``slots`` messages from ``waiting`` into ``flight``."""
    limit, room = min(tick.message_bytes, state.max_bytes), tick.room
    waiting, taken = deque(state.waiting), list[Message]()
    while waiting and len(taken) < slots:
        message = waiting[0]
        if message.bytes > limit and len(message.items) > 1:
            pieces = group(message.items, limit)
            waiting.popleft()
            # The later pieces are younger than other messages that wait.
            waiting = deque(_in_order(waiting, pieces))
            continue
        if message.bytes > state.broker_bytes:
            state = _stop(state, message.key, tick.now_s)
            break
        if message.bytes > room and (taken or state.flight):
            break
        room -= message.bytes
        taken.append(waiting.popleft())
    flight = state.flight + tuple(Sent(message, tick.now_s) for message in taken)
    actions: list[Action] = [Publish(message) for message in taken]
    return replace(state, waiting=tuple(waiting), flight=flight), actions


def _stop(state: State, key: int, now_s: float) -> State:
    """One record alone is longer than the broker takes; sending it would cut the connection."""
    return replace(
        state,
        probing=True,
        refused=key,
        refusal=TOO_LARGE,
        stopped=True,
        resume_s=now_s + STOPPED_PROBE_S,
    )


def _answered(state: State, event: Answered) -> Step:
    sent = next((s for s in state.flight if s.message.key == event.key), None)
    if sent is None:
        return state, []
    state = replace(state, flight=tuple(s for s in state.flight if s is not sent))
    accepted = event.reason == SUCCESS or (
        event.reason == NO_SUBSCRIBERS and state.policy.accept_no_subscribers
    )
    return _settle(_accept(state, event.key)) if accepted else _refuse(state, sent, event)


def _accept(state: State, key: int) -> State:
    if key == state.head:
        state = replace(state, head=None, head_losses=0)
    if state.refused in (None, key):
        return replace(state, probing=False, refused=None, tries=0, refusal=None, stopped=False)
    return state


def _settle(state: State) -> Step:
    """Settle up to the last loaded position before the oldest unacknowledged one."""
    unacknowledged = [sent.message.key for sent in state.flight]
    unacknowledged += [message.key for message in state.waiting[:1]]
    count = len(state.loaded)
    if unacknowledged:
        count = bisect_left(state.loaded, min(unacknowledged))
    if count == 0:
        return state, []
    position = state.loaded[count - 1]
    return replace(state, settled=position, loaded=state.loaded[count:]), [Settle(position)]


def _refuse(state: State, sent: Sent, event: Answered) -> Step:
    message = sent.message
    state = replace(state, waiting=_in_order(state.waiting, [message]))
    if event.reason == TOO_LARGE and len(message.items) > 1:
        return replace(state, max_bytes=message.bytes // 2), []
    if state.refused is not None and message.key > state.refused:
        return state, []
    tries = state.tries + 1
    stopped = (tries >= TRIES and event.reason in FINAL) or event.reason == TOO_LARGE
    pause = _pause(event, tries, stopped=stopped)
    return replace(
        state,
        probing=True,
        refused=message.key,
        tries=tries,
        refusal=event.reason,
        stopped=stopped,
        resume_s=event.now_s + pause,
    ), []


def _pause(event: Answered, tries: int, *, stopped: bool) -> float:
    if stopped:
        return STOPPED_PROBE_S
    if event.reason == NO_SUBSCRIBERS:
        return PROBE_S
    first, longest = BACKOFF_S
    if event.reason in FINAL:
        return first
    return max(0.1, event.jitter * min(longest, first * 2.0 ** min(tries, 16)))
