"""Options and endings that several verbs share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from gateway.cli.spoken import Number, OneOf, lang_of
from gateway.messages import LANGUAGES, told

if TYPE_CHECKING:
    from gateway.loader import Site
    from gateway.planning import PlannedLink

DEFAULT_FILE: Final = "/etc/tidegate/gateway.yaml"
EX_USAGE: Final = 2
EX_UNAVAILABLE: Final = 69
EX_CONFIG: Final = 78
"""Exit codes of sysexits(3)."""
FILE: Final = click.Path(path_type=Path, readable=False)
"""Any path; the verb finds out what it is."""

CallableT = TypeVar("CallableT", bound=Callable[..., Any])


def config_option(function: CallableT) -> CallableT:
    """``-c FILE``."""
    return click.option(
        "-c",
        "--config",
        "file",
        type=FILE,
        metavar="FILE",
        default=DEFAULT_FILE,
        show_default=True,
        help="option_config",
    )(function)


def format_option(*forms: str, help: str) -> Callable[[CallableT], CallableT]:
    """``--format FORM``, the first of ``forms`` if none is chosen."""
    return click.option(
        "--format", "form", type=OneOf(forms), default=forms[0], show_default=True, help=help
    )


def seconds_option(function: CallableT) -> CallableT:
    """``--seconds N``."""
    limits = Number(0, 1e9, is_open=True)
    return click.option("--seconds", type=limits, metavar="N", help="option_seconds")(function)


def lang_option(function: CallableT) -> CallableT:
    """``--lang en|zh``, handed over as the language to use."""
    return _lang(expose_value=True)(function)


def any_lang_option(function: CallableT) -> CallableT:
    """``--lang en|zh`` before a verb; the verb gets it."""
    return _lang(expose_value=False)(function)


def _lang(*, expose_value: bool) -> Callable[[CallableT], CallableT]:
    return click.option(
        "--lang",
        type=OneOf(LANGUAGES),
        callback=lambda context, _param, _chosen: lang_of(context),
        expose_value=expose_value,
        help="option_lang",
    )


def site_or_exit(file: Path, lang: str) -> Site:
    """The configuration in ``file``; mistakes are named and end the program with 78."""
    from gateway.loader import inspect

    site, problems = inspect(file)
    for problem in problems:
        click.echo(problem.render(lang), err=True)
    if site is None:
        sys.exit(EX_CONFIG)
    return site


def planned_or_exit(site: Site, file: Path, lang: str) -> Sequence[PlannedLink]:
    """What is asked of which device; a plan that cannot be made ends the program with 78."""
    from gateway.clock import Clock
    from gateway.errors import ConfigError
    from gateway.planning import plan_site

    try:
        return plan_site(site, Clock())
    except ConfigError as error:
        fail(f"{file}: {told(error, lang)}", EX_CONFIG)


def fail(message: str, code: int = 1) -> NoReturn:
    """End the program with ``message`` on stderr."""
    click.echo(message, err=True)
    sys.exit(code)


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` on uvloop where it is installed, else on asyncio."""
    import asyncio  # here, so that help is quick

    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)
