"""Figures as people read them, and the marks they are held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import NamedTuple

from tests.bench.backlog import Life, Watched
from tests.bench.catch_up import CatchUp
from tests.bench.disk import HEAD_BYTES, READINGS, Commits, Writes
from tests.bench.line import Figures
from tests.bench.site import Site

CPU_US = 2.0
"""Per int16 reading, all values changing, end to end."""
CORE = 0.25
"""Of one core, at 100,000 readings a second."""
OPCUA_CORE = 0.10
"""Of one core, at 5,000 OPC UA changes a second."""
RESIDENT_MB = {1_000: 60.0, 100_000: 200.0}
MARGIN_MS = 50.0
"""Latency p99 beyond D."""
AMPLIFICATION = 1.1
"""Bytes the device is sent, over those of commits of 24 KiB."""
FLUSHES = 1.05
"""Per commit; beside them one a second for the cursor, and those of a new segment."""
ALARM_MS = 500.0
"""p99 over the slow link, behind a backlog."""
LEAST_TIMES_LIVE = 10.0
READY_S = 10.0
GROWN_MB = 8.0
"""What the later half of a life may need more than the earlier one."""
_PAGES = 24 * 1024
_RUN = (
    "{:8} {:>8} {:>5} {:>6} {:>6} {:8} {:>7} {:>6} {:>10} {:>6} {:>6} {:>7} {:>7} {:>6} {:>6}"
)

_CATCH_UP = "{:8} {:>9} {:>6} {:>7} {:>7} {:>13}"


def say(text: str) -> None:
    """One line, at once, so that a long bench can be watched."""
    print(text, flush=True)


def kind(site: Site) -> str:
    """``int16``, ``int16 1 %``."""
    return site.type + (
        "" if site.changing == 1 else f" {site.changing:.0%}".replace("%", " %")
    )


def stages(found: Mapping[str, Mapping[str, float]], per_block: Mapping[str, int]) -> None:
    """A row per stage, a column per kind of plant."""
    widths = ", ".join(f"{count} {name}" for name, count in per_block.items())
    say(f"Stages: ns of CPU per reading, blocks of {widths}; 1 %: so many values change")
    say(f"{'':20}" + "".join(f"{name:>13}" for name in found))
    for stage in next(iter(found.values())):
        say(f"{stage:20}" + "".join(f"{column[stage]:13.1f}" for column in found.values()))
    say("")


def disk(found: Sequence[Writes]) -> None:
    """A row per pace."""
    say(f"Journal: records of {READINGS} int16; writes as multiples of the records' own bytes")
    say("(device: all that this machine wrote meanwhile)")
    form = "{:>6} {:>10} {:>12} {:>10} {:>8} {:>8} {:>8} {:>8} {:>13}"
    say(
        form.format(
            "D ms",
            "records/s",
            "readings/s",
            "commits/s",
            "last ms",
            "pwrite",
            "pages",
            "device",
            "CPU us/record",
        )
    )
    for row in found:
        device = "-" if row.device is None else f"{row.device:.2f}"
        say(
            form.format(
                row.commit_ms,
                f"{row.records_s:.0f}",
                f"{row.records_s * READINGS:.0f}",
                f"{row.commits_s:.1f}",
                f"{row.commit_ms_taken:.1f}",
                f"{row.pwrite:.2f}",
                f"{row.pages:.2f}",
                device,
                f"{row.cpu_us:.1f}",
            )
        )
    say("")


def commits(found: Sequence[Commits]) -> None:
    """A row per size of commit."""
    say("Journal, one commit after the other: append, commit; x: over the records, the commits")
    form = "{:>12} {:>12} {:>10} {:>12} {:>10} {:>8} {:>8} {:>8} {:>8} {:>13}"
    heads = ("commit bytes", "record bytes", "records/s", "MB/s", "commits/s", "flushes")
    say(form.format(*heads, "pwrite x", "device x", "flushes", "CPU us/record"))
    for row in found:
        say(
            form.format(
                row.commit_bytes,
                row.record_bytes,
                f"{row.records_s:.0f}",
                f"{row.commit_bytes * row.commits_s / 1e6:.1f}",
                f"{row.commits_s:.1f}",
                f"{row.flushes:.2f}",
                f"{row.pwrite:.2f}",
                "-" if row.device is None else f"{row.device:.2f}",
                "-" if row.device_flushes is None else f"{row.device_flushes:.2f}",
                f"{row.cpu_us:.1f}",
            )
        )
    say("")


def backlog(life: Life) -> None:
    """A paragraph."""
    filled, resident = life.filled, life.resident_mb
    rate = filled.readings / filled.seconds
    say(
        f"\nBacklog: {filled.readings / 1e6:.0f} million readings in {filled.records} records, "
        f"{filled.bytes >> 20} MiB of a journal of {life.journal} "
        f"(written in {filled.seconds:.0f} s: {rate:.0f} readings/s)"
    )
    say(
        f"  READY after {life.ready_s:.1f} s, first poll {life.polled_after_s:.2f} s later; "
        f"resident {resident[0]:.0f} MB, at the end {resident[-1]:.0f}, "
        f"at most {max(resident):.0f}"
    )
    form = "  {:8} {:>6} {:>9} {:>10} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>8} {:>8}"
    heads = ("s", "polled/s", "deliv./s", "x live", "kB/s", "alarms", "p50 ms", "p99 ms")
    say(form.format("link", *heads, "max", "latest", "overruns"))
    for name, row in (("1 Mbit/s", life.slow), ("open", life.fast)):
        say(form.format(name, *_watched(row)))


def _watched(row: Watched) -> Sequence[str]:
    return (
        f"{row.seconds:.0f}",
        f"{row.polled_s:.0f}",
        f"{row.delivered_s:.0f}",
        f"{row.times_live:.1f}",
        f"{row.bytes_s / 1e3:.0f}",
        f"{row.alarms}",
        _ms(row.p50_ms),
        _ms(row.p99_ms),
        _ms(row.max_ms),
        f"{row.latest}",
        f"{row.overruns}",
    )


def runs_head() -> None:
    """The heads of the columns of `run`."""
    say("End to end at 1 s: the agent's own CPU; ms from the device's reply to a subscriber")
    say(
        _RUN.format(
            "type",
            "tags",
            "new",
            "D ms",
            "ans ms",
            "loop",
            "us/rdg",
            "core%",
            "rdg/s/core",
            "MB",
            "peak",
            "p50 ms",
            "p99 ms",
            "max",
            "start",
        )
    )


def run(f: Figures) -> None:
    """One row."""
    site = f.site
    say(
        _RUN.format(
            site.type,
            site.tags,
            f"{site.changing:.0%}",
            site.commit_ms,
            site.delay_ms,
            f.loop,
            f"{f.cpu_us:.2f}",
            f"{f.core * 100:.1f}",
            f"{1e6 / f.cpu_us:.0f}" if f.cpu_us else "-",
            f"{f.resident_mb:.0f}",
            f"{f.peak_mb:.0f}",
            _ms(f.p50_ms),
            _ms(f.p99_ms),
            _ms(f.max_ms),
            f"{f.start_s:.1f}",
        )
        + (f"  {f.overruns} overruns" if f.overruns else "")
        + _undelivered(f)
    )


def accepted(f: Figures) -> None:
    """A line."""
    say(
        f"\nAccepted: {f.readings_s:.0f} readings/s of {f.site.tags} that were due, "
        f"{f.core:.0%} of a core ({f.readings_s / f.core:.0f}/s on a whole one), "
        f"{f.overruns} overrun gaps, {f.resident_mb:.0f} MB"
    )


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _undelivered(f: Figures) -> str:
    """Said when all readings are reported and fewer arrived than the plant served."""
    missing = f.site.changing == 1 and abs(f.delivered - 1) > 0.05
    return f"  {f.delivered:.0%} delivered" if missing else ""


def catch_up_head(still_s: int) -> None:
    """The heads of the columns of `catch_up`."""
    say(f"\nCatch-up: 100,000 tags at 1 s, after a broker that stood still for {still_s} s")
    say(_CATCH_UP.format("type", "backlog", "s", "x live", "polled", "overrun gaps"))


def catch_up(found: CatchUp) -> None:
    """One row."""
    say(
        _CATCH_UP.format(
            found.site.type,
            found.backlog,
            "-" if found.seconds is None else f"{found.seconds:.1f}",
            "-" if found.times_live is None else f"{found.times_live:.1f}",
            f"{found.polled:.0%}",
            found.overruns,
        )
    )


class Verdict(NamedTuple):
    """A figure and its mark."""

    text: str
    value: float
    limit: float
    is_least: bool = False
    """The figure is to reach its mark, not to keep below it."""

    @property
    def is_met(self) -> bool:
        """Whether the figure is what the mark wants."""
        return self.value >= self.limit if self.is_least else self.value <= self.limit


def marks(
    runs: Sequence[Figures],
    catch_ups: Sequence[CatchUp],
    commits: Sequence[Commits] = (),
    lives: Sequence[Life] = (),
) -> None:
    """Each mark that was measured, and whether it is met."""
    judged = [verdict for f in runs for verdict in _verdicts(f)]
    judged += [
        Verdict(f"overruns in catch-up, {each.site.type}", each.overruns, 0.0)
        for each in catch_ups
    ]
    judged += [verdict for row in commits for verdict in _of_commits(row)]
    judged += [verdict for life in lives for verdict in _of_life(life)]
    if judged:
        say("\nMarks")
    for each in judged:
        word = "met " if each.is_met else "MISSED"
        say(f"  {word}  {each.text}: {each.value:.2f} of {each.limit:g}")


def _of_commits(row: Commits) -> Iterator[Verdict]:
    if row.commit_bytes < 0.95 * _PAGES or row.device is None:
        return
    name = f"commits of 24 KiB, records of {row.record_bytes} bytes"
    yield Verdict(f"flushes per commit, {name}", row.flushes, FLUSHES)
    if (row.record_bytes + HEAD_BYTES) % 1024 == 0:  # whole pages, or the last is sent twice
        yield Verdict(f"write amplification, {name}", row.device, AMPLIFICATION)


def _of_life(life: Life) -> Iterator[Verdict]:
    name = f"{life.filled.readings / 1e6:.0f} million readings, {life.filled.bytes >> 20} MiB"
    yield Verdict(f"s to READY, {name}", life.ready_s, READY_S)
    yield Verdict(f"s from READY to the first poll, {name}", life.polled_after_s, 1.0)
    yield Verdict(f"alarm p99 ms, 1 Mbit/s, {name}", life.slow.p99_ms or inf, ALARM_MS)
    yield Verdict(f"messages on latest, {name}", life.slow.latest, 1, is_least=True)
    yield Verdict(f"overruns, {name}", life.slow.overruns + life.fast.overruns, 0)
    least = LEAST_TIMES_LIVE
    yield Verdict(f"catch-up, x live, {name}", life.fast.times_live, least, is_least=True)
    yield Verdict(f"MB grown, {name}", life.grown_mb, GROWN_MB)


def _verdicts(f: Figures) -> list[Verdict]:
    site = f.site
    name = f"{kind(site)}, {site.tags} tags, D {site.commit_ms} ms, {f.loop}"
    found = list[Verdict]()
    if site.type == "int16" and site.changing == 1 and site.tags == 100_000:
        found.append(Verdict(f"CPU us per reading, {name}", f.cpu_us, CPU_US))
        found.append(Verdict(f"share of a core, {name}", f.core, CORE))
    if site.protocol == "opcua":
        found.append(Verdict(f"share of a core, OPC UA, {name}", f.core, OPCUA_CORE))
    if site.changing == 1 and site.tags in RESIDENT_MB:
        found.append(Verdict(f"MB resident, {name}", f.resident_mb, RESIDENT_MB[site.tags]))
    if site.changing == 1 and not site.delay_ms and f.p99_ms is not None:
        found.append(Verdict(f"p99 ms, {name}", f.p99_ms, site.commit_ms + MARGIN_MS))
    return found
