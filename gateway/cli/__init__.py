"""The command line. Each verb lives in its own module, imported when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from gateway.cli.options import any_lang_option
from gateway.cli.spoken import Verbs

VERBS: Final = (
    *("init", "run", "check", "plan", "probe", "simulate"),
    *("demo", "tap", "journal", "schema", "version"),
)
"""In the order of the help page."""


class _Modules(Verbs):
    """Loads a verb's module only when that verb is used, so that help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"gateway.cli.{cmd_name}").command
        return command


@click.command(
    cls=_Modules, help="help", context_settings={"help_option_names": ["-h", "--help"]}
)
@any_lang_option
@click.version_option(
    package_name="tidegate",
    prog_name="tidegate",
    message="%(prog)s %(version)s",
    help="option_version",
)
def main() -> None:
    """``tidegate``."""
