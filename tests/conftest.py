"""What many tests share: programs that none of us wrote."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from gateway.simulation.broker import Broker

# How fast a machine is proves nothing about the code: a busy one fails no test by that.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")
# What decides whether work lands tries the same examples each time; people's runs new ones.
settings.register_profile("ci", derandomize=True, database=None)
# A mutation is to be noticed, not explained: no search for the smallest example.
settings.register_profile("mutants", phases=(Phase.explicit, Phase.generate), database=None)
if os.environ.get("REQUIRE_PEERS") == "1":
    settings.load_profile("ci")

_ABSENT = "is not installed"


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    """A loopback broker that runs."""
    broker = Broker()
    await broker.start()
    yield broker
    await broker.stop()


def require_program(name: str, *, found: bool | None = None) -> str:
    """The path of a program; without it the test is skipped, naming it.

    With ``REQUIRE_PEERS=1`` a missing program fails the test instead, so that a machine
    that should have it cannot hide that it has not. ``found`` says whether it is there
    when it is no program on the path (a library).
    """
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""
    if path if found is None else found:
        return path
    if os.environ.get("REQUIRE_PEERS") == "1":
        pytest.fail(f"{name} is missing, and REQUIRE_PEERS=1")
    pytest.skip(f"{name} {_ABSENT}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End by naming what was not run, and why."""
    reasons = (report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()))
    absent = Counter(reason for reason in reasons if _ABSENT in reason)
    if absent:
        terminalreporter.section("not run: peers that are missing here")
        for reason, count in absent.items():
            terminalreporter.write_line(f"{reason.removeprefix('Skipped: ')}: {count} tests")
