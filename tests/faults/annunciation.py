"""Alarms, held against the wire, the readings and each other: I1, I3, I4, I6 of their lane.

A tag with a limit and neither dead band nor delay is in alarm exactly while its value is
at or above the limit, so the readings that arrived say which changes must have been announced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from tests.faults.evidence import Evidence, Record, Stream, Violation
from tests.faults.facts import Facts
from tests.faults.site import Site, Spot
from tests.faults.truth import Replies, carried, replies_by_device
from tests.faults.wirelog import Wire

KILLED_NS = 1_000_000_000
"""A change so soon before a kill may be announced by the next life, or be undone by then."""


Limits = dict[str, int]


class Change(NamedTuple):
    """One announced change of one alarm."""

    device: str
    tag: str
    state: str
    mono_ns: int
    """When its reading arrived at the gateway."""


def check_alarms(
    site: Site, wires: Sequence[Wire], evidence: Evidence, facts: Facts
) -> list[Violation]:
    """Each announced change is true, in order, and none that the readings show is missing."""
    replies, devices, limits = replies_by_device(site, wires), site.devices, site.limits
    found: list[Violation] = []
    for stream, records in evidence.of_lane("alarm"):
        for record in records.values():
            if "alarm" in record.raw:
                device = stream.device
                found += _check_value(limits, devices[device], record, replies[device])
    found += check_snapshots(evidence)
    found += _check_states(evidence)
    return [*found, *_check_missed(site, evidence, facts)]


def check_snapshots(evidence: Evidence) -> Iterator[Violation]:
    """I4: a repetition is the record it repeats, but for its mark and its lateness."""
    for repeated in evidence.snapshots:
        alarm = repeated.raw.get("alarm", {})
        name = f"snapshot of {repeated.stream} {repeated.seq}"
        if repeated.stream.lane != "alarm" or not alarm.get("snapshot"):
            yield Violation("I4", f"{name}: a message of snapshots holds something else")
        elif alarm["state"] != "active":
            yield Violation("I4", f"{name}: repeats an alarm that is {alarm['state']}")
        else:
            original = _standing_for(evidence, repeated)
            if original is None:
                yield Violation("I4", f"{name}: no record of that seq ever arrived")
            elif "alarm" in original.raw and _told(original.raw) != _told(repeated.raw):
                text = f"{repeated.raw} repeats {original.raw}"
                yield Violation("I4", f"{name}: {text}"[:600])


def _standing_for(evidence: Evidence, repeated: Record) -> Record | None:
    """The record under that key, or the gap that stands for it."""
    records = evidence.records.get(repeated.stream, {})
    gaps = (r for r in records.values() if r.first <= repeated.seq <= r.seq)
    return records.get(repeated.seq) or next(gaps, None)


def _told(raw: dict[str, Any]) -> dict[str, Any]:
    return {**raw, "late": None, "alarm": {**raw["alarm"], "snapshot": None}}


def _check_value(
    limits: Limits, spots: dict[str, Spot], record: Record, replies: Replies
) -> Iterator[Violation]:
    """I3, I4: the alarm's value was on the wire, on its own side of the limit."""
    alarm = record.raw["alarm"]
    name = f"alarm {record.stream.device}/{alarm['tag']} {alarm['id']} {alarm['state']}"
    limit = limits.get(alarm["tag"])
    if limit is None or alarm["limit"] != limit:
        yield Violation("I4", f"{name}: limit {alarm['limit']} is not configured")
        return
    if (alarm["value"] >= limit) != (alarm["state"] == "active"):
        yield Violation("I3", f"{name}: {alarm['value']} at a limit of {limit}")
    spot = spots[alarm["tag"]]
    window = replies.within(*(record.mono_ns or (0, 0)))
    if not any(carried(replies.wires[at], spot, alarm["value"]) for at in window):
        yield Violation("I4", f"{name}: no reply of its instant carried {alarm['value']}")


def _check_states(evidence: Evidence) -> Iterator[Violation]:
    """I6: under one id an alarm is active first, and cleared at most once, at its end."""
    ended: dict[tuple[str, str], Stream] = {}
    for stream, records in evidence.of_lane("alarm"):
        for record in records.values():
            alarm = record.raw.get("alarm")
            if alarm is None:
                continue
            key = (stream.device, alarm["id"])
            if key in ended and alarm["state"] == "active":
                yield Violation("I6", f"alarm {key}: active after it was cleared")
            if alarm["state"] == "cleared":
                ended[key] = stream


def _check_missed(site: Site, evidence: Evidence, facts: Facts) -> Iterator[Violation]:
    """I1: whatever crossed its limit between two readings in succession was announced."""
    said = _announced(evidence)
    kills = [life.ended_ns for life in facts.lives if life.killed]
    for device in site.devices if site.limits else ():
        for stream, records in evidence.of_lane("data"):
            if stream.device != device or _is_lossy(evidence, stream):
                continue
            for change in _crossings(site, stream, records):
                if any(kill - KILLED_NS <= change.mono_ns <= kill for kill in kills):
                    continue
                if change.mono_ns not in said.get(change[:3], ()):
                    text = f"{device}/{change.tag} became {change.state}, and no record says so"
                    yield Violation("I1", f"alarm {text}")


def _is_lossy(evidence: Evidence, stream: Stream) -> bool:
    """Whether a gap stands in the alarm lane for records of this incarnation."""
    alarms = evidence.records.get(stream._replace(lane="alarm"), {})
    return any("seqs" in r.raw.get("gap", {}) for r in alarms.values())


def _announced(evidence: Evidence) -> dict[tuple[str, ...], set[int]]:
    said: dict[tuple[str, ...], set[int]] = {}
    for stream, records in evidence.of_lane("alarm"):
        for record in records.values():
            if "alarm" in record.raw:
                alarm = record.raw["alarm"]
                key = (stream.device, alarm["tag"], alarm["state"])
                said.setdefault(key, set()).add(_reply_ns(record))
    return said


def _crossings(site: Site, stream: Stream, records: dict[int, Record]) -> Iterator[Change]:
    """The changes between readings that follow each other, as the limits ask for them."""
    longest_ns, limits = int(site.interval_s * 1.5e9), site.limits
    polls: dict[str, list[Record]] = {}
    for _, record in sorted(records.items()):
        if record.mono_ns is not None:
            for tag in record.good().keys() & limits.keys():
                polls.setdefault(tag, []).append(record)
    for tag, chain in polls.items():
        limit = limits[tag]
        for before, after in pairwise(chain):
            if _reply_ns(after) - _reply_ns(before) > longest_ns:
                continue
            was, is_ = before.raw["values"][tag] >= limit, after.raw["values"][tag] >= limit
            if was != is_:
                state = "active" if is_ else "cleared"
                yield Change(stream.device, tag, state, _reply_ns(after))


def _reply_ns(record: Record) -> int:
    mono = record.mono_ns
    return 0 if mono is None else mono[1]
