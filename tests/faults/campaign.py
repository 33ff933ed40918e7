"""``make faults``: named faults, all of them, or a random mix; a table and a file of results.

    python -m tests.faults.campaign [NAME…] [--seed N] [--seconds N] [--table]

A name is a row of `rows`, a fault of `catalogue`, a trial of `tests.crash`, or ``mix``: twelve
faults the seed picks.
A row runs its faults, its tests, and its trials of the journal alone (`tests.crash`).
Results are kept in build/faults.jsonl, one object per fault, test or trial; the newest counts.
With ``--table``, and after a run of everything, tests/faults/README.md is written from them.
Exit 1 when a law was broken.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.crash.catalogue import TRIALS
from tests.faults.brokers import Loopback, Mosquitto
from tests.faults.catalogue import FAULTS
from tests.faults.child import ROOT
from tests.faults.rigs import RigError, absent
from tests.faults.rows import BESIDE, ROWS, TRIAL, TableRow
from tests.faults.run import perform

RESULTS = ROOT / "build" / "faults.jsonl"
TABLE = Path(__file__).with_name("README.md")
MIX = 12
_TEST_LIMIT_S = 280
_BROKERS = {"mosquitto": Mosquitto, "loopback": Loopback, None: None}


@dataclass(frozen=True)
class Result:
    """What became of one fault or test."""

    name: str
    outcome: str
    """``survived``, ``failed: …`` or ``not run: …``."""
    seen: str
    seed: int | None
    took_s: float

    @property
    def failed(self) -> bool:
        """Whether a law was broken."""
        return self.outcome.startswith("failed")

    @property
    def survived(self) -> bool:
        """Whether it ran and every law was kept."""
        return self.outcome == "survived"


def run_part(name: str, options: argparse.Namespace) -> Result:
    """A fault, a trial or a test."""
    if name in FAULTS:
        return run_fault(name, options)
    return run_trial(name, options) if name.startswith(TRIAL) else run_test(name)


def run_trial(name: str, options: argparse.Namespace) -> Result:
    """A trial of the journal alone, at its full length."""
    trial = TRIALS[name.removeprefix(TRIAL)]
    reasons = [reason for rig in trial.requires if (reason := absent(rig))]
    if reasons:
        return not_run(name, reasons[0])
    began = time.monotonic()
    result = trial.run(trial.many, options.seed)
    if result.proves_nothing:
        return not_run(name, f"its control lost nothing: {result.text()}")
    print("\n    ".join((f"{name}: {result.text()}", *result.failures)), flush=True)
    outcome = "failed: I1" if result.failures else "survived"
    took_s = round(time.monotonic() - began, 1)
    return Result(name, outcome, result.text(), options.seed, took_s)


def run_fault(name: str, options: argparse.Namespace) -> Result:
    """One fault in a directory of its own, which stays when something was wrong."""
    fault = FAULTS[name]
    reasons = [reason for rig in fault.requires if (reason := absent(rig))]
    if reasons:
        return not_run(name, reasons[0])
    directory = Path(tempfile.mkdtemp(prefix=f"tidegate-{name}-"))
    try:
        row = perform(
            fault, directory, seed=options.seed, seconds=options.seconds,
            broker=_BROKERS[options.broker],
        )  # fmt: skip
    except RigError as error:
        return not_run(name, str(error))
    print(row.text(), flush=True)
    if options.keep or not row.passed:
        print(f"    logs      {directory}", flush=True)
    else:
        shutil.rmtree(directory)
    outcome = "survived" if row.passed else f"failed: {' '.join(row.verdict.laws)}"
    return Result(name, outcome, row.seen, options.seed, round(row.took_s, 1))


def not_run(name: str, reason: str) -> Result:
    """A fault this machine cannot show."""
    print(f"{name:18} not run: {reason}", flush=True)
    return Result(name, f"not run: {reason}", "", None, 0.0)


def run_test(node: str) -> Result:
    """One test by its node id; one that was skipped has not run."""
    began = time.monotonic()
    argv = [sys.executable, "-m", "pytest", "-q", "-rs", "--no-header", "--tb=line", node]
    try:
        done = subprocess.run(
            argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_TEST_LIMIT_S
        )
        last, status = (done.stdout.strip().splitlines() or [""])[-1], done.returncode
    except subprocess.TimeoutExpired:
        last, status = f"still running after {_TEST_LIMIT_S} s", 1
    outcome = "survived" if not status else "failed: test"
    if not status and "passed" not in last:
        outcome = f"not run: {last}"
    print(f"{node}\n    {outcome}: {last}", flush=True)
    return Result(node, outcome, last, None, round(time.monotonic() - began, 1))


def parts_of(name: str, seed: int) -> list[str]:
    """The faults and tests behind a name of the command line.

    Raises:
        KeyError: There is no such name.
    """
    if name == "mix":
        short = [n for n, f in FAULTS.items() if f.seconds + f.drain_s <= 100]
        return random.Random(seed).sample(sorted(short), MIX)
    if name in TRIALS:
        return [TRIAL + name]
    row = next((row for row in ROWS if row.id == name), None)
    if row is not None:
        return row.parts
    return [FAULTS[name].name]


def read_results() -> dict[str, Result]:
    """The newest result of each name."""
    if not RESULTS.exists():
        return {}
    lines = RESULTS.read_text().splitlines()
    results = (Result(**json.loads(line)) for line in lines)
    return {result.name: result for result in results}


def keep(result: Result) -> None:
    """Append to the file of results."""
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps(asdict(result), ensure_ascii=False) + "\n")


def outcome_of(row: TableRow, results: dict[str, Result]) -> tuple[str, list[Result]]:
    """What a row comes to: it survived only if everything behind it ran and did."""
    if row.absent:
        return f"not run: {row.absent}", []
    found = [results[name] for name in row.parts if name in results]
    failed = [r for r in found if r.failed]
    if failed:
        laws = (f"{_short(r.name)} {r.outcome.removeprefix('failed: ')}" for r in failed)
        return f"**failed**: {'; '.join(laws)}", found
    for name in row.parts:
        result = results.get(name)
        if result is None:
            return f"not run: {name} has no result", found
        if not result.survived:
            return result.outcome, found
    return "survived", found


def table(results: dict[str, Result]) -> str:
    """The page tests/faults/README.md."""
    lines = []
    count = 0
    for row in ROWS:
        outcome, found = outcome_of(row, results)
        count += outcome == "survived"
        seen = "<br>".join(f"{_short(r.name)}: {r.seen}" for r in found)
        seeds = " ".join(sorted({str(r.seed) for r in found if r.seed is not None}))
        cells = (row.id, row.injected, row.expected, seen, seeds, outcome)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return _PAGE.format(count=count, rows=len(ROWS), lines="\n".join(lines))


def _short(name: str) -> str:
    return name.rpartition("::")[2] or name


_PAGE = """\
# The fault campaign

