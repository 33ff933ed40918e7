"""An agent that starts with a large backlog: what is alarming comes first, all the same.

    plant ─► agent ─► link of 1 Mbit/s ─► mosquitto ─► subscriber

The journal is filled beforehand (`fill`). Then, in one life of the agent:

* the time to READY=1 and to the first poll;
* over the slow link: alarms by their age (from the device's reply to the subscriber), the
  messages on ``latest``, readings;
* over a link that is as fast as it goes: readings delivered over readings polled;
* its resident memory all along.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.children import BenchError, Child, broker, module, running
from tests.bench.fill import Filled, fill
from tests.bench.line import agent_code
from tests.bench.site import WIDTH, Site
from tests.bench.subscriber import SO_FAR

LINK_BYTES_S = 125_000
"""1 Mbit/s."""
SITE = Site(tags=1_000, registers=100, high=20_000, catch_up=100)
"""Ten devices of 100 tags, of which one has a limit; with noise some four alarms are raised
or cleared each second. Live it takes a fifth of the slow link."""
_READY_S = 60.0
_SETTLE_S = 8.0
"""A backlog begins up to 5 s after the connection stands (`gateway.pace`)."""
_SAMPLE_S = 0.5


@dataclass(frozen=True)
class Effort:
    """How large the backlog, and how long it is watched."""

    readings: int
    journal: str
    """Size of the journal."""
    slow_s: float
    fast_s: float
    """At the longest: it ends when the backlog has gone."""


@dataclass(frozen=True)
class Watched:
    """Some time of the life of an agent with a backlog."""

    seconds: float
    polled_s: float
    delivered_s: float
    """Readings a second."""
    alarms: int
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    """Age of an alarm when it arrives."""
    latest: int
    """Messages."""
    bytes_s: float
    overruns: int

    @property
    def times_live(self) -> float:
        """Readings delivered, over those polled."""
        return self.delivered_s / self.polled_s if self.polled_s else 0.0


@dataclass(frozen=True)
class Life:
    """One life of the agent."""

    filled: Filled
    journal: str
    ready_s: float
    """From exec to READY=1."""
    polled_after_s: float
    """From READY=1 to the first answer of the plant."""
    slow: Watched
    fast: Watched
    resident_mb: list[float]
    """Every half second, from READY=1 on."""

    @property
    def grown_mb(self) -> float:
        """What the second half of its life needed more than the first."""
        half = len(self.resident_mb) // 2
        return max(self.resident_mb[half:]) - max(self.resident_mb[:half])


class Cast(NamedTuple):
    """The processes, all of them at work."""

    plant: Child
    subscriber: Child
    relay: Child
    agent: Child
    notified: socket.socket
    """What the agent tells systemd."""


def measure(effort: Effort, loop: str) -> Life:
    """Fill a journal, start an agent on it, and watch."""
    site = replace(SITE, journal=effort.journal)
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        folder = Path(name)
        filled = asyncio.run(fill(site, folder / "journal", effort.readings))
        with _cast(site, loop, folder) as playing:
            begun, memory = time.monotonic(), list[float]()
            _await_ready(playing)
            ready_at = time.monotonic()
            while not _registers(playing):
                time.sleep(0.01)
            polled_after_s = time.monotonic() - ready_at
            _watch(playing, _SETTLE_S, memory)
            slow = _watch(playing, effort.slow_s, memory)
            playing.relay.ask(json.dumps({"do": "rate", "bytes_s": None}))
            fast = _watch(playing, effort.fast_s, memory, backlog=filled.readings)
            playing.agent.check()
    return Life(filled, effort.journal, ready_at - begun, polled_after_s, slow, fast, memory)


@contextmanager
def _cast(site: Site, loop: str, folder: Path) -> Iterator[Cast]:
    """All processes, the agent just begun."""
    with ExitStack() as stack:
        port, _ = stack.enter_context(broker(folder))
        argv = module("plant", "--type", site.type)
        plant = stack.enter_context(running(argv, folder / "plant.err"))
        argv = module("subscriber", port)
        subscriber = stack.enter_context(running(argv, folder / "subscriber.err"))
        subscriber.answer()
        argv = [sys.executable, "-m", "tests.faults.relay", "--to", str(port)]
        relay = stack.enter_context(running(argv, folder / "relay.err"))
        file, relayed = folder / "gateway.yaml", int(relay.answer()["port"])
        relay.ask(json.dumps({"do": "rate", "bytes_s": LINK_BYTES_S}))
        served = int(plant.answer()["port"])
        journal = folder / "journal"
        file.write_text(site.yaml(plant_port=served, broker_port=relayed, journal=journal))
        ready = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        ready.bind(str(folder / "notify"))
        argv = [sys.executable, "-c", agent_code(loop), "run", "-c", str(file)]
        env = {"NOTIFY_SOCKET": str(folder / "notify")}
        agent = running(argv, folder / "agent.err", talks=False, env=env)
        yield Cast(plant, subscriber, relay, stack.enter_context(agent), ready)


def _await_ready(playing: Cast) -> None:
    """Return when READY=1 is said."""
    playing.notified.settimeout(_READY_S)
    try:
        while not playing.notified.recv(4096).startswith(b"READY=1"):
            continue
    except TimeoutError as error:
        raise BenchError(f"not ready: {playing.agent.tail()}") from error


def _listen(playing: Cast) -> None:
    """Take what was told meanwhile: whoever tells would wait for room."""
    playing.notified.setblocking(False)
    with suppress(BlockingIOError):
        while playing.notified.recv(4096):
            continue


def _registers(playing: Cast) -> int:
    served: int = playing.plant.ask()["registers"]
    return served


def _watch(
    playing: Cast, seconds: float, memory: list[float], backlog: float = float("inf")
) -> Watched:
    """What happens in ``seconds``, or until ``backlog`` readings have arrived."""
    playing.subscriber.ask()
    begun, before = time.monotonic(), _registers(playing)
    told: dict[str, Any] = {"readings": 0}
    while time.monotonic() - begun < seconds and told["readings"] < backlog:
        time.sleep(_SAMPLE_S)
        _listen(playing)
        memory.append(playing.agent.resident_mb()[0])
        told = playing.subscriber.ask(SO_FAR)
    took = time.monotonic() - begun
    return Watched(
        took,
        polled_s=(_registers(playing) - before) / took / WIDTH[SITE.type],
        delivered_s=told["readings"] / took,
        alarms=told["alarms"],
        p50_ms=told["alarm_p50_ms"],
        p99_ms=told["alarm_p99_ms"],
        max_ms=told["alarm_max_ms"],
        latest=told["latest"],
        bytes_s=told["bytes"] / took,
        overruns=told["overruns"],
    )
