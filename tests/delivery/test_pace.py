"""How fast a backlog goes out."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Lane
from gateway.pace import LEAST_READINGS_S, SAMPLE_S, START_S, Pace
from tests.delivery.plant import MemoryJournal, StillClock, block
from tests.delivery.site import Platform, broker_with, delivering
from tests.patience import until


@given(
    st.lists(st.tuples(st.floats(0.01, 2.0), st.integers(1, 5000)), min_size=5, max_size=60),
    st.floats(1, 20),
)
def test_over_any_time_the_backlog_stays_within_its_rate(
    turns: list[tuple[float, int]], factor: float
) -> None:
    pace, now_s, live = Pace(factor), 0.0, 4000
    pace.live(0, now_s)
    now_s += SAMPLE_S
    pace.live(live * 10, now_s)
    pace.opened(now_s, 0.0)
    rate, spent, start_s = max(LEAST_READINGS_S, factor * live), 0, now_s
    for seconds, readings in turns:
        now_s += seconds
        if pace.allows(now_s):
            assert spent <= rate * (now_s - start_s) + 1e-3
            pace.spend(readings)
            spent += readings


def test_gateways_that_come_back_together_do_not_begin_together() -> None:
    begins = []
    for jitter in (0.0, 0.5, 0.99):
        pace = Pace(3)
        pace.opened(100.0, jitter)
        begins.append(next(n for n in range(1, 60) if pace.allows(100.0 + n / 10)))
    assert begins == sorted(begins)
    assert begins[-1] - begins[0] > 0.9 * START_S * 10 - 1


async def test_backlog_waits_for_its_turn_and_alarms_and_live_readings_do_not() -> None:
    journal, platform, clock = MemoryJournal(block("tk101", 4000)), Platform(), StillClock()
    for _ in range(40):
        journal.poll()
    clock.ns += 60_000_000_000
    async with (
        broker_with(platform) as broker,
        delivering(journal, broker.url, clock, pace=Pace(3), dice=lambda: 0.0) as delivery,
    ):
        await until(lambda: delivery.online)
        clock.s += 0.5
        await until(lambda: platform.seqs("tk101") != [])
        journal.poll(lane=Lane.ALARM)
        delivery.committed(Lane.ALARM)
        await until(lambda: platform.of("alarm") != [])
        assert len(platform.seqs("tk101")) < 40

        def is_settled_a_second_later() -> bool:
            clock.s += 1.0
            delivery.committed(Lane.DATA)
            return journal.settled(Lane.DATA) == journal.committed(Lane.DATA)

        await until(is_settled_a_second_later, 0.02)
    assert platform.seqs("tk101") == list(range(1, 41))


async def test_a_gap_over_ten_million_readings_holds_up_nothing_behind_it() -> None:
    journal, platform, clock = MemoryJournal(block("tk101", 4000)), Platform(), StillClock()
    journal.damage("tk101", 50_000, 10_000_000)
    for _ in range(10):
        journal.poll()
    clock.ns += 60_000_000_000
    async with (
        broker_with(platform) as broker,
        delivering(journal, broker.url, clock, pace=Pace(3), dice=lambda: 0.0) as delivery,
    ):
        await until(lambda: delivery.online)
        for _ in range(100):
            clock.s += 1.0
            delivery.committed(Lane.DATA)
            await asyncio.sleep(0.01)
            await until(lambda: not delivery.window)
        assert journal.settled(Lane.DATA) == journal.committed(Lane.DATA)
    assert platform.seqs("tk101") == list(range(50_000, 50_011))


async def test_with_factor_ten_a_backlog_goes_ten_times_as_fast_as_live() -> None:
    journal, platform, clock = MemoryJournal(block("tk101", 1)), Platform(), StillClock()
    for _ in range(20_000):
        journal.poll()
    clock.ns += 60_000_000_000
    pace = Pace(10)
    pace.live(0, clock.s)
    clock.s += SAMPLE_S
    pace.live(int(200 * SAMPLE_S), clock.s)
    async with (
        broker_with(platform) as broker,
        delivering(journal, broker.url, clock, pace=pace, dice=lambda: 0.0) as delivery,
    ):
        delivery.allows_backlog = pace.allows  # type: ignore[method-assign]
        await until(lambda: delivery.online)
        began_s = clock.s

        def is_done() -> bool:
            return journal.settled(Lane.DATA) == journal.committed(Lane.DATA)

        def is_spent() -> bool:
            return pace._filled_s == clock.s and pace._tokens <= 0 and not delivery.window

        while not is_done():
            clock.s += 0.5
            delivery.committed(Lane.DATA)
            await until(lambda: is_done() or is_spent())
    assert 9 <= clock.s - began_s <= 11, "not what 100 s of live readings make, in 10 s"