An oracle judges the running agent from the outside: a plant that logs every reply it really
sent, a recorder at the broker, and a checker that never asks the agent. It holds each run
against I1 to I11 of the delivery contract and each message against the schema of the wire
format.

```
make faults                          every row, and this table
make faults FAULT=S2                 one row, or one fault
make faults FAULT=mix ARGS="--seed 7"    twelve faults that the seed picks
```

Each result is a line of JSON in `build/faults.jsonl`. A fault whose rig the machine has not
got counts as not run. Any program that reads Modbus and writes MQTT can be judged: see
`perform` in `run.py`, and `fake_agent.py` and `foreign.py` for two that are not the agent.

<!-- made by python -m tests.faults.campaign -->

Survived: {count} of {rows}.

| fault | injected | expected | seen | seed | outcome |
|---|---|---|---|---|---|
{lines}
"""


def arguments(words: Iterable[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests.faults.campaign", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seconds", type=float, help="length of the act")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--keep", action="store_true", help="keep the logs of every run")
    parser.add_argument("--broker", choices=["mosquitto", "loopback"])
    parser.add_argument("--table", action="store_true", help="write the table at the end")
    return parser.parse_args(None if words is None else list(words))


def main() -> int:
    """Run what was named."""
    options = arguments()
    names = options.names or [*(row.id for row in ROWS), *BESIDE]
    try:
        parts = dict.fromkeys(part for name in names for part in parts_of(name, options.seed))
    except KeyError as error:
        print(f"no such fault: {error}; there are {', '.join(FAULTS)}", file=sys.stderr)
        return 2
    done = []
    for part in parts:
        result = run_part(part, options)
        keep(result)
        done.append(result)
    if options.table or not options.names:
        TABLE.write_text(table(read_results()))
    kept = sum(result.survived for result in done)
    idle = len(done) - kept - sum(result.failed for result in done)
    print(f"{kept} of {len(done)} kept every law, {idle} were not run")
    return 1 if any(result.failed for result in done) else 0


if __name__ == "__main__":
    sys.exit(main())
