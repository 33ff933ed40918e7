"""Kills a writer before each system call it makes about its files, one run for each.

The script makes the same calls in every run, and the writer waits until strace hangs on:
the first call that is counted is the first of the script. Killed before call N + 1 is
killed after call N, so that every gap between two calls is tried.
"""

from __future__ import annotations

import random
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.crash.ledger import Claims, judge
from tests.crash.trials import Outcome, directory
from tests.crash.writer import Child, script, settings
from tests.patience import PATIENCE_S

CALLS = (
    "write", "pwrite64", "fsync", "fdatasync", "openat", "rename", "unlink", "mkdir",
)  # fmt: skip
"""What changes a disk, or is about to."""


class Point(NamedTuple):
    """Before the ``number``-th call of this name."""

    call: str
    number: int


def every_point() -> list[Point]:
    """Each call of a whole run, from the log of one."""
    with directory() as place:
        log, ledger = place / "calls", place / "ledger"
        child = Child(script, place / "journal", ledger)
        with _traced(child, "-o", str(log), "-e", f"trace={','.join(CALLS)}"):
            child.go()
            if child.ended(PATIENCE_S) or not ledger.exists():
                raise RuntimeError("the script did not come to its end")
        lines = (line.split(maxsplit=1)[1] for line in log.read_text().splitlines())
        counts = Counter(line.partition("(")[0] for line in lines)
        return [Point(call, n) for call in CALLS for n in range(1, counts[call] + 1)]


def some_points(points: Iterable[Point], count: int, seed: int) -> list[Point]:
    """``count`` of them, spread over the names of the calls."""
    chance, by_name = random.Random(seed), defaultdict[str, list[Point]](list)
    for point in points:
        by_name[point.call].append(point)
    names = list(by_name)
    chosen = [by_name[names[n % len(names)]] for n in range(count)]
    return list(dict.fromkeys(chance.choice(group) for group in chosen))


def calls(crashes: int, seed: int) -> Outcome:
    """kill -9 at so many system calls of a whole run, or at each when there are no more."""
    points = every_point()
    return kill_at(points if crashes >= len(points) else some_points(points, crashes, seed))


def kill_at(points: Iterable[Point]) -> Outcome:
    """One run for each point, and what the start after it found."""
    outcome = Outcome()
    for point in points:
        with directory() as place:
            claims = _killed(point, place)
            verdict = judge(settings(place / "journal"), claims)
            again = judge(settings(place / "journal"), claims)
        verdict.lost = [f"{point}: {text}" for text in (*verdict.lost, *again.lost)]
        verdict.wrong = [f"{point}: {text}" for text in (*verdict.wrong, *again.wrong)]
        outcome.add(verdict)
        outcome.accepted += claims.records
    return outcome


def _killed(point: Point, place: Path) -> Claims:
    child, claims = Child(script, place / "journal", place / "ledger"), Claims()
    inject = f"inject={point.call}:signal=SIGKILL:when={point.number}"
    with _traced(child, "-o", "/dev/null", "-e", f"trace={point.call}", "-e", inject):
        child.go()
        if not child.ended(PATIENCE_S):
            raise RuntimeError(f"{point} was never reached")
    claims.take(place / "ledger")
    return claims


@contextmanager
def _traced(child: Child, *options: str) -> Iterator[None]:
    """strace(1) hangs on ``child`` while the block runs, and ends with it."""
    argv = ["strace", "-f", "-p", str(child.pid), *options]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        if "attached" not in said:
            child.kill()
            raise RuntimeError(f"strace: {said}")
        yield
        tracer.communicate(timeout=PATIENCE_S)
