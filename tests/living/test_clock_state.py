"""Where the kernel may not be asked, the clock is as good as somebody who may has just said."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import clock as clocks
from gateway import clock_state
from gateway.clock import STATE_MAX_AGE_S, Clock
from gateway.epochs import Anchor, Epoch
from gateway.model import ClockState, Stamp

BOOT = "4b" * 16
OFFSET_NS = 1_795_392_000 * 10**9


class OwnedClock(Clock):
    """A clock whose times the test owns."""

    now = 100.0
    set_s = 0.0

    def now_ns(self) -> int:
        return OFFSET_NS + int((self.now + self.set_s) * 1e9)

    def monotonic_ns(self) -> int:
        return int(self.now * 1e9)

    def trust(self) -> tuple[ClockState, int | None]:
        """State and bound, of now."""
        return self.stamp()[1:3]


@pytest.fixture
def forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int | None:
        raise PermissionError

    monkeypatch.setattr(clocks, "kernel_clock_error_us", refuse)
    monkeypatch.setenv("TIDEGATE_BOOT_ID", BOOT)


@pytest.fixture
def clock(tmp_path: Path, forbidden: None) -> OwnedClock:
    return OwnedClock(tmp_path / "state.json")


def tell(
    folder: Path,
    at_s: float,
    bound_ms: object = 2,
    boot: str = BOOT,
    state: str = "synced",
    set_s: float = 0.0,
) -> None:
    when = {"mono_ns": int(at_s * 1e9), "utc_ns": OFFSET_NS + int((at_s + set_s) * 1e9)}
    said = {"v": 2, "boot": boot, **when, "state": state, "bound_ms": bound_ms}
    clock_state.write(folder / "state.json", said)


def test_without_a_word_the_clock_is_unsynced(clock: OwnedClock) -> None:
    assert clock.trust() == (ClockState.UNSYNCED, None)


def test_the_bound_grows_by_what_the_clock_may_drift_since_it_was_told(
    clock: OwnedClock, tmp_path: Path
) -> None:
    tell(tmp_path, at_s=92.0)
    # 2 ms, 8 s × 500 ppm, and the second until the next word, rounded up
    assert clock.trust() == (ClockState.SYNCED, 7)


@pytest.mark.parametrize(
    ("at_s", "bound_ms", "boot", "state", "set_s"),
    [
        (100.0 - STATE_MAX_AGE_S - 1, 2, BOOT, "synced", 0),
        (101.0, 2, BOOT, "synced", 0),
        (100.0, 2, "00" * 16, "synced", 0),
        (100.0, None, BOOT, "unsynced", 0),
        (100.0, "good", BOOT, "synced", 0),
        (100.0, 2, BOOT, "fine", 0),
        (100.0, 2, BOOT, "synced", -3600),
    ],
    ids=["stale", "future", "other-boot", "unsynced", "nonsense", "no-state", "of-before"],
)
def test_a_word_that_does_not_count_is_no_word(
    clock: OwnedClock,
    tmp_path: Path,
    at_s: float,
    bound_ms: object,
    boot: str,
    state: str,
    set_s: float,
) -> None:
    tell(tmp_path, at_s, bound_ms, boot, state, set_s)
    assert clock.trust()[0] is ClockState.UNSYNCED


def test_when_nobody_tells_any_more_it_holds_over(clock: OwnedClock, tmp_path: Path) -> None:
    tell(tmp_path, at_s=100.0)
    assert clock.trust()[0] is ClockState.SYNCED
    clock.now += STATE_MAX_AGE_S + 1
    assert clock.trust()[0] is ClockState.HOLDOVER


def test_an_agent_that_starts_in_holdover_takes_over_the_bound(
    clock: OwnedClock, tmp_path: Path
) -> None:
    tell(tmp_path, at_s=100.0, bound_ms=40, state="holdover")
    assert clock.trust() == (ClockState.HOLDOVER, 41)


def test_a_clock_that_is_set_is_believed_at_once_no_more(
    clock: OwnedClock, tmp_path: Path
) -> None:
    tell(tmp_path, at_s=100.0)
    clock.stamp()
    clock.now, clock.set_s = 100.1, -3600.0
    assert clock.trust() == (ClockState.UNSYNCED, None)
    clock.now = 102.0
    tell(tmp_path, at_s=101.5, set_s=-3600.0)
    assert clock.trust() == (ClockState.SYNCED, 3)
    first, epoch, again = clock.turns()
    assert isinstance(epoch, Epoch)
    assert (type(first), type(again), epoch.step_ns) == (Anchor, Anchor, -3600 * 10**9)


def test_a_file_that_is_no_json_is_no_word(clock: OwnedClock, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    assert clock.trust()[0] is ClockState.UNSYNCED


def test_where_a_file_is_named_the_kernel_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "kernel_clock_error_us", lambda: 5)
    monkeypatch.setenv("TIDEGATE_BOOT_ID", BOOT)
    assert OwnedClock().trust() == (ClockState.SYNCED, 1)
    monkeypatch.setenv("TIDEGATE_CLOCK_STATE", str(tmp_path / "state.json"))
    assert OwnedClock().trust() == (ClockState.UNSYNCED, None)
    tell(tmp_path, at_s=100.0)
    assert OwnedClock().trust() == (ClockState.SYNCED, 3)


def test_what_is_written_can_be_read_back(clock: OwnedClock, tmp_path: Path) -> None:
    said = Stamp(clock.now_ns(), ClockState.SYNCED, 5, clock.monotonic_ns())
    clock_state.write(tmp_path / "state.json", clock_state.state(BOOT, said))
    assert clock.trust() == (ClockState.SYNCED, 6)


def test_who_asks_the_kernel_for_others_does_not_believe_what_it_wrote_itself(
    forbidden: None,
) -> None:
    assert OwnedClock(None).trust() == (ClockState.UNSYNCED, None)
