"""``tidegate version``: what is installed here."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import click

from gateway.cli.options import lang_option
from gateway.cli.spoken import Verb
from gateway.messages import text

_PARTS = ("pymodbus", "asyncua", "paho-mqtt", "pydantic", "structlog", "msgspec", "uvloop")


@click.command("version", cls=Verb, help="help_version")
@lang_option
def command(lang: str) -> None:
    """Print the versions of tidegate and of what it stands on."""
    click.echo(f"tidegate {version('tidegate')}")
    python = text(
        "version_python", lang, version=platform.python_version(), system=platform.platform()
    )
    click.echo(python)
    for name in _PARTS:
        try:
            click.echo(f"{name} {version(name)}")
        except PackageNotFoundError:
            click.echo(text("version_absent", lang, name=name))
