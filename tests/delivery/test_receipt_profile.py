"""Over a real socket: the platform settles, and what the broker lost comes again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.again import QUEUE, Again
from gateway.continuity import Continuity
from gateway.deliver import Delivery
from gateway.desk import Desk
from gateway.dialects import wire
from gateway.dialects.wire import Replay
from gateway.lane import Policy
from gateway.model import Event, Lane
from gateway.mqtt import MqttPublisher, MqttSettings
from gateway.pace import Pace
from gateway.publisher import Received
from gateway.receipts import LONGEST_S, STRETCH, Watermarks
from gateway.simulation.broker import Broker
from tests.delivery.confirming import Confirming
from tests.delivery.plant import (
    GATEWAY,
    ROOT,
    RUN,
    MemoryJournal,
    StillClock,
    block,
)
from tests.delivery.site import DIALECT, broker_with
from tests.patience import until

STREAM = ("data", "tk101", RUN)


class KnowingJournal(MemoryJournal):
    """A journal in memory that knows where its seqs are."""

    held_from = 0
    """Position up to which everything was recycled."""

    def head(self, lane: Lane, stream: str, incarnation: str) -> int | None:
        return self._seqs.get((lane, incarnation, stream))

    def places(
        self, lane: Lane, stream: str, incarnation: str, first: int, last: int
    ) -> tuple[int, int] | None:
        known = (lane, incarnation, stream) in self._seqs
        return (self.held_from, self.committed(lane)) if known else None


class HandClock(StillClock):
    """Time passes only when the test says so, for whoever sleeps too."""

    async def sleep_until(self, deadline: float) -> None:
        while self.s < deadline:
            await asyncio.sleep(0.002)


@dataclass
class Stage:
    """One gateway's delivery in the receipt profile, a broker and a platform."""

    journal: KnowingJournal
    clock: StillClock
    broker: Broker
    platform: Confirming
    delivery: Delivery
    again: Again
    events: list[Event]
    heard: list[Received]

    def settled(self) -> int:
        """Records of the data lane that are settled."""
        return self.journal.settled(Lane.DATA) // 10

    async def acknowledged(self) -> None:
        async with asyncio.timeout(30):
            await self.delivery.drained()

    async def pass_until(self, fact: Any, seconds: float = 5.0) -> None:
        """Let the time of the gateway pass until ``fact`` holds."""
        async with asyncio.timeout(40):
            while not fact():
                self.clock.s += seconds
                self.delivery.committed(Lane.DATA)
                await asyncio.sleep(0.01)

    def ask(self, first: int, last: int, name: str = "r1", **other: Any) -> None:
        asked = {"id": name, "lane": "data", "device": "tk101", "incarnation": RUN}
        asked |= {"from": first, "to": last} | other
        self.broker.publish(DIALECT.topic("replay"), json.dumps(asked).encode(), qos=1)

    def of(self, kind: str) -> list[Any]:
        return [event.fields for event in self.events if event.kind == kind]


def _journal(devices: int) -> KnowingJournal:
    return KnowingJournal(*[block(f"tk{101 + number}") for number in range(devices)])


@asynccontextmanager
async def stage(count: int = 20, version: int = 5, devices: int = 1) -> AsyncIterator[Stage]:
    journal, clock = _journal(devices), HandClock()
    for number in range(count * devices):
        journal.poll(number % devices, value=number)
    events, heard = list[Event](), list[Received]()
    marks = Watermarks(journal.head)
    async with broker_with() as broker:
        platform = Confirming(lambda topic, body: broker.publish(topic, body, retain=True))
        broker.listen(DIALECT.topic("#"), platform.hear)
        topics = [DIALECT.topic("receipt", "+/+"), DIALECT.topic("replay")]
        settings = MqttSettings([broker.url], GATEWAY, version, subscriptions=topics)
        delivery = Delivery(
            journal,
            MqttPublisher(settings, clock, dice=lambda: 0.5),
            DIALECT,
            clock,
            policy=Policy(receipts=True),
            holds=marks.holds,
            on_received=lambda received: hear(received),
            dice=lambda: 0.5,
        )
        again = Again(
            delivery,
            journal,
            journal,
            DIALECT,
            clock,
            tell_event=events.append,
            pace=Pace(1.0),
            recorded=lambda: 0,
        )
        desk = Desk(
            marks,
            clock,
            moved=lambda lane, stream: delivery.lanes[lane].received(stream),
            request=again.request,
            tell_event=events.append,
        )

        def hear(received: Received) -> None:
            desk.hear(received)
            heard.append(received)

        tasks = [asyncio.create_task(work) for work in (delivery.run(), again.run())]
        try:
            yield Stage(journal, clock, broker, platform, delivery, again, events, heard)
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def test_acknowledged_is_not_settled_before_the_platform_has_it() -> None:
    async with stage() as at:
        at.platform.is_silent = True
        await at.acknowledged()
        assert at.settled() == 0
        at.platform.is_silent = False
        at.platform.confirm(STREAM, f"{ROOT}/{GATEWAY}")
        await until(lambda: at.settled() == 20)
        assert at.events == []
        assert at.platform.replays == []


