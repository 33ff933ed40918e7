"""The words of a lane's delivery: what it knows, what may happen, what it may do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from gateway.dialects.wire import MAX_BYTES, MAX_RECORDS

ACK_TIMEOUT_S: Final = 20.0
PROBE_S: Final = 30.0
"""Pause before a lane without subscribers is tried again."""
STOPPED_PROBE_S: Final = 300.0
"""Pause before a stopped lane is tried again, so that a cured broker is noticed."""
BACKOFF_S: Final = (1.0, 60.0)
"""First and longest pause after a temporary refusal; full jitter."""
DENIED_PROBE_S: Final = 30.0
"""Pause before a denied topic is offered its gap again."""
TRIES: Final = 3
POISON_LOSSES: Final = 5
POISON: Final = -1
"""In the place of a reason: the broker cuts the connection instead of answering."""
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
    replaced: bool = False
    """A gap that stands for quarantined records. Below position 0: one owed from earlier."""


class Message(NamedTuple):
    """Consecutive items of one stream."""

    items: tuple[Item, ...]
    bytes: int

    @property
    def key(self) -> int:
        """Position of the oldest item; no two messages of a lane share it."""
        return self.items[0].position

    @property
    def device(self) -> str:
        """Whose topic it goes to."""
        return self.items[0].stream[1]


class Sent(NamedTuple):
    """A message on its way."""

    message: Message
    at_s: float


@dataclass(frozen=True, slots=True)
class Policy:
    """What the configuration says about settling."""

    accept_no_subscribers: bool = False
    accept_v3_acknowledgements: bool = False
    receipts: bool = False
    """The platform settles: `Settle` and `Pay` then say what the broker acknowledged."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A device whose topic, or one record of it, the broker refuses for good."""

    device: str
    reason: int
    """Of the refusal; `POISON`: the broker cuts the connection instead."""
    until: int
    """Position of the last record that was in the message suspected first."""
    tries: int = 0
    resume_s: float = 0.0
    limit: int = MAX_RECORDS
    """Records in the one message that goes out at a time."""
    others: bool = False
    """The broker took something else meanwhile: it is not refusing everything."""
    denied: bool = False
    """Even a gap is refused: it is the topic."""


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
    head: int | None = None
    head_losses: int = 0
    """Connections lost in a row while the message ``head`` was in flight and oldest."""
    suspects: tuple[Suspect, ...] = ()
    isolating: tuple[int, ...] = ()
    """Positions of records on their way into quarantine."""
    owing: tuple[Item, ...] = ()
    """On their way into the ledger of gaps that are owed to denied topics."""


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
    """The connection is gone, with the reason of the broker's DISCONNECT if it gave one.

    ``served``: it had acknowledged something, in whatever lane.
    """

    reason: int | None = None
    served: bool = False


@dataclass(frozen=True, slots=True)
class Isolated:
    """The record at ``position`` is in quarantine; its gap takes ``bytes``."""

    position: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Owed:
    """The ledger holds ``gaps`` for ``device`` durably, in the place of all that was owing."""

    device: str
    gaps: Sequence[Item]


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


Event: TypeAlias = Loaded | Opened | Answered | Closed | Tick | Isolated | Owed


class Publish(NamedTuple):
    """Send this message now."""

    message: Message


class Settle(NamedTuple):
    """Every record up to ``position`` was acknowledged."""

    position: int


class Reconnect(NamedTuple):
    """The connection is of no use any more."""


class Soon(NamedTuple):
    """Let the next connection come without back-off: it will tell more about a record."""


class Quarantine(NamedTuple):
    """Keep this record aside, durably; then say `Isolated`."""

    item: Item
    reason: int


class Owe(NamedTuple):
    """Nothing can be said on this topic: keep these aside and owe the gap; then say `Owed`."""

    device: str
    items: tuple[Item, ...]
    reason: int


class Pay(NamedTuple):
    """The gap owed to ``stream`` was delivered: strike it out."""

    stream: Stream


Action: TypeAlias = Publish | Settle | Reconnect | Soon | Quarantine | Owe | Pay
Step: TypeAlias = tuple[State, list[Action]]


def group(
    items: Iterable[Item], max_bytes: int, max_records: int = MAX_RECORDS
) -> list[Message]:
    """``items`` as messages, in the order of their oldest items.

    An item longer than ``max_bytes`` becomes a message of its own.
    """
    opened: dict[Stream, list[Item]] = {}
    sizes: dict[Stream, int] = {}
    runs: list[list[Item]] = []
    for item in items:
        run, size = opened.get(item.stream), sizes.get(item.stream, 0) + item.bytes
        is_full = run is None or len(run) >= max_records
        if run is None or is_full or run[-1].last + 1 != item.first or size > max_bytes:
            run, size = [], item.bytes
            runs.append(run)
            opened[item.stream] = run
        run.append(item)
        sizes[item.stream] = size
    return [Message(tuple(run), sum(item.bytes for item in run)) for run in runs]


def in_order(waiting: Iterable[Message], back: Iterable[Message]) -> tuple[Message, ...]:
    """All of them, by the position of their oldest items."""
    return tuple(sorted((*waiting, *back), key=lambda message: message.key))
