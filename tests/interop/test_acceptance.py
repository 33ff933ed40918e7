"""Ten thousand registers from libmodbus to mosquitto, through everything that goes wrong.

The server is C, the broker is Debian's; the recorder and the checker never ask the agent.
With ``SOAK=1`` outages last a minute and the agent is killed fifty times.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import require_program
from tests.faults.acts import quiet
from tests.faults.brokers import Mosquitto
from tests.faults.catalogue import FAULTS
from tests.faults.encoding import Function
from tests.faults.fault import DOWN, Fault
from tests.faults.run import Row, perform
from tests.faults.site import Series, Site
from tests.faults.stage import Stage
from tests.loopback import mosquitto

pytestmark = [pytest.mark.peer, pytest.mark.timeout(900)]

SOAK = os.environ.get("SOAK") == "1"
OUTAGE_S = 60.0 if SOAK else 12.0
KILLS = 50 if SOAK else 6
UNITS, REGISTERS = 10, 1000
SITE = Site(
    units=tuple(range(1, UNITS + 1)),
    series=(Series("r", Function.HOLDING, 0, REGISTERS),),
    interval_s=1.0,
    timeout_s=1.0,
    journal_mib=256,
)

Plant = Callable[[Path], Sequence[str]]


@pytest.fixture(scope="session")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """The C plant, compiled."""
    for name in ("cc", "pkg-config"):
        require_program(name)
    require_program("libmodbus", found=_pkg_config("--exists").returncode == 0)
    require_program("mosquitto", found=mosquitto() is not None)
    program = tmp_path_factory.mktemp("plant") / "plant"
    flags = _pkg_config("--cflags", "--libs").stdout.split()
    source = Path(__file__).with_name("plant.c")
    compile_ = ["cc", "-O2", "-Wall", "-o", str(program), str(source), *flags]
    subprocess.run(compile_, check=True, timeout=60)
    return lambda log: [str(program), str(log), "250", "1", str(UNITS), str(REGISTERS)]


def _pkg_config(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["pkg-config", *options, "libmodbus"], capture_output=True, text=True, check=False
    )


def accepted(fault: Fault, plant: Plant, directory: Path, seconds: float) -> Row:
    """A run at full size that has to keep every law."""
    fault = replace(fault, site=SITE, broker=Mosquitto, drain_s=60.0)
    row = perform(fault, directory, seed=random.randrange(10**6), seconds=seconds, plant=plant)
    print(row.text())
    assert row.passed, row.text()
    assert row.verdict.counts["readings"] >= UNITS * REGISTERS * int(seconds / 2)
    return row


def test_every_delivered_value_is_what_the_server_held(plant: Plant, tmp_path: Path) -> None:
    row = accepted(Fault("quiet", "nothing", quiet), plant, tmp_path, 60.0 if SOAK else 15.0)
    assert row.verdict.counts["duplicates"] == 0


def test_a_broker_that_restarts_costs_nothing(plant: Plant, tmp_path: Path) -> None:
    accepted(FAULTS["restart"], plant, tmp_path, OUTAGE_S + 2.0)


@pytest.mark.parametrize("name", ["M1", "sigterm_in_outage", "kill_in_outage"])
def test_an_outage_is_caught_up_in_order_after(name: str, plant: Plant, tmp_path: Path) -> None:
    accepted(FAULTS[name], plant, tmp_path, OUTAGE_S + 2.0)


def test_kills_at_random_moments_lose_nothing_durable(plant: Plant, tmp_path: Path) -> None:
    def kills(stage: Stage, rng: random.Random, _seconds: float) -> None:
        for _ in range(KILLS):
            stage.wait(rng.uniform(0.5, 4.0))
            stage.kill()
            time.sleep(rng.uniform(0.0, 0.5))
            stage.start()

    fault = Fault("kills", f"kill -9, {KILLS} times", kills, DOWN, DOWN)
    row = accepted(fault, plant, tmp_path, KILLS * 1.0)
    assert row.verdict.counts["incarnations"] > KILLS / 2
