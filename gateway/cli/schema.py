"""``tidegate schema``: what may stand in a configuration, for editors and for people."""

from __future__ import annotations

import json

import click


@click.command("schema")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "markdown"]),
    default="json",
    show_default=True,
    help="json: JSON Schema for editors. markdown: a table of every key.",
)
def command(form: str) -> None:
    """Print the JSON Schema of the configuration, with the keys of all installed drivers.

    Begin a file with `# yaml-language-server: $schema=gateway.schema.json` to use it.
    """
    from gateway.schema import reference, schema

    if form == "markdown":
        click.echo(reference(), nl=False)
    else:
        click.echo(json.dumps(schema(), indent=1, ensure_ascii=False))
