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
BAR_CELLS = 24
FULL_BAR = 300
"""Records that fill the bar of the buffer, until more have waited."""
LATE_S = 3.0


def view(stage: Stage, log: Log, lang: str) -> RenderableType:
    """One picture of now."""
    return Group(
        _devices(stage, lang),
        _way(stage, lang),
        *(_alarm_line(alarmed, lang) for alarmed in _newest(stage.platform.alarms)),
        *(Text(f"  {line}", style="yellow") for line in _gap_lines(stage, lang)),
        *(_log_line(line) for line in log.lines),
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


def _way(stage: Stage, lang: str) -> Group:
    """The line from the journal to the platform: the buffer, then what arrived."""
    seen, waiting = stage.platform.continuity, stage.waiting()
    broker = text("demo_broker_on" if stage.broker_up else "demo_broker_off", lang)
    arrived = [shown.time for shown in stage.platform.devices.values()]
    lag_s = stage.platform.age_s(max(arrived)) if arrived else 0.0
    filled = -(-BAR_CELLS * waiting // max(stage.most_waiting, FULL_BAR))
    buffer = Text.assemble(
        (broker, "green" if stage.broker_up else "bold red"),
        "   ",
        ("█" * filled, "yellow"),
        ("░" * (BAR_CELLS - filled), "dim"),
        " ",
        text("demo_backlog", lang, records=waiting),
        "   ",
        (text("demo_lag", lang, seconds=f"{lag_s:.1f}"), "yellow" if lag_s > LATE_S else ""),
    )
    arrivals = Text.assemble(
        text("demo_delivered", lang, readings=seen.readings),
        "   ",
        (f"lost={seen.missing}", "bold red" if seen.missing else "green"),
        f"   duplicates={seen.duplicates}   gaps={seen.gaps}   ",
        text("demo_alarms", lang, count=len(stage.platform.active)),
    )
    return Group(buffer, arrivals)


def _log_line(line: str) -> Text:
    """One line of the log, cut where the screen ends, without the date."""
    told = Text.from_ansi(f"  {line.partition('T')[2] or line}", no_wrap=True)
    told.overflow = "ellipsis"
    return told


def _newest(alarms: Iterable[Alarmed]) -> list[Alarmed]:
    """The last few by the time they happened: after an outage they come in another order."""
    return sorted(alarms, key=lambda alarmed: alarmed.time)[-SHOWN_ALARMS:]


def _alarm_line(alarmed: Alarmed, lang: str) -> Text:
    """What happened to which alarm, and how much older data came behind it."""
    alarm = alarmed.alarm
    what = f"{alarmed.device}  {alarm.tag} {alarm.level} {alarm.state}"
    value = f"{_short(alarm.value)} ({_short(alarm.limit)}) {alarm.unit}"
    words = f"  {text('demo_alarm', lang)}  {what}  {value}  {alarmed.time[11:23]}"
    words += "  " + text("demo_took", lang, seconds=f"{alarmed.took_s:.1f}")
    if alarmed.overtook:
        words += "  " + text("demo_overtook", lang, readings=alarmed.overtook)
    style = "bold red" if alarm.state == "active" else "green"
    return Text(words, style=style, no_wrap=True, overflow="ellipsis")


def _gap_lines(stage: Stage, lang: str) -> list[str]:
    return [_gap_line(device, gap, lang) for device, gap in list(stage.platform.gaps)[-4:]]


def _gap_line(device: str, gap: wire.Gap, lang: str) -> str:
    end = "…" if gap.to is None else gap.to[11:19]
    count = "" if gap.count is None else gap.count
    return (
        f"{text('demo_gap', lang)}  {device}  {gap.cause}  {gap.from_[11:19]} – {end}  {count}"
    )
