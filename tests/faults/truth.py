"""I1, I3, I4, I7: what was delivered, held against what the plant put on the wire."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.encoding import value_at
from tests.faults.evidence import Evidence, Record, Violation, instant_ns
from tests.faults.facts import Facts
from tests.faults.site import Site, Spot
from tests.faults.wirelog import What, Wire

UTC_SLACK_NS = 200_000_000
"""How far the recorded civil time may be from this machine's own, beyond the stated bound."""
COMMIT_SLACK_NS = 500_000_000
"""Added to D before a reply counts as durable: the way from the socket to the journal."""
SEARCH_NS = 5_000_000_000
_NOT_RUNNING = ("not_running_clean", "not_running_unclean", "uncommitted_window")


@dataclass
class Replies:
    """The true replies of one device, in order of time."""

    wires: list[Wire]
    times: list[int] = field(init=False)
    delivered: set[int] = field(default_factory=set)
    """Positions of replies whose values arrived."""

    def __post_init__(self) -> None:
        self.wires.sort()
        self.times = [wire.mono_ns for wire in self.wires]

    def within(self, begin_ns: int, end_ns: int) -> range:
        """Positions of the replies between two instants."""
        return range(bisect_left(self.times, begin_ns), bisect_right(self.times, end_ns))


def replies_by_device(site: Site, wires: Sequence[Wire]) -> dict[str, Replies]:
    """The wire log, cut by device."""
    by_unit: dict[int, list[Wire]] = {unit: [] for unit in site.units}
    for wire in wires:
        if wire.what in (What.REPLY, What.LATE) and wire.unit in by_unit:
            by_unit[wire.unit].append(wire)
    return {f"d{unit}": Replies(found) for unit, found in by_unit.items()}


def check_truth(
    site: Site, wires: Sequence[Wire], evidence: Evidence, facts: Facts
) -> list[Violation]:
    """Each delivered value is what the wire carried then; each durable reply was delivered."""
    replies = replies_by_device(site, wires)
    devices = site.devices
    found: list[Violation] = []
    for device, spots in devices.items():
        for record in evidence.data(device):
            found += _check_record(record, spots, replies[device])
            found += _check_time(record, facts)
    strange = {s.device for s, _ in evidence.of_lane("data")} - {*devices, "_gateway"}
    found += [Violation("I4", f"device {name} is not configured") for name in strange]
    return [*found, *_check_lost(site, replies, evidence, facts)]


def _check_record(
    record: Record, spots: dict[str, Spot], replies: Replies
) -> Iterator[Violation]:
    values = record.good()
    if not values:
        return
    unknown = values.keys() - spots.keys()
    if unknown:
        yield Violation("I4", f"{_name(record)}: tags {sorted(unknown)} are not configured")
        return
    mono = record.mono_ns
    if mono is None:
        yield Violation("I7", f"{_name(record)}: readings without request and reply times")
        return
    window = replies.within(*mono)
    wrong = _unserved(values, spots, replies, window)
    if wrong:
        yield _explain(record, wrong, spots, replies, len(window))


def _unserved(
    values: dict[str, Any], spots: dict[str, Spot], replies: Replies, window: Sequence[int]
) -> list[str]:
    """The tags whose value none of these replies carried; ticks off the replies that did."""
    missing = list(values)
    for position in window:
        wire = replies.wires[position]
        rest = [n for n in missing if not carried(wire, spots[n], values[n])]
        if len(rest) < len(missing):
            replies.delivered.add(position)
        missing = rest
        if not missing:
            break
    return missing


def carried(wire: Wire, spot: Spot, value: Any) -> bool:
    """Whether this reply carried this value for this tag."""
    if (wire.unit, wire.function) != spot[:2]:
        return False
    if spot.address < wire.address or spot.end > wire.address + wire.quantity:
        return False
    return bool(value == value_at(wire.unit, wire.function, spot.address, wire.tick))


def _explain(
    record: Record, wrong: list[str], spots: dict[str, Spot], replies: Replies, near: int
) -> Violation:
    """Which law a wrong value breaks, and where it may have come from."""
    name, values, mono = wrong[0], record.good(), record.mono_ns
    request, reply = mono or (0, 0)
    text = (
        f"{_name(record)}: {len(wrong)} of {len(values)} values, first {name}={values[name]!r}"
    )
    nearby = replies.within(request - SEARCH_NS, reply + SEARCH_NS)
    for position in nearby:
        wire = replies.wires[position]
        if all(carried(wire, spots[n], values[n]) for n in wrong):
            off_ms = (wire.mono_ns - reply) / 1e6
            law = "I3" if wire.what is What.LATE else "I7"
            note = f"{text}: a {wire.what.name} reply {off_ms:+.1f} ms from the stated instant"
            return Violation(law, note)
    if near:
        return Violation("I3", f"{text}: not what the reply of that instant carried")
    return Violation("I4", f"{text}: no reply was on the wire at that instant")


