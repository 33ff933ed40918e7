"""``tidegate run``: the agent in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from gateway.cli.options import EX_CONFIG, config_option, fail, lang_option, run_loop
from gateway.cli.spoken import Verb
from gateway.messages import text, told

if TYPE_CHECKING:
    from gateway.apply import Refusal
    from gateway.last_good import ConfigFiles
    from gateway.loader import Site


@click.command("run", cls=Verb, help="help_run")
@config_option
@click.option(
    "--last-good",
    "may_use_copy",
    is_flag=True,
    help="option_last_good",
)
@lang_option
def command(file: Path, may_use_copy: bool, lang: str) -> None:
    """Poll, journal and deliver until SIGTERM; SIGHUP applies a changed configuration."""
    chosen = _chosen(file, lang, may_use_copy=may_use_copy)
    from gateway import logs
    from gateway.agent import Agent, run
    from gateway.clock import Clock
    from gateway.errors import ConfigError, JournalError

    logs.configure(chosen.site.config.log.level, chosen.site.config.log.format)
    try:
        agent = Agent(chosen.site, Clock(), chosen.files, chosen.refused)
    except ConfigError as error:
        fail(f"{file}: {told(error, lang)}", EX_CONFIG)
    try:
        run_loop(run(agent))
    except JournalError as error:
        fail(text("journal_refused", lang, reason=told(error, lang)))


class _Chosen(NamedTuple):
    """What is to run."""

    site: Site
    files: ConfigFiles
    refused: Refusal | None
    """Why it is not what lies in ``files``."""


def _chosen(file: Path, lang: str, *, may_use_copy: bool) -> _Chosen:
    """The configuration to run; mistakes are named, and may end the program with 78."""
    from gateway.last_good import ConfigFiles, find

    files = ConfigFiles(file)
    site, problems = files.read()
    for problem in problems:
        click.echo(problem.render(lang), err=True)
    if site is not None:
        return _Chosen(site, files, None)
    if not may_use_copy:
        sys.exit(EX_CONFIG)
    found = find(file)
    if found is None:
        fail(text("config_no_copy", lang), EX_CONFIG)
    from gateway.apply import refusal

    why = refusal(problems)
    return _Chosen(found, files, why._replace(reasons=("config_last_good", *why.reasons)))
