"""Any program that reads Modbus and writes MQTT, under the same plant, faults and checker.

A peer says how it is started and how its messages are read. It has no seqs and no gap
records, so the laws about them are not asked of it: I1 to I5, I7, I9 to I11 are. A hole
in its readings is a silent one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.checker import Bounds, Verdict, check_bounds, check_once, check_read_only
from tests.faults.coverage import check_coverage, check_fresh
from tests.faults.evidence import Evidence, Record, Stream, Violation
from tests.faults.facts import Facts
from tests.faults.fake_agent import utc
from tests.faults.recorder import Arrival
from tests.faults.site import Site
from tests.faults.truth import check_truth
from tests.faults.wirelog import What, Wire

NO_INCARNATION = "0" * 32


class Said(NamedTuple):
    """Some readings of one device as a peer told them."""

    device: str
    time_ns: int
    """Unix time."""
    values: dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """How to start a program, and what its messages mean."""

    command: Callable[[Path, Site, int, int], Sequence[str]]
    """Directory for its files, what to read, port of the plant, port of the broker → argv."""
    root: str
    """All its topics are below this one."""
    readings: Callable[[Arrival], Iterable[Said]]
    """Raises ValueError, KeyError or TypeError for a message that is not of its form."""
    slack_s: float = 0.5
    """How far the time it gives may be from the poll that gave the values."""

    def take_apart(self, arrivals: Iterable[Arrival], offset_ns: int) -> Evidence:
        """What arrived, as records numbered in the order they came."""
        evidence = Evidence()
        seqs: Counter[Stream] = Counter()
        for arrival in arrivals:
            try:
                for said in self.readings(arrival) if not arrival.retained else ():
                    stream = Stream(NO_INCARNATION, "data", said.device)
                    seqs[stream] += 1
                    record = self._record(stream, seqs[stream], arrival, said, offset_ns)
                    evidence.records.setdefault(stream, {})[record.seq] = record
                    evidence.readings += len(said.values)
            except (ValueError, KeyError, TypeError) as error:
                note = f"{arrival.topic}: {error!r} in {arrival.payload[:200]!r}"
                evidence.faults.append(Violation("wire", note))
        return evidence

    def _record(
        self, stream: Stream, seq: int, arrival: Arrival, said: Said, offset_ns: int
    ) -> Record:
        at_ns, slack_ns = said.time_ns - offset_ns, int(self.slack_s * 1e9)
        raw = {
            "seq": seq,
            "time": utc(said.time_ns),
            "mono": [at_ns - slack_ns, at_ns + slack_ns],
            "clock": "unsynced",
            "values": said.values,
        }
        return Record(stream, seq, arrival.mono_ns, raw)


def judge_peer(
    site: Site, wires: Sequence[Wire], evidence: Evidence, facts: Facts, bounds: Bounds
) -> Verdict:
    """Every law that can be asked of a program without seqs and gaps."""
    found = [Violation("run", note) for note in facts.notes]
    found += evidence.faults
    found += check_truth(site, wires, evidence, facts)
    found += check_coverage(site, wires, evidence, facts)
    found += check_once(evidence)
    found += check_fresh(site, evidence, facts)
    found += check_bounds(facts.samples, bounds)
    found += check_read_only(wires)
    replies = sum(wire.what is What.REPLY for wire in wires)
    return Verdict(found, {"replies": replies, "readings": evidence.readings})
