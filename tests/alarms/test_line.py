"""Alarms through the whole line: sim devices, the journal on disk, a loopback broker."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from drivers.sim import SimDriver
from gateway.agent import Agent
from gateway.clock import Clock
from gateway.dialects import wire
from gateway.loader import from_text
from gateway.model import Batch, Block
from gateway.simulation.broker import Broker
from tests import line
from tests.line import Platform
from tests.patience import until

SITE = """
version: 1
gateway: {{id: gw}}
defaults: {{interval: 20ms}}
links:
  - name: bench
    driver: sim
    devices:
      - name: pump
        tags:
          - {{name: flow, address: sine/60, range: [0, 12], unit: m3/h, alarms: {limits}}}
          - {{name: other, address: sine/60, range: [0, 12]}}
{more}mqtt: {{urls: ["{url}"], root: park}}
journal: {{path: {path}, size: 64MiB, commit: {commit}}}
"""
MORE = "      - {{name: d{}, tags: [{{name: t, address: sine/60, range: [0, 12]}}]}}\n"
LIMITS = "{high: 10, high_high: 11, deadband: 0.5}"


class Plant:
    """The value that every sim device shows, as the test says."""

    def __init__(self) -> None:
        self.value: float | None = 5.0

    async def read(self, driver: SimDriver, block: Block[Any]) -> Batch:
        clock = driver._clock
        mono_ns, count = clock.monotonic_ns(), len(block.tags)
        quality = None if self.value is not None else b"\x81" * count
        values = (self.value,) * count
        return Batch(block, clock.now_ns(), values, quality, mono_ns=(mono_ns, mono_ns))


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    plant = Plant()
    monkeypatch.setattr(SimDriver, "read", lambda driver, block: plant.read(driver, block))
    return plant


def running(
    broker: Broker, path: Path, limits: str = LIMITS, *, devices: int = 1, commit: str = "20ms"
) -> AbstractAsyncContextManager[Agent]:
    more = "".join(MORE.format(n) for n in range(1, devices))
    journal = path / "journal"
    text = SITE.format(url=broker.url, path=journal, limits=limits, more=more, commit=commit)
    return line.running(Agent(from_text(text), Clock()))


def alarm_records(platform: Platform) -> list[wire.Record]:
    return platform.records(lane="alarm")


def alarms(platform: Platform, *, snapshot: bool | None = None) -> list[wire.Alarm]:
    found = [r.alarm for r in alarm_records(platform) if r.alarm is not UNSET]
    return [alarm for alarm in found if snapshot in (None, alarm.snapshot)]


def states(found: Sequence[wire.Alarm]) -> list[tuple[str, str]]:
    return [(alarm.level, alarm.state) for alarm in found]


async def test_an_alarm_is_raised_and_cleared_on_the_alarm_lane(
    broker: Broker, tmp_path: Path, plant: Plant
) -> None:
    platform = Platform(broker)
    async with running(broker, tmp_path):
        await platform.until(lambda: len(platform.records()) > 3)
        plant.value = 10.5
        await platform.until(lambda: len(alarms(platform)) >= 1)
        plant.value = 5.0
        await platform.until(lambda: len(alarms(platform)) >= 2)
        await platform.until(lambda: "park/gw/schema/pump" in platform.other)
    raised, cleared = alarms(platform)
    assert (raised.level, raised.state, raised.tag) == ("high", "active", "flow")
    assert (raised.value, raised.limit, raised.unit) == (10.5, 10.0, "m3/h")
    assert (raised.priority, raised.quality, raised.snapshot) == ("medium", "good", False)
    assert (cleared.id, cleared.raised, cleared.value) == (raised.id, raised.raised, 5.0)
    assert raised.cleared is None
    assert (cleared.cleared or "") > cleared.raised
    assert [record.seq for record in alarm_records(platform)] == [1, 2]
    schema = platform.other["park/gw/schema/pump"]
    assert isinstance(schema, wire.Schema)
    assert schema.tags["flow"].limits == {"high": 10.0, "high_high": 11.0}
    assert schema.tags["other"].limits == {}


async def test_an_alarm_does_not_wait_for_the_commit_of_its_reading(
    broker: Broker, tmp_path: Path, plant: Plant
) -> None:
    platform = Platform(broker)
    async with running(broker, tmp_path, commit="10s"):
        await platform.until(lambda: platform.statuses)
        plant.value = 10.5
        await platform.until(lambda: alarms(platform))
        (raised,) = alarm_records(platform)
        assert all(record.time < raised.time for record in platform.records())


async def test_an_alarm_raised_during_an_outage_arrives_before_the_backlog(
    broker: Broker, tmp_path: Path, plant: Plant
) -> None:
    platform = Platform(broker)
    async with running(broker, tmp_path, devices=40) as agent:
        await platform.until(lambda: len(platform.records()) > 3)
        await broker.stop()
        await until(lambda: agent.backlog() >= 3000)
        plant.value = 20.0
        before = agent.backlog()
        await until(lambda: agent.backlog() >= before + 10)
        platform.lane.clear()
        await broker.start()
        await platform.until(lambda: len(platform.records()) >= 3000)
    assert states(alarms(platform))[:2] == [("high_high", "active"), ("high", "active")]
    lanes = [message.lane.value for message in platform.lane]
    assert lanes.index("alarm") < lanes.index("data")


async def test_active_alarms_are_repeated_after_a_reconnect_ahead_of_queued_ones(
    broker: Broker, tmp_path: Path, plant: Plant
) -> None:
    platform = Platform(broker)
    async with running(broker, tmp_path) as agent:
        plant.value = 10.5
        await platform.until(lambda: alarms(platform, snapshot=False))
        raised = alarms(platform)[0]
        await broker.stop()
        plant.value = 11.5
        await until(lambda: agent.backlog() >= 10)
        platform.lane.clear()
        await broker.start()
        await platform.until(lambda: len(alarms(platform, snapshot=False)) >= 1)
    found = alarms(platform)
    repeated = [alarm for alarm in found if alarm.snapshot]
    assert found[: len(repeated)] == repeated
    assert {alarm.level for alarm in repeated} == {"high", "high_high"}
    assert raised.id in {alarm.id for alarm in repeated}
    by_seq: dict[int, list[str]] = {}
    for record in alarm_records(platform):
        if record.alarm is not UNSET:
            by_seq.setdefault(record.seq, []).append(record.alarm.id)
    assert all(len(set(ids)) == 1 for ids in by_seq.values())


async def test_an_alarm_that_was_raised_keeps_its_id_over_a_restart(
    broker: Broker, tmp_path: Path, plant: Plant
) -> None:
    platform = Platform(broker)
    plant.value = 10.5
    async with running(broker, tmp_path):
        await platform.until(lambda: alarms(platform, snapshot=False))
    raised = alarms(platform)[0]
    platform.lane.clear()
    async with running(broker, tmp_path):
        await platform.until(lambda: len(platform.records()) > 3)
        plant.value = 5.0
        await platform.until(lambda: len(alarms(platform, snapshot=False)) >= 1)
    repeated, cleared = alarms(platform)
    assert (repeated.id, repeated.snapshot, repeated.state) == (raised.id, True, "active")
    assert (cleared.id, cleared.state) == (raised.id, "cleared")
    fresh = [m for m in platform.lane if m.lane == "alarm" and not _is_snapshot(m)]
    first = fresh[0].records[0]
    assert first.gap is not UNSET
    assert first.gap.cause == "not_running_clean"
    assert first.gap.after is not UNSET
    assert (first.seq, first.gap.after.seq) == (1, 1)


def _is_snapshot(message: wire.LaneMessage) -> bool:
    return any(r.alarm is not UNSET and r.alarm.snapshot for r in message.records)


async def test_limits_are_held_anew_against_what_stands_after_a_change(
    broker: Broker, tmp_path: Path, plant: Plant
) -> None:
    platform = Platform(broker)
    plant.value = 10.5
    async with running(broker, tmp_path):
        await platform.until(lambda: alarms(platform, snapshot=False))
    platform.lane.clear()
    async with running(broker, tmp_path, "{high: 20, low: 11}"):
        await platform.until(lambda: len(alarms(platform, snapshot=False)) >= 2)
    assert states(alarms(platform, snapshot=False)) == [("high", "cleared"), ("low", "active")]


async def test_an_alarm_whose_limit_is_gone_is_cleared(
    broker: Broker, tmp_path: Path, plant: Plant
) -> None:
    platform = Platform(broker)
    plant.value = 10.5
    async with running(broker, tmp_path):
        await platform.until(lambda: alarms(platform, snapshot=False))
    platform.lane.clear()
    async with running(broker, tmp_path, "{low: 1}"):
        await platform.until(lambda: len(alarms(platform, snapshot=False)) >= 1)
    (cleared,) = alarms(platform, snapshot=False)
    assert (cleared.state, cleared.value, cleared.quality) == (
        "cleared",
        None,
        "bad.configuration",
    )
