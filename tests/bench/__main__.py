"""The bench: ``python -m tests.bench [--quick] [--only NAME] [--json FILE]``.

    stages    CPU of each stage alone
    disk      the journal's writes
    line      end to end, 100,000 tags
    memory    1,000 and 10,000 tags
    opcua     5,000 OPC UA changes a second, end to end
    accepted  as many readings a second as one agent takes (not with --quick)
    latency   D of 20 ms, and a plant that takes 10 ms for each answer
    catch-up  after a broker that stood still (not with --quick unless asked for)
    backlog   a start behind ten million readings, over a link of 1 Mbit/s
    full      the same with 1 GiB of journal, full (not with --quick)

Use a machine that does nothing else; two cores are enough.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench import backlog, catch_up, disk, line, stages, table
from tests.bench.backlog import Life
from tests.bench.catch_up import CatchUp
from tests.bench.disk import Commits
from tests.bench.line import Figures
from tests.bench.site import PER_BLOCK, WIDTH, Site
from tests.loopback import mosquitto

SECTIONS = (
    *("stages", "disk", "line", "memory", "opcua", "latency"),
    *("accepted", "catch-up", "backlog", "full"),
)
_SLOW = ("accepted", "catch-up", "full")
"""Not with ``--quick`` unless asked for."""
TYPES = tuple(WIDTH)
_MANY = Site(tags=400_000, journal="512MiB")
"""More than one agent can poll on a core."""
_GIB_READINGS = 330_000_000
"""What 1 GiB of journal holds, and somewhat more, so that it is full."""
_SLOW_CONNECTIONS = 2
"""A unit has 80 blocks a second: with answers of 10 ms one socket would be full."""

_STILL_S = 16
"""The broker stands still; an acknowledgement is given up after 20 s."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    quick: bool

    @property
    def warm_s(self) -> int:
        return 3 if self.quick else 5

    @property
    def window_s(self) -> int:
        return 5 if self.quick else 10

    @property
    def effort(self) -> stages.Effort:
        return stages.Effort(3, 5, 1500, 150) if self.quick else stages.Effort()

    def life(self, section: str) -> backlog.Effort:
        """A start with a backlog."""
        if section == "full":
            return backlog.Effort(_GIB_READINGS, "1GiB", slow_s=30.0, fast_s=20.0)
        slow_s, fast_s = (20.0, 8.0) if self.quick else (120.0, 180.0)
        return backlog.Effort(10_000_000, "128MiB", slow_s, fast_s)

    @property
    def loops(self) -> list[str]:
        every = list(stages.runners())
        return every[-1:] if self.quick else every

    def runs(self, section: str) -> Iterator[tuple[Site, str]]:
        """The end-to-end runs of one section."""
        best = self.loops[-1]
        if section == "line":
            changes = (1.0,) if self.quick else (1.0, 0.01)
            for kind in TYPES:
                for changing in changes:
                    for loop in self.loops:
                        yield Site(type=kind, changing=changing), loop
        elif section == "memory":
            for tags in (1_000,) if self.quick else (1_000, 10_000):
                yield Site(tags=tags), best
        elif section == "opcua":
            for loop in self.loops:
                yield Site(tags=5_000, type="float64", protocol="opcua"), loop
        elif section == "latency":
            yield from self._latency(best)

    def _latency(self, loop: str) -> Iterator[tuple[Site, str]]:
        yield Site(tags=10_000, commit_ms=20), loop
        if self.quick:
            return
        yield Site(commit_ms=20), loop
        yield Site(delay_ms=10, connections=_SLOW_CONNECTIONS), loop
        yield Site(delay_ms=10, connections=_SLOW_CONNECTIONS, commit_ms=20), loop


def main() -> None:
    """Measure, print tables, and say how it stands with the marks."""
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under 90 s, less exact")
    parser.add_argument("--only", choices=SECTIONS, action="append")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    plan = Plan(options.quick)
    usual = [name for name in SECTIONS if not (options.quick and name in _SLOW)]
    wanted = options.only or usual
    found: dict[str, Any] = {"machine": machine()}
    table.say(f"{found['machine']}\n")
    if "stages" in wanted:
        found["stages"] = _stages(plan)
    commits = _disk(plan, found) if "disk" in wanted else []
    runs = _runs(plan, [name for name in SECTIONS if name in wanted])
    found["runs"] = [run.as_dict() for run in runs]
    if "accepted" in wanted:
        found["accepted"] = _accepted(plan).as_dict()
    catch_ups = _catch_up(plan) if "catch-up" in wanted else []
    found["catch-up"] = [asdict(each) for each in catch_ups]
    lives = [_life(plan, name) for name in ("backlog", "full") if name in wanted]
    found["lives"] = [asdict(life) for life in lives]
    table.marks(runs, catch_ups, commits, lives)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


def machine() -> str:
    """What it was measured on."""
    broker = mosquitto() or "the simulated broker (no mosquitto here)"
    return (
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}, "
        f"{platform.machine()}, broker: {broker}, "
        f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"
    )


def _stages(plan: Plan) -> dict[str, dict[str, float]]:
    """ns per reading of each stage, by kind of plant."""
    found = {}
    for kind in TYPES:
        for changing in (1.0, 0.01):
            tags = 10_000 // WIDTH[kind]
            site = Site(tags, kind, changing)
            found[table.kind(site)] = stages.measure(site, plan.effort)
    table.stages(found, PER_BLOCK)
    return found


def _disk(plan: Plan, found: dict[str, Any]) -> list[Commits]:
    seconds = 2.0 if plan.quick else 5.0
    paces = [(250, 800), (250, 8), (20, 800), (250, None)]
    writes = [asyncio.run(disk.measure(ms, seconds, pace)) for ms, pace in paces]
    table.disk(writes)
    sizes = [(24, 976), (68, disk.RECORD_BYTES), (1, 976)]
    commits = [disk.measure_commits(*size, seconds) for size in sizes]
    table.commits(commits)
    found["disk"] = [asdict(each) for each in writes]
    found["commits"] = [asdict(each) for each in commits]
    return commits


def _life(plan: Plan, section: str) -> Life:
    life = backlog.measure(plan.life(section), plan.loops[-1])
    table.backlog(life)
    return life


def _runs(plan: Plan, sections: list[str]) -> list[Figures]:
    found = []
    todo = [run for section in sections for run in plan.runs(section)]
    if todo:
        table.runs_head()
    for site, loop in todo:
        figures = line.measure(site, loop, warm_s=plan.warm_s, window_s=plan.window_s)
        table.run(figures)
        found.append(figures)
    return found


def _accepted(plan: Plan) -> Figures:
    best = plan.loops[-1]
    figures = line.measure(_MANY, best, warm_s=plan.warm_s, window_s=plan.window_s)
    table.accepted(figures)
    return figures


def _catch_up(plan: Plan) -> list[CatchUp]:
    found = []
    table.catch_up_head(_STILL_S)
    for kind in TYPES:
        site = Site(type=kind, journal="96MiB")
        each = catch_up.measure(site, plan.loops[-1], warm_s=plan.warm_s, still_s=_STILL_S)
        table.catch_up(each)
        found.append(each)
    return found


if __name__ == "__main__":
    main()