async def test_mqtt_3_needs_no_consent_where_the_platform_settles() -> None:
    async with stage(version=4) as at:
        await until(lambda: at.settled() == 20)


async def test_forged_receipt_settles_nothing_that_the_broker_has_not_got() -> None:
    async with stage() as at:
        at.broker.faults.refuse[DIALECT.topic("data", "+")] = 0x97
        forged = json.dumps({"incarnation": RUN, "seq": 20}).encode()
        await until(lambda: at.delivery.online)
        at.broker.publish(DIALECT.topic("receipt", "data/tk101"), forged, retain=True)
        await until(lambda: at.delivery.holds(Lane.DATA, RUN, "tk101", 20))
        await until(lambda: at.broker.messages > 0)
        assert at.settled() == 0


async def test_impossible_receipt_is_one_event_a_minute_and_changes_nothing() -> None:
    async with stage() as at:
        at.platform.is_silent = True
        await at.acknowledged()
        impossible = json.dumps({"incarnation": RUN, "seq": 21}).encode()
        for payload in (impossible, b"{}", b"x" * 5000):
            at.broker.publish(DIALECT.topic("receipt", "data/tk101"), payload)
        await until(lambda: len(at.heard) == 3)
        at.clock.s += 61
        at.broker.publish(DIALECT.topic("receipt", "data/tk101"), b"[]")
        await until(lambda: len(at.heard) == 4)
        first, second = at.of("receipt_refused")
        assert (first["reason"], first["count"]) == ("beyond_head", 1)
        assert (second["reason"], second["count"]) == ("malformed", 3)
        assert at.settled() == 0


async def test_what_the_broker_lost_is_published_again_when_receipts_stall() -> None:
    async with stage(4 * STRETCH) as at:
        await until(lambda: at.settled() == 4 * STRETCH)
        lost = at.platform.records
        for number in range(3 * STRETCH):
            at.journal.poll(value=number)
        hear, at.platform.hear = at.platform.hear, lambda *_: None  # type: ignore[method-assign]
        at.broker._listeners.clear()
        at.broker.listen(DIALECT.topic("#"), at.platform.hear)
        at.delivery.committed(Lane.DATA)
        await at.acknowledged()
        assert at.settled() == 4 * STRETCH
        at.broker._listeners.clear()
        at.broker.listen(DIALECT.topic("#"), hear)
        await at.pass_until(lambda: at.settled() == 7 * STRETCH)
        assert set(at.platform.replays) == {"stalled"}
        assert sorted(lost[STREAM]) == list(range(1, 7 * STRETCH + 1))


async def test_gap_owed_to_a_denied_topic_is_owed_until_the_platform_has_it() -> None:
    async with stage(10, devices=2) as at:
        at.broker.faults.refuse[DIALECT.topic("data", "tk101")] = 0x87
        await at.pass_until(lambda: at.settled() == 20, 1.1)
        (owed,) = at.journal.debts[Lane.DATA]
        assert (owed.stream, owed.first_seq, owed.last_seq) == ("tk101", 1, 10)

        at.platform.is_silent = True
        at.broker.faults.refuse.clear()
        await at.pass_until(lambda: STREAM in at.platform.records)
        at.platform.records.clear()
        at.broker.cut()
        await at.pass_until(lambda: STREAM in at.platform.records)
        assert at.journal.debts[Lane.DATA] == [owed]

        at.platform.is_silent = False
        at.platform.confirm(STREAM, f"{ROOT}/{GATEWAY}")
        await at.pass_until(lambda: at.journal.debts[Lane.DATA] == [])


async def test_silent_platform_is_said_in_the_status_and_costs_little() -> None:
    async with stage(4 * STRETCH) as at:
        at.platform.is_silent = True
        await at.acknowledged()
        await at.pass_until(lambda: at.again._stalls[Lane.DATA].again_to > 0)
        assert at.delivery.reasons() == ["data.receipts_stalled"]
        began_s, before = at.clock.s, len(at.platform.replays)
        await at.pass_until(lambda: at.clock.s > began_s + 2 * LONGEST_S)
        messages = (len(at.platform.replays) - before) / before
        assert messages <= 5, "a stretch of 250 records each time, more and more rarely"
        at.platform.is_silent = False
        at.platform.confirm(STREAM, f"{ROOT}/{GATEWAY}")
        await at.pass_until(lambda: at.settled() == 4 * STRETCH)
        await at.pass_until(lambda: at.delivery.reasons() == [])


