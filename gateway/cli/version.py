"""``tidegate version``: what is installed here."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import click

_PARTS = ("pymodbus", "asyncua", "paho-mqtt", "pydantic", "structlog", "msgspec", "uvloop")


@click.command("version")
def command() -> None:
    """Print the versions of tidegate and of what it stands on."""
    click.echo(f"tidegate {version('tidegate')}")
    click.echo(f"python {platform.python_version()} on {platform.platform()}")
    for name in _PARTS:
        try:
            click.echo(f"{name} {version(name)}")
        except PackageNotFoundError:
            click.echo(f"{name} not installed")
