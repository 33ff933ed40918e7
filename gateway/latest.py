"""Whose newest values are said next, so that an alarm never waits long behind them.

They go out beside the records and nobody acknowledges them: `window` does not see them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

LATEST_S: Final = 5.0
"""The newest values of a device are said at most so often."""


class Rota:
    """The devices in turn, those that waited longest first."""

    def __init__(self) -> None:
        self._said_s: dict[str, float] = {}

    def turn(
        self, devices: Iterable[str], now_s: float, room: int, say: Callable[[str], int]
    ) -> None:
        """Let ``say`` speak for devices that are due, until ``room`` bytes are taken.

        say: publishes for one device and returns the bytes it took. One that is due is
        said whatever its size.
        """
        said_s = {name: self._said_s.get(name, float("-inf")) for name in devices}
        due = [name for name in said_s if now_s - said_s[name] >= LATEST_S]
        for name in sorted(due, key=said_s.__getitem__):
            if room <= 0:
                break
            room -= say(name)
            said_s[name] = now_s
        self._said_s = said_s
