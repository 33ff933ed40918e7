"""How a notification becomes batches, and how a missing one is seen."""

from __future__ import annotations

import pytest

from drivers.opcua.codec import DecodeError, Notification, Sample
from drivers.opcua.driver import OpcuaDriver
from drivers.opcua.notifications import (
    LAST_SEQUENCE,
    MOST_OF_A_TAG,
    Came,
    Freshness,
    Item,
    Sequence32,
    news,
)
from gateway.clock import Clock
from gateway.driver import Missing
from gateway.model import Batch, Cause
from tests.opcua.site import link_to

LINK = link_to("opc.tcp://127.0.0.1:1", "a", "b", "c")
(BLOCK,) = OpcuaDriver(LINK.config, Clock()).plan(LINK.tags)
ITEMS = {row + 1: Item(BLOCK, row, judge) for row, judge in enumerate(BLOCK.request.judges)}
OVERFLOW = 0x480


def sample(handle: int, value: float, status: int = 0, at: int | None = None) -> Sample:
    return Sample(handle, value, status, at, at)


def message(sequence: int, *, is_keep_alive: bool = False) -> Notification:
    return Notification(sequence, None, [], is_keep_alive)


def test_a_notification_becomes_as_many_batches_as_its_most_sampled_tag_has_samples() -> None:
    said = news(
        [sample(1, 1.0), sample(2, 5.0), sample(1, 2.0), sample(1, 3.0), sample(3, 9.0)],
        ITEMS,
        Came(7, 8),
    )
    assert [(b.index, b.values) for b in said if isinstance(b, Batch)] == [
        ([0, 1, 2], [1.0, 5.0, 9.0]),
        ([0], [2.0]),
        ([0], [3.0]),
    ]


def test_every_sample_keeps_its_own_times() -> None:
    (batch,) = news([sample(2, 1.0, at=11), sample(1, 2.0, at=None)], ITEMS, Came(7, 8))
    assert isinstance(batch, Batch)
    assert (batch.source_time_ns, batch.server_time_ns) == ([11, None], [11, None])
    assert (batch.time_ns, batch.mono_ns) == (7, (8, 8))


def test_an_overflow_is_told_before_the_values_and_names_only_its_tag() -> None:
    lost, batch = news([sample(1, 1.0), sample(2, 5.0, OVERFLOW)], ITEMS, Came(7, 8))
    assert isinstance(lost, Missing)
    assert (lost.rows, lost.cause, lost.quality) == ((1,), Cause.SUB_OVERFLOW, None)
    assert isinstance(batch, Batch)
    assert list(batch.values) == [1.0, 5.0]


def test_more_samples_of_a_tag_than_any_queue_holds_are_refused() -> None:
    news([sample(1, 1.0)] * MOST_OF_A_TAG, ITEMS, Came(7, 8))
    with pytest.raises(DecodeError):
        news([sample(1, 1.0)] * (MOST_OF_A_TAG + 1), ITEMS, Came(7, 8))


def test_a_handle_never_given_is_refused() -> None:
    with pytest.raises(DecodeError):
        news([sample(4, 1.0)], ITEMS, Came(7, 8))


def test_numbers_in_order_miss_nothing() -> None:
    sequence = Sequence32()
    assert [sequence.missing(message(n)) for n in (1, 2, 3)] == [[], [], []]


def test_the_number_after_the_last_is_one() -> None:
    sequence = Sequence32(LAST_SEQUENCE)
    assert sequence.missing(message(LAST_SEQUENCE)) == []
    assert sequence.missing(message(1)) == []
    assert Sequence32(LAST_SEQUENCE).missing(message(2)) == [LAST_SEQUENCE, 1]


def test_a_keep_alive_carries_the_next_number_and_uses_none() -> None:
    sequence = Sequence32()
    assert sequence.missing(message(1, is_keep_alive=True)) == []
    assert sequence.missing(message(1)) == []
    assert sequence.missing(message(3, is_keep_alive=True)) == [2]


def test_a_number_that_is_behind_is_an_error() -> None:
    sequence = Sequence32(9)
    with pytest.raises(DecodeError):
        sequence.missing(message(8))


def test_a_word_is_as_old_as_it_took_longer_than_the_freshest_whatever_the_clocks_say() -> None:
    freshness, ahead = Freshness(), 3_600_000
    sent = (1_000, 2_000, 3_000, 4_000, 9_000)
    came = (1_010, 2_005, 8_000, 8_001, 9_005)
    ages = [
        freshness.age_ns(Notification(n, at + ahead, [], is_keep_alive=False), here)
        for n, (at, here) in enumerate(zip(sent, came, strict=True), start=1)
    ]
    assert ages == [0, 0, 4_995, 3_996, 0]


def test_a_server_whose_clock_was_set_back_is_believed_again_after_two_turns() -> None:
    freshness = Freshness()
    assert freshness.age_ns(Notification(1, 9_000, [], is_keep_alive=False), 9_000) == 0
    back = Notification(2, 5_000, [], is_keep_alive=False)
    assert freshness.age_ns(back, 10_000) == 5_000
    freshness.turn()
    freshness.turn()
    assert freshness.age_ns(back, 10_000) == 0
