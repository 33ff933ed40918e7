"""Each reason a broker may give, and what follows from it."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.deliver import Delivery
from gateway.lane import FINAL, POISON_LOSSES
from gateway.model import Lane
from gateway.publisher import Connected
from tests.delivery.plant import CONFIG, RUN, START_NS, MemoryJournal, StillClock, block
from tests.delivery.site import DIALECT, Platform, broker_with, delivering
from tests.patience import until

DISCONNECT_ONLY = {0x9A, 0x9B}
"""A PUBACK cannot carry these (MQTT 5, 3.4.2.1)."""


def backlog(count: int = 10, devices: int = 2) -> MemoryJournal:
    journal = MemoryJournal(*[block(f"tk{101 + n}") for n in range(devices)])
    for number in range(count * devices):
        journal.poll(number % devices, value=number)
    return journal


def status() -> bytes:
    """Something the broker takes on each connection, as the running agent has."""
    return DIALECT.status(
        state="online",
        incarnation=RUN,
        connection=1,
        time_ns=START_NS,
        version="1",
        config=CONFIG,
        reasons=[],
    )


def gaps(platform: Platform, device: str) -> list[tuple[list[int], int]]:
    """Seqs and count of each gap that says quarantined."""
    messages = [m for m in platform.of("data") if m["device"] == device]
    found = [r["gap"] for m in messages for r in m["records"] if "gap" in r]
    assert all(gap["cause"] == "quarantined" for gap in found)
    return [(gap["seqs"], gap["count"]) for gap in found]


async def tick(clock: StillClock, delivery: Delivery, seconds: float = 1.1) -> None:
    """Let time pass, and what follows from it happen."""
    clock.s += seconds
    for _ in range(12):
        for lane in delivery.lanes.values():
            lane.wake()
        await asyncio.sleep(0.003)


@pytest.mark.parametrize("reason", sorted(FINAL - DISCONNECT_ONLY))
async def test_a_denied_topic_is_named_and_the_others_flow(reason: int) -> None:
    journal, platform, clock = backlog(), Platform(), StillClock()
    async with broker_with(platform) as broker:
        broker.faults.refuse[DIALECT.topic("data", "tk101")] = reason
        async with delivering(journal, broker.url, clock) as delivery:
            await until(lambda: len(platform.seqs("tk102")) >= 10)
            for _ in range(14):
                await tick(clock, delivery)
                if journal.debts[Lane.DATA]:
                    break
            assert delivery.reasons() == [f"data.denied_0x{reason:02x}.tk101"]
            await until(lambda: journal.settled(Lane.DATA) == journal.committed(Lane.DATA))
            journal.poll(0)
            journal.poll(1)
            delivery.committed(Lane.DATA)
            await until(lambda: len(platform.seqs("tk102")) >= 11)
            await tick(clock, delivery)
            (owed,) = journal.debts[Lane.DATA]
            assert (owed.stream, owed.first_seq, owed.last_seq) == ("tk101", 1, 11)
            assert platform.seqs("tk101") == []

            broker.faults.refuse.clear()
            await tick(clock, delivery, 31.0)
            assert gaps(platform, "tk101") == [([1, 11], 11)]
            assert journal.debts[Lane.DATA] == []
            assert delivery.reasons() == []
            journal.poll(0)
            delivery.committed(Lane.DATA)
            await until(lambda: platform.seqs("tk101") == [11, 12])
    assert len(journal.refused) == 11


async def test_what_is_owed_is_delivered_after_a_restart_before_anything_newer() -> None:
    journal, platform, clock = backlog(), Platform(), StillClock()
    async with broker_with(platform) as broker:
        broker.faults.refuse[DIALECT.topic("data", "tk101")] = 0x87
        async with delivering(journal, broker.url, clock) as delivery:
            for _ in range(14):
                await tick(clock, delivery)
            assert journal.debts[Lane.DATA] != []
        broker.faults.refuse.clear()
        journal.poll(0)
        async with delivering(journal, broker.url, clock) as delivery:
            await delivery.drained()
            await until(lambda: platform.seqs("tk101") == [10, 11])
            await until(lambda: journal.debts[Lane.DATA] == [])


async def test_a_refusal_of_everything_stops_the_lane_and_quarantines_nothing() -> None:
    journal, clock = backlog(), StillClock()
    async with broker_with(Platform()) as broker:
        broker.faults.refuse["#"] = 0x87
        async with delivering(journal, broker.url, clock) as delivery:
            for _ in range(8):
                await tick(clock, delivery)
            assert delivery.reasons() == ["data.stopped_0x87"]
    assert journal.refused == []
    assert journal.settled(Lane.DATA) == 0


async def test_a_record_too_large_for_the_broker_is_quarantined_alone() -> None:
    journal = MemoryJournal(block("tk101", 4), block("tk101", 300))
    for number in (0, 0, 1, 0, 0):
        journal.poll(number)
    platform = Platform()
    async with broker_with(platform, maximum_packet_bytes=2000) as broker:
        async with delivering(journal, broker.url, StillClock()) as delivery:
            await delivery.drained()
        assert broker.connections == 1
    assert platform.seqs("tk101") == [1, 2, 3, 4, 5]
    assert gaps(platform, "tk101") == [([3, 3], 1)]
    (line,) = journal.refused
    assert json.loads(line)["record"]["seq"] == 3


async def test_a_record_on_which_the_broker_disconnects_is_found_and_quarantined() -> None:
    journal, platform, clock = backlog(100), Platform(), StillClock()
    async with broker_with(platform) as broker:
        broker.faults.poison[b'"t000":72,'] = 0x80
        async with delivering(journal, broker.url, clock) as delivery:
            delivery.announce(DIALECT.topic("status"), status())
            await until(lambda: gaps(platform, "tk101") != [])
            await delivery.drained()
        assert broker.connections <= 5 + 7 + 2
    assert gaps(platform, "tk101") == [([37, 37], 1)]
    assert gaps(platform, "tk102") == []
    assert sorted(set(platform.seqs("tk101"))) == list(range(1, 101))
    assert len(journal.refused) == 1


async def test_a_record_the_broker_disconnects_on_is_found_in_less_than_a_minute() -> None:
    journal, platform, clock = backlog(100), Platform(), StillClock()
    async with broker_with(platform) as broker:
        broker.faults.poison[b'"t000":72,'] = 0x80
        async with delivering(journal, broker.url, clock, dice=lambda: 0.999) as delivery:
            delivery.announce(DIALECT.topic("status"), status())
            began_s = clock.s
            await until(lambda: gaps(platform, "tk101") != [])
    assert clock.s - began_s < 60.0


async def test_a_broker_that_cuts_every_connection_is_not_hurried() -> None:
    journal, clock = backlog(100), StillClock()
    async with broker_with() as broker:
        broker.faults.poison[b'"seq":'] = 0x80
        async with delivering(journal, broker.url, clock, dice=lambda: 0.999):
            began_s = clock.s
            await until(lambda: broker.connections >= 12)
    assert clock.s - began_s > 300.0
    assert journal.refused == []


async def test_a_snapshot_the_broker_disconnects_on_is_given_up_and_accuses_no_record() -> None:
    journal, platform, clock = backlog(40), Platform(), StillClock()
    for _ in range(3):
        journal.poll(0, lane=Lane.ALARM)
    async with broker_with() as broker:
        broker.listen(DIALECT.topic("data", "+"), platform.hear)
        broker.listen(DIALECT.topic("alarm", "+"), lambda topic, payload: None)
        broker.faults.poison[b"poisonous"] = 0x80
        async with delivering(journal, broker.url, clock) as delivery:

            def repeat(_: Connected) -> None:
                for payload in (b"harmless", b"poisonous"):
                    delivery.repeat(DIALECT.topic("alarm", "tk999"), payload)

            delivery._on_open = repeat
            async with asyncio.timeout(30):
                await delivery.drained()
        assert broker.connections == POISON_LOSSES + 1
    assert journal.refused == []
    assert [gaps(platform, device) for device in ("tk101", "tk102")] == [[], []]
