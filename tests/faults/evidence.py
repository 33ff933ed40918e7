"""What the recorder heard, taken apart: records by key, and what is wrong with their form."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from tests.faults.recorder import Arrival

LANES = ("alarm", "data", "meta")
_OTHERS = ("heads", "latest", "schema", "status")


class Violation(NamedTuple):
    """One broken promise, and what shows it."""

    law: str
    """``I1`` … ``I11``, or ``wire`` for the form of a message."""
    text: str


class Stream(NamedTuple):
    """A sequence of records with its own numbers."""

    incarnation: str
    lane: str
    device: str


@dataclass(slots=True)
class Record:
    """The first arrival of one record."""

    stream: Stream
    seq: int
    arrived_ns: int
    raw: dict[str, Any]

    @property
    def first(self) -> int:
        """The first seq this record stands for."""
        seqs = self.raw["gap"].get("seqs") if "gap" in self.raw else None
        return int(seqs[0]) if seqs else self.seq

    @property
    def time_ns(self) -> int:
        """Unix time the gateway gave it."""
        return instant_ns(self.raw["time"])

    @property
    def mono_ns(self) -> tuple[int, int] | None:
        """Request and reply on the monotonic clock; None of what nobody asked for."""
        mono = self.raw.get("mono")
        return (mono[0], mono[1]) if mono and mono[0] < mono[1] else None

    def good(self) -> dict[str, Any]:
        """The values somebody may act on: all that are not bad."""
        values: dict[str, Any] = self.raw.get("values", {})
        quality: dict[str, str] = self.raw.get("quality", {})
        if not quality:
            return values
        return {n: v for n, v in values.items() if not quality.get(n, "good").startswith("bad")}


@dataclass(slots=True)
class Evidence:
    """Everything received in a run."""

    records: dict[Stream, dict[int, Record]] = field(default_factory=dict)
    """By stream and seq; in each stream in order of first arrival."""
    heads: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    latest: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    status: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Topic kind and content of every message that was JSON."""
    snapshots: list[Record] = field(default_factory=list)
    """Alarm records repeated after a reconnect; they are nobody's first arrival."""
    volatile: list[Record] = field(default_factory=list)
    """Records no disk held when they came: what is delivered, or a gap, supersedes them."""
    duplicates: int = 0
    """Records that arrived again under a key already held, with the same content."""
    readings: int = 0
    faults: list[Violation] = field(default_factory=list)

    def of_lane(self, lane: str) -> Iterable[tuple[Stream, dict[int, Record]]]:
        """The streams of one lane."""
        return ((s, records) for s, records in self.records.items() if s.lane == lane)

    def data(self, device: str) -> Iterable[Record]:
        """Every record of a device's data lane, over all incarnations."""
        for stream, records in self.of_lane("data"):
            if stream.device == device:
                yield from records.values()


@lru_cache(maxsize=65536)
def instant_ns(text: str) -> int:
    """Unix nanoseconds of an RFC 3339 UTC time.

    Raises:
        ValueError: Not such a time, or not in UTC.
    """
    if not text.endswith("Z"):
        raise ValueError(f"{text!r} is not UTC")
    whole = datetime.fromisoformat(text)
    return int(whole.timestamp()) * 10**9 + whole.microsecond * 1000


def take_apart(arrivals: Iterable[Arrival], root: str, gateway: str) -> Evidence:
    """The evidence in what was received; retained copies of the broker are left out."""
    evidence = Evidence()
    prefix = f"{root}/{gateway}/"
    for arrival in arrivals:
        if arrival.retained:
            continue
        try:
            content = json.loads(arrival.payload, parse_constant=_refuse)
            _take(evidence, arrival, arrival.topic.removeprefix(prefix), content)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            note = f"{arrival.topic}: {error!r} in {arrival.payload[:200]!r}"
            evidence.faults.append(Violation("wire", note))
    return evidence


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _take(evidence: Evidence, arrival: Arrival, topic: str, content: dict[str, Any]) -> None:
    kind, _, device = topic.partition("/")
    if kind not in (*LANES, *_OTHERS):
        raise ValueError("no such topic")
    evidence.messages.append((kind, content))
    if kind in LANES:
        _take_message(evidence, arrival, Stream(content["incarnation"], kind, device), content)
    elif kind == "heads":
        evidence.heads.append((arrival.mono_ns, content))
    elif kind == "latest":
        evidence.latest.append((arrival.mono_ns, device, content))
    elif kind == "status":
        evidence.status.append((arrival.mono_ns, content))


def _take_message(
    evidence: Evidence, arrival: Arrival, stream: Stream, content: dict[str, Any]
) -> None:
    records = [Record(stream, r["seq"], arrival.mono_ns, r) for r in content["records"]]
    if (content["device"], content["lane"]) != (stream.device, stream.lane):
        raise ValueError(f"says it is {content['lane']}/{content['device']}")
    if len(records) > 1000 or len(arrival.payload) > 256 * 1024:
        raise ValueError(f"{len(records)} records, {len(arrival.payload)} bytes")
    span = (content["prev"], content["first"], content["last"])
    if span != (records[0].first - 1, records[0].first, records[-1].seq):
        raise ValueError(f"prev, first, last are {span}")
    if any(b.first != a.seq + 1 for a, b in pairwise(records)):
        raise ValueError(f"seqs {[r.seq for r in records][:20]} are not consecutive")
    if any(r.get("alarm", {}).get("snapshot") for r in content["records"]):
        evidence.snapshots += records
        return
    if content.get("volatile"):
        evidence.volatile += records
        return
    held = evidence.records.setdefault(stream, {})
    for record in records:
        _keep(evidence, held, record)


def _keep(evidence: Evidence, held: dict[int, Record], record: Record) -> None:
    before = held.get(record.seq)
    if before is None:
        held[record.seq] = record
        evidence.readings += len(record.raw.get("values", ()))
    elif {**before.raw, "late": None} == {**record.raw, "late": None}:
        evidence.duplicates += 1
    else:
        text = f"{record.stream} seq {record.seq} came twice: {before.raw} and {record.raw}"
        evidence.faults.append(Violation("I5", text[:600]))
