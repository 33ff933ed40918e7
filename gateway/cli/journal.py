"""``tidegate journal stat|verify|export``: what is on disk, without stopping the agent."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.options import (
    FILE,
    any_lang_option,
    config_option,
    fail,
    lang_option,
    site_or_exit,
)
from gateway.cli.spoken import OneOf, Verb, Verbs, lang_of
from gateway.messages import text, told
from gateway.model import Lane

if TYPE_CHECKING:
    from gateway.journal.format import Frame
    from gateway.journal.look import Look
    from gateway.record import Layout


class _Instant(click.ParamType[int]):
    """An RFC 3339 time, in UTC where it names no zone; Unix nanoseconds."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail(text("usage_time", lang_of(ctx), value=value), param, ctx)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return int(at.timestamp() * 1e6) * 1000


@click.group("journal", cls=Verbs, help="help_journal")
@any_lang_option
def command() -> None:
    """Look at the journal on disk. The agent may be running; nothing is changed."""


def _look(file: Path, path: Path | None, lang: str) -> Look:
    from gateway.errors import JournalError
    from gateway.journal.look import Look

    try:
        return Look(path or Path(site_or_exit(file, lang).config.journal.path))
    except JournalError as error:
        fail(told(error, lang))


_path_option = click.option(
    "--path",
    type=FILE,
    metavar="FOLDER",
    help="option_path",
)


@command.command("stat", cls=Verb, help="help_journal_stat")
@config_option
@_path_option
@lang_option
def stat(file: Path, path: Path | None, lang: str) -> None:
    """Say what each lane holds, how much of it is not delivered, and what was given up."""
    look = _look(file, path, lang)
    for lane in Lane:
        records = readings = waiting = evicted = count = 0
        times: list[int] = []
        for seen in look.segments(lane):
            count += 1
            evicted += seen.evicted
            number = seen.header.number if seen.header else 0
            for frame in seen.frames:
                records += 1
                readings += frame.readings
                waiting += (number << 32 | frame.end) > look.settled(lane)
                times.append(frame.time_ns)
        since = _time(min(times)) if times else "–"
        until = _time(max(times)) if times else "–"
        click.echo(
            text(
                "journal_lane", lang, lane=lane.value, segments=count, records=records,
                readings=readings, waiting=waiting, retained=records - waiting,
                evicted=evicted, since=since, until=until,
            )
        )  # fmt: skip
    names = ", ".join(look.quarantined())
    if names:
        click.echo(text("journal_quarantine", lang, names=names))


@command.command("verify", cls=Verb, help="help_journal_verify")
@config_option
@_path_option
@lang_option
def verify(file: Path, path: Path | None, lang: str) -> None:
    """Read every frame and check it. Exit code 0: whole. 1: damaged; each place is named."""
    look, damaged, count = _look(file, path, lang), 0, 0
    for lane in Lane:
        for seen in _with_progress(look, lane):
            count += 1
            damaged += bool(seen.faults)
            for code in seen.faults:
                click.echo(f"{seen.path}: {text(code, lang)}")
    click.echo(text("journal_verified", lang, segments=count, damaged=damaged), err=True)
    sys.exit(1 if damaged else 0)


@command.command("export", cls=Verb, help="help_journal_export")
@config_option
@_path_option
@click.option("--since", type=_Instant(), help="option_since")
@click.option("--until", type=_Instant(), help="option_until")
@click.option("--device", "devices", multiple=True, metavar="NAME", help="option_device")
@click.option(
    "--lane", "lanes", multiple=True, type=OneOf([lane.value for lane in Lane]),
    help="option_lane",
)  # fmt: skip
@lang_option
def export(
    file: Path, path: Path | None, since: int | None, until: int | None,
    devices: tuple[str, ...], lanes: tuple[str, ...], lang: str,
) -> None:  # fmt: skip
    """Print the records on disk, delivered ones too, as one JSON object a line."""
    look = _look(file, path, lang)
    layouts: dict[int, list[Layout] | None] = {}
    unreadable = 0
    for lane in (Lane(name) for name in lanes) if lanes else Lane:
        for seen in _with_progress(look, lane):
            for frame in seen.frames:
                device = frame.name.decode()
                if not (since or 0) <= frame.time_ns <= (until or 1 << 63):
                    continue
                if devices and device not in devices:
                    continue
                line = _line(look, lane, frame, layouts)
                unreadable += line is None
                if line is not None:
                    click.echo(line)
    if unreadable:
        fail(text("journal_export_unreadable", lang, records=unreadable))


def _line(
    look: Look, lane: Lane, frame: Frame, layouts: dict[int, list[Layout] | None]
) -> str | None:
    """One record as the platform would get it, with its key; None: it cannot be read."""
    from msgspec import MsgspecError

    from gateway.dialects.json import encode_record
    from gateway.errors import JournalError
    from gateway.record import decode, decode_schema

    if frame.schema not in layouts:
        try:
            layouts[frame.schema] = decode_schema(look.schema(frame.schema))
        except (JournalError, MsgspecError, OSError):
            layouts[frame.schema] = None
    known = layouts[frame.schema]
    if known is None or frame.payload is None:
        return None
    try:
        record = encode_record(frame.seq, decode(frame.payload, known)).decode()
    except ValueError:
        return None
    key = {"lane": lane.value, "device": frame.name.decode()}
    head = json.dumps({**key, "incarnation": frame.incarnation.hex()})
    return f"{head[:-1]}, {record[1:]}}}"


def _with_progress(look: Look, lane: Lane) -> Iterator[Any]:
    """The segments of ``lane``; a bar on stderr where that is a terminal, else silence."""
    paths = look.paths(lane)
    if not sys.stderr.isatty():
        yield from filter(None, map(look.segment, paths))
        return
    with click.progressbar(paths, label=lane.value, file=sys.stderr) as bar:
        yield from filter(None, map(look.segment, bar))


def _time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