def _check_time(record: Record, facts: Facts) -> Iterator[Violation]:
    mono = record.mono_ns
    if mono is None:
        return
    bound_ns = (record.raw.get("bound_ms") or 0) * 1_000_000 + UTC_SLACK_NS
    offsets = facts.offsets(mono[0] - UTC_SLACK_NS, mono[1] + UTC_SLACK_NS)
    if not any(
        mono[0] - bound_ns <= record.time_ns - offset <= mono[1] + bound_ns
        for offset in offsets
    ):
        off_ms = (record.time_ns - mono[1] - offsets[-1]) / 1e6
        yield Violation("I7", f"{_name(record)}: time is {off_ms:+.1f} ms from its own reply")
    if record.raw["clock"] == "unsynced" and record.raw.get("bound_ms") is not None:
        yield Violation("I7", f"{_name(record)}: unsynced, yet with an error bound")


def _check_lost(
    site: Site, replies: dict[str, Replies], evidence: Evidence, facts: Facts
) -> Iterator[Violation]:
    """Replies that were surely durable, never arrived, and that only the restart explains."""
    if facts.disk_failed:
        return
    durable_ns = int(site.commit_s * 1e9) + COMMIT_SLACK_NS
    kills = [life.ended_ns for life in facts.lives if life.killed]
    for device, known in replies.items():
        excused = [
            gap for gap in closed_gaps(evidence, device, facts) if gap.cause not in _NOT_RUNNING
        ]
        for position, wire in enumerate(known.wires):
            if position in known.delivered or not facts.alive(wire.mono_ns):
                continue
            if wire.what is What.LATE or wire.mono_ns > facts.end_ns:
                continue
            if any(kill - durable_ns <= wire.mono_ns <= kill for kill in kills):
                continue
            if any(gap.from_ns <= wire.mono_ns <= gap.to_ns for gap in excused):
                continue
            at_s = (wire.mono_ns - facts.lives[0].began_ns) / 1e9
            yield Violation("I1", f"{device}: reply {at_s:.3f} s into the run lost: {wire}")


@dataclass(frozen=True)
class Span:
    """A gap on the monotonic clock of this machine, in its last version."""

    id: str
    cause: str
    tags: tuple[str, ...] | None
    from_ns: int
    to_ns: int
    count: int | None
    exact: bool
    stands_for: bool
    """It replaces stored records; the same readings may have arrived before."""


def closed_gaps(evidence: Evidence, device: str, facts: Facts) -> list[Span]:
    """A device's gaps in their last versions; an open one ends with its incarnation.

    From there on the opening gap of the next incarnation has to cover the time.
    """
    last: dict[tuple[str, str], Record] = {}
    for stream, records in evidence.of_lane("data"):
        if stream.device == device:
            for seq in sorted(records):
                gap = records[seq].raw.get("gap")
                if gap:
                    last[stream.incarnation, gap["id"]] = records[seq]
    return [_span(record, facts) for record in last.values()]


def _span(record: Record, facts: Facts) -> Span:
    gap = record.raw["gap"]
    to = gap["to"]
    said_ns = _mono_of(record, record.time_ns, facts)
    from_ns = instant_ns(gap["from"])
    # A gap is told by one clock, but the last word of an earlier life was of its own.
    is_earlier = gap["cause"] in _NOT_RUNNING
    began = facts.mono_at(from_ns, record.arrived_ns) if is_earlier else None
    return Span(
        gap["id"],
        gap["cause"],
        None if gap["tags"] == "*" else tuple(gap["tags"]),
        _mono_of(record, from_ns, facts) if began is None else began,
        facts.death_after(said_ns) if to is None else _mono_of(record, instant_ns(to), facts),
        gap["count"],
        gap["count_is"] == "exact",
        bool(gap.get("seqs")),
    )


def _mono_of(record: Record, utc_ns: int, facts: Facts) -> int:
    """The monotonic time of a civil one, by the clock of the moment ``record`` was written.

    The record says which moment that was; it is believed if the clock then showed its time.
    """
    if "mono" in record.raw:
        mono_ns = int(record.raw["mono"][0])
        told_ns = record.time_ns - mono_ns
        near = facts.offsets(mono_ns - UTC_SLACK_NS, mono_ns + UTC_SLACK_NS)
        if any(abs(told_ns - offset) <= UTC_SLACK_NS for offset in near):
            return utc_ns - told_ns
    return facts.mono_at(utc_ns, record.arrived_ns)


def _name(record: Record) -> str:
    incarnation, lane, device = record.stream
    return f"{lane}/{device} {incarnation[:6]}:{record.seq}"
