"""What a receipt may do, and what is done while none comes."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Lane
from gateway.receipts import (
    LONGEST_S,
    LONGEST_STRETCH,
    MOST_BYTES,
    STALL_S,
    STRETCH,
    ReceiptError,
    Stall,
    Watermarks,
    look,
    published_again,
)
from tests.delivery.plant import EARLIER_RUN, RUN

HEADS = {(Lane.DATA, "tk101", RUN): 90, (Lane.DATA, "tk101", EARLIER_RUN): 7}
TOPIC = "park/v1/gw/receipt/data/tk101"


def watermarks() -> Watermarks:
    return Watermarks(lambda *stream: HEADS.get(stream))


def receipt(seq: object = 5, incarnation: str = RUN, **more: Any) -> bytes:
    return json.dumps({"incarnation": incarnation, "seq": seq, **more}).encode()


def holds(marks: Watermarks, seq: int, run: str = RUN) -> bool:
    return marks.holds(Lane.DATA, run, "tk101", seq)


def test_receipt_holds_everything_up_to_its_seq_and_nothing_else() -> None:
    marks = watermarks()
    assert marks.take(TOPIC, receipt(5)) == (Lane.DATA, RUN, "tk101")
    assert [holds(marks, seq) for seq in (1, 5, 6)] == [True, True, False]
    assert not holds(marks, 1, EARLIER_RUN)
    assert not marks.holds(Lane.ALARM, RUN, "tk101", 1)
    assert not marks.holds(Lane.DATA, RUN, "tk102", 1)


def test_receipt_of_an_earlier_incarnation_counts_for_its_backlog() -> None:
    marks = watermarks()
    marks.take(TOPIC, receipt(7, EARLIER_RUN))
    assert holds(marks, 7, EARLIER_RUN)
    assert not holds(marks, 1)


@given(st.lists(st.integers(0, 90)))
def test_watermark_never_moves_back(seqs: list[int]) -> None:
    marks = watermarks()
    for seq in seqs:
        marks.take(TOPIC, receipt(seq))
    held = [seq for seq in range(1, 92) if holds(marks, seq)]
    assert held == list(range(1, max(seqs, default=0) + 1))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (receipt(91), "beyond_head"),
        (receipt(2**80), "beyond_head"),
        (receipt(5, "f" * 32), "unknown_stream"),
        (receipt(5, "x"), "malformed"),
        (receipt(-1), "malformed"),
        (receipt("5"), "malformed"),
        (receipt(5, lane="alarm"), "malformed"),
        (receipt(5, device="tk102"), "malformed"),
        (receipt(5, signed="yes"), "malformed"),
        (b"", "malformed"),
        (b"{" * 4000, "malformed"),
        (b"\xff\xfe", "malformed"),
        (receipt(5) + b" " * MOST_BYTES, "too_long"),
    ],
)
def test_receipt_that_cannot_be_true_holds_nothing(payload: bytes, reason: str) -> None:
    marks = watermarks()
    with pytest.raises(ReceiptError, match=f"^{reason}$"):
        marks.take(TOPIC, payload)
    assert not holds(marks, 1)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_else_than_being_refused(payload: bytes) -> None:
    with pytest.raises(ReceiptError):
        watermarks().take(TOPIC, payload)


def test_receipt_may_name_its_lane_and_device_again() -> None:
    named = receipt(5, lane="data", device="tk101")
    assert watermarks().take(TOPIC, named) is not None


def test_nothing_is_published_again_before_the_platform_was_silent_for_a_while() -> None:
    stall, _ = look(Stall(), 0.0, 0, 10)
    assert look(stall, STALL_S - 0.1, 0, 10)[1] is False
    assert look(stall, STALL_S, 0, 10)[1] is True
    assert look(stall, 1e9, 10, 10)[1] is False, "there is nothing to wait for"


def test_platform_that_confirms_now_and_then_is_sent_nothing_again() -> None:
    stall = Stall()
    for turn in range(50):
        stall, again = look(stall, turn * (STALL_S - 1), 10 * turn, 1000)
        assert not again


def test_silent_platform_is_asked_more_and_more_rarely_with_little() -> None:
    stall, now_s, times = Stall(), 0.0, list[float]()
    while now_s < 7200:
        stall, again = look(stall, now_s, 100, 10**9)
        if again:
            assert stall.stretch == STRETCH
            times.append(now_s)
            stall = published_again(stall, 100 + STRETCH, now_s)
        now_s += 1
    gaps = [b - a for a, b in pairwise(times)]
    assert gaps[:5] == [120, 240, 480, LONGEST_S, LONGEST_S]
    assert len(times) < 15


@given(
    st.lists(st.booleans(), min_size=1, max_size=300),
    st.integers(1, 40),
    st.integers(0, 5),
)
def test_whatever_the_broker_lost_arrives_once_the_platform_answers(
    lost: list[bool], width: int, silent: int
) -> None:
    """Records 1, 2, 3 … of one stream, each ``width`` wide; some never reached the platform."""
    last = len(lost) * width
    have = {n for n in range(1, last + 1) if not lost[(n - 1) // width]}
    settled, stall, now_s, sent = 0, Stall(), 0.0, 0
    for _turn in range(20_000):
        if now_s > silent * 300:  # until then the platform is away
            while settled + 1 in have:
                settled += 1
        stall, again = look(stall, now_s, settled, last)
        if again:
            until = min(last, settled + stall.stretch)
            have.update(range(settled + 1, until + 1))
            sent += until - settled
            stall = published_again(stall, until, now_s)
        if settled == last:
            break
        now_s += 5
    assert settled == last
    assert stall.stretch <= LONGEST_STRETCH
    assert sent <= 3 * last + STRETCH * (silent + 3 + len(lost))
