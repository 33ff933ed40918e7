"""A broker that stands still for a while: how fast the backlog goes, and what polling loses.

The broker is stopped with its connections open (SIGSTOP) and goes on some seconds later.
From then on, second by second: readings polled, readings delivered, gaps of missed polls.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.bench.line import cast
from tests.bench.site import WIDTH, Site


@dataclass(frozen=True)
class CatchUp:
    """What happened after the broker went on."""

    site: Site
    loop: str
    backlog: int
    """Readings that waited."""
    seconds: float
    """Until as much had been delivered as was polled."""
    times_live: float
    """Readings delivered meanwhile, over those polled at the usual rate."""
    polled: float
    """Readings polled meanwhile, over those that were due."""
    overruns: int
    """Gap records of polls that could not be made in time, from the thaw to the end."""


def measure(site: Site, loop: str, *, warm_s: int, still_s: int, limit_s: int = 30) -> CatchUp:
    """Freeze the broker for ``still_s`` (less than the 20 s an acknowledgement may take)."""
    with cast(site, loop) as playing:
        broker, plant, subscriber, agent, _ = playing
        time.sleep(warm_s)
        subscriber.ask()
        first = _polled(plant.ask(), site)
        broker.freeze()
        time.sleep(still_s)
        thawed, polled = time.monotonic(), _polled(plant.ask(), site)
        broker.thaw()
        delivered = overruns = 0
        while time.monotonic() - thawed < limit_s:
            time.sleep(0.1)
            told, now = subscriber.ask(), _polled(plant.ask(), site)
            delivered += told["readings"]
            overruns += told["overruns"]
            # What waits for its commit is no backlog.
            if delivered >= (now - first) - site.tags * 0.5:
                break
        took = time.monotonic() - thawed
        agent.check()
        time.sleep(1.0)
        overruns += subscriber.ask()["overruns"]
    due = site.tags * took
    return CatchUp(
        site, loop, round(polled - first), took, delivered / due, (now - polled) / due, overruns
    )


def _polled(told: dict[str, int], site: Site) -> float:
    return told["registers"] / WIDTH[site.type]
