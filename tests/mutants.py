"""``make mutants``: each guarantee's test must fail when the guarantee is broken.

Takes every list ``MUTATIONS`` under tests/, applies one change at a time to a copy of the
tree, and runs the named test there. A mutation that no test notices is a promise without
proof: it survives, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
COPIED = (
    *("gateway", "drivers", "tests", "config", "systemd"),
    *("pyproject.toml", "README.md", "LICENSE"),
)
LIMIT_S = 120


class Mutation(NamedTuple):
    """Replace ``old`` by ``new`` in ``path``: ``test`` must fail."""

    name: str
    path: str
    old: str
    new: str
    test: str


CORE = [
    Mutation(
        "no back-off for a silent device",
        "gateway/link.py",
        "        self.ask_at = now + pause\n",
        "        self.ask_at = now\n",
        "tests/test_link.py::test_a_silent_device_is_asked_more_and_more_rarely",
    ),
    Mutation(
        "no halving of a refused block",
        "gateway/link.py",
        "        if error.divisible and len(block.tags) > 1 and",
        "        if False and len(block.tags) > 1 and",
        "tests/test_link.py::test_a_refused_address_does_not_blind_its_neighbours",
    ),
    Mutation(
        "missed polls are caught up instead of skipped",
        "gateway/schedule.py",
        "    slot.due += missed * slot.block.interval_s\n    return missed\n",
        "    return 0\n",
        "tests/test_link.py::test_overrun_skips_missed_polls_and_counts_them",
    ),
    Mutation(
        "an outage leaves no gap",
        "gateway/coverage.py",
        "        return [*items, self._outage.gap]\n",
        "        return items\n",
        "tests/test_coverage.py::"
        "test_an_outage_is_one_bad_image_and_one_gap_that_stays_open_until_readings_return",
    ),
    Mutation(
        "what a block missed before the device fell silent is counted into that outage",
        "gateway/coverage.py",
        "                early = known.missed_before(self.covered_to_ns, key, readings)\n",
        "                early = 0\n",
        "tests/test_coverage.py::"
        "test_what_one_block_missed_before_the_device_fell_silent_has_a_gap_of_its_own",
    ),
    Mutation(
        "skipped polls leave no gap",
        "gateway/coverage.py",
        "            if since_ns is not None and since_ns < batch.time_ns:\n"
        "                yield",
        "            if False:\n                yield",
        "tests/test_coverage.py::"
        "test_skipped_polls_between_two_good_ones_are_one_closed_gap_of_that_block",
    ),
    Mutation(
        "a restart is not declared",
        "gateway/coverage.py",
        "        if before is not None:\n            self._opening",
        "        if False:\n            self._opening",
        "tests/test_agent.py::"
        "test_after_a_restart_the_stream_begins_with_the_time_it_was_not_running",
    ),
    Mutation(
        "a value that is not finite is good",
        "gateway/normalise.py",
        "    if is_float and not isfinite(raw):",
        "    if False and not isfinite(raw):",
        "tests/test_normalise.py::test_a_value_that_is_not_finite_is_bad_and_none",
    ),
    Mutation(
        "scaling in floats instead of whole numbers",
        "gateway/normalise.py",
        "(v * s[0] + s[1]) / s[2]",
        "v * (s[0] / s[2]) + s[1] / s[2]",
        "tests/test_normalise.py::test_a_factor_of_a_tenth_gives_the_nearest_double",
    ),
    Mutation(
        "a write function code passes the last line",
        "drivers/modbus/transport.py",
        "READS = frozenset({1, 2, 3, 4})",
        "READS = frozenset(range(256))",
        "tests/modbus/test_transport.py",
    ),
    Mutation(
        "no admission: the transaction id is not looked at",
        "drivers/modbus/admission.py",
        "    if reply.startswith(head) and len(reply) == len(head) + size:",
        "    if reply[2:].startswith(head[2:]) and len(reply) == len(head) + size:",
        "tests/modbus/test_hostile.py",
    ),
    Mutation(
        "no admission: nothing but the transaction id is looked at",
        "drivers/modbus/admission.py",
        "    if reply.startswith(head) and len(reply) == len(head) + size:",
        "    if reply.startswith(head[:2]):",
        "tests/modbus/test_hostile.py",
    ),
]


def mutations() -> Iterator[Mutation]:
    """Those of the core, then those of each ``mutations.py`` under tests/."""
    yield from CORE
    for path in sorted((ROOT / "tests").glob("*/mutations.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield from import_module(name).MUTATIONS


def main() -> int:
    """Run them; 0 when every mutation was noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("word", nargs="?", default="", help="only mutations whose name has it")
    chosen = [m for m in mutations() if parser.parse_args().word in m.name]
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder)
        _copy(tree)
        for mutation in chosen:
            verdict, seconds = _try(tree, mutation)
            survivors += verdict != "killed"
            print(f"{verdict:8} {seconds:5.1f} s  {mutation.name}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutations were noticed")
    return 1 if survivors or not chosen else 0


def _copy(tree: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, tree / name, ignore=ignore)
        else:
            shutil.copy(source, tree / name)


def _try(tree: Path, mutation: Mutation) -> tuple[str, float]:
    """``killed`` if the test fails with the mutation, else ``SURVIVED``; ``STALE`` text."""
    path = tree / mutation.path
    original = path.read_text()
    if original.count(mutation.old) < 1:
        return "STALE", 0.0
    path.write_text(original.replace(mutation.old, mutation.new, 1))
    start = time.monotonic()
    try:
        passed = _passes(tree, mutation.test)
    finally:
        path.write_text(original)
    return ("SURVIVED" if passed else "killed"), time.monotonic() - start


def _passes(tree: Path, test: str) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += ["--hypothesis-profile=mutants", test]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=tree,
            env=environment,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in (0, 1):
        raise SystemExit(f"{test} could not be run:\n{done.stdout.decode()[-2000:]}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
