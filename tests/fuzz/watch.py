"""What one input may cost: counted in calls, so that a busy machine does not judge."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeAlias

Target: TypeAlias = Callable[[bytes], object]

MOST_CALLS = 200_000
"""About 100 ms on a board, for inputs of up to `MOST_BYTES`."""
MOST_BYTES = 4096


class TooMuchWork(BaseException):
    """One input kept a target busy; no target can catch it by mistake."""


def within_bounds(target: Target, data: bytes, most: int = MOST_CALLS) -> None:
    """Run ``target``; every call counts, also of what is written in C.

    Raises:
        TooMuchWork: More than ``most`` calls; the target was stopped there.
    """
    left = most

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal left
        left -= event.endswith("call")
        if left < 0:
            raise TooMuchWork(f"more than {most} calls for {len(data)} bytes")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        target(data)
    finally:
        sys.setprofile(before)
