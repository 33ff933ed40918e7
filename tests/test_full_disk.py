"""The whole agent on a disk that somebody else filled, with the broker away."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.agent import Agent
from gateway.clock import Clock
from gateway.dialects import wire
from gateway.journal import Journal, Settings
from gateway.loader import from_text
from gateway.model import Lane
from gateway.simulation.broker import Broker
from tests.journal.test_full_disk import disk, fill
from tests.line import Platform

__all__ = ["disk"]

FLOWS = "".join(
    f"""
          - {{name: flow{n}, address: sine/1, range: [0, 12], type: float64,
             alarms: {{high: 9, low: 3}}}}"""
    for n in range(40)
)
SITE = """
version: 1
gateway: {{id: gw}}
defaults: {{interval: 50ms}}
links:
  - name: bench
    driver: sim
    devices:
      - name: pump
        tags: {flows}
      - name: tank
        tags:
          - name: "level{{001..400}}"
            address: "sine/{{101..500}}"
            range: [0, 12]
            type: float64
mqtt: {{urls: ["{url}"], root: park}}
journal: {{path: {path}, size: 64MiB, commit: 20ms}}
"""
SMALL = partial(Settings, data_segment=64 << 10, small_segment=32 << 10)
Key = tuple[str, str, str]
"""Incarnation, lane, device."""


async def run_until(site: str, fact: Any) -> None:
    """One life of the agent, to its end in order."""
    agent = Agent(from_text(site), Clock())
    task = asyncio.get_running_loop().create_task(agent.run())
    async with asyncio.timeout(90):
        while not fact(agent):
            assert not task.done(), task.exception()
            await asyncio.sleep(0.05)
        agent.stop()
        await task


async def test_on_a_full_disk_alarms_are_kept_gaps_are_exact_and_all_drains_in_order(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: Counter[Key] = Counter()
    heads: dict[Key, int] = {}
    append = Journal.append

    def noting(self: Journal, lane: Lane, stream: str, payload: bytes, **more: Any) -> int:
        seq = append(self, lane, stream, payload, **more)
        key = (self.incarnation, lane.value, stream)
        heads[key] = seq
        taken[key] += more["readings"]
        return seq

    monkeypatch.setattr(Journal, "append", noting)
    monkeypatch.setattr("gateway.agent.Settings", SMALL)
    broker = Broker()
    await broker.start()
    platform = Platform(broker)
    await broker.stop()
    site = SITE.format(url=broker.url, path=disk / "journal", flows=FLOWS)

    def is_overflown(agent: Agent) -> bool:
        if agent._journal is None:
            return False
        if not (disk / "somebody-elses-log").exists():
            fill(disk / "somebody-elses-log")
        lanes = agent._journal.stats().lanes
        return lanes[Lane.DATA].evicted_records > 300 and lanes[Lane.ALARM].segments > 12

    await run_until(site, is_overflown)
    full = dict(heads)
    await broker.start()
    await run_until(site, lambda agent: reached(platform, full))
    await broker.stop()

    for key, head in full.items():
        assert seqs(platform, key) == list(range(1, head + 1))
        if key[1] == "data":
            assert told(platform, key) == taken[key]
    assert {key[1] for key, gap in gaps(platform) if gap.cause == "journal_evicted"} == {"data"}


def messages(platform: Platform, key: Key) -> list[wire.LaneMessage]:
    return [m for m in platform.lane if (m.incarnation, m.lane, m.device) == key]


def records(platform: Platform, key: Key) -> list[wire.Record]:
    """What arrived of one stream, each seq once, in the order of first arrival.

    A snapshot goes ahead of the record it repeats, and is none.
    """
    all_of_it = (r for m in messages(platform, key) for r in m.records)
    found = {r.seq: r for r in all_of_it if not (r.alarm and r.alarm.snapshot)}
    return list(found.values())


def seqs(platform: Platform, key: Key) -> list[int]:
    """Every seq of one stream that arrived, as a record or inside a gap, in order."""
    found: list[int] = []
    for record in records(platform, key):
        gap = record.gap or None
        first = gap.seqs[0] if gap and gap.seqs else record.seq
        found += range(first, record.seq + 1)
    return found


def reached(platform: Platform, heads: dict[Key, int]) -> bool:
    return all(seqs(platform, key)[-1:] == [head] for key, head in heads.items())


def gaps(platform: Platform) -> list[tuple[Key, wire.Gap]]:
    return [
        ((m.incarnation, m.lane, m.device), r.gap)
        for m in platform.lane
        for r in m.records
        if r.gap
    ]


def told(platform: Platform, key: Key) -> int:
    """Readings of one stream that arrived, or that a gap counts as missing."""
    total = 0
    for record in records(platform, key):
        if record.gap:
            assert record.gap.count_is == "exact" or record.gap.cause != "journal_evicted"
            total += 0 if record.gap.to is None else record.gap.count or 0
        else:
            total += len(record.values or ())
    return total
