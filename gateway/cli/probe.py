"""``tidegate probe``: every tag once, and what came. Publishes nothing, opens no journal."""

from __future__ import annotations

import asyncio
import difflib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from gateway.cli.interrupt import until_interrupted
from gateway.cli.options import (
    EX_UNAVAILABLE,
    EX_USAGE,
    config_option,
    fail,
    format_option,
    lang_option,
    planned_or_exit,
    run_loop,
    site_or_exit,
)
from gateway.cli.spoken import Verb, interrupted
from gateway.cli.table import Line, show_table
from gateway.messages import text

if TYPE_CHECKING:
    from gateway.cli.reading_once import Finding, LinkProbe, Selection
    from gateway.loader import Site
    from gateway.model import Scalar
    from gateway.planning import PlannedLink


@click.command("probe", cls=Verb, help="help_probe")
@click.argument("what", metavar="[LINK[/DEVICE[/TAG]]]", default="", help="argument_what")
@config_option
@format_option("text", "json", help="option_format")
@lang_option
def command(what: str, file: Path, form: str, lang: str) -> None:
    """Connect, read every tag once, and show what came."""
    site = site_or_exit(file, lang)
    selection = select(site, what, lang)
    planned = planned_or_exit(site, file, lang)
    links = [link for link in planned if selection.link in ("", link.site.config.name)]
    findings, stopped = _look(links, selection, lang)
    if form == "json":
        click.echo(json.dumps(_report(findings), ensure_ascii=False, indent=1))
    else:
        _tell(findings, file, lang)
    if stopped:
        interrupted(lang)
    if findings and not any(finding.answered for finding in findings):
        fail(text("probe_unreachable", lang), EX_UNAVAILABLE)


def select(site: Site, what: str, lang: str) -> Selection:
    """What ``LINK/DEVICE/TAG`` means in ``site``; ends the program at an unknown name."""
    from gateway.cli.reading_once import Selection

    link, device, tag = [*what.split("/", 2), "", ""][:3]
    if not link:
        return Selection()
    tags = {of.config.name: of.tags for of in site.links}
    if link not in tags:
        _unknown(text("unknown_link", lang, name=link), link, tags, lang)
    devices = [of.name for site_link in site.links for of in site_link.config.devices
               if site_link.config.name == link]  # fmt: skip
    if device and device not in devices:
        told = text("unknown_device", lang, link=link, name=device)
        _unknown(told, device, devices, lang)
    names = [of.name for of in tags[link] if of.device == device]
    if tag and tag not in names:
        _unknown(text("unknown_tag", lang, device=device, name=tag), tag, names, lang)
    return Selection(link, device, tag)


def _unknown(
    told: str, name: str, known: Sequence[str] | dict[str, Any], lang: str
) -> NoReturn:
    near = difflib.get_close_matches(name, known, n=1)
    fail(text("did_you_mean", lang, told=told, word=near[0]) if near else told, EX_USAGE)


def _look(
    links: Sequence[PlannedLink], selection: Selection, lang: str
) -> tuple[list[Finding], bool]:
    """What was found, in the order written, and whether Ctrl-C ended it."""
    from gateway.cli.reading_once import LinkProbe
    from gateway.clock import Clock

    clock, stopped = Clock(), False
    with _progress(links, selection, lang) as on_block:
        probes = [
            LinkProbe(
                link.site.config.name,
                link.drivers[0],
                link.site.tags,
                selection,
                clock,
                on_block=on_block,
                not_asked=lambda device: text("probe_not_asked", lang, device=device),
                lang=lang,
            )
            for link in links
        ]

        async def look() -> None:
            nonlocal stopped
            stopped = await until_interrupted(_all(probes))

        run_loop(look())
    missing = text("probe_stopped", lang)
    return [finding for probe in probes for finding in probe.findings(missing)], stopped


async def _all(probes: Sequence[LinkProbe]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for probe in probes:
            tasks.create_task(probe.run())


@contextmanager
def _progress(
    links: Sequence[PlannedLink], selection: Selection, lang: str
) -> Iterator[Callable[[int], None]]:
    """Counts settled tags; a bar on stderr, and nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda tags: None
        return
    from rich.console import Console
    from rich.progress import Progress

    total = sum(
        len(block.tags)
        for link in links
        for block in link.blocks
        if any(map(selection.takes, block.tags))
    )
    names = ", ".join(link.site.config.name for link in links)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(text("probe_progress", lang, link=names), total=total)
        yield lambda tags: progress.advance(task, tags)


_HEADS = ("link", "device", "tag", "raw", "value", "unit", "quality", "ms", "reason")


def _tell(findings: Sequence[Finding], file: Path, lang: str) -> None:
    if not findings:
        click.echo(text("probe_nothing", lang))
        return
    title = text("probe_title", lang, file=file)
    heads = [text(f"head_{word}", lang) for word in _HEADS]
    show_table(title, heads, [Line(_cells(found), _colour(found)) for found in findings])
    click.echo(text("probe_summary", lang, **_counts(findings)))


def _cells(found: Finding) -> list[str]:
    return [
        found.link,
        found.tag.device,
        found.tag.name,
        shown(found.raw),
        shown(found.value),
        found.tag.unit,
        found.quality.word,
        "-" if found.ms is None else f"{found.ms:.1f}",
        found.reason,
    ]


def _colour(found: Finding) -> str:
    from gateway.model import Quality

    if found.quality >= Quality.BAD:
        return "red"
    return "yellow" if found.quality >= Quality.UNCERTAIN else ""


def shown(value: Scalar) -> str:
    """A value as people read it: ``-`` for none, floats in six digits."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    from gateway.model import Quality

    good = sum(found.quality == Quality.GOOD for found in findings)
    answered = sum(found.answered for found in findings)
    return {
        "tags": len(findings),
        "good": good,
        "bad": answered - good,
        "silent": len(findings) - answered,
    }


def _report(findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        **_counts(findings),
        "readings": [
            {
                "link": found.link,
                "device": found.tag.device,
                "tag": found.tag.name,
                "raw": found.raw,
                "value": found.value,
                "unit": found.tag.unit,
                "quality": found.quality.word,
                "ms": None if found.ms is None else round(found.ms, 3),
                "answered": found.answered,
                "reason": found.reason,
            }
            for found in findings
        ],
    }
