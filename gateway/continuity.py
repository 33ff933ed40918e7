"""Is anything missing? The platform's check of what arrives, per stream. Pure.

    stream = (gateway, incarnation, lane, device)      seq 1, 2, 3 … each once, or in a gap

What came before the first message of a stream was not watched, unless the stream's
earlier incarnation was: then it has to begin at 1. A hole counts as missing until it is
filled; filled late is out of order, which the contract allows. A seq that comes again is
a duplicate, which it allows too. The heads say what has been settled: a stream that was
settled beyond what arrived has lost its tail.

A snapshot of alarms repeats records that were, or will be, delivered in their own place: it
is not judged. Nor is a ``volatile`` message: its records may come again, or never. What is
published again on request fills holes, but begins no stream.

After `rejoined` nothing is known of what passed meanwhile, and it is not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from msgspec import UNSET

from gateway.dialects.wire import Heads, LaneMessage, Record


class Stream(NamedTuple):
    """One run of seqs."""

    gateway: str
    incarnation: str
    lane: str
    device: str

    def __str__(self) -> str:
        return f"{self.gateway}/{self.lane}/{self.device} {self.incarnation[:8]}"


class Kind(StrEnum):
    """What a finding is about."""

    MISSING = "missing"
    FILLED = "filled"
    """Had been missing, and came out of order."""
    DUPLICATE = "duplicate"
    MISMATCH = "mismatch"
    """A message does not hold the seqs it names."""


class Finding(NamedTuple):
    """One thing the check saw, about the seqs ``first`` to ``last``."""

    kind: Kind
    stream: Stream
    first: int
    last: int
    reason: str = ""

    @property
    def seqs(self) -> int:
        """How many seqs it is about."""
        return self.last - self.first + 1


def is_snapshot(message: LaneMessage) -> bool:
    """Whether ``message`` repeats active alarms after a reconnect."""
    return all(r.alarm is not UNSET and r.alarm.snapshot for r in message.records)


@dataclass(slots=True)
class _Seqs:
    """What is known of one stream: nothing above ``high`` came, and ``holes`` below did not."""

    since: int
    """The last seq before the watch began; what comes from there is not judged."""
    high: int
    holes: list[tuple[int, int]] = field(default_factory=list)

    @property
    def missing(self) -> int:
        return sum(last - first + 1 for first, last in self.holes)

    def take(self, first: int, last: int) -> Iterator[tuple[Kind, int, int]]:
        """Note that ``first`` to ``last`` came; what that means, in order."""
        first = max(first, self.since + 1)
        if first <= min(last, self.high):
            yield from self._again(first, min(last, self.high))
        if last > self.high:
            yield from self.expect(max(first, self.high + 1) - 1)
            self.high = last

    def expect(self, last: int) -> Iterator[tuple[Kind, int, int]]:
        """Note that everything to ``last`` should have come."""
        if last > self.high:
            self.holes.append((self.high + 1, last))
            yield Kind.MISSING, self.high + 1, last
            self.high = last

    def _again(self, first: int, last: int) -> Iterator[tuple[Kind, int, int]]:
        """Fill the holes between ``first`` and ``last``; the rest of it had come before."""
        left: list[tuple[int, int]] = []
        start = first
        for low, end in self.holes:
            a, b = max(low, first), min(end, last)
            if a > b:
                left.append((low, end))
                continue
            if start < a:
                yield Kind.DUPLICATE, start, a - 1
            yield Kind.FILLED, a, b
            start = b + 1
            left += [piece for piece in ((low, a - 1), (b + 1, end)) if piece[0] <= piece[1]]
        if start <= last:
            yield Kind.DUPLICATE, start, last
        self.holes = left


class Continuity:
    """Watches every stream that arrives."""

    def __init__(self) -> None:
        self._seqs: dict[Stream, _Seqs] = {}
        self._runs: dict[tuple[str, str, str], str] = {}
        self._heads_seen: set[tuple[str, str]] = set()
        self._gap_ids: set[tuple[Stream, str]] = set()
        self.records = 0
        """Records that arrived, those that came again too."""
        self.readings = 0
        """Values of tags in them, counted once each; null counts, a duplicate does not."""
        self.duplicates = 0
        """Seqs that came again."""
        self.disorders = 0
        """Seqs that came after later ones."""
        self.wrong = 0
        """Messages that cannot be read, or do not hold the seqs they name."""
        self.volatile = 0
        """Records that no disk held when they came."""
        self._left_behind = 0

    @property
    def streams(self) -> int:
        """How many streams have been watched."""
        return len(self._seqs)

    @property
    def gaps(self) -> int:
        """How many different gaps were announced."""
        return len(self._gap_ids)

    @property
    def missing(self) -> int:
        """Seqs that should have come and have not."""
        return self._left_behind + sum(seqs.missing for seqs in self._seqs.values())

    @property
    def lossless(self) -> bool:
        """Whether everything that was watched is there and could be read."""
        return not self.missing and not self.wrong

    def message(self, message: LaneMessage) -> list[Finding]:
        """Take in one message of a lane; what is remarkable about it."""
        if message.volatile is not UNSET:
            self.volatile += len(message.records)
            return []
        stream = Stream(message.gateway, message.incarnation, message.lane, message.device)
        is_old = message.replay is not UNSET and stream not in self._seqs
        if is_snapshot(message) or is_old:
            return []
        found = [*self._mismatch(stream, message), *self._begin(stream, message)]
        seqs = self._seqs[stream]
        for record in message.records:
            what = list(seqs.take(*span(record)))
            found += [Finding(kind, stream, first, last) for kind, first, last in what]
            self._count(stream, record, what)
        return joined(found)

    def unreadable(self) -> None:
        """A message came that is not of the wire format; what it held will be missing."""
        self.wrong += 1

    def heads(self, gateway: str, heads: Heads) -> list[Finding]:
        """Take in a heartbeat: what the gateway says has been settled must have come.

        The first heartbeat may be an old, retained one, so it begins no stream.
        """
        found: list[Finding] = []
        is_live = (gateway, heads.incarnation) in self._heads_seen
        self._heads_seen.add((gateway, heads.incarnation))
        for name, head in heads.streams.items():
            lane, _, device = name.partition("/")
            stream = Stream(gateway, heads.incarnation, lane, device)
            if stream in self._seqs:
                found += self._expect(stream, head.settled)
            elif is_live:
                self._watch(stream, head.settled)
        return found

    def rejoined(self) -> None:
        """The watch was interrupted: what passed meanwhile is not judged."""
        self._left_behind = self.missing
        self._seqs.clear()
        self._runs.clear()
        self._heads_seen.clear()

    def _watch(self, stream: Stream, high: int) -> None:
        self._seqs[stream] = _Seqs(high, high)
        self._runs[stream.gateway, stream.lane, stream.device] = stream.incarnation

    def _expect(self, stream: Stream, last: int) -> list[Finding]:
        due = self._seqs[stream].expect(last)
        return [Finding(kind, stream, first, end) for kind, first, end in due]

    def _begin(self, stream: Stream, message: LaneMessage) -> list[Finding]:
        """Watch a new stream: from 1 if its earlier incarnation was watched, else from here."""
        if stream in self._seqs:
            return []
        before = self._runs.get((stream.gateway, stream.lane, stream.device))
        self._watch(stream, span(message.records[0])[0] - 1 if before is None else 0)
        return self._end_of(stream, message.records[0])

    def _end_of(self, stream: Stream, record: Record) -> list[Finding]:
        """What the first record says about the end of the incarnation before."""
        after = UNSET if record.gap is UNSET else record.gap.after
        if after is UNSET:
            return []
        earlier = stream._replace(incarnation=after.incarnation)
        return self._expect(earlier, after.seq) if earlier in self._seqs else []

    def _mismatch(self, stream: Stream, message: LaneMessage) -> list[Finding]:
        """The message when its records are not exactly the seqs it names."""
        due, reason = message.first, ""
        for record in message.records:
            first, last = span(record)
            if first != due and not reason:
                reason = f"{first} where {due} is due"
            due = last + 1
        if due != message.last + 1 and not reason:
            reason = f"ends with {due - 1}"
        if message.prev != message.first - 1 and not reason:
            reason = f"prev is {message.prev}"
        if not reason:
            return []
        self.wrong += 1
        return [Finding(Kind.MISMATCH, stream, message.first, message.last, reason)]

    def _count(self, stream: Stream, record: Record, what: list[tuple[Kind, int, int]]) -> None:
        again = sum(last - first + 1 for kind, first, last in what if kind is Kind.DUPLICATE)
        first, last = span(record)
        self.records += 1
        self.duplicates += again
        self.disorders += sum(end - low + 1 for kind, low, end in what if kind is Kind.FILLED)
        if record.values is not UNSET and again < last - first + 1:
            self.readings += len(record.values)
        if record.gap is not UNSET:
            self._gap_ids.add((stream, record.gap.id))


def joined(findings: Iterable[Finding]) -> list[Finding]:
    """The same with neighbours of one kind told as one."""
    out: list[Finding] = []
    for finding in findings:
        before = out[-1] if out else None
        if before and before[:2] == finding[:2] and before.last + 1 == finding.first:
            out[-1] = before._replace(last=finding.last)
        else:
            out.append(finding)
    return out


def span(record: Record) -> tuple[int, int]:
    """First and last seq that ``record`` stands for."""
    if record.gap is not UNSET and record.gap.seqs is not UNSET:
        return record.gap.seqs
    return record.seq, record.seq
