"""Notifications of a subscription → batches, and whether one is missing. Pure.

A notification is split by block, and into as many batches as its most-sampled tag has
samples: the k-th batch of a block holds the k-th sample of each tag that has so many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from drivers.opcua.codec import DecodeError, Notification, Sample
from drivers.opcua.plan import Judge, OpcuaBlock
from drivers.opcua.quality import overflowed
from gateway.driver import Missing, News
from gateway.model import Batch, Cause, Scalar

LAST_SEQUENCE = 2**32 - 1
MOST_OF_A_TAG = 10_000
"""Samples of one tag in one notification: the longest queue a person may ask for.

Each costs a batch, some hundred times the five bytes it takes in an answer.
"""


class Item(NamedTuple):
    """What a client handle stands for."""

    block: OpcuaBlock
    row: int
    judge: Judge


class Sequence32:
    """The sequence numbers of one subscription: 1, 2, … 2³²−1, 1, …

    Source: OPC 10000-4, 5.14.1.1 and 7.26 (NotificationMessage).
    """

    def __init__(self, first: int = 1) -> None:
        self.expected = first

    def missing(self, notification: Notification) -> list[int]:
        """The numbers before ``notification`` that never came; it counts as come.

        A keep-alive carries the number of the next one, and uses none.

        Raises:
            DecodeError: The number is behind: the server has lost count.
        """
        ahead = (notification.sequence - self.expected) % LAST_SEQUENCE
        if ahead > LAST_SEQUENCE // 2 or not notification.sequence:
            raise DecodeError(
                f"notification {notification.sequence} where {self.expected} is due"
            )
        numbers = [_wrapped(self.expected + step) for step in range(min(ahead, 10_000))]
        own = 0 if notification.is_keep_alive else 1
        self.expected = _wrapped(notification.sequence + own)
        return numbers


class Freshness:
    """How long notifications were on their way, beside the freshest of the last minutes.

    The server says when it sent each by its own clock, whose offset nobody knows: so the
    smallest difference to our clock counts as no time at all.
    """

    def __init__(self) -> None:
        self._least_ns: int | None = None
        self._least_before_ns: int | None = None

    def age_ns(self, notification: Notification, mono_ns: int) -> int | None:
        """Of ``notification``, which arrived at ``mono_ns`` of the monotonic clock.

        None where the server does not say when it sent it.
        """
        if notification.publish_ns is None:
            return None
        behind_ns = mono_ns - notification.publish_ns
        if self._least_ns is None or behind_ns < self._least_ns:
            self._least_ns = behind_ns
        before_ns = self._least_before_ns
        return behind_ns - min(self._least_ns, behind_ns if before_ns is None else before_ns)

    def turn(self) -> None:
        """Forget what is older than the last turn: the clock of the server may be set."""
        self._least_before_ns, self._least_ns = self._least_ns, None


def _wrapped(number: int) -> int:
    return (number - 1) % LAST_SEQUENCE + 1


class Came(NamedTuple):
    """When a response came, on both clocks."""

    time_ns: int
    mono_ns: int

    @property
    def twice_ns(self) -> tuple[int, int]:
        """In the place of request and reply: nobody asked for what a server tells by itself."""
        return self.mono_ns, self.mono_ns


@dataclass(slots=True)
class _Columns:
    rows: list[int] = field(default_factory=list)
    values: list[Scalar] = field(default_factory=list)
    quality: bytearray = field(default_factory=bytearray)
    source_ns: list[int | None] = field(default_factory=list)
    server_ns: list[int | None] = field(default_factory=list)

    def add(self, row: int, value: Scalar, quality: int, sample: Sample) -> None:
        self.rows.append(row)
        self.values.append(value)
        self.quality.append(quality)
        self.source_ns.append(sample.source_ns)
        self.server_ns.append(sample.server_ns)

    def batch(self, block: OpcuaBlock, came: Came, known_to_ns: int | None) -> Batch:
        quality = bytes(self.quality) if any(self.quality) else None
        return Batch(
            block,
            came.time_ns,
            self.values,
            quality,
            self.rows,
            self.source_ns,
            came.twice_ns,
            self.server_ns,
            known_to_ns,
        )


def news(
    samples: Iterable[Sample],
    items: Mapping[int, Item],
    came: Came,
    known_to_ns: int | None = None,
) -> News:
    """What ``samples`` say, in order; ``items``: by client handle.

    known_to_ns: see `model.Batch`.
    A tag whose queue overflowed in the server is said to have lost changes first.

    Raises:
        DecodeError: A sample has a handle that was never given, or a tag too many samples.
    """
    layers: dict[OpcuaBlock, list[_Columns]] = {}
    counts: dict[int, int] = {}
    lost: dict[OpcuaBlock, list[int]] = {}
    for sample in samples:
        handle = sample.handle
        try:
            block, row, judge = items[handle]
        except KeyError:
            raise DecodeError(f"a value for handle {handle}, which is none of ours") from None
        layer = counts[handle] = counts.get(handle, -1) + 1
        if layer >= MOST_OF_A_TAG:
            raise DecodeError(f"more than {MOST_OF_A_TAG} values for handle {handle}")
        columns = layers.setdefault(block, [])
        if layer == len(columns):
            columns.append(_Columns())
        columns[layer].add(row, *judge(sample), sample)
        if sample.status and overflowed(sample.status):
            lost.setdefault(block, []).append(row)
    said: list[Batch | Missing] = [
        Missing(block, tuple(dict.fromkeys(rows)), Cause.SUB_OVERFLOW)
        for block, rows in lost.items()
    ]
    said += (c.batch(block, came, known_to_ns) for block, own in layers.items() for c in own)
    return said


def unchanged(
    blocks: Sequence[OpcuaBlock], came: Came, known_to_ns: int | None = None
) -> list[Batch]:
    """That nothing of ``blocks`` changed up to ``known_to_ns``, or else to when this came."""
    return [
        Batch(block, came.time_ns, (), None, (), mono_ns=came.twice_ns, known_to_ns=known_to_ns)
        for block in blocks
    ]
