"""What the platform's check finds in streams, and what it lets pass."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.continuity import Continuity, Finding, Kind
from gateway.dialects.wire import Heads, LaneMessage
from gateway.messages import LANGUAGES, text

RUN, NEXT_RUN = "1a" * 16, "2b" * 16
TIME = "2026-11-22T03:04:05.123456Z"


def values(seq: int) -> dict[str, Any]:
    return {
        "seq": seq,
        "time": TIME,
        "clock": "synced",
        "bound_ms": 1,
        "values": {"level": 1.5, "flow": 2},
    }


def gap(seq: int, id_: str = "g-1", **more: Any) -> dict[str, Any]:
    record = values(seq)
    del record["values"]
    body = {"id": id_, "cause": "journal_evicted", "tags": "*", "from": TIME, "to": TIME}
    return record | {"gap": body | {"count": 1, "count_is": "exact"} | more}


def message(
    *records: dict[str, Any], run: str = RUN, device: str = "tk101", **changes: Any
) -> LaneMessage:
    """One message; ``prev``, ``first`` and ``last`` fit its records unless changed."""
    first = records[0].get("gap", {}).get("seqs", [records[0]["seq"]])[0]
    raw = {
        "v": 1,
        "gateway": "g1",
        "incarnation": run,
        "boot": None,
        "device": device,
        "lane": "data",
        "prev": first - 1,
        "first": first,
        "last": records[-1]["seq"],
        "records": records,
    }
    return msgspec.convert(raw | changes, LaneMessage)


def plain(first: int, last: int, **more: Any) -> LaneMessage:
    return message(*map(values, range(first, last + 1)), **more)


def heads(settled: int, run: str = RUN) -> Heads:
    streams = {"data/tk101": {"head": settled, "settled": settled, "covered_to": None}}
    raw = {
        "v": 1,
        "incarnation": run,
        "time": TIME,
        "clock": "synced",
        "config": "0" * 16,
        "journal": {"bytes": 0, "size": 1, "hours_left": None},
        "streams": streams,
    }
    return msgspec.convert(raw, Heads)


def short(found: list[Finding]) -> list[tuple[str, int, int]]:
    return [(finding.kind.value, finding.first, finding.last) for finding in found]


def test_consecutive_messages_are_nothing_remarkable() -> None:
    check = Continuity()
    assert check.message(plain(7, 9)) == check.message(plain(10, 12)) == []
    assert (check.records, check.readings, check.streams) == (6, 12, 1)
    assert check.lossless


def test_what_came_before_the_watch_is_not_missing() -> None:
    check = Continuity()
    assert check.message(plain(1000, 1001)) == []
    assert check.missing == 0


def test_a_jump_between_messages_is_loss() -> None:
    check = Continuity()
    check.message(plain(1, 3))
    assert short(check.message(plain(6, 7))) == [("missing", 4, 5)]
    assert check.missing == 2
    assert not check.lossless


def test_a_hole_that_is_filled_late_is_out_of_order_and_no_loss() -> None:
    check = Continuity()
    check.message(plain(1, 3))
    check.message(plain(7, 8))
    assert short(check.message(plain(5, 5))) == [("filled", 5, 5)]
    assert check.missing == 2
    check.message(plain(4, 6))
    assert check.missing == 0
    assert (check.disorders, check.duplicates) == (3, 1)
    assert check.lossless


def test_a_repeated_message_is_duplicates_and_its_readings_count_once() -> None:
    check = Continuity()
    check.message(plain(1, 3))
    assert short(check.message(plain(2, 4))) == [("duplicate", 2, 3)]
    assert (check.duplicates, check.readings, check.lossless) == (2, 8, True)


def test_repeats_from_before_the_watch_are_not_judged() -> None:
    check = Continuity()
    check.message(plain(10, 12))
    assert check.message(plain(8, 9)) == []
    assert check.duplicates == 0


def test_a_gap_that_stands_for_records_covers_their_seqs() -> None:
    check = Continuity()
    check.message(plain(1, 3))
    assert check.message(message(gap(9, seqs=[4, 9]), values(10))) == []
    assert (check.missing, check.gaps) == (0, 1)


def test_a_gap_announced_again_is_one_gap() -> None:
    check = Continuity()
    check.message(message(gap(1), gap(2), gap(3, "g-2")))
    assert check.gaps == 2


def test_streams_are_told_apart() -> None:
    check = Continuity()
    check.message(plain(1, 3))
    assert check.message(plain(50, 51, device="tk102")) == []
    assert check.streams == 2


def test_a_message_that_does_not_hold_the_seqs_it_names_is_wrong() -> None:
    for wrong in (
        message(values(1), values(2), last=3),
        message(values(1), values(2), first=2, prev=1),
        message(values(1), values(2), prev=5),
        message(values(1), values(3)),
    ):
        check = Continuity()
        assert check.message(wrong)[0].kind is Kind.MISMATCH
        assert not check.lossless


def test_the_next_incarnation_begins_at_one() -> None:
    check = Continuity()
    check.message(plain(1, 3))
    assert short(check.message(plain(3, 4, run=NEXT_RUN))) == [("missing", 1, 2)]


def test_the_next_incarnation_says_how_far_the_one_before_went() -> None:
    check = Continuity()
    check.message(plain(1, 3))
    first = gap(1, after={"incarnation": RUN, "seq": 5})
    assert short(check.message(message(first, run=NEXT_RUN))) == [("missing", 4, 5)]


def test_what_was_settled_and_never_came_is_a_lost_tail() -> None:
    check = Continuity()
    check.message(plain(1, 3))
    assert short(check.heads("g1", heads(5))) == [("missing", 4, 5)]


def test_a_stream_of_which_nothing_ever_comes_is_noticed_by_its_heads() -> None:
    check = Continuity()
    assert check.heads("g1", heads(10)) == []
    assert check.heads("g1", heads(20)) == []
    assert short(check.heads("g1", heads(30))) == [("missing", 21, 30)]


def test_heads_kept_from_long_ago_begin_no_stream() -> None:
    check = Continuity()
    check.heads("g1", heads(10))
    assert check.message(plain(500, 501)) == []


def test_after_an_interruption_of_the_watch_a_jump_is_not_judged() -> None:
    check = Continuity()
    check.message(plain(1, 3))
    check.message(plain(5, 5))
    check.rejoined()
    assert check.message(plain(100, 101)) == []
    assert check.missing == 1


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_finding_has_words(kind: Kind, lang: str) -> None:
    told = text(f"finding_{kind}", lang, stream="s", first=1, last=2, count=2, reason="r")
    assert "1..2" in told


@given(st.integers(1, 40), st.sets(st.integers(1, 40)), st.randoms(use_true_random=False))
def test_missing_is_what_never_came_whatever_the_order(
    last: int, lost: set[int], dice: random.Random
) -> None:
    check = Continuity()
    check.message(plain(1, 1))
    came = [seq for seq in range(2, last + 1) if seq not in lost]
    again = dice.choices(came, k=5) if came else []
    order = came + again
    dice.shuffle(order)
    for seq in order:
        check.message(plain(seq, seq))
    head = max(came, default=1)
    assert check.missing == len([seq for seq in lost if 1 < seq < head])
    assert check.duplicates == len(again)
    assert check.readings == 2 * (1 + len(came))
