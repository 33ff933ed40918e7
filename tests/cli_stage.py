"""The program as people start it: real processes, towards devices and brokers in the test."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from tests.patience import PATIENCE_S

PROGRAM = (sys.executable, "-c", "from gateway.cli import main; main(prog_name='tidegate')")


class Ended(NamedTuple):
    """How a run of the program ended."""

    code: int
    out: str
    err: str


async def start(*arguments: str | Path, **environment: str) -> Process:
    """The program with ``arguments``, running."""
    words = [str(word) for word in arguments]
    variables = {**os.environ, "LANG": "C.UTF-8", **environment}
    return await asyncio.create_subprocess_exec(
        *PROGRAM, *words, stdout=PIPE, stderr=PIPE, env=variables
    )


async def end(process: Process) -> Ended:
    """What ``process`` had to say; killed when it does not end."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def tidegate(*arguments: str | Path, **environment: str) -> Ended:
    """Run the program to its end."""
    return await end(await start(*arguments, **environment))


@asynccontextmanager
async def running(*arguments: str | Path) -> AsyncIterator[Process]:
    """The program while the block lasts; killed if it still runs then."""
    process = await start(*arguments)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def write_site(
    folder: Path,
    links: str,
    *,
    broker: str = "mqtt://127.0.0.1:4",
    root: str = "park/v1",
    more: str = "",
) -> Path:
    """A configuration with the ``links``, which are YAML."""
    file = folder / "gateway.yaml"
    file.write_text(
        f"version: 1\ngateway: {{id: g1}}\nlinks:\n{links}\n"
        f"mqtt: {{urls: ['{broker}'], root: {root}}}\n"
        f"journal: {{path: {folder / 'journal'}, size: 64MiB}}\n{more}"
    )
    return file


def modbus_link(port: int, *devices: str, name: str = "line", more: str = "") -> str:
    """A Modbus link towards ``port`` on this machine."""
    return (
        f"  - {{name: {name}, driver: modbus, url: 'tcp://127.0.0.1:{port}',"
        f" timeout: 200ms, {more} devices: [{', '.join(devices)}]}}\n"
    )


def device(name: str, unit: int, *tags: str, more: str = "") -> str:
    """A device with ``tags``, each a flow mapping of YAML."""
    return f"{{name: {name}, unit: {unit}, {more} tags: [{', '.join(tags)}]}}"
