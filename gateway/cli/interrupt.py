"""Ctrl-C and SIGTERM as an event, so that a verb can end in order and say what it has."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


async def until_interrupted(
    work: Coroutine[Any, Any, None], *, seconds: float | None = None
) -> bool:
    """Run ``work`` to its end, for ``seconds``, or until Ctrl-C; True when it was Ctrl-C.

    Work that is not done is cancelled; what it raises is raised here.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(work)
            stopping = tasks.create_task(stop.wait())
            await asyncio.wait(
                (working, stopping), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            working.cancel()
            stopping.cancel()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    return stop.is_set()
