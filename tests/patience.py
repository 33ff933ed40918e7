"""How long a test waits for what must happen: only a failure ever takes as long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE_S = 60.0
"""Room for a machine that does other things besides; less than the limit of a test."""


async def until(fact: Callable[[], object], every_s: float = 0.005) -> None:
    """Return when ``fact`` holds.

    Raises:
        TimeoutError: It does not come to hold.
    """
    async with asyncio.timeout(PATIENCE_S):
        while not fact():
            await asyncio.sleep(every_s)
