"""Every trial by name, how long it is in a campaign and how short in a test run."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from tests.crash.calls import calls
from tests.crash.flips import flip
from tests.crash.guest import vfat
from tests.crash.trials import kills, power


class Result(Protocol):
    """What a trial came to."""

    @property
    def failures(self) -> list[str]:
        """Every way in which a promise was broken."""

    @property
    def proves_nothing(self) -> bool:
        """Its control, which has to lose records, kept them."""

    def text(self) -> str:
        """What was done and seen."""


class Trial(NamedTuple):
    """Something that is done to a journal many times."""

    run: Callable[[int, int], Result]
    """How often, seed."""
    many: int
    few: int
    """In a test run; 0: in a campaign only."""
    requires: tuple[str, ...] = ()
    """Rigs of the machine, by their names in `tests.faults.rigs`."""


EVERY = 10**6
"""More than there are."""
TRIALS = {
    "kills": Trial(kills, 1000, 8),
    "calls": Trial(calls, EVERY, 12, ("strace",)),
    "ext4": Trial(power("ext4"), 300, 5, ("loop",)),
    "ext4-writeback": Trial(power("ext4", "data=writeback", "barrier=0"), 300, 3, ("loop",)),
    "vfat": Trial(vfat, 300, 0, ("fat",)),
    "flips": Trial(flip, 10_000, 400),
}
