"""From the journal over a real socket to a platform, through what brokers do wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.deliver import Delivery
from gateway.dialects import Origin
from gateway.lane import Policy
from gateway.model import Cause, Gap, Lane
from gateway.publisher import Acknowledged, Connected, PublisherEvent
from gateway.record import decode
from gateway.simulation.broker import Faults
from tests.delivery.plant import BOOT, RUN, START_NS, MemoryJournal, StillClock, block
from tests.delivery.site import DIALECT, Platform, broker_with, delivering
from tests.patience import PATIENCE_S, until

NUMBERS = list(range(1, 201))


def backlog(count: int = 200, devices: int = 1, width: int = 4) -> MemoryJournal:
    journal = MemoryJournal(*[block(f"tk{101 + n}", width) for n in range(devices)])
    for number in range(count * devices):
        journal.poll(number % devices, value=number % 30_000)
    return journal


async def test_backlog_of_many_devices_arrives_in_seq_order_and_is_settled() -> None:
    journal, platform = backlog(devices=5), Platform()
    async with (
        broker_with(platform) as broker,
        delivering(journal, broker.url, StillClock()) as delivery,
    ):
        async with asyncio.timeout(PATIENCE_S):
            await delivery.drained()
        assert delivery.reasons() == []
    for device in range(101, 106):
        assert platform.seqs(f"tk{device}") == NUMBERS
    assert journal.settled(Lane.DATA) == journal.committed(Lane.DATA)


@pytest.mark.parametrize(
    "faults",
    [Faults(double_acks=True), Faults(foreign_acks=True), Faults(delay_s=0.02)],
    ids=["double", "foreign", "late"],
)
async def test_strange_acknowledgements_neither_lose_nor_double(faults: Faults) -> None:
    journal, platform = backlog(devices=3), Platform()
    async with broker_with(platform, receive_maximum=5) as broker:
        broker.faults = faults
        async with (
            delivering(journal, broker.url, StillClock()) as delivery,
            asyncio.timeout(PATIENCE_S),
        ):
            await delivery.drained()
        assert broker.connections == 1
    assert platform.seqs("tk103") == NUMBERS


@pytest.mark.parametrize("maximum", [1, 2, 5])
async def test_receive_maximum_is_never_exceeded(maximum: int) -> None:
    journal, platform = backlog(20, devices=10), Platform()
    async with broker_with(platform, receive_maximum=maximum) as broker:
        broker.faults.delay_s = 0.001
        async with (
            delivering(journal, broker.url, StillClock()) as delivery,
            asyncio.timeout(PATIENCE_S),
        ):
            await delivery.drained()
        assert broker.connections == 1, "the broker ended a connection that sent too much"


async def test_lost_acknowledgement_leads_to_a_new_connection_and_everything_again() -> None:
    journal, platform, clock = backlog(), Platform(), StillClock()
    async with broker_with(platform) as broker:
        broker.faults.drop_acks = 1
        async with delivering(journal, broker.url, clock) as delivery:
            await until(lambda: broker.faults.drop_acks == 0)
            clock.s += 21.0
            async with asyncio.timeout(PATIENCE_S):
                await delivery.drained()
        assert broker.connections == 2
    assert set(platform.seqs("tk101")) == set(NUMBERS)


async def test_broker_that_stops_and_starts_gets_every_record_in_order() -> None:
    journal, platform = backlog(), Platform()
    async with (
        broker_with(platform) as broker,
        delivering(journal, broker.url, StillClock()) as delivery,
    ):
        async with asyncio.timeout(PATIENCE_S):
            await delivery.drained()
        await broker.stop()
        await until(lambda: not delivery.online)
        assert "broker_unreachable" in delivery.reasons()
        for number in range(200):
            journal.poll(value=number)
        await broker.start()
        async with asyncio.timeout(PATIENCE_S):
            await delivery.drained()
    assert platform.seqs("tk101") == list(range(1, 401))


async def test_connection_cut_in_flight_loses_nothing() -> None:
    journal, platform = backlog(devices=4, width=60), Platform()
    async with broker_with(platform, receive_maximum=3) as broker:
        broker.faults.delay_s = 0.005
        async with delivering(journal, broker.url, StillClock()) as delivery:
            for _ in range(3):
                seen = broker.messages
                await until(lambda seen=seen: broker.messages > seen)  # type: ignore[misc]
                broker.cut()
            async with asyncio.timeout(PATIENCE_S):
                await delivery.drained()
    for device in range(101, 105):
        assert sorted(set(platform.seqs(f"tk{device}"))) == NUMBERS


async def test_refused_topic_settles_nothing_behind_it_until_the_broker_is_cured() -> None:
    journal, platform, clock = backlog(10), Platform(), StillClock()
    topic = DIALECT.topic("data", "tk101")
    async with broker_with(platform) as broker:
        broker.faults.refuse[topic] = 0x87
        async with delivering(journal, broker.url, clock) as delivery:
            for tries in (1, 2, 3):
                await until(lambda n=tries: broker.messages == n)  # type: ignore[misc]
                await until(lambda: not delivery.window)
                clock.s += 1.5
            assert delivery.reasons() == ["data.stopped_0x87"]
            assert journal.settled(Lane.DATA) == 0
            broker.faults.refuse.clear()
            clock.s += 300.0
            async with asyncio.timeout(PATIENCE_S):
                await delivery.drained()
            assert delivery.reasons() == []
    assert platform.seqs("tk101") == NUMBERS[:10]


async def test_without_subscribers_nothing_is_settled_until_somebody_listens() -> None:
    journal, platform, clock = backlog(10), Platform(), StillClock()
    async with broker_with() as broker, delivering(journal, broker.url, clock) as delivery:
        await until(lambda: delivery.reasons() == ["data.no_subscribers"])
        assert journal.settled(Lane.DATA) == 0
        broker.listen("#", platform.hear)
        clock.s += 31.0
        async with asyncio.timeout(PATIENCE_S):
            await delivery.drained()
    assert platform.seqs("tk101") == NUMBERS[:10]


async def test_mqtt_3_is_settled_only_with_consent() -> None:
    platform, clock = Platform(), StillClock()
    async with broker_with(platform) as broker:
        refused = backlog(10)
        async with delivering(refused, broker.url, clock, version=4) as delivery:
            await until(lambda: delivery.online)
            assert delivery.reasons() == [
                f"{lane}.v3_acknowledgements_not_accepted" for lane in ("alarm", "meta", "data")
            ]
        consent = Policy(accept_v3_acknowledgements=True)
        accepted = backlog(10)
        async with (
            delivering(accepted, broker.url, clock, version=4, policy=consent) as delivery,
            asyncio.timeout(PATIENCE_S),
        ):
            await delivery.drained()
    assert refused.settled(Lane.DATA) == 0
    assert platform.seqs("tk101") == NUMBERS[:10]


async def test_alarm_overtakes_a_backlog_even_with_one_slot() -> None:
    journal, platform = backlog(400, width=100), Platform()
    async with broker_with(platform, receive_maximum=1) as broker:
        broker.faults.delay_s = 0.01
        async with delivering(journal, broker.url, StillClock()) as delivery:
            await until(lambda: len(platform.of("data")) >= 2)
            journal.poll(lane=Lane.ALARM)
            before = len(platform.of("data"))
            delivery.committed(Lane.ALARM)
            await until(lambda: platform.of("alarm") != [])
            assert len(platform.of("data")) <= before + 1
            async with asyncio.timeout(PATIENCE_S):
                await delivery.drained()


async def test_repeats_go_ahead_of_the_alarm_lane_even_with_one_slot() -> None:
    journal, platform = backlog(0), Platform()
    first = journal.poll(lane=Lane.ALARM)
    record = decode(first.payload, journal.layouts)
    origin = Origin(RUN, BOOT, "tk999", Lane.ALARM, 1, 1)
    repeated = DIALECT.message(origin, [DIALECT.record(1, record)], [False])
    async with broker_with(platform, receive_maximum=1) as broker:
        broker.faults.delay_s = 0.01
        async with delivering(journal, broker.url, StillClock()) as delivery:

            def repeat(_: Connected) -> None:
                for _copy in range(3):
                    delivery.repeat(DIALECT.topic("alarm", "tk999"), repeated)

            delivery._on_open = repeat
            async with asyncio.timeout(PATIENCE_S):
                await delivery.drained()
    devices = [message["device"] for message in platform.of("alarm")]
    assert devices == ["tk999", "tk999", "tk999", "tk101"]
    assert journal.settled(Lane.ALARM) == journal.committed(Lane.ALARM)


async def test_messages_fit_the_packets_the_broker_takes() -> None:
    journal, platform = backlog(devices=2), Platform()
    async with broker_with(platform, maximum_packet_bytes=2000) as broker:
        async with (
            delivering(journal, broker.url, StillClock()) as delivery,
            asyncio.timeout(PATIENCE_S),
        ):
            await delivery.drained()
        assert broker.connections == 1
    assert platform.seqs("tk102") == NUMBERS


async def test_session_taken_over_is_answered_with_a_long_pause() -> None:
    journal, clock = backlog(0), StillClock()
    async with broker_with() as broker, delivering(journal, broker.url, clock) as delivery:
        await until(lambda: delivery.online)
        before_s = clock.s
        broker.disconnect(0x8E)
        await until(lambda: broker.connections >= 2 and delivery.online)
        assert delivery.reasons() == ["client_id_conflict"]
        assert clock.s - before_s >= 30.0


async def test_records_that_cannot_be_read_become_a_gap_in_their_place() -> None:
    journal, platform = backlog(2), Platform()
    journal.damage("tk101", 3, 12)
    journal.append(b"\xffnonsense", "tk101")
    journal.poll()
    async with (
        broker_with(platform) as broker,
        delivering(journal, broker.url, StillClock()) as delivery,
        asyncio.timeout(PATIENCE_S),
    ):
        await delivery.drained()
    (message,) = platform.of("data")
    assert [record["seq"] for record in message["records"]] == [1, 2, 5, 6, 7]
    damaged, nonsense = message["records"][2]["gap"], message["records"][3]["gap"]
    assert (damaged["cause"], damaged["seqs"], damaged["count"]) == (
        "journal_corrupt",
        [3, 5],
        12,
    )
    assert nonsense["seqs"] == [6, 6]


async def test_gap_over_stored_records_continues_the_stream_from_the_first_of_them() -> None:
    journal, platform = backlog(2), Platform()
    evicted = Gap("g", Cause.JOURNAL_EVICTED, START_NS, START_NS, None, 40, True, (3, 12))
    journal.gap(evicted, "tk101", skip=9)
    journal.poll()
    async with (
        broker_with(platform) as broker,
        delivering(journal, broker.url, StillClock()) as delivery,
        asyncio.timeout(PATIENCE_S),
    ):
        await delivery.drained()
    (message,) = platform.of("data")
    assert (message["first"], message["last"]) == (1, 13)
    assert [record["seq"] for record in message["records"]] == [1, 2, 12, 13]


async def test_record_published_more_than_ten_seconds_after_its_time_is_late() -> None:
    journal, platform, clock = backlog(1), Platform(), StillClock()
    clock.ns += 10_000_000_001
    journal.append(journal.entries[Lane.DATA][0].payload, "tk101")  # type: ignore[union-attr]
    async with (
        broker_with(platform) as broker,
        delivering(journal, broker.url, clock) as delivery,
        asyncio.timeout(PATIENCE_S),
    ):
        await delivery.drained()
    assert [r.get("late") for r in platform.of("data")[0]["records"]] == [True, True]


async def test_retained_topics_go_out_again_on_each_connection() -> None:
    journal, clock = backlog(0), StillClock()
    topic = DIALECT.topic("status")
    async with broker_with() as broker, delivering(journal, broker.url, clock) as delivery:
        delivery.announce(topic, b"older")
        delivery.announce(topic, b"newest")
        await until(lambda: topic in broker.retained)
        assert broker.retained[topic] == (b"newest", 1)
        broker.retained.clear()
        broker.cut()
        await until(lambda: topic in broker.retained)


async def test_announcement_longer_than_the_broker_takes_is_named_and_cuts_nothing() -> None:
    platform = Platform()
    async with broker_with(platform, maximum_packet_bytes=2000) as broker:
        async with delivering(backlog(), broker.url, StillClock()) as delivery:
            delivery.announce(DIALECT.topic("schema", "tk101"), b"x" * 3000)
            async with asyncio.timeout(PATIENCE_S):
                await delivery.drained()
            assert "announcement_refused" in delivery.reasons()
        assert broker.connections == 1
    assert platform.seqs("tk101") == NUMBERS


class Deaf:
    """A publisher that takes everything and hears of no acknowledgement by itself."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def run(self, tell: Callable[[PublisherEvent], None]) -> None:
        await asyncio.Event().wait()

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int:
        self.sizes.append(len(payload))
        return len(self.sizes)

    def soon(self) -> None:
        raise AssertionError("nothing was lost")

    def reconnect(self, pause_s: float) -> None:
        raise AssertionError("nothing was lost")


async def test_schemas_of_a_large_site_leave_the_link_free_for_an_alarm() -> None:
    publisher, clock = Deaf(), StillClock()
    delivery = Delivery(MemoryJournal(), publisher, DIALECT, clock, policy=Policy())
    for number in range(40):
        delivery.announce(DIALECT.topic("schema", f"tk{number}"), b"x" * 10_000)
    delivery.hear(Connected(65_535, None, can_refuse=True))
    answered = 0
    while answered < 40:
        answered += 1
        clock.s += 0.1  # a link of 100 kB/s
        delivery.hear(Acknowledged(answered, 0))
        in_flight = sum(publisher.sizes[answered:])
        assert answered < 10 or in_flight <= 40_000
    assert len(publisher.sizes) == 40
