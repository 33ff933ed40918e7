"""The whole line in one process: sim devices, the journal on disk, a loopback broker."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from msgspec import UNSET

from gateway.agent import Agent
from gateway.clock import Clock
from gateway.dialects import wire
from gateway.errors import JournalError
from gateway.loader import from_text
from gateway.simulation.broker import Broker
from tests import line
from tests.line import Platform
from tests.patience import until

SITE = """
version: 1
gateway: {{id: gw}}
defaults: {{interval: 100ms}}
links:
  - name: bench
    driver: sim
    devices:
      - name: pump
        label: 泵
        tags: [{{name: flow, address: sine/60, range: [0, 12], unit: m3/h}}]
mqtt: {{urls: ["{url}"], root: park}}
journal: {{path: {path}, size: 64MiB, commit: 20ms}}
"""


def running(broker: Broker, path: Path) -> AbstractAsyncContextManager[Agent]:
    return line.running(
        Agent(from_text(SITE.format(url=broker.url, path=path / "journal")), Clock())
    )


async def test_what_a_device_shows_reaches_the_broker_in_order(
    broker: Broker, tmp_path: Path
) -> None:
    platform = Platform(broker)
    async with running(broker, tmp_path):
        await platform.until(lambda: len(platform.records()) >= 5)
    seqs = [record.seq for record in platform.records()]
    assert seqs == list(range(1, len(seqs) + 1))
    values = [record.values["flow"] for record in platform.records() if record.values]
    assert len(values) == len(seqs)
    assert all(isinstance(value, float) and 0 <= value <= 12 for value in values)


async def test_the_platform_is_told_who_is_there_what_the_tags_mean_and_how_far_streams_reach(
    broker: Broker, tmp_path: Path
) -> None:
    platform = Platform(broker)
    async with running(broker, tmp_path):
        await platform.until(lambda: "park/gw/heads" in platform.other)
        status = platform.other["park/gw/status"]
        assert isinstance(status, wire.Status)
        assert status.state == "online"
        assert [topic for topic, _ in platform.topics].count("park/gw/schema/pump") == 1
        schema = platform.other["park/gw/schema/pump"]
        assert isinstance(schema, wire.Schema)
        assert (schema.label, schema.tags["flow"].unit) == ("泵", "m3/h")
    last = platform.other["park/gw/status"]
    assert isinstance(last, wire.Status)
    assert last.state == "offline"


async def test_while_the_broker_is_away_readings_are_kept_and_come_later_in_order_and_whole(
    broker: Broker, tmp_path: Path
) -> None:
    platform = Platform(broker)
    async with running(broker, tmp_path) as agent:
        await platform.until(lambda: len(platform.records()) >= 3)
        await broker.stop()
        before = len(platform.records())
        await until(lambda: agent.backlog() >= 10)
        await broker.start()
        await platform.until(lambda: len(platform.records()) >= before + 12)
    seqs = [record.seq for record in platform.records()]
    assert sorted(set(seqs)) == list(range(1, max(seqs) + 1))


async def test_a_lane_that_is_refused_for_good_is_an_event_on_the_meta_lane(
    broker: Broker, tmp_path: Path
) -> None:
    platform = Platform(broker)
    broker.faults.refuse["park/gw/data/pump"] = 0x87
    async with running(broker, tmp_path):
        await platform.until(lambda: platform.events("refusal"))
        status = platform.other["park/gw/status"]
        assert isinstance(status, wire.Status)
        assert status.reasons[:1] == ["data.stopped_0x87"]
        assert status.state == "degraded"
    (event,) = platform.events("refusal")
    assert event["reasons"] == ["data.stopped_0x87"]


async def test_after_a_restart_the_stream_begins_with_the_time_it_was_not_running(
    broker: Broker, tmp_path: Path
) -> None:
    platform = Platform(broker)
    async with running(broker, tmp_path):
        await platform.until(lambda: len(platform.records()) >= 3)
    first = platform.lane[-1].incarnation
    last_seq = platform.records()[-1].seq
    platform.lane.clear()
    async with running(broker, tmp_path):
        await platform.until(lambda: len(platform.records()) >= 3)
    gap = platform.records()[0].gap
    assert gap is not UNSET
    assert gap.cause == "not_running_clean"
    assert gap.after is not UNSET
    assert (gap.after.incarnation, gap.after.seq) == (first, last_seq)
    assert platform.records()[0].seq == 1


async def test_a_stop_while_the_broker_is_away_loses_nothing(
    broker: Broker, tmp_path: Path
) -> None:
    platform = Platform(broker)
    await broker.stop()
    async with running(broker, tmp_path) as agent:
        await until(lambda: agent.backlog() >= 6)
    await broker.start()
    async with running(broker, tmp_path):
        await platform.until(lambda: len({m.incarnation for m in platform.lane}) >= 2)
        await platform.until(lambda: len(platform.lane) >= 4)
    first = platform.lane[0].incarnation
    kept = [
        r.seq
        for m in platform.lane
        if m.incarnation == first and m.lane == "data"
        for r in m.records
    ]
    assert kept == list(range(1, len(kept) + 1))
    assert len(kept) >= 5


async def test_two_agents_never_share_a_journal(broker: Broker, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as first:
        while not first.backlog() and not broker.messages:
            await asyncio.sleep(0.01)
        site = from_text(SITE.format(url=broker.url, path=tmp_path / "journal"))
        with pytest.raises(JournalError, match="another instance"):
            await Agent(site, Clock()).run()


async def test_a_device_without_tags_is_no_trouble_to_those_that_lag(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.feed.LATE_NS", -1)
    monkeypatch.setattr("gateway.latest.LATEST_S", 1.0)
    idle = "      - {{name: idle, tags: []}}\nmqtt:"
    monkeypatch.setattr("tests.test_agent.SITE", SITE.replace("mqtt:", idle, 1))
    broker.faults.delay_s = 0.7
    platform = Platform(broker)
    async with running(broker, tmp_path):
        await platform.until(lambda: "park/gw/latest/pump" in platform.other)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, mounted read-only."""
    where = tmp_path / "disk"
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128m,mode=0700,ro", "tidegate-test"]
    done = subprocess.run([*command, str(where)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("not run: mounting a file system needs root")
    yield where
    subprocess.run(["umount", str(where)], check=True)


async def test_on_a_read_only_disk_it_starts_and_publishes_until_the_disk_takes_the_journal(
    broker: Broker, read_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.agent.DISK_RETRY_S", 0.5)
    platform = Platform(broker)

    def status() -> wire.Status:
        found = platform.other["park/gw/status"]
        assert isinstance(found, wire.Status)
        return found

    async with running(broker, read_only):
        await platform.until(lambda: len(platform.records()) >= 5)
        assert all(message.volatile is True for message in platform.lane)
        assert "storage_failed" in status().reasons
        volatile = platform.lane[0].incarnation
        remount = ["mount", "-o", "remount,rw", str(read_only)]
        subprocess.run(remount, check=True)
        await platform.until(
            lambda: any(m.volatile is UNSET and m.lane == "data" for m in platform.lane)
        )
        await platform.until(lambda: "storage_failed" not in status().reasons)
    stored = [m for m in platform.lane if m.volatile is UNSET and m.lane == "data"]
    assert {m.incarnation for m in stored} != {volatile}
    first = stored[0].records[0]
    assert first.gap is not UNSET
    assert first.gap.cause == "storage_failed"
    given = [m for m in platform.lane if m.incarnation == volatile and m.lane == "data"]
    taken = sum(r.values is not UNSET for m in given for r in m.records)
    assert first.gap.count is not None
    assert (first.gap.count_is, first.gap.count >= taken) == ("exact", True)
    assert (read_only / "journal" / "state").exists()
