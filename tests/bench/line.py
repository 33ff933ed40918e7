"""End to end: plant → agent → mosquitto → subscriber, each in a process of its own.

What is measured in a window of whole seconds, after a warm-up:

* CPU: utime + stime of the agent alone, all its threads, over the readings the plant
  served in the window. A reading is a value taken from the plant, reported or not.
* Latency: from the reply as the agent stamped it (``mono[1]``) to the record's arrival at
  a subscriber. It stands in for the PUBACK, which mosquitto sends in the same turn.
* Memory: VmRSS of the agent at the end of the window, and its peak (VmHWM).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.children import BenchError, Child, broker, module, running
from tests.bench.site import Site

_ON_ASYNCIO = "import sys; sys.modules['uvloop'] = None\n"
_AGENT = "from gateway.cli import main; main(prog_name='tidegate')"
_START_S = 60.0


@dataclass(frozen=True)
class Figures:
    """What one run showed."""

    site: Site
    loop: str
    cpu_us: float
    """Per reading."""
    core: float
    """Share of one core."""
    readings_s: float
    delivered: float
    """Readings that arrived, over those the plant served."""
    resident_mb: float
    peak_mb: float
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    messages_s: float
    overruns: int
    """Gap records of polls that were due and could not be made in time."""
    start_s: float
    """From exec to the first reading that arrived."""

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


class Cast(NamedTuple):
    """The processes of one run, all of them at work."""

    broker: Child
    plant: Child
    subscriber: Child
    agent: Child
    start_s: float


@contextmanager
def cast(site: Site, loop: str) -> Iterator[Cast]:
    """Everything running, from the moment the first reading has arrived."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        broker_port, mqtt = stack.enter_context(broker(folder))
        plant = stack.enter_context(running(module(*site.plant), folder / "plant.err"))
        argv = module("subscriber", broker_port)
        subscriber = stack.enter_context(running(argv, folder / "subscriber.err"))
        subscriber.answer()
        file, port = folder / "gateway.yaml", int(plant.answer()["port"])
        journal = folder / "journal"
        file.write_text(site.yaml(plant_port=port, broker_port=broker_port, journal=journal))
        argv = [sys.executable, "-c", agent_code(loop), "run", "-c", str(file)]
        agent = stack.enter_context(running(argv, folder / "agent.err", talks=False))
        yield Cast(mqtt, plant, subscriber, agent, _started(agent, subscriber))


def measure(site: Site, loop: str, *, warm_s: int, window_s: int) -> Figures:
    """Run the whole line once."""
    with cast(site, loop) as playing:
        time.sleep(warm_s)
        return _watch(site, loop, playing, window_s)


def agent_code(loop: str) -> str:
    """``tidegate`` for ``python -c``; on asyncio uvloop cannot be imported."""
    return (_ON_ASYNCIO if loop == "asyncio" else "") + _AGENT


def _started(agent: Child, subscriber: Child) -> float:
    """Wait for the first reading; seconds since the call."""
    begun = time.monotonic()
    while not subscriber.ask()["readings"]:
        agent.check()
        if time.monotonic() - begun > _START_S:
            raise BenchError(f"nothing arrives: {agent.tail()}")
        time.sleep(0.05)
    return time.monotonic() - begun


def _watch(site: Site, loop: str, playing: Cast, window_s: int) -> Figures:
    _, plant, subscriber, agent, start_s = playing
    before, served, begun = agent.cpu_s(), plant.ask()["registers"], time.monotonic()
    subscriber.ask()
    time.sleep(window_s)
    told, after, end = subscriber.ask(), agent.cpu_s(), time.monotonic()
    readings = (plant.ask()["registers"] - served) / site.width
    agent.check()
    if not readings:
        raise BenchError(f"nothing was read: {agent.tail()}")
    cpu_s, seconds = after - before, end - begun
    resident, peak = agent.resident_mb()
    return Figures(
        site,
        loop,
        cpu_us=cpu_s / readings * 1e6,
        core=cpu_s / seconds,
        readings_s=readings / seconds,
        delivered=told["readings"] / site.words_per_reading / readings,
        resident_mb=resident,
        peak_mb=peak,
        p50_ms=told["p50_ms"],
        p99_ms=told["p99_ms"],
        max_ms=told["max_ms"],
        messages_s=told["messages"] / seconds,
        overruns=told["overruns"],
        start_s=start_s,
    )
