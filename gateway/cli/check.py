"""``tidegate check``: is the configuration without mistakes? Offline; reads no secret."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.options import EX_CONFIG, config_option, format_option, lang_option
from gateway.cli.spoken import Verb
from gateway.messages import text

if TYPE_CHECKING:
    from gateway.loader import Problem, Site


@click.command("check", cls=Verb, help="help_check")
@config_option
@format_option("text", "json", help="option_format")
@lang_option
def command(file: Path, form: str, lang: str) -> None:
    """Read the configuration and name every mistake in it."""
    from gateway.loader import inspect

    site, problems = inspect(file)
    if form == "json":
        click.echo(
            json.dumps(_report(file, site, problems, lang), ensure_ascii=False, indent=1)
        )
    else:
        _tell(file, site, problems, lang)
    sys.exit(EX_CONFIG if site is None else 0)


def _tell(file: Path, site: Site | None, problems: list[Problem], lang: str) -> None:
    for problem in problems:
        click.echo(problem.render(lang), err=True)
    if site is None:
        errors = sum(problem.severity == "error" for problem in problems)
        click.echo(text("check_failed", lang, errors=errors), err=True)
    else:
        click.echo(text("check_ok", lang, file=file, **_counts(site)))


def _counts(site: Site) -> dict[str, object]:
    return {
        "links": len(site.links),
        "devices": sum(len(link.config.devices) for link in site.links),
        "tags": sum(len(link.tags) for link in site.links),
        "fingerprint": site.fingerprint,
    }


def _report(
    file: Path, site: Site | None, problems: list[Problem], lang: str
) -> dict[str, object]:
    return {
        "file": str(file),
        "good": site is not None,
        **({} if site is None else _counts(site)),
        "problems": [problem.as_dict(lang) for problem in problems],
    }
