"""``tidegate plan``: what will be asked of which device, and what that costs. Offline."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.options import (
    EX_CONFIG,
    config_option,
    format_option,
    lang_option,
    planned_or_exit,
    site_or_exit,
)
from gateway.cli.spoken import Number, Verb
from gateway.cli.table import Line, show_table
from gateway.messages import text

if TYPE_CHECKING:
    from gateway.forecast import JournalForecast, LinkForecast, RequestForecast
    from gateway.loader import Site


@click.command("plan", cls=Verb, help="help_plan")
@config_option
@click.option(
    "--round-trip",
    "round_trip_ms",
    type=Number(0.1, 60_000),
    default=5.0,
    show_default=True,
    metavar="MS",
    help="option_round_trip",
)
@format_option("text", "json", help="option_format")
@lang_option
def command(file: Path, round_trip_ms: float, form: str, lang: str) -> None:
    """Show what will be asked of which device, and whether it can work."""
    site = site_or_exit(file, lang)
    from gateway.forecast import Assumptions, forecast_journal, forecast_link

    assumed = Assumptions(round_trip_s=round_trip_ms / 1000)
    links = [forecast_link(link, assumed) for link in planned_or_exit(site, file, lang)]
    config = site.config.journal
    journal = forecast_journal(links, size=config.size, commit_s=config.commit)
    problems = [problem for link in links for problem in _problems(link, lang)]
    if form == "json":
        report = _report(site, links, journal, problems)
        report["assumed"] = {"round_trip_s": assumed.round_trip_s}
        click.echo(json.dumps(report, ensure_ascii=False, indent=1))
    else:
        _tell(links, journal, lang)
        click.echo(text("plan_assumed", lang, ms=f"{round_trip_ms:g}"))
        for problem in problems:
            click.echo(problem["message"], err=True)
    sys.exit(EX_CONFIG if any(problem["severity"] == "error" for problem in problems) else 0)


def _problems(link: LinkForecast, lang: str) -> list[dict[str, str]]:
    from gateway.forecast import FULL

    if link.utilisation > 1:
        return [_problem("plan_overload", "error", link, _overload(link, lang), lang)]
    slow = [
        _problem("plan_slow_request", "error", link, _slow(request), lang)
        for request in link.too_slow
    ]
    if slow or link.utilisation <= FULL:
        return slow
    return [_problem("plan_tight", "warning", link, _overload(link, lang), lang)]


def _problem(
    code: str, severity: str, link: LinkForecast, fields: dict[str, object], lang: str
) -> dict[str, str]:
    told = text(code, lang, link=link.name, **fields)
    word = text(f"severity_{severity}", lang)
    return {
        "code": code,
        "severity": severity,
        "link": link.name,
        "message": f"{word}: {told}",
    }


def _overload(link: LinkForecast, lang: str) -> dict[str, object]:
    from gateway.notation import duration

    remedies = [
        text(
            "plan_remedy_interval",
            lang,
            factor=f"{link.stretch:g}",
            before=duration(link.shortest_s),
            after=duration(round(link.shortest_s * link.stretch, 3)),
        )
    ]
    if link.connections_needed is not None and link.connections_needed > link.connections:
        remedies.append(text("plan_remedy_connections", lang, count=link.connections_needed))
    if len(link.requests) > 1:
        remedies.append(text("plan_remedy_blocks", lang, requests=len(link.requests)))
    return {
        "needed": f"{link.load:.2g}",
        "given": link.usable,
        "requests": len(link.requests),
        "remedies": text("plan_or", lang).join(remedies),
    }


def _slow(request: RequestForecast) -> dict[str, object]:
    from gateway.notation import duration

    return {
        "device": request.device,
        "request": request.what,
        "time": milliseconds(request.time_s),
        "interval": duration(request.interval_s),
    }


def _tell(links: list[LinkForecast], journal: JournalForecast, lang: str) -> None:
    if not links:
        click.echo(text("plan_nothing", lang))
    heads = [text(f"head_{word}", lang) for word in _HEADS]
    for link in links:
        title = text(
            "plan_link",
            lang,
            link=link.name,
            requests=len(link.requests),
            connections=link.connections,
            load=f"{link.load:.2g}",
            percent=f"{link.utilisation:.0%}",
        )
        colour = "" if link.works else "red"
        show_table(title, heads, [Line(_cells(request), colour) for request in link.requests])
        fields = {"timeout": milliseconds(link.timeout_s), "device": link.slowest}
        fields["wait"] = milliseconds(link.worst_wait_s)
        click.echo(text("plan_silent", lang, **fields))
    _tell_journal(journal, lang)


_HEADS = ("device", "request", "tags", "registers", "interval", "bus_time", "record")


def _cells(request: RequestForecast) -> list[str]:
    from gateway.notation import duration

    return [
        request.device,
        request.what or "-",
        str(request.tags),
        "-" if request.registers is None else str(request.registers),
        duration(request.interval_s),
        milliseconds(request.time_s),
        f"{request.record_bytes} B",
    ]


def _tell_journal(journal: JournalForecast, lang: str) -> None:
    rates = {
        "most": amount(journal.bytes_per_day),
        "least": amount(journal.quiet_bytes_per_day),
    }
    click.echo(text("plan_journal", lang, **rates))
    times = {"hours": span(journal.hours, lang), "quiet_hours": span(journal.quiet_hours, lang)}
    click.echo(text("plan_buffer", lang, size=amount(journal.size), **times))
    wear = {
        "per_year": amount(journal.flash_bytes_per_year),
        "times": f"{journal.overwrites_per_year:.0f}",
        "commits": f"{journal.commits_per_s:.3g}",
    }
    click.echo(text("plan_wear", lang, **wear))


def milliseconds(seconds: float) -> str:
    """``5.3 ms``, or ``2.5 s`` from a second on."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def amount(count: float) -> str:
    """Bytes as disks are sold, in powers of ten: ``1.5 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB" if count < 1000 else f"{count:,.0f} TB"


def span(hours: float | None, lang: str) -> str:
    """Hours, or days from three on."""
    if hours is None:
        return "∞"
    if hours < 72:
        return text("span_hours", lang, count=f"{hours:.3g}")
    return text("span_days", lang, count=f"{hours / 24:,.0f}")


def _report(
    site: Site,
    links: list[LinkForecast],
    journal: JournalForecast,
    problems: list[dict[str, str]],
) -> dict[str, Any]:
    return {
        "config": site.fingerprint,
        "good": not any(problem["severity"] == "error" for problem in problems),
        "problems": problems,
        "links": [_link_report(link) for link in links],
        "journal": {
            "records_per_s": journal.records_per_s,
            "bytes_per_day": round(journal.bytes_per_day),
            "quiet_bytes_per_day": round(journal.quiet_bytes_per_day),
            "size": journal.size,
            "hours": journal.hours,
            "quiet_hours": journal.quiet_hours,
            "flash_bytes_per_year": round(journal.flash_bytes_per_year),
            "overwrites_per_year": round(journal.overwrites_per_year, 1),
        },
    }


def _link_report(link: LinkForecast) -> dict[str, Any]:
    return {
        "link": link.name,
        "connections": link.connections,
        "bus_s_per_s": round(link.load, 6),
        "utilisation": round(link.utilisation, 6),
        "worst_wait_s": round(link.worst_wait_s, 6),
        "requests": [
            {
                "device": request.device,
                "request": request.what,
                "tags": request.tags,
                "registers": request.registers,
                "interval_s": request.interval_s,
                "bus_s": round(request.time_s, 6),
                "record_bytes": request.record_bytes,
            }
            for request in link.requests
        ],
    }