async def test_settled_records_come_again_on_request_marked_and_counted() -> None:
    async with stage(1500) as at:
        await until(lambda: at.settled() == 1500)
        del at.platform.records[STREAM]
        at.ask(101, 1400)
        await at.pass_until(lambda: at.of("replay") != [], 0.5)
        assert sorted(at.platform.records[STREAM]) == list(range(101, 1401))
        assert set(at.platform.replays) == {"r1"}
        (said,) = at.of("replay")
        assert (said["first"], said["last"]) == (101, 1400)
        assert (said["records"], said["missing"]) == (1300, 0)
        assert at.settled() == 1500


async def test_what_is_no_longer_held_is_counted_and_said() -> None:
    async with stage() as at:
        await until(lambda: at.settled() == 20)
        at.journal.held_from = 120
        at.ask(5, 30)
        at.ask(1, 4, "r2", device="tk999")
        await at.pass_until(lambda: len(at.of("replay")) == 2, 0.5)
        one, two = at.of("replay")
        assert (one["first"], one["last"], one["records"], one["missing"]) == (13, 20, 8, 18)
        assert (two["first"], two["last"], two["records"], two["missing"]) == (None, None, 0, 4)


async def test_storm_of_requests_is_capped_and_repetitions_are_served_once() -> None:
    async with stage() as at:
        await until(lambda: at.settled() == 20)
        at.ask(1, 1, "twice")
        at.ask(1, 1, "twice")
        for number in range(50):
            at.ask(1, 20, f"storm-{number}")
        at.broker.publish(DIALECT.topic("replay"), b"{" * 5000, qos=1)
        await until(lambda: at.of("replay_refused") != [])
        await at.pass_until(lambda: len(at.of("replay")) >= QUEUE, 0.5)
        began_s = at.clock.s
        await at.pass_until(lambda: at.clock.s > began_s + 20, 0.5)
        names = [said["id"] for said in at.of("replay")]
        assert len(names) == len(set(names)) <= QUEUE + 1
        assert [said["reason"] for said in at.of("replay_refused")] == ["busy"]


async def test_replay_goes_at_its_own_pace_behind_what_is_live() -> None:
    async with stage(3000) as at:
        await until(lambda: at.settled() == 3000)
        at.platform.replays.clear()
        at.ask(1, 3000)
        await at.pass_until(lambda: at.of("replay") != [], 0.1)
        assert sorted(at.platform.records[STREAM]) == list(range(1, 3001))
        # Never in debt by more than the message that was begun: a reading a record here.
        assert at.again._pace._tokens > -500


async def test_request_that_a_reconnect_interrupts_is_served_to_its_end() -> None:
    async with stage(3000) as at:
        await until(lambda: at.settled() == 3000)
        del at.platform.records[STREAM]
        at.ask(1, 3000)
        await at.pass_until(lambda: len(at.platform.replays) > 2, 0.2)
        at.broker.cut()
        await at.pass_until(lambda: at.of("replay") != [], 0.5)
        assert sorted(at.platform.records[STREAM]) == list(range(1, 3001))


async def test_request_on_which_the_broker_cuts_each_connection_is_given_up_and_said() -> None:
    async with stage(20) as at:
        await until(lambda: at.settled() == 20)
        at.broker.faults.poison[b'"replay":"r1"'] = 0x83
        at.ask(1, 20)
        await at.pass_until(lambda: at.of("replay") != [], 5.0)
        (said,) = at.of("replay")
        assert (said["refused"], said["records"], said["missing"]) == ("connection cut", 0, 20)
        at.journal.poll()
        await at.pass_until(lambda: at.settled() == 21, 0.5)


def test_continuity_lets_a_replay_fill_holes_but_begin_no_stream() -> None:
    def message(first: int, last: int, **more: Any) -> wire.LaneMessage:
        records = [
            wire.Record(n, "2026-11-22T03:04:05.123456Z", "synced", 3, values={"t": 1})  # type: ignore[arg-type]
            for n in range(first, last + 1)
        ]
        return wire.LaneMessage(
            1, GATEWAY, RUN, None, "tk101", Lane.DATA, first - 1, first, last, records, **more
        )

    check = Continuity()
    check.message(message(1, 5, replay="r1"))
    check.message(message(100, 101))
    check.message(message(104, 105))
    assert check.missing == 2
    check.message(message(102, 103, replay="r2"))
    assert (check.missing, check.duplicates, check.lossless) == (0, 0, True)


def test_request_is_read_strictly() -> None:
    asked = {"id": "r1", "lane": "data", "device": "d", "incarnation": RUN, "from": 3, "to": 3}
    topic = DIALECT.topic("replay")
    assert isinstance(wire.parse(topic, json.dumps(asked).encode()), Replay)
    for change in ({"to": 2}, {"from": 0}, {"id": "a b"}, {"lane": "x"}, {"more": 1}):
        with pytest.raises(ValueError, match="replay"):
            wire.parse(topic, json.dumps(asked | change).encode())
