"""How far the wall clock is trusted, and what is said when it is set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.epochs import ASK_NS, DRIFT_PPM, Anchor, Epoch, Epochs, Look, Word
from gateway.model import ClockState

BOOT = "4b" * 16
S = 10**9
MS = 10**6
ZERO_NS = 1_795_392_000 * S
GOOD = Word(ClockState.SYNCED, 3_000)


def at(mono_s: float, moved_s: float = 0.0) -> Look:
    """Both clocks, the wall clock ``moved_s`` ahead of where it began."""
    mono_ns = int(mono_s * S)
    return Look(ZERO_NS + mono_ns + int(moved_s * S), mono_ns)


def watching(word: Word | None = GOOD) -> Epochs:
    """A clock that has been looked at once, at 100 s; the turns of that are forgotten."""
    epochs = Epochs(BOOT)
    epochs.judge(at(100), word)
    epochs.turns()
    return epochs


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0, -10.0, 2.0, -1.0, 0.05])
def test_a_step_opens_an_epoch_that_says_how_far_the_clock_was_set(step_s: float) -> None:
    epochs = watching()
    look = at(100.5, step_s)
    assert epochs.is_due(look)
    epochs.judge(look, None)
    (epoch,) = epochs.turns()
    assert isinstance(epoch, Epoch)
    assert epoch.event().fields == {
        "boot": BOOT,
        "mono": look.mono_ns,
        "old_offset_ns": ZERO_NS,
        "new_offset_ns": ZERO_NS + int(step_s * S),
        "step_ms": int(step_s * 1000),
        "before": "synced",
        "after": "unsynced",
        "bound_ms": None,
    }


def test_a_step_ends_all_trust_until_somebody_vouches_for_the_clock_again() -> None:
    epochs = watching()
    epochs.judge(at(101, 60), None)
    assert (epochs.state, epochs.bound_ms) == (ClockState.UNSYNCED, None)
    epochs.judge(at(102, 60), GOOD)
    assert (epochs.state, epochs.bound_ms) == (ClockState.SYNCED, 4)


def test_the_first_word_after_an_unsynchronised_start_is_an_anchor() -> None:
    epochs = watching(None)
    epochs.judge(at(700), GOOD)
    (anchor,) = epochs.turns()
    assert anchor == Anchor(BOOT, 700 * S, ZERO_NS + 700 * S, 4)
    epochs.judge(at(701), GOOD)
    assert not epochs.turns()


def test_a_clock_that_is_set_and_vouched_for_at_once_is_an_epoch_and_then_an_anchor() -> None:
    epochs = watching(None)
    epochs.judge(at(700, 1e9), GOOD)
    epoch, anchor = epochs.turns()
    assert isinstance(epoch, Epoch)
    assert (epoch.before, epoch.after, epoch.bound_ms) == ("unsynced", "synced", 4)
    assert isinstance(anchor, Anchor)
    assert anchor.utc_ns - anchor.mono_ns == epoch.new_offset_ns


def test_what_the_declared_error_explains_is_no_step() -> None:
    epochs = watching(Word(ClockState.SYNCED, 80_000))
    epochs.judge(at(100.1, 0.05), None)
    assert not epochs.turns()


def test_of_a_clock_nobody_vouches_for_only_more_than_a_second_is_a_step() -> None:
    epochs = watching(None)
    assert not epochs.is_due(at(100.1, 0.9))
    assert epochs.is_due(at(100.1, 1.1))


def test_small_steps_add_up() -> None:
    epochs = watching(None)
    for number in range(1, 4):
        epochs.judge(at(100 + number, 0.4 * number), None)
    (epoch,) = epochs.turns()
    assert isinstance(epoch, Epoch)
    assert 1_190 * MS < epoch.step_ns <= 1_200 * MS


def test_two_clocks_that_were_not_read_together_are_no_step() -> None:
    epochs = watching()
    look = at(100.5, -3.0)
    assert not epochs.is_due(look._replace(unsure_ns=3 * S))


@given(
    ppm=st.integers(-DRIFT_PPM, DRIFT_PPM),
    seconds=st.lists(st.floats(0.001, 4000), max_size=30),
)
def test_drift_is_no_step_and_the_bound_in_holdover_is_never_below_the_true_error(
    ppm: int, seconds: list[float]
) -> None:
    epochs = watching()
    mono_s = 100.0
    for pause_s in seconds:
        mono_s += pause_s
        error_s = (mono_s - 100) * ppm / 1e6
        look = at(mono_s, error_s)
        if epochs.is_due(look):
            epochs.judge(look, None)
        assert epochs.bound_ms is not None
        assert abs(error_s) * 1000 + GOOD.error_us / 1000 <= epochs.bound_ms
    assert not epochs.turns()


def test_a_second_is_as_long_as_a_word_holds() -> None:
    epochs = watching()
    assert not epochs.is_due(Look(ZERO_NS + 100 * S + ASK_NS - 1, 100 * S + ASK_NS - 1))
    assert epochs.is_due(Look(ZERO_NS + 100 * S + ASK_NS, 100 * S + ASK_NS))
