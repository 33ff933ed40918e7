"""One fault against the real agent, or any other program, and what the checker says."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from tests.faults.brokers import Loopback, Mosquitto
from tests.faults.checker import Bounds, Verdict
from tests.faults.child import StageError
from tests.faults.evidence import Evidence, Violation
from tests.faults.fault import Fault
from tests.faults.peer import Peer
from tests.faults.rigs import RigError, own_network
from tests.faults.stage import Stage
from tests.loopback import mosquitto


@dataclass(frozen=True)
class Row:
    """The outcome of one run."""

    fault: str
    injected: str
    seen: str
    verdict: Verdict
    seed: int
    took_s: float
    log: str
    """The end of the agent's log, when something was wrong."""

    @property
    def passed(self) -> bool:
        """Whether no law was broken."""
        return not self.verdict.violations

    def text(self) -> str:
        """One line, and the evidence below it when there is any."""
        outcome = "kept" if self.passed else "BROKEN " + " ".join(self.verdict.laws)
        line = (
            f"{self.fault:18} {outcome:14} {self.took_s:5.1f} s  seed {self.seed}\n"
            f"    injected  {self.injected}\n    seen      {self.seen}"
        )
        if self.passed:
            return line
        return f"{line}\n{self.verdict.text()}\n--- agent\n{self.log}"


def perform(
    fault: Fault,
    directory: Path,
    *,
    seed: int,
    seconds: float | None = None,
    broker: type[Mosquitto] | type[Loopback] | None = None,
    agent: Sequence[str] | Peer | None = None,
    plant: Callable[[Path], Sequence[str]] | None = None,
    bounds: Bounds | None = None,
) -> Row:
    """One run of one fault; the logs stay in ``directory``.

    agent: the command line, or the peer, to judge instead of the installed agent; plant: the
    command line of another plant, given where to log.

    Raises:
        RigError: The machine refused what the fault needs before the agent was started.
    """
    began = time.monotonic()
    kind = fault.broker or broker or (Mosquitto if mosquitto() else Loopback)
    stage = Stage(fault.site, directory, broker=kind, agent=agent, plant=plant)
    stage.receive_maximum = fault.receive_maximum
    with own_network() if "network" in fault.requires else nullcontext(), stage:
        if fault.prepare is not None:
            fault.prepare(stage)
        try:
            _act(stage, fault, random.Random(seed), seconds or fault.seconds)
        except (StageError, RigError) as error:
            stage.facts.notes.append(str(error))
            stage.give_up()
        verdict = stage.verdict(bounds)
        evidence = stage.evidence()
    causes = Counter(_causes(evidence))
    verdict.violations = [*_held_against(fault, verdict), *_unexpected(fault, causes)]
    seen = "; ".join([_seen(verdict, causes), *stage.facts.seen])
    return Row(
        fault.name, fault.injected, seen, verdict, seed,
        time.monotonic() - began, "" if not verdict.violations else stage.agent_tail(),
    )  # fmt: skip


def _act(stage: Stage, fault: Fault, rng: random.Random, seconds: float) -> None:
    stage.start()
    stage.until_fresh(10.0)
    fault.act(stage, rng, seconds)
    stage.until_fresh(fault.drain_s)
    stage.finish()


def _held_against(fault: Fault, verdict: Verdict) -> list[Violation]:
    """What the checker found, without what the fault excuses or, as a control, has to show."""
    if not fault.must_break:
        return [found for found in verdict.violations if found.law not in fault.excused]
    if fault.must_break & set(verdict.laws):
        return []
    return [Violation("run", f"the control broke none of {sorted(fault.must_break)}")]


def _causes(evidence: Evidence) -> list[str]:
    """The cause of each gap, counted once for all its versions."""
    gaps = {
        (stream, record.raw["gap"]["id"]): str(record.raw["gap"]["cause"])
        for stream, records in evidence.of_lane("data")
        for record in records.values()
        if "gap" in record.raw
    }
    return list(gaps.values())


def _unexpected(fault: Fault, causes: Counter[str]) -> list[Violation]:
    """Gaps for which this fault gives no reason, and a fault of which nothing is to be seen."""
    found = [
        Violation("I8", f"{count} gaps say {cause}; {fault.injected} gives no reason for it")
        for cause, count in causes.items()
        if cause not in fault.causes
    ]
    if fault.needs and not fault.needs & causes.keys():
        text = f"no gap says one of {sorted(fault.needs)}: was the fault injected?"
        found.append(Violation("run", text))
    return found


def _seen(verdict: Verdict, causes: Counter[str]) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in verdict.counts.items())
    gaps = ", ".join(f"{cause} × {count}" for cause, count in sorted(causes.items()))
    return f"{counts}; gaps: {gaps or 'none'}"
