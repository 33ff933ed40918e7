"""Tables for people: drawn on a terminal, plain columns anywhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import click

from gateway.cli.spoken import columns


class Line(NamedTuple):
    """One row; ``style`` is a colour of rich, used on a terminal only."""

    cells: Sequence[str]
    style: str = ""


def coloured(words: str, colour: str) -> str:
    """``words`` in a colour of click, where stdout is a terminal that may be coloured."""
    if not colour or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return words
    return click.style(words, fg=colour)


def show_table(title: str, heads: Sequence[str], lines: Iterable[Line]) -> None:
    """Print a table to stdout; without colour where ``NO_COLOR`` is set."""
    if sys.stdout.isatty():
        _draw(title, heads, lines)
    else:
        click.echo(title)
        for text in _aligned([heads, *(line.cells for line in lines)]):
            click.echo(text)


def _draw(title: str, heads: Sequence[str], lines: Iterable[Line]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for head in heads:
        table.add_column(head, overflow="fold")
    for line in lines:
        table.add_row(*(Text(cell) for cell in line.cells), style=line.style)
    Console(highlight=False).print(table)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(
            cell + " " * (width - columns(cell))
            for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
