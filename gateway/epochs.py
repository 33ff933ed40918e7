"""How far the wall clock can be trusted, and when it was set. Pure.

    offset = UTC clock − monotonic clock      constant, but for drift, until the clock is set

* A change of the offset that neither drift nor the declared error explains is a *step*. It
  opens an epoch: times of one epoch can be compared, times of two only through the `Epoch`
  that stands between them.
* A step ends all trust in the clock, until whoever may ask the kernel vouches for it anew.
* From the last word that vouched for it, the bound grows by what a clock may drift.
* Whenever the clock becomes trustworthy, an `Anchor` says what UTC was at one instant of
  the monotonic clock. It maps to civil time whatever was recorded in that boot before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeAlias

from gateway.model import ClockState, Event

DRIFT_PPM: Final = 500
"""Fastest drift the kernel allows for in its own bound (``MAXFREQ``, adjtimex(2))."""
ASK_NS: Final = 1_000_000_000
"""How long a word about the clock holds until the next one is wanted."""
STEP_NS: Final = 1_000_000_000
"""What is further is a step, however bad the clock is said to be."""
CLOSE_NS: Final = 1_000_000
"""What is nearer is none, however good the clock is said to be."""
_UNIX: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Look(NamedTuple):
    """Both clocks at one instant."""

    utc_ns: int
    mono_ns: int
    unsure_ns: int = 0
    """How far apart the two may have been read."""

    @property
    def offset_ns(self) -> int:
        """What has to be added to the monotonic clock to have the wall clock."""
        return self.utc_ns - self.mono_ns


class Word(NamedTuple):
    """What somebody who may ask the kernel says of a clock that can be trusted."""

    state: ClockState
    error_us: int
    """How far the clock may be from UTC now."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """The clock was set."""

    boot: str
    mono_ns: int
    """When it was seen: not before, and at most one look later."""
    old_offset_ns: int
    new_offset_ns: int
    before: ClockState
    after: ClockState
    bound_ms: int | None

    @property
    def step_ns(self) -> int:
        """How far forward the clock was set."""
        return self.new_offset_ns - self.old_offset_ns

    def event(self) -> Event:
        """As it is told on the meta lane."""
        fields = {
            "boot": self.boot,
            "mono": self.mono_ns,
            "old_offset_ns": self.old_offset_ns,
            "new_offset_ns": self.new_offset_ns,
            "step_ms": round(self.step_ns / 1e6),
            "before": self.before.value,
            "after": self.after.value,
            "bound_ms": self.bound_ms,
        }
        return Event("clock_epoch", fields)


@dataclass(frozen=True, slots=True)
class Anchor:
    """From here on the clock can be trusted."""

    boot: str
    mono_ns: int
    utc_ns: int
    bound_ms: int

    def event(self) -> Event:
        """As it is told on the meta lane."""
        utc = _UNIX + timedelta(microseconds=self.utc_ns // 1000)
        fields = {"boot": self.boot, "mono": self.mono_ns, "utc": utc}
        return Event("clock_anchor", fields | {"bound_ms": self.bound_ms})


Turn: TypeAlias = Epoch | Anchor
"""Something that changes what the wall clock means."""


def drift_ns(elapsed_ns: int) -> int:
    """How far a clock may drift in ``elapsed_ns``."""
    return elapsed_ns * DRIFT_PPM // 1_000_000


def explained_ns(error_ns: int | None) -> int:
    """How far a clock with this declared error may move without having been set."""
    return STEP_NS if error_ns is None else min(STEP_NS, max(CLOSE_NS, error_ns))


class Epochs:
    """Judges the wall clock of one boot by what is seen of it and said about it."""

    def __init__(self, boot: str) -> None:
        self.state = ClockState.UNSYNCED
        self.bound_ms: int | None = None
        """How far the wall clock may be from UTC; None while nobody can say."""
        self._boot = boot
        self._offset_ns: int | None = None
        self._judged_ns = -ASK_NS
        self._vouched: tuple[int, int] | None = None
        """When somebody last vouched for the clock, and the error in ns then."""
        self._is_anchored = False
        self._turns: list[Turn] = []

    def is_due(self, look: Look) -> bool:
        """Whether a word about the clock is wanted: it was set, or the last word is old."""
        return look.mono_ns - self._judged_ns >= ASK_NS or self._step_ns(look) != 0

    def judge(self, look: Look, word: Word | None) -> None:
        """Take in what was seen, and what was said of it; None: nobody vouches for it."""
        before, step_ns = self.state, self._step_ns(look)
        if step_ns:
            self._vouched = None
        if word is not None:
            self._vouched = look.mono_ns, word.error_us * 1000
        self._trust(word, look.mono_ns)
        if step_ns:
            self._turns.append(self._epoch(look, step_ns, before))
        self._anchor(look)
        self._follow(look, step_ns)

    def turns(self) -> Sequence[Turn]:
        """What happened to the clock since this was last asked, in order."""
        turns, self._turns = self._turns, []
        return turns

    def _step_ns(self, look: Look) -> int:
        """How far the clock was set; 0: what moved it explains itself."""
        if self._offset_ns is None:
            return 0
        moved_ns = look.offset_ns - self._offset_ns
        error_ns = None if self.bound_ms is None else self.bound_ms * 1_000_000
        slack_ns = drift_ns(look.mono_ns - self._judged_ns) + look.unsure_ns
        return moved_ns if abs(moved_ns) > explained_ns(error_ns) + slack_ns else 0

    def _trust(self, word: Word | None, mono_ns: int) -> None:
        if self._vouched is None:
            self.state, self.bound_ms = ClockState.UNSYNCED, None
            return
        at_ns, error_ns = self._vouched
        # Good until the next word comes, so by then it has to have grown already.
        error_ns += drift_ns(mono_ns - at_ns + ASK_NS)
        self.state = ClockState.HOLDOVER if word is None else word.state
        self.bound_ms = -(-error_ns // 1_000_000)

    def _epoch(self, look: Look, step_ns: int, before: ClockState) -> Epoch:
        old_ns, new_ns = look.offset_ns - step_ns, look.offset_ns
        ends = before, self.state
        return Epoch(self._boot, look.mono_ns, old_ns, new_ns, *ends, self.bound_ms)

    def _anchor(self, look: Look) -> None:
        if self.bound_ms is not None and not self._is_anchored:
            self._turns.append(Anchor(self._boot, look.mono_ns, look.utc_ns, self.bound_ms))
        self._is_anchored = self.bound_ms is not None

    def _follow(self, look: Look, step_ns: int) -> None:
        """Let the offset drift; what moved it further is remembered, and may add up."""
        if self._offset_ns is None or step_ns:
            self._offset_ns = look.offset_ns
        else:
            slack_ns = drift_ns(look.mono_ns - self._judged_ns)
            moved_ns = look.offset_ns - self._offset_ns
            self._offset_ns += max(-slack_ns, min(slack_ns, moved_ns))
        self._judged_ns = look.mono_ns
