"""What a clock can do to the real agent: steps, no clock, a wrong century, drift, sleep."""

from __future__ import annotations

import asyncio
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec import UNSET

from gateway.dialects import wire
from gateway.simulation.broker import Broker
from tests.conftest import require_program
from tests.interop.test_mosquitto import certificates
from tests.living.faked import (
    INTERVAL_S,
    FakedAgent,
    Platform,
    S,
    offset_ns,
    time_ns,
    true_offset_ns,
)

pytestmark = pytest.mark.peer

Faked = Callable[..., FakedAgent]
NEVER_SYNCED_S = {"1970": -1_700_000_000.0, "2099": 2_300_000_000.0}


def spans(gap: wire.Gap, at_ns: float) -> bool:
    return gap.to is not None and time_ns(gap.from_) < at_ns < time_ns(gap.to)


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    broker = Broker()
    await broker.start()
    yield broker
    await broker.stop()


@pytest.fixture
def faked(tmp_path: Path, broker: Broker) -> Iterator[Faked]:
    agents: list[FakedAgent] = []

    def make(broker: Broker = broker, **options: str) -> FakedAgent:
        agents.append(FakedAgent(tmp_path, broker, **options))
        return agents[-1]

    yield make
    for agent in agents:
        agent.close()


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0, -10.0, 2.0])
async def test_a_step_is_one_epoch_within_one_poll_and_nothing_is_late_or_lost(
    step_s: float, broker: Broker, faked: Faked
) -> None:
    platform, agent = Platform(broker), faked()
    agent.set_clock(0)
    agent.start()
    await agent.synchronise(platform, bound_ms=50)
    await platform.more(10)
    agent.set_clock(step_s)
    await platform.until(lambda: platform.events("clock_epoch"))
    await platform.more(15)
    await agent.stop()
    (epoch,) = platform.events("clock_epoch")
    assert abs(epoch["step_ms"] - step_s * 1000) < 500
    assert epoch["before"] in ("synced", "holdover")
    assert epoch["after"] == "unsynced"
    polls = platform.polls()
    middle = (epoch["old_offset_ns"] + epoch["new_offset_ns"]) / 2
    new = [r for r in polls if (offset_ns(r) > middle) is (step_s > 0)]
    unannounced = [r for r in new if r.mono is not UNSET and r.mono[1] < epoch["mono"]]
    assert len(unannounced) <= 1
    assert [r.seq for r in platform.of("data")] == list(range(1, len(platform.of("data")) + 1))
    for before, after in pairwise(polls):
        assert before.mono is not UNSET
        assert after.mono is not UNSET
        assert before.mono[1] < after.mono[0]
    first, last = polls[0].mono, polls[-1].mono
    assert first is not UNSET
    assert last is not UNSET
    assert len(polls) <= (last[0] - first[0]) / S / INTERVAL_S + 2
    for gap in platform.gaps():
        assert gap.to is not None
        assert 0 <= time_ns(gap.to) - time_ns(gap.from_) < 1500 * S
        assert gap.cause == "poll_overrun"


@pytest.mark.parametrize("ahead_s", NEVER_SYNCED_S.values(), ids=NEVER_SYNCED_S)
async def test_what_was_read_before_the_first_synchronisation_is_mapped_by_the_anchor(
    ahead_s: float, broker: Broker, faked: Faked
) -> None:
    platform, agent = Platform(broker), faked()
    agent.set_clock(ahead_s)
    agent.start()
    await platform.more(10)
    agent.set_clock(0)
    await agent.synchronise(platform, bound_ms=200)
    await platform.until(lambda: platform.events("clock_anchor"))
    await agent.stop()
    (epoch,), (anchor,) = platform.events("clock_epoch"), platform.events("clock_anchor")
    assert abs(epoch["step_ms"] + ahead_s * 1000) < 500
    true_ns = true_offset_ns()
    assert abs(time_ns(anchor["utc"]) - anchor["mono"] - true_ns) <= anchor["bound_ms"] * 1e6
    records = [*platform.of("data"), *platform.of("meta")]
    unsynced = [r for r in records if r.clock == "unsynced"]
    assert all(r.mono is not UNSET and r.bound_ms is None for r in unsynced)
    early = [r for r in unsynced if abs(offset_ns(r) - true_ns - ahead_s * S) < S]
    assert len(early) >= 10


async def test_after_an_anchor_the_time_not_running_is_told_again_in_civil_time(
    broker: Broker, faked: Faked
) -> None:
    platform, agent = Platform(broker), faked()
    agent.set_clock(0)
    agent.start()
    await agent.synchronise(platform, bound_ms=200)
    await agent.stop()
    ended_ns = time_ns(platform.polls()[-1].time)
    agent.state.unlink()
    agent.set_clock(NEVER_SYNCED_S["1970"])
    agent.start()
    await platform.more(5)
    agent.set_clock(0)
    await agent.synchronise(platform, bound_ms=200)

    def told() -> list[wire.Gap]:
        return [gap for gap in platform.gaps() if gap.cause == "not_running_clean"]

    await platform.until(lambda: len(told()) > 1)
    await agent.stop()
    first, again = told()
    assert first.id == again.id
    assert first.from_ == first.to
    assert first.from_.startswith("197")
    assert abs(time_ns(again.from_) - ended_ns) < S
    assert again.to is not None
    assert time_ns(again.to) > time_ns(again.from_)
    assert again.to > "2020"


