"""``tidegate init``: a commented file to begin with."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

from gateway.cli.options import FILE, fail, lang_option
from gateway.cli.spoken import Verb
from gateway.messages import text


@click.command("init", cls=Verb, help="help_init")
@click.option(
    "--out",
    type=FILE,
    metavar="FILE",
    default="gateway.yaml",
    show_default=True,
    help="option_init_out",
)
@lang_option
def command(out: Path, lang: str) -> None:
    """Write a commented starter file; one that is there is never touched."""
    starter = files("gateway.cli").joinpath(f"starter.{lang}.yaml").read_bytes()
    try:
        with out.open("xb") as file:
            file.write(starter)
    except FileExistsError:
        fail(text("init_exists", lang, file=out))
    except OSError as error:
        fail(text("init_unwritable", lang, file=out, reason=error))
    click.echo(text("init_written", lang, file=out))
