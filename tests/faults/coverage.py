"""I2, I8, I9: readings and gaps together cover the time, and do not contradict each other."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain

from tests.faults.evidence import Evidence, Violation
from tests.faults.facts import Facts
from tests.faults.site import Site
from tests.faults.truth import UTC_SLACK_NS, Span, closed_gaps
from tests.faults.wirelog import Wire

HOLE_SLACK_NS = 100_000_000
"""A busy machine may be this late with a poll without breaking I2."""
EDGE_NS = 2_000_000
"""Civil times carry microseconds, and this machine's clock may be slewed during a run."""
FRESH_NS = 30_000_000_000
COUNT_SLACK = 0.05
ONE_POLL = 1.5
"""A poll may be late, and its reply too: half an interval more is no lie."""

Times = dict[tuple[str, ...], list[int]]


def reading_times(evidence: Evidence, device: str, facts: Facts) -> Times:
    """When readings arrived at the gateway, sorted, by the tags that came together.

    By its civil clock, as gaps are, unless that is so far from the reply that it is wrong.
    """
    times: Times = {}
    for record in evidence.data(device):
        values, mono = record.good(), record.mono_ns
        if values and mono is not None:
            told_ns = facts.mono_at(record.time_ns, record.arrived_ns)
            at_ns = told_ns if abs(told_ns - mono[1]) <= UTC_SLACK_NS else mono[1]
            times.setdefault(tuple(values), []).append(at_ns)
    for instants in times.values():
        instants.sort()
    return times


def check_coverage(
    site: Site, wires: Sequence[Wire], evidence: Evidence, facts: Facts
) -> Iterator[Violation]:
    """I2: from the first poll to the end no tag is without reading or gap for 1.5 intervals."""
    limit_ns = int(site.interval_s * 1.5e9) + HOLE_SLACK_NS
    for device, spots in site.devices.items():
        unit = next(iter(spots.values())).unit
        begin_ns = min((w.mono_ns for w in wires if w.unit == unit), default=facts.end_ns)
        times = reading_times(evidence, device, facts)
        gaps = closed_gaps(evidence, device, facts)
        seen: dict[tuple[object, ...], str] = {}
        for tag in spots:
            groups = tuple(names for names in times if tag in names)
            mine = [gap for gap in gaps if gap.tags is None or tag in gap.tags]
            alike = (groups, tuple(gap.id for gap in mine))
            if alike in seen:
                continue
            seen[alike] = tag
            spans = [(t, t) for names in groups for t in times[names]]
            spans += [(gap.from_ns, gap.to_ns) for gap in mine]
            for hole in holes(spans, begin_ns, facts.end_ns, limit_ns):
                yield Violation("I2", f"{device}/{tag}: {_when(hole, facts)} uncovered")


def holes(
    spans: list[tuple[int, int]], begin_ns: int, end_ns: int, limit_ns: int
) -> Iterator[tuple[int, int]]:
    """Stretches between two instants, longer than the limit, that no span touches."""
    at = begin_ns
    for start, end in sorted(spans):
        if min(start, end_ns) - at > limit_ns:
            yield at, start
        at = max(at, end)
    if end_ns - at > limit_ns:
        yield at, end_ns


def check_gaps(site: Site, evidence: Evidence, facts: Facts) -> Iterator[Violation]:
    """I8: no gap lies over readings of its own tags that were delivered."""
    for device in site.devices:
        times = reading_times(evidence, device, facts)
        for gap in closed_gaps(evidence, device, facts):
            if not gap.stands_for:
                yield from _check_gap(device, gap, times, facts)
                yield from _check_count(site, device, gap)


def _check_gap(device: str, gap: Span, times: Times, facts: Facts) -> Iterator[Violation]:
    if gap.to_ns < gap.from_ns - EDGE_NS:
        yield Violation("I8", f"{device} gap {gap.id} {gap.cause} ends before it begins")
    for names, instants in times.items():
        if gap.tags is not None and not set(gap.tags) & set(names):
            continue
        inside = instants[
            bisect_right(instants, gap.from_ns + EDGE_NS) : bisect_left(
                instants, gap.to_ns - EDGE_NS
            )
        ]
        if inside:
            span = _when((gap.from_ns, gap.to_ns), facts)
            at_s = [round((t - facts.lives[0].began_ns) / 1e9, 3) for t in inside[:5]]
            yield Violation(
                "I8",
                f"{device} gap {gap.id} {gap.cause} {span} over {len(inside)} readings "
                f"of {names[0]}… at {at_s} s",
            )


def _check_count(site: Site, device: str, gap: Span) -> Iterator[Violation]:
    """The count agrees with the polls that were due inside the gap, give or take one."""
    if gap.count is None:
        return
    tags = len(site.devices[device]) if gap.tags is None else len(gap.tags)
    polls = gap.count / tags
    due = (gap.to_ns - gap.from_ns) / 1e9 / site.interval_s - 1
    if polls < due - ONE_POLL - due * COUNT_SLACK or (
        gap.exact and polls > due + ONE_POLL + due * COUNT_SLACK
    ):
        kind = "exactly" if gap.exact else "at most"
        text = f"says {kind} {gap.count}: {polls:.1f} polls of {tags} tags, {due:.1f} were due"
        yield Violation("I8", f"{device} gap {gap.id} {gap.cause} {text}")


def check_fresh(site: Site, evidence: Evidence, facts: Facts) -> Iterator[Violation]:
    """I9: within 30 s of a fault's end every device delivers something read after it."""
    for healed_ns in facts.healed_ns:
        for device in site.devices:
            if not _is_fresh(evidence, device, healed_ns):
                at_s = (healed_ns - facts.lives[0].began_ns) / 1e9
                text = f"{device}: nothing fresh within 30 s of the fault's end at {at_s:.1f} s"
                yield Violation("I9", text)


def _is_fresh(evidence: Evidence, device: str, healed_ns: int) -> bool:
    live = (r for r in evidence.volatile if r.stream[1:] == ("data", device))
    for record in chain(evidence.data(device), live):
        mono = record.mono_ns
        if mono is None or not record.good() or mono[1] < healed_ns:
            continue
        if record.arrived_ns <= healed_ns + FRESH_NS:
            return True
    return any(
        name == device and healed_ns <= arrived <= healed_ns + FRESH_NS
        for arrived, name, _ in evidence.latest
    )


def _when(span: tuple[int, int], facts: Facts) -> str:
    zero = facts.lives[0].began_ns
    begin, end = ((instant - zero) / 1e9 for instant in span)
    return f"{begin:.3f} s to {end:.3f} s ({end - begin:.3f} s)"