async def test_in_holdover_the_declared_bound_is_never_below_the_true_error(
    broker: Broker, faked: Faked
) -> None:
    platform, agent = Platform(broker), faked()
    agent.set_clock(0, rate=" x1.0002")
    agent.start()
    await agent.synchronise(platform, bound_ms=20)
    await platform.until(
        lambda: len([r for r in platform.polls() if r.clock == "holdover"]) > 9
    )
    await agent.stop()
    true_ns = true_offset_ns()
    for record in [r for r in platform.polls() if r.clock != "unsynced"]:
        assert record.mono is not UNSET
        assert record.bound_ms is not None
        # Truth is known to lie between request and reply; another ms for this test's own look.
        bound_ns = (record.bound_ms + 1) * 1e6
        at_ns = time_ns(record.time) - true_ns
        assert record.mono[0] - bound_ns <= at_ns <= record.mono[1] + bound_ns
    held = [r.bound_ms for r in platform.polls() if r.clock == "holdover"]
    assert held[0] is not None
    assert held[0] >= 25
    assert offset_ns(platform.polls()[-1]) - true_ns > 1e6
    assert not platform.events("clock_epoch")


async def test_an_agent_that_was_stopped_a_while_says_so_in_one_gap_and_catches_nothing_up(
    broker: Broker, faked: Faked
) -> None:
    platform, agent = Platform(broker), faked()
    agent.set_clock(0)
    agent.start()
    await platform.more(10)
    agent.signal(signal.SIGSTOP)
    stopped_ns = time.time_ns()
    await asyncio.sleep(4)
    going_ns = time.time_ns()
    agent.signal(signal.SIGCONT)
    await platform.more(15)
    await agent.stop()
    middle_ns = (stopped_ns + going_ns) / 2
    (gap,) = [g for g in platform.gaps() if spans(g, middle_ns)]
    assert gap.cause == "poll_overrun"
    assert gap.count is not None
    assert gap.count >= 35
    assert gap.to is not None
    assert time_ns(gap.from_) <= stopped_ns
    assert time_ns(gap.to) >= going_ns
    later = [r for r in platform.polls() if r.time >= gap.to]
    first, last = later[0].mono, later[-1].mono
    assert first is not UNSET
    assert last is not UNSET
    assert len(later) <= (last[0] - first[0]) / S / INTERVAL_S + 2
    assert not platform.events("clock_epoch")


async def test_a_certificate_that_is_not_valid_yet_is_not_trusted_until_the_clock_is_set(
    tmp_path: Path, faked: Faked
) -> None:
    (tmp_path / "tls").mkdir()
    certificates(tmp_path / "tls")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "tls/server.pem", tmp_path / "tls/server.key")
    broker = Broker(tls=tls)
    await broker.start()
    platform = Platform(broker)
    agent = faked(broker=broker, tls=f", tls: {{ca: {tmp_path}/tls/ca.pem}}")
    agent.set_clock(NEVER_SYNCED_S["1970"])
    agent.start()
    await agent.says("not yet valid")
    assert not broker.connections
    agent.set_clock(0)
    await agent.synchronise(platform, bound_ms=200)
    await agent.stop()
    await broker.stop()
    assert platform.polls()[0].clock == "unsynced"


def test_the_time_a_machine_was_asleep_counts() -> None:
    unshare = require_program("unshare")
    # In a time namespace of its own the machine has been asleep for 5,000 s (unshare(1)).
    look = "import time; from gateway.clock import Clock;"
    look += "print(Clock().monotonic() - time.monotonic(), Clock().monotonic_ns() / 1e9)"
    command = [unshare, "--time", "--boottime", "5000", sys.executable, "-c", look]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "not permitted" in done.stderr:
        pytest.skip("a time namespace is not permitted to this user")
    asleep_s, mono_s = map(float, done.stdout.split())
    assert asleep_s >= 4999
    assert mono_s - asleep_s > 0


@pytest.mark.parametrize("zone", ["Asia/Shanghai", ":/no/such/zone+99", "XYZ-27:99"])
async def test_the_time_zone_of_the_machine_changes_nothing(
    zone: str, broker: Broker, faked: Faked
) -> None:
    platform, agent = Platform(broker), faked(TZ=zone)
    agent.set_clock(0)
    agent.start()
    await platform.more(3)
    await agent.stop()
    true_ns = true_offset_ns()
    assert all(abs(offset_ns(record) - true_ns) < 5 * S for record in platform.polls())
