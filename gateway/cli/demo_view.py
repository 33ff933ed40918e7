"""The demo's picture: devices, the way to the broker, and what the platform sees."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.cli.demo_stage import Alarmed, Log, Shown, Stage
from gateway.dialects import wire
from gateway.messages import text
from gateway.model import Scalar

SHOWN_TAGS = 4
SHOWN_ALARMS = 4


def view(stage: Stage, log: Log, lang: str) -> RenderableType:
    """One picture of now."""
    return Group(
        _devices(stage, lang),
        _way(stage, lang),
        *(_alarm_line(alarmed, lang) for alarmed in _newest(stage.platform.alarms)),
        *(Text(f"  {line}", style="yellow") for line in _gap_lines(stage, lang)),
        *(Text.from_ansi(f"  {line}") for line in log.lines),
        Text(text("demo_keys", lang), style="dim"),
    )


def _devices(stage: Stage, lang: str) -> Table:
    table = Table(title=text("demo_title", lang), title_style="bold", expand=True)
    table.add_column(text("demo_device", lang), no_wrap=True, min_width=9)
    table.add_column(text("demo_time", lang), no_wrap=True, min_width=12)
    table.add_column(text("demo_values", lang), no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(text("demo_fault", lang), no_wrap=True, min_width=7)
    for link in stage.site.links:
        for device in link.config.devices:
            shown = stage.platform.devices.get(device.name, Shown())
            fault = stage.faults.get(device.name, "")
            table.add_row(device.name, shown.time[11:23], _values(shown), fault)
    return table


def _values(shown: Shown) -> str:
    """The first few tags, those that are not good with their quality."""
    parts = [
        " ".join((name, _short(value), shown.quality.get(name, ""))).rstrip()
        for name, value in list(shown.values.items())[:SHOWN_TAGS]
    ]
    more = len(shown.values) - len(parts)
    return "  ".join(parts) + (f"  +{more}" if more > 0 else "")


def _short(value: Scalar) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _way(stage: Stage, lang: str) -> Table:
    """The line from the journal to the platform, in numbers."""
    seen = stage.platform.continuity
    grid = Table.grid(padding=(0, 3))
    broker = text("demo_broker_on" if stage.broker_up else "demo_broker_off", lang)
    backlog = stage.agent.backlog() if stage.agent else 0
    grid.add_row(
        Text(broker, style="green" if stage.broker_up else "bold red"),
        text("demo_backlog", lang, records=backlog),
        text("demo_delivered", lang, readings=seen.readings),
        Text(f"lost={seen.missing}", style="bold red" if seen.missing else "green"),
        f"duplicates={seen.duplicates}",
        f"gaps={seen.gaps}",
        text("demo_alarms", lang, count=len(stage.platform.active)),
    )
    return grid


def _newest(alarms: Iterable[Alarmed]) -> list[Alarmed]:
    """The last few by the time they happened: after an outage they come in another order."""
    return sorted(alarms, key=lambda alarmed: alarmed.time)[-SHOWN_ALARMS:]


def _alarm_line(alarmed: Alarmed, lang: str) -> Text:
    """What happened to which alarm, and how much older data came behind it."""
    alarm = alarmed.alarm
    what = f"{alarmed.device}  {alarm.tag} {alarm.level} {alarm.state}"
    value = f"{_short(alarm.value)} ({_short(alarm.limit)}) {alarm.unit}"
    words = f"  {text('demo_alarm', lang)}  {what}  {value}  {alarmed.time[11:23]}"
    if alarmed.overtook:
        words += "  " + text("demo_overtook", lang, readings=alarmed.overtook)
    return Text(words, style="bold red" if alarm.state == "active" else "green")


def _gap_lines(stage: Stage, lang: str) -> list[str]:
    return [_gap_line(device, gap, lang) for device, gap in list(stage.platform.gaps)[-4:]]


def _gap_line(device: str, gap: wire.Gap, lang: str) -> str:
    end = "…" if gap.to is None else gap.to[11:19]
    count = "" if gap.count is None else gap.count
    return (
        f"{text('demo_gap', lang)}  {device}  {gap.cause}  {gap.from_[11:19]} – {end}  {count}"
    )
