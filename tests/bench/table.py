"""Figures as people read them, and the marks they are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.bench.catch_up import CatchUp
from tests.bench.device import COMMIT_BYTES, PAUSE_S, OnDevice
from tests.bench.disk import READINGS, Writes
from tests.bench.line import Figures
from tests.bench.site import Site

CPU_US = 2.0
"""Per int16 reading, all values changing, end to end."""
CORE = 0.25
"""Of one core, at 100,000 readings a second."""
OPCUA_CORE = 0.10
"""Of one core, at 5,000 OPC UA changes a second."""
RESIDENT_MB = {1_000: 60.0, 100_000: 200.0}
AMPLIFICATION = 1.1
"""Bytes the device writes for each byte of a frame, at commits of 24 KiB."""
MARGIN_MS = 50.0
"""Latency p99 beyond D."""
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


def device(found: Sequence[OnDevice]) -> None:
    """A row per size of the file system's blocks, against the mark."""
    say(f"Device: commits of {COMMIT_BYTES >> 10} KiB, one each {PAUSE_S * 1000:.0f} ms, on an")
    say("ext4 of their own; written: per byte of a frame, flushes: per commit")
    say(f"{'block':>6} {'commits':>8} {'written':>8} {'flushes':>8}")
    for row in found:
        met = "met" if row.amplification <= AMPLIFICATION else f"mark {AMPLIFICATION} missed"
        say(
            f"{row.block_bytes:>6} {row.commits:>8} {row.amplification:>8.2f}"
            f" {row.flushes_per_commit:>8.2f}   {met}"
        )
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


def marks(runs: Sequence[Figures], catch_ups: Sequence[CatchUp]) -> None:
    """Each mark that was measured, and whether it is met."""
    judged = [verdict for f in runs for verdict in _verdicts(f)]
    judged += [
        (f"overruns in catch-up, {each.site.type}", each.overruns, 0.0) for each in catch_ups
    ]
    if judged:
        say("\nMarks")
    for text, value, limit in judged:
        say(f"  {'met ' if value <= limit else 'MISSED'}  {text}: {value:.2f} of {limit:g}")


def _verdicts(f: Figures) -> list[tuple[str, float, float]]:
    site = f.site
    name = f"{kind(site)}, {site.tags} tags, D {site.commit_ms} ms, {f.loop}"
    found = []
    if site.type == "int16" and site.changing == 1 and site.tags == 100_000:
        found.append((f"CPU us per reading, {name}", f.cpu_us, CPU_US))
        found.append((f"share of a core, {name}", f.core, CORE))
    if site.protocol == "opcua":
        found.append((f"share of a core, OPC UA, {name}", f.core, OPCUA_CORE))
    if site.changing == 1 and site.tags in RESIDENT_MB:
        found.append((f"MB resident, {name}", f.resident_mb, RESIDENT_MB[site.tags]))
    if site.changing == 1 and not site.delay_ms and f.p99_ms is not None:
        found.append((f"p99 ms, {name}", f.p99_ms, site.commit_ms + MARGIN_MS))
    return found
