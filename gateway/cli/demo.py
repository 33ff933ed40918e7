"""``tidegate demo``: the whole line at work, with no hardware."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

from gateway.cli.options import lang_option, run_loop, seconds_option
from gateway.cli.spoken import Verb
from gateway.messages import text

if TYPE_CHECKING:
    from gateway.cli.demo_stage import Log, Stage

FIRST_READING_S = 10.0
FROZEN, DELAYED, SILENT = "tk101", "gas-panel", "tk102"
"""The devices that the keys act on."""


@click.command("demo", cls=Verb, help="help_demo")
@seconds_option
@lang_option
def command(seconds: float | None, lang: str) -> None:
    """Simulated PLCs, a loopback broker, the agent and a live view of what arrives."""
    from gateway import logs
    from gateway.cli.demo_stage import Log

    log = Log() if _is_terminal() else None
    logs.configure("info", "console" if log else None, log)  # type: ignore[arg-type]
    with suppress(KeyboardInterrupt):
        run_loop(_demo(seconds, lang, log))


def _is_terminal() -> bool:
    return sys.stdout.isatty() and sys.stdin.isatty()


async def _demo(seconds: float | None, lang: str, log: Log | None) -> None:
    from gateway.cli.demo_stage import Stage

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Stage(lang) as stage:
        try:
            async with asyncio.timeout(FIRST_READING_S):
                await stage.platform.arrived.wait()
        except TimeoutError:
            click.echo(text("demo_nothing_arrived", lang, seconds=FIRST_READING_S), err=True)
        else:
            try:
                async with asyncio.timeout(seconds):
                    await _show(stage, lang, log, stop)
            except TimeoutError:
                pass
    _conclude(stage)


def _conclude(stage: Stage) -> None:
    """The last line, and the exit code."""
    seen = stage.platform.continuity
    click.echo(
        f"delivered={seen.readings} lost={seen.missing}"
        f" duplicates={seen.duplicates} gaps={seen.gaps}"
    )
    if not seen.lossless or not seen.readings:
        sys.exit(1)


async def _show(stage: Stage, lang: str, log: Log | None, stop: asyncio.Event) -> None:
    """Show what happens until ``stop``."""
    if log is None:
        await _lines(stage, stop)
        return
    from rich.console import Console
    from rich.live import Live

    from gateway.cli.demo_view import view

    with _keys(stage, stop), Live(console=Console(), auto_refresh=False) as live:
        while not stop.is_set():
            live.update(view(stage, log, lang), refresh=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.25):
                    await stop.wait()


async def _lines(stage: Stage, stop: asyncio.Event) -> None:
    second = 0
    while not stop.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await stop.wait()
        second += 1
        seen, devices = stage.platform.continuity, len(stage.platform.devices)
        click.echo(
            f"second={second} delivered={seen.readings} devices={devices}"
            f" lost={seen.missing} gaps={seen.gaps} alarms={len(stage.platform.active)}"
        )


@contextmanager
def _keys(stage: Stage, stop: asyncio.Event) -> Iterator[None]:
    """Read single keys from the terminal and do what they say."""
    loop = asyncio.get_running_loop()
    before = termios.tcgetattr(sys.stdin)
    tasks: set[asyncio.Future[None]] = set()

    def pressed() -> None:
        for key in os.read(0, 64).decode(errors="replace"):
            if key == "q":
                stop.set()
            elif key == "b" and not tasks:
                task = loop.create_task(stage.switch_broker())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            elif key in _FAULTS:
                stage.switch(*_FAULTS[key])

    tty.setcbreak(sys.stdin)
    loop.add_reader(sys.stdin, pressed)
    try:
        yield
    finally:
        loop.remove_reader(sys.stdin)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


_FAULTS = {"f": (FROZEN, "frozen"), "d": (DELAYED, "late"), "s": (SILENT, "timeout")}
