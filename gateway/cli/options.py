"""Options and endings that several verbs share."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from gateway.messages import language, text

if TYPE_CHECKING:
    from gateway.loader import Site

DEFAULT_FILE: Final = "/etc/tidegate/gateway.yaml"
EX_UNAVAILABLE: Final = 69
EX_CONFIG: Final = 78
"""Exit codes of sysexits(3)."""

CallableT = TypeVar("CallableT", bound=Callable[..., Any])


def config_option(function: CallableT) -> CallableT:
    """``-c FILE``."""
    return click.option(
        "-c",
        "--config",
        "file",
        type=click.Path(path_type=Path, readable=False),
        default=DEFAULT_FILE,
        show_default=True,
        help="The main file; conf.d/*.yaml beside it belongs to it.",
    )(function)


def seconds_option(function: CallableT) -> CallableT:
    """``--seconds N``."""
    return click.option(
        "--seconds",
        type=click.FloatRange(min=0, min_open=True, max=1e9),
        help="Stop after so long; without it, at Ctrl-C.",
    )(function)


def lang_option(function: CallableT) -> CallableT:
    """``--lang en|zh``, handed over as the language to use."""
    return click.option(
        "--lang",
        type=click.Choice(["en", "zh"]),
        callback=lambda _ctx, _param, chosen: language(chosen),
        help="Language of messages; by default that of the environment.",
    )(function)


def site_or_exit(file: Path, lang: str) -> Site:
    """The configuration in ``file``; mistakes are named and end the program with 78."""
    from gateway.loader import inspect

    site, problems = inspect(file)
    for problem in problems:
        click.echo(problem.render(lang), err=True)
    if site is None:
        sys.exit(EX_CONFIG)
    return site


def fail(message: str, code: int = 1) -> NoReturn:
    """End the program with ``message`` on stderr."""
    click.echo(message, err=True)
    sys.exit(code)


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` on uvloop where it is installed, else on asyncio."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def interrupted(lang: str) -> NoReturn:
    """End after Ctrl-C."""
    fail(text("interrupted", lang), 130)
