"""What may be in flight: slots, the alarms' share, and bytes of 250 ms."""

from __future__ import annotations

import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.wire import MAX_BYTES
from gateway.model import Lane
from gateway.window import IN_FLIGHT_S, SLOW_MESSAGE_BYTES, Window


def opened(size: int = 64, receive_maximum: int = 65_535) -> Window:
    window = Window(size)
    window.open(receive_maximum)
    return window


@given(
    st.integers(1, 100),
    st.integers(1, 100),
    st.lists(st.tuples(st.sampled_from(list(Lane)), st.booleans()), max_size=200),
)
def test_in_flight_never_exceeds_window_and_receive_maximum(
    size: int, receive_maximum: int, asks: list[tuple[Lane, bool]]
) -> None:
    window = opened(size, receive_maximum)
    for token, (lane, alarm_waits) in enumerate(asks):
        if window.slots(lane, alarm_waits=alarm_waits) > 0:
            window.sent(token, lane, 10, 0.0)
    assert len(window) <= min(size, receive_maximum)


@pytest.mark.parametrize("receive_maximum", [3, 8, 64])
def test_data_never_takes_the_alarms_slots(receive_maximum: int) -> None:
    window = opened(64, receive_maximum)
    for token in range(receive_maximum):
        if window.slots(Lane.DATA, alarm_waits=False) > 0:
            window.sent(token, Lane.DATA, 10, 0.0)
    assert window.slots(Lane.DATA, alarm_waits=False) <= 0
    assert window.slots(Lane.ALARM, alarm_waits=True) >= 1


@pytest.mark.parametrize("receive_maximum", [1, 2])
def test_next_free_slot_of_a_tiny_window_is_the_alarms(receive_maximum: int) -> None:
    window = opened(64, receive_maximum)
    assert window.slots(Lane.DATA, alarm_waits=True) == 0
    assert window.slots(Lane.DATA, alarm_waits=False) == receive_maximum
    assert window.slots(Lane.ALARM, alarm_waits=True) == receive_maximum


def test_quota_exceeded_halves_the_window_and_counts() -> None:
    window = opened(64)
    window.close(0x93)
    window.open(65_535)
    assert window.slots(Lane.ALARM, alarm_waits=True) == 32
    assert window.halvings == 1


def test_slow_link_holds_a_quarter_of_a_second_in_flight() -> None:
    window = opened()
    for token in range(100):
        window.sent(token, Lane.DATA, 10_000, float(token))
        window.acknowledged(token, token + 0.1)  # 100 kB/s
    assert window.room(Lane.DATA) == 25_000
    assert window.message_bytes == SLOW_MESSAGE_BYTES
    window.sent(1000, Lane.DATA, 20_000, 200.0)
    assert window.room(Lane.DATA) == 5_000
    assert window.room(Lane.ALARM) > MAX_BYTES


def test_answers_that_come_in_bunches_do_not_overstate_the_link() -> None:
    window, dice = opened(), random.Random(0)
    now_s = free_s = 0.0
    answers, rooms = deque[tuple[float, int]](), list[int]()
    for token in range(5000):
        size = dice.choice((500, 2500, 8000, 16_000))
        while answers and window.room(Lane.DATA) < size:
            now_s = max(now_s, answers[0][0]) + dice.random() * 0.05  # the loop has other work
            while answers and answers[0][0] <= now_s:
                window.acknowledged(answers.popleft()[1], now_s)
        window.sent(token, Lane.DATA, size, now_s)
        free_s = max(free_s, now_s) + size / 125_000
        answers.append((free_s, token))
        rooms.append(window.aside_bytes * 5 // 2)
    assert max(rooms[200:]) <= 1.2 * 125_000 * IN_FLIGHT_S
    assert sum(rooms) / len(rooms) >= 0.8 * 125_000 * IN_FLIGHT_S


def test_what_goes_beside_the_records_at_once_is_a_tenth_of_a_second_of_the_link() -> None:
    window = opened()
    for token in range(100):
        window.sent(token, Lane.DATA, 10_000, float(token))
        window.acknowledged(token, token + 0.1)  # 100 kB/s
    assert window.aside_bytes == 10_000


def test_fast_link_is_not_held_back() -> None:
    window = opened()
    for token in range(100):
        window.sent(token, Lane.DATA, 100_000, float(token))
        window.acknowledged(token, token + 0.001)
    assert window.room(Lane.DATA) == 25_000_000
    assert window.message_bytes == MAX_BYTES


def test_acknowledgement_for_nobody_frees_nothing() -> None:
    window = opened(1)
    window.sent(1, Lane.DATA, 10, 0.0)
    window.acknowledged(99, 1.0)
    window.acknowledged(1, 1.0)
    window.acknowledged(1, 1.0)
    assert window.slots(Lane.DATA, alarm_waits=False) == 1
