"""Where the kernel may not be asked, the clock is as good as somebody who may has just said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway import clock as clocks
from gateway import clock_state
from gateway.clock import STATE_MAX_AGE_S, Clock
from gateway.model import ClockState

BOOT = "4b" * 16


class Monotonic(Clock):
    """A clock whose monotonic time the test owns."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def monotonic_ns(self) -> int:
        return int(self.now * 1e9)


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    def forbidden() -> int | None:
        raise PermissionError

    monkeypatch.setattr(clocks, "kernel_clock_error_us", forbidden)
    monkeypatch.setenv("TIDEGATE_BOOT_ID", BOOT)
    return Monotonic(tmp_path / "state.json")


def tell(folder: Path, at_s: float, error_us: object = 1500, boot: str = BOOT) -> None:
    state = {"v": 1, "boot": boot, "mono_ns": int(at_s * 1e9), "error_us": error_us}
    clock_state.write(folder / "state.json", state)


def test_without_a_word_the_clock_is_unsynced(clock: Monotonic) -> None:
    assert clock.stamp()[1:] == (ClockState.UNSYNCED, None)


def test_the_bound_grows_by_what_the_clock_may_drift_since_it_was_told(
    clock: Monotonic, tmp_path: Path
) -> None:
    tell(tmp_path, at_s=92.0)
    assert clock.stamp()[1:] == (ClockState.SYNCED, 6)  # 1.5 ms + 8 s × 500 ppm, rounded up


@pytest.mark.parametrize(
    ("at_s", "error_us", "boot"),
    [
        (100.0 - STATE_MAX_AGE_S - 1, 1500, BOOT),
        (101.0, 1500, BOOT),
        (100.0, 1500, "00" * 16),
        (100.0, None, BOOT),
        (100.0, "good", BOOT),
    ],
    ids=["stale", "from the future", "of another boot", "not synchronised", "nonsense"],
)
def test_a_word_that_does_not_count_is_no_word(
    clock: Monotonic, tmp_path: Path, at_s: float, error_us: object, boot: str
) -> None:
    tell(tmp_path, at_s, error_us, boot)
    assert clock.stamp().state is ClockState.UNSYNCED


def test_when_nobody_tells_any_more_it_holds_over(clock: Monotonic, tmp_path: Path) -> None:
    tell(tmp_path, at_s=100.0)
    assert clock.stamp().state is ClockState.SYNCED
    clock.now += STATE_MAX_AGE_S + 1
    assert clock.stamp().state is ClockState.HOLDOVER


def test_a_file_that_is_no_json_is_no_word(clock: Monotonic, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    assert clock.stamp().state is ClockState.UNSYNCED


def test_what_is_written_can_be_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_state, "kernel_clock_error_us", lambda: 7)
    assert json.loads(json.dumps(clock_state.state(BOOT, 5))) == {
        "v": 1,
        "boot": BOOT,
        "mono_ns": 5,
        "error_us": 7,
    }
