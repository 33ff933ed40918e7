"""``tidegate run``: the agent in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.options import (
    EX_CONFIG,
    config_option,
    fail,
    lang_option,
    run_loop,
    site_or_exit,
)
from gateway.messages import text


@click.command("run")
@config_option
@lang_option
def command(file: Path, lang: str) -> None:
    """Poll, journal and deliver until SIGTERM.

    Logs go to stderr. Exit code 0: stopped in order. 78: the configuration is wrong, and
    nothing was opened. 1: the journal cannot be used.
    """
    site = site_or_exit(file, lang)
    from gateway import logs
    from gateway.agent import run
    from gateway.errors import ConfigError, JournalError

    logs.configure(site.config.log.level, site.config.log.format)
    try:
        run_loop(run(site))
    except ConfigError as error:
        fail(f"{file}: {error}", EX_CONFIG)
    except JournalError as error:
        fail(text("journal_refused", lang, reason=error))
