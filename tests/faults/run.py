"""Runs named faults against the real agent and prints what was seen.

    python -m tests.faults.run [NAME…] [--seconds N] [--seed N] [--json FILE] [--keep]

Without a name all faults run, one after the other. Exit 1 when any law was broken.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.faults.acts import FAULTS, Fault
from tests.faults.brokers import Loopback, Mosquitto
from tests.faults.checker import Bounds, Verdict
from tests.faults.child import StageError
from tests.faults.evidence import Evidence, Violation
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
    agent: Sequence[str] | None = None,
    plant: Callable[[Path], Sequence[str]] | None = None,
    bounds: Bounds | None = None,
) -> Row:
    """One run of one fault; the logs stay in ``directory``.

    agent: the command line to judge instead of the installed agent; plant: the command
    line of another plant, given where to log.
    """
    began = time.monotonic()
    kind = fault.broker or broker or (Mosquitto if mosquitto() else Loopback)
    stage = Stage(fault.site, directory, broker=kind, agent=agent, plant=plant)
    stage.receive_maximum = fault.receive_maximum
    with stage:
        try:
            _act(stage, fault, random.Random(seed), seconds or fault.seconds)
        except StageError as error:
            stage.facts.notes.append(str(error))
            stage.give_up()
        verdict = stage.verdict(bounds)
        evidence = stage.evidence()
    causes = Counter(_causes(evidence))
    verdict.violations += _unexpected(fault, causes)
    return Row(
        fault.name, fault.injected, _seen(verdict, causes), verdict, seed,
        time.monotonic() - began, "" if not verdict.violations else stage.agent_tail(),
    )  # fmt: skip


def _act(stage: Stage, fault: Fault, rng: random.Random, seconds: float) -> None:
    stage.start()
    stage.until_fresh(10.0)
    fault.act(stage, rng, seconds)
    stage.until_fresh(fault.drain_s)
    stage.finish()


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


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests.faults.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FAULTS))
    parser.add_argument("--seconds", type=float, help="length of the act")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--interval", type=float, help="seconds between two polls")
    parser.add_argument("--json", type=Path, help="write one object per run to this file")
    parser.add_argument("--keep", action="store_true", help="keep the logs of every run")
    parser.add_argument("--broker", choices=["mosquitto", "loopback"])
    options = parser.parse_args()
    kinds = {"mosquitto": Mosquitto, "loopback": Loopback, None: None}
    unknown = set(options.names) - FAULTS.keys()
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    rows = []
    for name in options.names or _runnable():
        fault = FAULTS[name]
        if options.interval:
            fault = replace(fault, site=replace(fault.site, interval_s=options.interval))
        directory = Path(tempfile.mkdtemp(prefix=f"tidegate-{name}-"))
        row = perform(
            fault, directory, seed=options.seed, seconds=options.seconds,
            broker=kinds[options.broker],
        )  # fmt: skip
        print(row.text(), flush=True)
        if options.keep or not row.passed:
            print(f"    logs      {directory}", flush=True)
        else:
            shutil.rmtree(directory)
        rows.append(row)
    if options.json:
        options.json.write_text("".join(_json(row) for row in rows))
    kept = sum(row.passed for row in rows)
    print(f"{kept} of {len(rows)} kept every law")
    return 0 if kept == len(rows) else 1


def _runnable() -> list[str]:
    """Every fault whose broker is installed here."""
    return [n for n, f in FAULTS.items() if f.broker is not Mosquitto or mosquitto()]


def _json(row: Row) -> str:
    fields = {
        "fault": row.fault,
        "injected": row.injected,
        "seen": row.seen,
        "laws_broken": row.verdict.laws,
        "violations": [f"{v.law}: {v.text}" for v in row.verdict.violations[:100]],
        "seed": row.seed,
        "took_s": round(row.took_s, 1),
    }
    return json.dumps(fields) + "\n"


if __name__ == "__main__":
    sys.exit(main())
