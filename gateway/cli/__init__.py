"""The command line. Each verb lives in its own module, imported when it is used."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import Final

import click

VERBS: Final = {
    "init": "Write a commented file to begin with.",
    "run": "Run the agent in the foreground, as systemd does.",
    "check": "Name every mistake in a configuration.",
    "plan": "Show what will be asked of which device.",
    "probe": "Read every tag once and show what came.",
    "simulate": "Serve the devices of a configuration on loopback.",
    "demo": "Show the whole line at work, with no hardware.",
    "tap": "Listen on the platform's side of the broker.",
    "journal": "Look at what is on disk, without stopping the agent.",
    "schema": "Print the JSON Schema of the configuration.",
    "version": "Print versions.",
}
"""Verb → what it does; also the order of the help page."""

_EPILOG = """
\b
Examples:
  tidegate demo                      see it work, nothing to set up
  tidegate check -c gateway.yaml     find mistakes before going on site
  tidegate probe tank-farm/tk101     read one device once
  tidegate run -c gateway.yaml       run the agent
"""


class _Verbs(click.Group):
    """Loads a verb's module only when that verb is used, so that help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"gateway.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS:
            near = difflib.get_close_matches(args[0], VERBS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such verb '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.command(
    cls=_Verbs,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="tidegate", prog_name="tidegate")
def main() -> None:
    """Edge gateway: polls PLCs, journals every reading, publishes over MQTT.

    It cannot write to a device. Exit codes: 0 done, 1 failed, 2 wrong usage, 69 device
    unreachable, 78 wrong configuration.
    """
