"""The table of refusals, row by row: real adapter, real delivery, scripted broker."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from gateway.deliver import Delivery
from gateway.lane import PROBE_S
from gateway.model import Lane
from gateway.publisher import STEADY_S
from gateway.simulation.broker import Broker
from tests.delivery.plant import MemoryJournal, StillClock
from tests.delivery.site import DIALECT, Platform, broker_with, delivering
from tests.delivery.test_refusals import backlog, gaps, status, tick
from tests.patience import until

ALL = b'"records"'
"""In every message of a lane, and in no other."""
DEVICES = ("tk101", "tk102")
TEMPORARY = (0x80, 0x83, 0x97)
SENT_AWAY = (0x89, 0x8B, 0x96, 0x97, 0x9C, 0x9D)
NOT_IN_A_PUBACK = (0x95, 0x9A, 0x9B, 0x42)
"""MQTT 5, 3.4.2.1 knows them not: to us such a PUBACK is a broken packet."""


def is_settled(journal: MemoryJournal) -> bool:
    return journal.settled(Lane.DATA) == journal.committed(Lane.DATA)


def resumes_in(delivery: Delivery, clock: StillClock) -> float:
    return delivery.lanes[Lane.DATA].state.resume_s - clock.s


async def test_success_settles() -> None:
    journal, platform = backlog(), Platform()
    async with (
        broker_with(platform) as broker,
        delivering(journal, broker.url, StillClock()) as delivery,
    ):
        await delivery.drained()
        assert delivery.reasons() == []
    assert is_settled(journal)
    assert [platform.seqs(device) for device in DEVICES] == [list(range(1, 11))] * 2


async def test_no_matching_subscribers_holds_the_lane_and_probes_every_30_s() -> None:
    journal, clock = backlog(), StillClock()
    async with broker_with() as broker, delivering(journal, broker.url, clock) as delivery:
        await until(lambda: delivery.reasons() == ["data.no_subscribers"])
        await until(lambda: not delivery.window)
        for _ in range(3):
            assert resumes_in(delivery, clock) == PROBE_S
            sent = broker.messages
            await tick(clock, delivery, PROBE_S - 1)
            assert broker.messages == sent
            await tick(clock, delivery, 1.0)
            await until(lambda n=sent: broker.messages == n + 1)  # type: ignore[misc]
            await until(lambda: not delivery.window)
    assert journal.settled(Lane.DATA) == 0


@pytest.mark.parametrize("reason", TEMPORARY, ids=hex)
async def test_a_temporary_refusal_is_tried_again_in_order_from_1_to_60_s(reason: int) -> None:
    journal, platform, clock = backlog(), Platform(), StillClock()
    async with broker_with(platform) as broker:
        broker.faults.refuse["#"] = reason
        async with delivering(journal, broker.url, clock, dice=lambda: 0.5) as delivery:
            pauses = []
            for tries in range(1, 10):
                state = delivery.lanes[Lane.DATA].state
                await until(lambda n=tries: delivery.lanes[Lane.DATA].state.tries == n)  # type: ignore[misc]
                await until(lambda: not delivery.window)
                state = delivery.lanes[Lane.DATA].state
                assert state.refused == state.waiting[0].key
                pauses.append(resumes_in(delivery, clock))
                if tries < 9:
                    await tick(clock, delivery, pauses[-1])
            assert delivery.reasons() == [f"data.refused_0x{reason:02x}"]
            broker.faults.refuse.clear()
            await tick(clock, delivery, pauses[-1])
            await delivery.drained()
            assert delivery.reasons() == []
        assert broker.connections == 1
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert journal.refused == []
    assert [platform.seqs(device) for device in DEVICES] == [list(range(1, 11))] * 2


@pytest.mark.parametrize("reason", [0x87, 0x90, 0x99], ids=hex)
async def test_a_record_refused_for_its_own_sake_is_found_after_three_tries(
    reason: int,
) -> None:
    journal, platform, clock = backlog(50), Platform(), StillClock()
    async with broker_with(platform) as broker:
        broker.faults.spoil[b'"t000":36,'] = reason
        async with delivering(journal, broker.url, clock) as delivery:
            await until(lambda: len(platform.seqs("tk102")) == 50)
            for _ in range(40):
                await tick(clock, delivery)
                if is_settled(journal):
                    break
            assert is_settled(journal)
        assert broker.connections == 1
    assert gaps(platform, "tk101") == [([19, 19], 1)]
    assert gaps(platform, "tk102") == []
    assert sorted(set(platform.seqs("tk101"))) == list(range(1, 51))
    assert len(journal.refused) == 1


@pytest.mark.parametrize("reason", [0x87, 0x90, 0x99], ids=hex)
async def test_a_refusal_of_everything_stops_the_lane_aloud(reason: int) -> None:
    journal, platform, clock = backlog(), Platform(), StillClock()
    async with broker_with(platform) as broker:
        broker.faults.refuse[DIALECT.topic("data", "+")] = reason
        async with delivering(journal, broker.url, clock) as delivery:
            for _ in range(8):
                await tick(clock, delivery)
            assert delivery.reasons() == [f"data.stopped_0x{reason:02x}"]
            sent = broker.messages
            await tick(clock, delivery, 100.0)
            assert broker.messages == sent, "a stopped lane knocks once in five minutes"
            broker.faults.refuse.clear()
            await tick(clock, delivery, 300.0)
            await delivery.drained()
            assert delivery.reasons() == []
    assert journal.refused == []
    assert [platform.seqs(device) for device in DEVICES] == [list(range(1, 11))] * 2


@pytest.mark.parametrize("reason", NOT_IN_A_PUBACK, ids=hex)
async def test_an_acknowledgement_that_mqtt_does_not_know_ends_the_connection_and_is_poison(
    reason: int,
) -> None:
    journal, platform, clock = backlog(), Platform(), StillClock()
    async with broker_with(platform) as broker:
        broker.faults.spoil[b'"t000":6,'] = reason
        async with delivering(journal, broker.url, clock) as delivery:
            delivery.announce(DIALECT.topic("status"), status())
            await until(lambda: gaps(platform, "tk101") != [])
            await delivery.drained()
        assert 5 < broker.connections <= 5 + 5 + 2
    assert gaps(platform, "tk101") == [([4, 4], 1)]
    assert gaps(platform, "tk102") == []


async def test_a_packet_too_large_is_divided_until_it_fits() -> None:
    journal, platform = backlog(100), Platform()
    async with broker_with(platform, maximum_packet_bytes=3000) as broker:
        broker.faults.hides_limits = True
        async with delivering(journal, broker.url, StillClock()) as delivery:
            delivery.announce(DIALECT.topic("status"), status())
            await delivery.drained()
        assert broker.connections > 1
    assert journal.refused == []
    assert sorted(set(platform.seqs("tk101"))) == list(range(1, 101))


@pytest.mark.parametrize("reason", [0x95, 0x9A, 0x9B, 0x80], ids=hex)
async def test_a_record_the_broker_disconnects_on_is_found_after_five_losses(
    reason: int,
) -> None:
    journal, platform, clock = backlog(40), Platform(), StillClock()
    async with broker_with(platform) as broker:
        broker.faults.poison[b'"t000":36,'] = reason
        async with delivering(journal, broker.url, clock) as delivery:
            delivery.announce(DIALECT.topic("status"), status())
            await until(lambda: gaps(platform, "tk101") != [])
            await delivery.drained()
        assert broker.connections <= 5 + 7 + 2
    assert gaps(platform, "tk101") == [([19, 19], 1)]
    assert gaps(platform, "tk102") == []
    assert sorted(set(platform.seqs("tk101"))) == list(range(1, 41))
    assert len(journal.refused) == 1


async def losses(
    broker: Broker, delivery: Delivery, clock: StillClock, times: int, end: Callable[[], None]
) -> list[float]:
    """Seconds from each end of a connection to the next connection."""
    pauses = []
    for _ in range(times):
        await until(lambda: delivery.online)
        connected, at_s = broker.connections, clock.s
        end()
        await until(lambda n=connected: broker.connections > n)  # type: ignore[misc]
        pauses.append(round(clock.s - at_s, 3))
    await until(lambda: delivery.online)
    return pauses


@pytest.mark.parametrize(
    ("reason", "longest_s"),
    # MQTT 5 has 0x88 in CONNACK only: in a DISCONNECT it is a broken packet.
    [(0x88, 5.0), *((reason, 30.0) for reason in SENT_AWAY)],
)
async def test_a_broker_that_sends_us_away_is_left_alone_for_longer_and_longer(
    reason: int, longest_s: float
) -> None:
    journal, platform, clock = backlog(), Platform(), StillClock()
    async with broker_with(platform) as broker:
        broker.faults.drop_acks = 1_000_000
        async with delivering(journal, broker.url, clock, dice=lambda: 0.5) as delivery:
            pauses = await losses(broker, delivery, clock, 9, lambda: broker.disconnect(reason))
            oldest = delivery.lanes[Lane.DATA].state.head
            assert oldest == 10, "the head is not the oldest record"
            broker.faults.drop_acks = 0
            broker.disconnect(reason)
            await delivery.drained()
    assert pauses == [min(longest_s, 2.0**n) for n in range(9)]
    assert journal.refused == []
    assert set(platform.seqs("tk101")) == set(range(1, 11))


async def test_a_session_taken_over_is_taken_back_after_half_a_minute_and_said_to_be() -> None:
    clock = StillClock()
    async with broker_with() as broker, broker_with() as second:
        urls = [broker.url, second.url]
        async with delivering(backlog(), urls, clock, dice=lambda: 0.5) as delivery:
            for one, other in ((broker, second), (second, broker), (broker, second)):
                await until(lambda: delivery.online)
                connected, at_s = other.connections, clock.s
                one.disconnect(0x8E)
                await until(lambda b=other, n=connected: b.connections > n)  # type: ignore[misc]
                assert 30 <= clock.s - at_s <= 90
                assert "client_id_conflict" in delivery.reasons()


async def test_connections_cut_short_again_and_again_without_a_reason_are_said_to_be() -> None:
    """Some brokers let a second client take our name without a word (mosquitto 2.0.11)."""
    clock = StillClock()
    async with (
        broker_with() as broker,
        delivering(backlog(0), broker.url, clock, dice=lambda: 0.5) as delivery,
    ):
        await losses(broker, delivery, clock, 2, broker.cut)
        assert delivery.reasons() == []
        pauses = await losses(broker, delivery, clock, 3, broker.cut)
        assert delivery.reasons() == ["connections_cut_short"]
        assert max(pauses) <= 10.0
        clock.s += STEADY_S
        assert delivery.reasons() == []


async def test_connections_cut_where_a_topic_is_refused_are_said_to_be_refused_only() -> None:
    clock = StillClock()
    async with broker_with() as broker:
        broker.faults.refuse = {DIALECT.topic("data", "tk101"): 0x87}
        async with delivering(backlog(), broker.url, clock, dice=lambda: 0.5) as delivery:
            await until(lambda: delivery.reasons() != [])
            await losses(broker, delivery, clock, 4, broker.cut)
            assert "connections_cut_short" not in delivery.reasons()


async def test_connections_that_end_with_a_reason_are_not_cut_short() -> None:
    clock = StillClock()
    async with (
        broker_with() as broker,
        delivering(backlog(0), broker.url, clock, dice=lambda: 0.5) as delivery,
    ):
        await losses(broker, delivery, clock, 5, broker.disconnect)
        assert delivery.reasons() == []


async def test_a_receive_maximum_exceeded_is_counted_and_halves_the_window() -> None:
    journal, platform = backlog(100, devices=40), Platform()
    async with broker_with(platform, receive_maximum=20) as broker:
        broker.faults.hides_limits = True
        broker.faults.delay_s = 0.01
        async with delivering(journal, broker.url, StillClock(), window=64) as delivery:
            await delivery.drained()
            assert delivery.window.halvings == 2
        assert broker.connections == 3
    assert all(set(platform.seqs(f"tk{n}")) == set(range(1, 101)) for n in range(101, 141))


@pytest.mark.parametrize("reason", [0x86, 0x87, 0x88, 0x89, 0x97, 0x9C, 0x9D, 0x9F], ids=hex)
async def test_a_broker_that_never_lets_us_in_is_asked_once_a_minute_in_one_line(
    reason: int,
) -> None:
    clock, tries = StillClock(), list[float]()
    async with broker_with() as broker:
        broker.faults.connect_reason = reason

        def dice() -> float:
            tries.append(clock.s)
            return 0.5

        with capture_logs() as lines:
            async with delivering(backlog(), broker.url, clock, dice=dice) as delivery:
                await until(lambda: len(tries) >= 10)
                assert delivery.reasons() == ["broker_unreachable"]
        pauses = [round(b - a, 3) for a, b in pairwise(tries[:10])]
        assert pauses == [1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert [line["event"] for line in lines] == ["broker lost"]
    assert lines[0]["reason"] == reason
