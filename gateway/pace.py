"""How fast a backlog is delivered: a token bucket over readings, filled from the live rate.

A park whose gateways all come back at once must not drown its broker. What is live, and
every alarm, never passes through here.
"""

from __future__ import annotations

from typing import Final

LEAST_READINGS_S: Final = 1000.0
"""A backlog is never slower than this: the live rate of a small gateway proves nothing."""
START_S: Final = 5.0
"""Gateways that lost the same broker begin within this time of each other."""
SAMPLE_S: Final = 10.0


class Pace:
    """The readings of a backlog that may go out now."""

    def __init__(self, factor: float) -> None:
        """factor: rate of the backlog, as a multiple of the live rate."""
        self._factor = factor
        self._rate = LEAST_READINGS_S
        self._tokens = 0.0
        self._filled_s = 0.0
        self._start_s = float("-inf")
        self._sample: tuple[float, int] | None = None

    def opened(self, now_s: float, jitter: float) -> None:
        """A connection stands; ``jitter`` in [0, 1) says when its backlog begins."""
        self._start_s = self._filled_s = now_s + jitter * START_S
        self._tokens = 0.0

    def live(self, total: int, now_s: float) -> None:
        """So many readings were recorded since start."""
        if self._sample is None:
            self._sample = now_s, total
        then_s, before = self._sample
        if now_s - then_s >= SAMPLE_S:
            rate = (total - before) / (now_s - then_s)
            self._rate = max(LEAST_READINGS_S, self._factor * rate)
            self._sample = now_s, total

    def allows(self, now_s: float) -> bool:
        """Whether the next messages of the backlog may go."""
        if now_s < self._start_s:
            return False
        earned = self._rate * max(0.0, now_s - self._filled_s)
        self._tokens = min(self._rate, self._tokens + earned)
        self._filled_s = max(self._filled_s, now_s)
        return self._tokens > 0

    def spend(self, readings: int) -> None:
        """They went out; a debt is paid before the next may go."""
        self._tokens -= readings
