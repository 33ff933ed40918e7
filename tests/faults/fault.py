"""What one fault is: how it is injected, and what may be seen of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.brokers import Loopback, Mosquitto
from tests.faults.encoding import Function
from tests.faults.plant import HOSTILE
from tests.faults.site import ALARMING, Series, Site
from tests.faults.stage import Stage

Act = Callable[[Stage, random.Random, float], None]

SITE = Site()
SLOW = Site(interval_s=1.0)
"""Time enough for an agent that reads a file to know what time it is (libfaketime)."""
SMALL = Site(journal_mib=32)
"""A journal whose pool is soon reserved in full."""
ALARMS = Site(series=ALARMING)
WIDE = Site(
    units=(1, 2, 3, 4, 5),
    series=(Series("q", Function.INPUT, 20_000, 1000),),
    interval_s=0.2,
    journal_mib=40,
)
FLOOD = Site(
    units=(1, 2),
    series=(Series("h", Function.HOLDING, 0, 1000, high=60_000),),
    interval_s=1.0,
    journal_mib=64,
)
"""A tag in twenty changes its alarm at each poll."""
LIARS = Site(units=tuple(range(1, 2 + len(HOSTILE))))
"""Unit 1 is honest; of the others each can tell one kind of lie."""
DOWN = frozenset({"not_running_unclean", "not_running_clean", "uncommitted_window"})
UNANSWERED = frozenset({"device_timeout", "late_reply_discarded", "poll_overrun"})
REJECTED = UNANSWERED | {"protocol_violation", "device_exception"}
QUARANTINED = frozenset({"quarantined"})
CORRUPT = frozenset({"journal_corrupt"})
REFUSED = UNANSWERED | {"device_refused", "device_exception"}


@dataclass(frozen=True)
class Fault:
    """One thing that happens to a running agent."""

    name: str
    injected: str
    act: Act
    causes: frozenset[str] = frozenset()
    """Causes a gap of this run may have; any other is a finding."""
    needs: frozenset[str] = frozenset()
    """At least one of these must be seen, or the fault was not injected."""
    site: Site = SITE
    broker: type[Mosquitto] | type[Loopback] | None = None
    """None: any."""
    receive_maximum: int | None = None
    seconds: float = 8.0
    """How long the act takes unless told otherwise."""
    drain_s: float = 30.0
    prepare: Callable[[Stage], None] | None = None
    """Done before the agent starts."""
    requires: tuple[str, ...] = ()
    """Rigs of the machine, by their names in `tests.faults.rigs`."""
    excused: frozenset[str] = frozenset()
    """Laws this fault makes it impossible to keep, for a reason its row states."""
    must_break: frozenset[str] = frozenset()
    """A negative control: unless one of these laws is seen broken, the rig proves nothing."""
