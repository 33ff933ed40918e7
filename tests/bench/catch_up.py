"""A broker that stands still for a while: how fast the backlog goes, and what polling loses.

The broker is stopped with its connections open (SIGSTOP) and goes on some seconds later.
From then on, second by second: readings polled, readings delivered, gaps of missed polls.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.bench.line import Cast, cast
from tests.bench.site import WIDTH, Site

WATCH_S = 8
"""Whole seconds, because polls come in bursts each second."""


@dataclass(frozen=True)
class CatchUp:
    """What happened in `WATCH_S` after the broker went on."""

    site: Site
    loop: str
    backlog: int
    """Readings that waited."""
    seconds: float | None
    """Until as much had been delivered as was polled; None: longer than was watched."""
    times_live: float | None
    """Readings delivered until then, over those that were due until then."""
    polled: float
    """Readings polled, over those that were due."""
    overruns: int
    """Gap records of polls that could not be made in time."""


def measure(site: Site, loop: str, *, warm_s: int, still_s: int) -> CatchUp:
    """Freeze the broker for ``still_s`` (less than the 20 s an acknowledgement may take)."""
    with cast(site, loop) as playing:
        time.sleep(warm_s)
        playing.subscriber.ask()
        first = _polled(playing, site)
        playing.broker.freeze()
        time.sleep(still_s)
        begun, before = time.monotonic(), _polled(playing, site)
        playing.broker.thaw()
        delivered = overruns = 0
        caught_up_s: float | None = None
        times_live: float | None = None
        while time.monotonic() - begun < WATCH_S:
            time.sleep(0.1)
            told = playing.subscriber.ask()
            delivered += told["readings"]
            overruns += told["overruns"]
            # What waits for its commit is no backlog.
            waiting = _polled(playing, site) - first - delivered
            if caught_up_s is None and waiting < site.tags * 0.5:
                caught_up_s = time.monotonic() - begun
                times_live = delivered / (site.tags * caught_up_s)
        polled = _polled(playing, site) - before
        playing.agent.check()
    backlog = round(before - first)
    share = polled / (site.tags * WATCH_S)
    return CatchUp(site, loop, backlog, caught_up_s, times_live, share, overruns)


def _polled(playing: Cast, site: Site) -> float:
    """Readings the plant has served."""
    served: int = playing.plant.ask()["registers"]
    return served / WIDTH[site.type]
