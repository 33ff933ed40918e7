"""What happened to the gateway itself, as its meta lane tells it: a closed list of kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.dialects.terms import (
    Count,
    Device,
    Fingerprint,
    Hex128,
    Name,
    ReplayId,
    Seq,
    Strict,
    Time,
)
from gateway.model import ClockState, Lane


class Start(Strict, frozen=True):
    """The gateway runs; the first event of an incarnation."""

    kind: Literal["start"]
    version: str
    config: Fingerprint
    clean: bool
    """The run before ended in order."""
    quarantined: list[str]
    """What of the journal could not be read at this start, and where it is kept."""


class Stop(Strict, frozen=True):
    """The gateway was told to end; nothing is read from here on."""

    kind: Literal["stop"]


class ConfigApplied(Strict, frozen=True):
    """From here on another configuration runs; the devices that it changed, by name."""

    kind: Literal["config_applied"]
    config: Fingerprint
    previous: Fingerprint
    added: list[Name]
    changed: list[Name]
    removed: list[Name]


class StorageDegraded(Strict, frozen=True):
    """The disk takes nothing; what is published meanwhile is marked ``volatile``."""

    kind: Literal["storage_degraded"]
    error: str
    volatile: Literal[True]


class StorageRestored(Strict, frozen=True):
    """The disk takes records again."""

    kind: Literal["storage_restored"]


class Refusal(Strict, frozen=True):
    """The broker refuses something for good; the reasons are those of ``status``."""

    kind: Literal["refusal"]
    reasons: Annotated[list[str], Meta(min_length=1)]


class ReceiptRefused(Strict, frozen=True):
    """Receipts that cannot be true; they changed nothing."""

    kind: Literal["receipt_refused"]
    topic: str
    reason: Literal["too_long", "malformed", "unknown_stream", "beyond_head"]
    """Of the last one."""
    count: Seq
    """Since the last event of this kind."""


class ReplayRefused(Strict, frozen=True):
    """Requests for replay that are not served."""

    kind: Literal["replay_refused"]
    topic: str
    reason: Literal["malformed", "busy"]
    """Of the last one."""
    count: Seq
    """Since the last event of this kind."""


class Replayed(Strict, frozen=True, rename={"from_": "from"}):
    """A request for replay was served: what of it went out, and how many were missing."""

    kind: Literal["replay"]
    id: ReplayId
    lane: Lane
    device: Device
    incarnation: Hex128
    from_: Seq
    to: Seq
    first: Seq | None
    last: Seq | None
    """First and last seq that went out; None: none did."""
    records: Count
    missing: Count
    refused: str | UnsetType = UNSET
    """Why it was not served to its end."""


class ClockEpoch(Strict, frozen=True):
    """The gateway's clock was set: times before and after are of two clocks.

    ``utc = mono + offset`` on either; no time that was stored is changed.
    """

    kind: Literal["clock_epoch"]
    boot: Hex128
    mono: Count
    """When that was seen, ns of the monotonic clock."""
    old_offset_ns: int
    new_offset_ns: int
    step_ms: int
    before: ClockState
    after: ClockState
    bound_ms: Count | None


class ClockAnchor(Strict, frozen=True):
    """From here on the clock can be trusted.

    It maps any record of this boot to civil time: ``utc + (its mono − mono)``.
    """

    kind: Literal["clock_anchor"]
    boot: Hex128
    mono: Count
    utc: Time
    bound_ms: Count


AnyEvent: TypeAlias = type[
    Start
    | Stop
    | ConfigApplied
    | StorageDegraded
    | StorageRestored
    | Refusal
    | ReceiptRefused
    | ReplayRefused
    | Replayed
    | ClockEpoch
    | ClockAnchor
]
EVENTS: Final[Mapping[str, AnyEvent]] = {
    "start": Start,
    "stop": Stop,
    "config_applied": ConfigApplied,
    "storage_degraded": StorageDegraded,
    "storage_restored": StorageRestored,
    "refusal": Refusal,
    "receipt_refused": ReceiptRefused,
    "replay_refused": ReplayRefused,
    "replay": Replayed,
    "clock_epoch": ClockEpoch,
    "clock_anchor": ClockAnchor,
}
"""By ``kind``, what an event says."""


def check_event(event: Mapping[str, Any]) -> None:
    """Return if ``event`` says what its kind says, no less and no more.

    Raises:
        msgspec.ValidationError: It does not, or nobody knows its kind.
    """
    kind = EVENTS.get(str(event.get("kind")))
    if kind is None:
        raise msgspec.ValidationError(f"no event is of kind {event.get('kind')!r}")
    msgspec.convert(event, kind)
