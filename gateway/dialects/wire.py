"""The wire format, version 1: the one table of what leaves the gateway in JSON.

The JSON Schema in ``config/wire.schema.json`` is generated from these structs
(``python -m gateway.dialects.wire > config/wire.schema.json``), the tests validate
every message against it, and `parse` is what a consumer written in Python needs.
It is strict: an unknown key, an open word or a malformed time is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.dialects.events import EVENTS, check_event
from gateway.dialects.terms import (
    AnyQuality,
    Count,
    Device,
    Fingerprint,
    Hex128,
    Name,
    NotGood,
    ReplayId,
    Seq,
    Strict,
    Time,
    Value,
    Word,
)
from gateway.model import Cause, ClockState, DataType, Lane, TagClass

VERSION: Final = 1
MAX_RECORDS: Final = 1000
MAX_BYTES: Final = 256 * 1024
"""Longest payload of a lane message."""


class After(Strict, frozen=True):
    """Where the stream ended in the incarnation before."""

    incarnation: Hex128
    seq: Seq


class Gap(Strict, frozen=True, rename={"from_": "from"}):
    """Stands where readings should be."""

    id: Annotated[str, Meta(min_length=1, max_length=128)]
    cause: Cause
    tags: list[Name] | Literal["*"]
    from_: Time
    to: Time | None
    """None while the gap is open."""
    count: Count | None
    count_is: Literal["exact", "at_most"]
    seqs: tuple[Seq, Seq] | UnsetType = UNSET
    after: After | UnsetType = UNSET


class Alarm(Strict, frozen=True):
    """One change of an alarm's state, in the words of ISA-18.2."""

    id: Annotated[str, Meta(min_length=1, max_length=128)]
    tag: Name
    level: Word
    state: Literal["active", "cleared"]
    priority: Word
    value: Value
    limit: Value
    unit: str
    quality: AnyQuality
    raised: Time
    """When the on-delay had passed; the same in every record of this alarm."""
    cleared: Time | None
    snapshot: bool
    """True: repeats the record with this seq after a reconnect; it is no new record."""


class Record(Strict, frozen=True):
    """One seq of a stream: exactly one of values, gap, alarm, event."""

    seq: Seq
    time: Time
    clock: ClockState
    bound_ms: Count | None
    mono: tuple[Count, Count] | UnsetType = UNSET
    late: bool | UnsetType = UNSET
    values: dict[Name, Value] | UnsetType = UNSET
    quality: dict[Name, NotGood] | UnsetType = UNSET
    source_time: dict[Name, Time] | UnsetType = UNSET
    server_time: dict[Name, Time] | UnsetType = UNSET
    gap: Gap | UnsetType = UNSET
    alarm: Alarm | UnsetType = UNSET
    event: dict[str, Any] | UnsetType = UNSET

    def __post_init__(self) -> None:
        bodies = (self.values, self.gap, self.alarm, self.event)
        if sum(body is not UNSET for body in bodies) != 1:
            raise ValueError("a record has exactly one of values, gap, alarm, event")
        if self.event is not UNSET:
            check_event(self.event)


class LaneMessage(Strict, frozen=True):
    """Consecutive records of one stream of one incarnation."""

    v: Literal[1]
    gateway: Name
    incarnation: Hex128
    boot: Hex128 | None
    """None when no record of the message could be read any more."""
    device: Device
    lane: Lane
    prev: Count
    first: Seq
    last: Seq
    records: Annotated[list[Record], Meta(min_length=1, max_length=MAX_RECORDS)]
    replay: ReplayId | UnsetType = UNSET
    """Published again, out of order: why. The keys are those of the first time."""
    volatile: Literal[True] | UnsetType = UNSET
    """No disk holds these records yet: they may come again with the same keys, or never."""


class Status(Strict, frozen=True):
    """State of the gateway; also the will, with ``offline``."""

    v: Literal[1]
    gateway: Name
    state: Literal["online", "degraded", "offline"]
    incarnation: Hex128
    connection: Count
    time: Time
    version: str
    config: Fingerprint
    reasons: list[str]


class JournalState(Strict, frozen=True):
    """How full the journal is."""

    bytes: Count
    size: Count
    hours_left: float | None


class Head(Strict, frozen=True):
    """How far one stream goes, is settled, and has been watched."""

    head: Count
    settled: Count
    covered_to: Time | None


