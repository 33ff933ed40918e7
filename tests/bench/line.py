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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.children import BenchError, Child, broker, module, running
from tests.bench.site import WIDTH, Site

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


def measure(site: Site, loop: str, *, warm_s: int, window_s: int) -> Figures:
    """Run the whole line once."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        folder = Path(name)
        plant_argv = module(
            "plant", "--type", site.type, "--changing", site.changing,
            "--delay-ms", site.delay_ms,
        )  # fmt: skip
        with (
            broker(folder) as broker_port,
            running(plant_argv, folder / "plant.err") as plant,
            running(module("subscriber", broker_port), folder / "subscriber.err") as subscriber,
        ):
            subscriber.answer()
            file = folder / "gateway.yaml"
            journal = folder / "journal"
            port = int(plant.answer()["port"])
            file.write_text(
                site.yaml(plant_port=port, broker_port=broker_port, journal=journal)
            )
            argv = [sys.executable, "-c", agent_code(loop), "run", "-c", str(file)]
            with running(argv, folder / "agent.err", talks=False) as agent:
                start_s = _started(agent, subscriber)
                time.sleep(warm_s)
                return _watch(site, loop, agent, plant, subscriber, window_s, start_s)


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


def _watch(
    site: Site,
    loop: str,
    agent: Child,
    plant: Child,
    subscriber: Child,
    window_s: int,
    start_s: float,
) -> Figures:
    before, served, begun = agent.cpu_s(), plant.ask()["registers"], time.monotonic()
    subscriber.ask()
    time.sleep(window_s)
    told, after, end = subscriber.ask(), agent.cpu_s(), time.monotonic()
    readings = (plant.ask()["registers"] - served) / WIDTH[site.type]
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
        delivered=told["readings"] / readings,
        resident_mb=resident,
        peak_mb=peak,
        p50_ms=told["p50_ms"],
        p99_ms=told["p99_ms"],
        max_ms=told["max_ms"],
        messages_s=told["messages"] / seconds,
        overruns=told["overruns"],
        start_s=start_s,
    )
