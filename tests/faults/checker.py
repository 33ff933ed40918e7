"""The invariants of the delivery contract over three logs: wire, journal, recorder.

Pure functions. Nothing here asks the gateway anything, and nothing of the wire
format is taken from its code: `evidence` reads the messages as wire.md states them.

    truth      I1 (from the wire) · I3 · I4 · I7
    coverage   I2 · I8 · I9
    annunciation  all of the alarm lane
    here       I1 (from journal and heads) · I5 · I6 · I10 · I11 · the form of messages
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.faults.annunciation import check_alarms
from tests.faults.coverage import check_coverage, check_fresh, check_gaps
from tests.faults.evidence import LANES, Evidence, Record, Stream, Violation
from tests.faults.facts import Facts, Sample
from tests.faults.site import Site
from tests.faults.truth import check_truth
from tests.faults.wirelog import What, Wire
from tests.wire_form import form_errors

_NOT_RUNNING = ("not_running_clean", "not_running_unclean")


DEFINITION = {
    **dict.fromkeys(LANES, "LaneMessage"),
    "status": "Status",
    "heads": "Heads",
    "schema": "Schema",
    "latest": "Latest",
}
"""What the schema calls the content of each topic."""


class Key(NamedTuple):
    """The immutable identity of a record."""

    stream: Stream
    seq: int


@dataclass
class Bounds:
    """What the agent may use, for I10."""

    rss_bytes: int = 300 << 20
    threads: int = 32
    files: int = 128
    growth_bytes: int = 32 << 20
    """By how much the last third of a run may exceed its middle third."""
    journal_bytes: int = 65 << 20
    """The configured size, and a little for cursors and schemas."""


@dataclass
class Verdict:
    """All that was found wrong in one run, and how much there was to look at."""

    violations: list[Violation]
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def laws(self) -> list[str]:
        """The laws that were broken."""
        return sorted({violation.law for violation in self.violations})

    def text(self, *, each: int = 5) -> str:
        """For people: up to ``each`` pieces of evidence for each law."""
        lines = [f"{name} {count}" for name, count in self.counts.items()]
        for law in self.laws:
            texts = [v.text for v in self.violations if v.law == law]
            lines.append(f"{law}: {len(texts)} violations")
            lines += [f"    {text}" for text in texts[:each]]
        return "\n".join(lines)


def judge(
    site: Site,
    wires: Sequence[Wire],
    evidence: Evidence,
    facts: Facts,
    accepted: Iterable[Key],
    bounds: Bounds | None = None,
) -> Verdict:
    """Every invariant of one run."""
    found = [Violation("run", note) for note in facts.notes]
    found += evidence.faults
    found += check_schema(evidence)
    found += check_accepted(evidence, accepted)
    found += check_heads(evidence)
    found += check_truth(site, wires, evidence, facts)
    found += check_coverage(site, wires, evidence, facts)
    found += check_alarms(site, wires, evidence, facts)
    found += check_once(evidence)
    found += check_order(evidence)
    found += check_chain(evidence)
    found += check_gaps(site, evidence, facts)
    found += check_fresh(site, evidence, facts)
    if bounds is None:
        bounds = Bounds(journal_bytes=site.journal_mib + 1 << 20)
    found += check_bounds(facts.samples, bounds)
    found += check_read_only(wires)
    counts = {
        "replies": sum(wire.what is What.REPLY for wire in wires),
        "readings": evidence.readings,
        "records": sum(map(len, evidence.records.values())),
        "alarms": sum(len(records) for _, records in evidence.of_lane("alarm")),
        "volatile": len(evidence.volatile),
        "duplicates": evidence.duplicates,
        "incarnations": len({stream.incarnation for stream in evidence.records}),
    }
    return Verdict(found, counts)


def check_schema(evidence: Evidence) -> Iterator[Violation]:
    """Every message has the published form."""
    for kind, content in evidence.messages:
        for error in form_errors(DEFINITION[kind], content):
            yield Violation("wire", f"{kind}: {error}")


def delivered_to(records: dict[int, Record]) -> tuple[int, set[int]]:
    """The highest seq that arrived, and those up to it that did not, gaps counted as theirs."""
    covered: set[int] = set()
    for record in records.values():
        covered.update(range(record.first, record.seq + 1))
    top = max(covered, default=0)
    return top, set(range(1, top + 1)) - covered


def check_accepted(evidence: Evidence, accepted: Iterable[Key]) -> Iterator[Violation]:
    """I1: whatever the journal accepted has arrived, or a gap names its number."""
    missing: dict[Stream, list[int]] = {}
    reached: dict[Stream, tuple[int, set[int]]] = {}
    for stream, seq in accepted:
        if stream not in reached:
            reached[stream] = delivered_to(evidence.records.get(stream, {}))
        top, absent = reached[stream]
        if seq > top or seq in absent:
            missing.setdefault(stream, []).append(seq)
    for stream, seqs in missing.items():
        text = f"{len(seqs)} accepted records never arrived, {min(seqs)} to {max(seqs)}"
        yield Violation("I1", f"{stream}: {text}")


def check_heads(evidence: Evidence) -> Iterator[Violation]:
    """I1: no stream ends before the head the gateway once stated for it."""
    stated: dict[Stream, int] = {}
    for _, heads in evidence.heads:
        for name, state in heads["streams"].items():
            lane, _, device = name.partition("/")
            stream = Stream(heads["incarnation"], lane, device)
            stated[stream] = max(stated.get(stream, 0), state["head"])
    for stream, head in stated.items():
        top, _ = delivered_to(evidence.records.get(stream, {}))
        if top < head:
            yield Violation("I1", f"{stream}: head was {head}, only {top} arrived")


def check_once(evidence: Evidence) -> Iterator[Violation]:
    """I5: no reading arrives under two keys."""
    for device in {stream.device for stream, _ in evidence.of_lane("data")}:
        seen: dict[tuple[object, ...], Record] = {}
        for record in evidence.data(device):
            if "values" not in record.raw or record.mono_ns is None:
                continue
            poll = (*record.mono_ns, record.raw.get("source_time") and record.seq)
            names = set(record.raw["values"])
            before = seen.setdefault(poll, record)
            if before is not record and names & set(before.raw["values"]):
                text = f"{before.stream} {before.seq} and {record.stream} {record.seq}"
                yield Violation("I5", f"one poll under two keys: {text}")


def check_order(evidence: Evidence) -> Iterator[Violation]:
    """I6: first attempts come in seq order without a hole, and time does not run back."""
    for stream, records in evidence.records.items():
        expected, last_ns = 1, 0
        for record in records.values():
            if record.first != expected and not _reaches_back(record, expected):
                text = f"{record.first} arrived first where {expected} was due"
                yield Violation("I6", f"{stream}: {text}")
            expected = record.seq + 1
            mono = record.mono_ns
            if mono is not None and mono[1] < last_ns:
                text = f"seq {record.seq} was read {(last_ns - mono[1]) / 1e6:.1f} ms before"
                yield Violation("I6", f"{stream}: {text} its predecessor")
            last_ns = mono[1] if mono is not None else last_ns


def _reaches_back(record: Record, expected: int) -> bool:
    """Whether it names a lost segment as a whole: what of it was settled has arrived before."""
    is_lost = record.raw.get("gap", {}).get("cause") == "journal_corrupt"
    return is_lost and record.first < expected <= record.seq


def check_chain(evidence: Evidence) -> Iterator[Violation]:
    """I6: every incarnation after the first opens each stream with the gap that links it."""
    by_place: dict[tuple[str, str], list[tuple[Stream, dict[int, Record]]]] = {}
    for stream, records in evidence.records.items():
        by_place.setdefault((stream.lane, stream.device), []).append((stream, records))
    for place, streams in by_place.items():
        known = {stream.incarnation: delivered_to(records)[0] for stream, records in streams}
        starts = [records[1] for _, records in streams if 1 in records]
        if sum("gap" not in start.raw for start in starts) > 1:
            yield Violation("I6", f"{place}: several incarnations open without a gap")
        for start in starts:
            yield from _check_link(start, known)


def _check_link(start: Record, known: dict[str, int]) -> Iterator[Violation]:
    gap = start.raw.get("gap")
    if gap is None or gap["cause"] not in _NOT_RUNNING:
        return
    after = gap.get("after")
    if after is None:
        yield Violation("I6", f"{start.stream}: the opening gap names no predecessor")
    elif known.get(after["incarnation"], 0) != after["seq"]:
        top = known.get(after["incarnation"], 0)
        text = f"says its predecessor ended at {after['seq']}, {top} arrived"
        yield Violation("I6", f"{start.stream}: {text}")


def check_bounds(samples: Sequence[Sample], bounds: Bounds) -> Iterator[Violation]:
    """I10: memory, threads, files and disk stay within bounds and do not creep."""
    if not samples:
        return
    for name in ("rss_bytes", "threads", "files", "journal_bytes"):
        most, limit = max(getattr(s, name) for s in samples), getattr(bounds, name)
        if most > limit:
            yield Violation("I10", f"{name} reached {most}, the bound is {limit}")
    third = len(samples) // 3
    if third >= 5:
        middle = max(s.rss_bytes for s in samples[third : 2 * third])
        end = max(s.rss_bytes for s in samples[2 * third :])
        if end > middle + bounds.growth_bytes:
            yield Violation("I10", f"memory creeps: {middle >> 20} MiB, then {end >> 20} MiB")


def check_read_only(wires: Sequence[Wire]) -> Iterator[Violation]:
    """I11: no request had a function code other than 1 to 4."""
    forbidden = [wire for wire in wires if wire.what is What.FORBIDDEN]
    if forbidden:
        codes = sorted({wire.function for wire in forbidden})
        yield Violation("I11", f"{len(forbidden)} requests with function codes {codes}")
