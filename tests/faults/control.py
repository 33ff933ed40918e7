"""A line of JSON in, a line of JSON out: how a stage speaks to the processes it started.

A child reads commands on stdin and ends when stdin closes, so that no child can
outlive the stage by accident.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

Command = dict[str, Any]


def say(**fields: Any) -> None:
    """Write one line to the stage, stamped with the monotonic clock."""
    print(json.dumps({**fields, "mono_ns": time.monotonic_ns()}), flush=True)


async def obey(perform: Callable[[Command], Any]) -> None:
    """Perform each command of stdin in turn, answering when it is done, until stdin ends."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        result = perform(json.loads(line))
        if asyncio.iscoroutine(result):
            await result
        say(done=True)
