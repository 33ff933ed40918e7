"""``tidegate schema``: what may stand in a configuration, for editors and for people."""

from __future__ import annotations

import json

import click

from gateway.cli.options import any_lang_option, format_option
from gateway.cli.spoken import Verb


@click.command("schema", cls=Verb, help="help_schema")
@format_option("json", "markdown", help="option_schema_format")
@any_lang_option
def command(form: str) -> None:
    """Print the JSON Schema of the configuration, or a table of its keys."""
    from gateway.schema import reference, schema

    if form == "markdown":
        click.echo(reference(), nl=False)
    else:
        click.echo(json.dumps(schema(), indent=1, ensure_ascii=False))
