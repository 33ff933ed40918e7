"""Many crashes of a real journal on a real file system, each judged by what was promised.

A trial says how many records were accepted and how many of them were lost. Its control
is the same with ``fdatasync`` taken away: unless that loses, the trial has shown nothing.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.disk import Disk
from tests.crash.ledger import Claims, Verdict, judge
from tests.crash.writer import Child, race, settings
from tests.patience import PATIENCE_S

LONGEST_S = 0.3
DURING_START = 0.2
START_LIMIT_S = 5.0
CONTROLS = 5


@dataclass
class Outcome:
    """What a trial came to."""

    crashes: int = 0
    accepted: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    control_lost: int | None = None
    """Records the control lost; None: this trial has none."""

    def add(self, verdict: Verdict) -> None:
        self.crashes += 1
        self.lost += verdict.lost
        self.wrong += verdict.wrong
        self.slowest_s = max(self.slowest_s, verdict.start_s)

    @property
    def proves_nothing(self) -> bool:
        """There is a control, and it kept everything."""
        return self.control_lost == 0

    @property
    def failures(self) -> list[str]:
        """Every way in which a promise was broken."""
        slow = (
            [f"a start took {self.slowest_s:.1f} s"] if self.slowest_s > START_LIMIT_S else []
        )
        return [*(f"lost {text}" for text in self.lost), *self.wrong, *slow]

    def text(self) -> str:
        control = "" if self.control_lost is None else f"; control lost {self.control_lost}"
        wrong = f", {len(self.wrong)} wrong" if self.wrong else ""
        return (
            f"{self.crashes} crashes, {len(self.lost)} of {self.accepted} accepted records lost"
            f"{wrong}, slowest start {self.slowest_s:.2f} s{control}"
        )


def _sometime(chance: random.Random, ledger: Path) -> None:
    """Return during the start of a writer, or at any time after its first word."""
    if chance.random() < DURING_START:
        time.sleep(chance.uniform(0.0, 0.1))
        return
    deadline = time.monotonic() + PATIENCE_S
    while not ledger.exists() or not ledger.stat().st_size:
        if time.monotonic() > deadline:
            raise TimeoutError("the writer accepted nothing")
        time.sleep(0.002)
    time.sleep(chance.uniform(0.0, LONGEST_S))


@contextmanager
def directory() -> Iterator[Path]:
    """A place in memory, where nothing but what the trial does takes time."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="crash-", dir=memory if memory.is_dir() else None))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def power(kind: str, *options: str) -> Callable[[int, int], Outcome]:
    """Cuts of power on a file system of this kind, mounted with these options."""

    def run(crashes: int, seed: int) -> Outcome:
        outcome = _cuts(kind, options, crashes, random.Random(seed), synced=True)
        outcome.control_lost = next(filter(None, _controls(kind, options, seed)), 0)
        return outcome

    return run


def _controls(kind: str, options: tuple[str, ...], seed: int) -> Iterator[int]:
    """Records that one cut loses when nothing is flushed; a few tries."""
    for n in range(CONTROLS):
        yield len(_cuts(kind, options, 1, random.Random(seed + n), synced=False).lost)


def _cuts(
    kind: str, options: tuple[str, ...], crashes: int, chance: random.Random, *, synced: bool
) -> Outcome:
    """One journal through all of it: what survives a cut is where the next life begins."""
    with directory() as place, Disk(place, kind, *options) as disk:
        return _crash_again(
            disk.journal, place / "ledger", disk.cut, crashes, chance, synced=synced
        )


def kills(crashes: int, seed: int) -> Outcome:
    """kill -9 at random moments."""
    with directory() as place:
        return _crash_again(
            place / "journal", place / "ledger", Child.kill, crashes, random.Random(seed)
        )


def _crash_again(
    journal: Path, ledger: Path, crash: Callable[[Child], None], crashes: int,
    chance: random.Random, *, synced: bool = True,
) -> Outcome:  # fmt: skip
    outcome, claims = Outcome(), Claims()
    for _ in range(crashes):
        child = Child(race, journal, ledger, chance.randrange(1 << 30), synced=synced)
        child.go()
        _sometime(chance, ledger)
        crash(child)
        claims.take(ledger)
        outcome.add(judge(settings(journal), claims, clean=chance.random() < 0.5))
    outcome.accepted = claims.records
    return outcome
