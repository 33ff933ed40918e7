"""What the platform says it holds, and what to do while it says nothing. Pure.

    broker:    PUBACK   ──▶ acknowledged ──┐
                                            ├──▶ settled: up to here both say yes
    platform:  receipt  ──▶ watermark ─────┘

A watermark only moves forward, and never beyond what was passed on; a record that the
broker has not acknowledged since this start is not settled by any receipt. So a receipt
that is old, doubled, forged or impossible costs nothing but a message published again.

A broker can acknowledge and lose. What it acknowledged and the platform does not confirm is
published again: little at first, for the platform may only be away; each stretch that it
confirms doubles the next, until a receipt reaches beyond what was published again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from msgspec import UNSET

from gateway.dialects.wire import Receipt, parse
from gateway.model import Lane

MOST_BYTES: Final = 4096
"""No receipt and no request is longer."""
STALL_S: Final = 60.0
"""The platform confirms nothing for so long: the broker may have lost it."""
LONGEST_S: Final = 900.0
STRETCH: Final = 250
LONGEST_STRETCH: Final = 64_000
"""First and longest stretch that is published again, in records."""


class ReceiptError(ValueError):
    """A receipt that cannot be true; its one argument is the reason, as a word."""


class Watermarks:
    """How far the platform holds each stream."""

    def __init__(self, farthest: Callable[[Lane, str, str], int | None]) -> None:
        """farthest: highest seq there can be by lane, device, incarnation; None: no such."""
        self._farthest = farthest
        self._seqs: dict[tuple[Lane, str, str], int] = {}

    def take(self, topic: str, payload: bytes) -> tuple[Lane, str, str] | None:
        """The lane, incarnation and device whose watermark the receipt moves; None: of none.

        Raises:
            ReceiptError: It is too long, malformed, of an unknown stream or beyond its head.
        """
        if len(payload) > MOST_BYTES:
            raise ReceiptError("too_long")
        try:
            receipt = parse(topic, payload)
        except ValueError as error:
            raise ReceiptError("malformed") from error
        lane, device = Lane(topic.split("/")[-2]), topic.split("/")[-1]
        if not isinstance(receipt, Receipt) or not _agrees(receipt, lane, device):
            raise ReceiptError("malformed")
        stream = (lane, receipt.incarnation, device)
        head = self._farthest(lane, device, receipt.incarnation)
        if head is None:
            raise ReceiptError("unknown_stream")
        if receipt.seq > head:
            raise ReceiptError("beyond_head")
        if receipt.seq <= self._seqs.get(stream, 0):
            return None
        self._seqs[stream] = receipt.seq
        return stream

    def holds(self, lane: Lane, incarnation: str, device: str, seq: int) -> bool:
        """Whether the platform has said that it holds this record and all before it."""
        return seq <= self._seqs.get((lane, incarnation, device), 0)


def _agrees(receipt: Receipt, lane: Lane, device: str) -> bool:
    return receipt.lane in (UNSET, lane) and receipt.device in (UNSET, device)


@dataclass(frozen=True, slots=True)
class Stall:
    """One lane: since when nothing more was settled, and what was published again."""

    settled: int = 0
    since_s: float = 0.0
    pause_s: float = field(default_factory=lambda: STALL_S)
    stretch: int = STRETCH
    """Records to publish again next."""
    again_to: int = 0
    """Position up to which was published again; 0: nothing was."""


def look(stall: Stall, now_s: float, settled: int, acknowledged: int) -> tuple[Stall, bool]:
    """What is known now, and whether to publish a stretch behind ``settled`` again."""
    if settled >= acknowledged or settled > max(stall.settled, stall.again_to):
        return Stall(settled, now_s), False
    if settled > stall.settled:
        stall = replace(stall, settled=settled, since_s=now_s, pause_s=STALL_S)
    if stall.again_to and settled == stall.again_to:
        # What was published again has been confirmed, to its end and no further.
        longer = min(2 * stall.stretch, LONGEST_STRETCH)
        return replace(stall, since_s=now_s, stretch=longer, again_to=0), True
    if now_s - stall.since_s < stall.pause_s:
        return stall, False
    pause_s = min(2 * stall.pause_s, LONGEST_S)
    return replace(stall, since_s=now_s, pause_s=pause_s, stretch=STRETCH), True


def published_again(stall: Stall, position: int, now_s: float) -> Stall:
    """The stretch ended at ``position``; from now on the platform may answer."""
    return replace(stall, again_to=position, since_s=now_s)