class Heads(Strict, frozen=True):
    """The heartbeat: the head of every stream, keyed ``lane/device``."""

    v: Literal[1]
    incarnation: Hex128
    time: Time
    clock: ClockState
    config: Fingerprint
    journal: JournalState
    streams: dict[str, Head]


class TagSchema(Strict, frozen=True, rename={"tag_class": "class"}):
    """What a consumer must know of one tag."""

    type: DataType
    unit: str
    label: str
    range: tuple[float, float] | None
    limits: dict[Word, float]
    interval_s: float
    max_silence_s: float
    tag_class: Literal["safety", "normal", "background"]


class Schema(Strict, frozen=True):
    """The tags of one device."""

    v: Literal[1]
    device: Device
    label: str
    config: Fingerprint
    tags: dict[Name, TagSchema]


class Latest(Strict, frozen=True):
    """Newest value of each tag while its stream lags; no record, settles nothing."""

    v: Literal[1]
    gateway: Name
    device: Device
    time: Time
    values: dict[Name, Value]
    quality: dict[Name, NotGood] | UnsetType = UNSET


class Receipt(Strict, frozen=True):
    """The platform holds every record of the stream up to ``seq``."""

    incarnation: Hex128
    seq: Count
    lane: Lane | UnsetType = UNSET
    """As in the topic, where it is named again."""
    device: Device | UnsetType = UNSET


class Replay(Strict, frozen=True, rename={"from_": "from"}):
    """The platform asks for the records ``from`` to ``to`` of one stream again."""

    id: ReplayId
    lane: Lane
    device: Device
    incarnation: Hex128
    from_: Seq
    to: Seq

    def __post_init__(self) -> None:
        if self.to < self.from_:
            raise ValueError("`to` is before `from`")


Message: TypeAlias = LaneMessage | Status | Heads | Schema | Latest | Receipt | Replay
_ABOUT_DEVICE: Final[Mapping[str, type[Message]]] = {
    **dict.fromkeys(Lane, LaneMessage),
    "latest": Latest,
    "schema": Schema,
}
_ABOUT_GATEWAY: Final[Mapping[str, type[Message]]] = {
    "status": Status,
    "heads": Heads,
    "replay": Replay,
}


def kind_of(topic: str) -> type[Message]:
    """The struct that messages of ``topic`` follow.

    Raises:
        ValueError: No message of the wire format belongs on this topic.
    """
    levels = topic.split("/")
    if len(levels) > 3 and levels[-3] == "receipt" and levels[-2] in tuple(Lane):
        return Receipt
    kind = _ABOUT_DEVICE.get(levels[-2]) if len(levels) > 2 else None
    kind = kind or _ABOUT_GATEWAY.get(levels[-1])
    if kind is None:
        raise ValueError(f"{topic}: not a topic of the wire format")
    return kind


def parse(topic: str, payload: bytes) -> Message:
    """The message that was published on ``topic``, checked against the table above.

    Raises:
        ValueError: The topic or the payload is not of this format.
    """
    try:
        message = msgspec.json.decode(payload, type=kind_of(topic))
    except msgspec.MsgspecError as error:
        raise ValueError(f"{topic}: {error}") from error
    if isinstance(message, LaneMessage) and message.prev != message.first - 1:
        raise ValueError(f"{topic}: prev {message.prev} before first {message.first}")
    return message


_BODIES = ("values", "gap", "alarm", "event")


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of every message; each kind also stands under ``$defs``."""
    kinds = [LaneMessage, Status, Heads, Schema, Latest, Receipt, Replay]
    every = [*kinds, *EVENTS.values()]
    refs, parts = msgspec.json.schema_components(every, ref_template="#/$defs/{name}")
    parts["Record"]["oneOf"] = [{"required": [body]} for body in _BODIES]
    event = parts["Record"]["properties"]["event"]
    event["oneOf"] = [{"$ref": f"#/$defs/{kind.__name__}"} for kind in EVENTS.values()]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tidegate wire format, version 1",
        "oneOf": list(refs[: len(kinds)]),
        "$defs": dict(sorted(parts.items())),
    }


def schema_text() -> str:
    """`json_schema` as the file ``config/wire.schema.json`` holds it."""
    text = msgspec.json.format(msgspec.json.encode(json_schema(), order="sorted"), indent=2)
    return text.decode() + "\n"


CLASS_WORDS: Final = {tag_class: tag_class.name.lower() for tag_class in TagClass}


if __name__ == "__main__":
    import sys

    sys.stdout.write(schema_text())
