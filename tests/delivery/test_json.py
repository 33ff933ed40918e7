"""Records become the JSON the wire format says, to the digit."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.dialects import Origin
from gateway.dialects.json import JsonDialect, encode_record, rfc3339, shortest
from gateway.model import (
    Batch,
    Cause,
    ClockState,
    DataType,
    Event,
    Gap,
    Quality,
    Scalar,
    Tag,
    TagClass,
)
from gateway.record import Encoder, Layout, Record, Values, decode, layout_of
from tests.delivery.plant import (
    BOOT,
    CONFIG,
    GATEWAY,
    ROOT,
    RUN,
    START_NS,
    block,
    float32,
    stamp,
)
from tests.delivery.schema import checked

DIALECT = JsonDialect(ROOT, GATEWAY)


def values_record(
    values: Sequence[Scalar],
    columns: str,
    quality: bytes | None = None,
    index: Sequence[int] | None = None,
    source: Sequence[int] | None = None,
) -> Record:
    layout = Layout("tk101", tuple(f"t{n}" for n in range(len(columns))), columns)
    body = Values(layout, values, quality, index, source)
    return Record(START_NS, ClockState.SYNCED, 3, None, BOOT, body)


def written(record: Record, *, late: bool = False, device: str = "tk101") -> Any:
    """``record`` as a consumer reads it, in a message that is valid."""
    payload = text_of(record, late=late, device=device)
    return checked(DIALECT.topic("data", device), payload)["records"][0]


def text_of(record: Record, *, late: bool = False, device: str = "tk101") -> bytes:
    origin = Origin(RUN, BOOT, device, "data", 1, 1)
    return DIALECT.message(origin, [DIALECT.record(1, record)], [late])


def test_message_names_its_stream_and_its_seqs() -> None:
    parts = [DIALECT.record(seq, values_record([seq], "h")) for seq in (7, 8)]
    payload = DIALECT.message(Origin(RUN, None, "tk101", "data", 7, 8), parts, [True, False])
    message = checked(DIALECT.topic("data", "tk101"), payload)
    records = message.pop("records")
    assert message == {
        "v": 1, "gateway": GATEWAY, "incarnation": RUN, "boot": None, "device": "tk101",
        "lane": "data", "prev": 6, "first": 7, "last": 8,
    }  # fmt: skip
    assert [record.get("late") for record in records] == [True, None]


def test_full_image_through_the_journal_comes_out_as_it_went_in() -> None:
    of = block("tk101", 3)
    encoder = Encoder(BOOT, [of], [layout_of(of)])
    batch = Batch(of, START_NS, (-5, 0, 32767), mono_ns=(11, 22))
    record = decode(encoder.batch(batch, stamp()), [layout_of(of)])
    assert written(record) == {
        "seq": 1, "time": "2026-11-22T03:04:05.123456Z", "mono": [11, 22],
        "clock": "synced", "bound_ms": 3, "values": {"t000": -5, "t001": 0, "t002": 32767},
    }  # fmt: skip


def test_value_that_is_bad_is_null_and_says_why() -> None:
    quality = bytes([Quality.GOOD, Quality.BAD_SENSOR, Quality.UNCERTAIN_OUT_OF_RANGE])
    record = written(values_record([1, None, 3], "hhh", quality))
    assert record["values"] == {"t0": 1, "t1": None, "t2": 3}
    assert record["quality"] == {"t1": "bad.sensor", "t2": "uncertain.out_of_range"}


def test_last_value_under_a_bad_quality_is_never_written() -> None:
    record = written(values_record([7], "h", bytes([Quality.BAD_NO_COMMUNICATION])))
    assert record["values"] == {"t0": None}


@pytest.mark.parametrize("columns", ["f", "d", "*"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_number_that_is_not_finite_is_null_and_bad(columns: str, value: float) -> None:
    record = written(values_record([value, 1.5], columns + "d"))
    assert record["values"] == {"t0": None, "t1": 1.5}
    assert record["quality"] == {"t0": "bad.not_finite"}


def test_integers_of_64_bits_keep_every_digit() -> None:
    text = text_of(values_record([2**64 - 1, -(2**63), 2**53 + 1], "Qqq"))
    assert b'"t0":18446744073709551615,"t1":-9223372036854775808,"t2":9007199254740993' in text


def test_booleans_and_text_are_json() -> None:
    record = written(values_record([True, "罐区", False], "?*?"))
    assert record["values"] == {"t0": True, "t1": "罐区", "t2": False}


def test_some_tags_of_a_block_are_named_by_their_index() -> None:
    record = values_record([float32(7.31), 4], "hfh", None, [1, 2], [START_NS, START_NS + 1000])
    assert written(record)["values"] == {"t1": 7.31, "t2": 4}
    assert written(record)["source_time"] == {
        "t1": "2026-11-22T03:04:05.123456Z",
        "t2": "2026-11-22T03:04:05.123457Z",
    }


def test_float32_among_other_types_is_short_and_the_others_keep_their_digits() -> None:
    text = text_of(values_record([float32(7.31), 0.1 + 0.2, 16777217], "fdi"))
    assert b'"values":{"t0":7.31,"t1":0.30000000000000004,"t2":16777217}' in text


any_float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(any_float32, min_size=1, max_size=20))
@example([float32(7.31)])
@example([16777216.0, 16777215.0, 3.4028234663852886e38, 1e-45, -0.0])
@example([float32(0.00099999)])
def test_float32_is_the_shortest_text_that_reads_back(column: list[float]) -> None:
    for value, short in zip(column, shortest(column), strict=True):
        assert struct.pack("<f", short) == struct.pack("<f", value)
        digits = _digits(short)
        for fewer in range(1, digits):
            shorter = float(f"{value:.{fewer}g}")
            assert abs(shorter) > 3.4028235e38 or float32(shorter) != value


def _digits(value: float) -> int:
    """Significant digits of the shortest text of a double."""
    mantissa = repr(value).lstrip("-").partition("e")[0].replace(".", "")
    return len(mantissa.strip("0")) or 1


@given(st.integers(0, 4_102_444_800 * 10**9))
def test_time_is_utc_in_microseconds_cut_not_rounded(time_ns: int) -> None:
    from datetime import UTC, datetime

    second, ns = divmod(time_ns, 10**9)
    whole = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    assert rfc3339(time_ns) == f"{whole}.{ns // 1000:06d}Z"


def test_gap_with_all_it_may_say() -> None:
    gap = Gap(
        "g-1",
        Cause.NOT_RUNNING_UNCLEAN,
        START_NS,
        None,
        ("level",),
        12,
        False,
        (3, 9),
        (RUN, 4),
    )
    record = Record(START_NS, ClockState.UNSYNCED, None, None, BOOT, gap)
    assert written(record)["gap"] == {
        "id": "g-1", "cause": "not_running_unclean", "tags": ["level"],
        "from": "2026-11-22T03:04:05.123456Z", "to": None, "count": 12, "count_is": "at_most",
        "seqs": [3, 9], "after": {"incarnation": RUN, "seq": 4},
    }  # fmt: skip


def test_event_carries_its_kind_and_fields() -> None:
    event = Event("storage_degraded", {"error": "disk full", "volatile": True})
    record = Record(START_NS, ClockState.HOLDOVER, 8, None, BOOT, event)
    said = written(record, device="_gateway")["event"]
    assert said == {"kind": "storage_degraded", "error": "disk full", "volatile": True}


def test_status_heads_schema_and_latest_follow_the_table() -> None:
    status = DIALECT.status(
        state="degraded", incarnation=RUN, connection=3, time_ns=START_NS, version="0.1.0",
        config=CONFIG, reasons=["data.no_subscribers"],
    )  # fmt: skip
    heads = DIALECT.heads(
        incarnation=RUN, time_ns=START_NS, clock=ClockState.SYNCED, config=CONFIG,
        journal=(10, 20, None),
        streams={"data/tk101": (9, 7, START_NS), "meta/x": (1, 0, None)},
    )  # fmt: skip
    tag = Tag("level", "tk101", 0, DataType.FLOAT32, "m", tag_class=TagClass.SAFETY)
    schema = DIALECT.schema(
        device="tk101",
        label="罐 101",
        config=CONFIG,
        tags=[tag],
        limits={"level": {"high": 9.2}},
    )
    values: dict[str, tuple[Scalar, int]] = {"level": (7, 0), "p": (8, Quality.BAD)}
    latest = DIALECT.latest(device="tk101", time_ns=START_NS, values=values)
    checked(DIALECT.topic("status"), status)
    checked(DIALECT.topic("heads"), heads)
    read = checked(DIALECT.topic("schema", "tk101"), schema)
    assert read["tags"]["level"]["class"] == "safety"
    read = checked(DIALECT.topic("latest", "tk101"), latest)
    assert (read["values"], read["quality"]) == ({"level": 7, "p": None}, {"p": "bad"})


def test_overhead_the_dialect_states_is_never_exceeded() -> None:
    long = "n" * 64
    dialect = JsonDialect(ROOT, long)
    origin = Origin(RUN, BOOT, long, "alarm", 2**63, 2**63)
    part = encode_record(1, values_record([1], "h"))
    payload = dialect.message(origin, [part, part], [True, True])
    assert len(payload) <= dialect.head_bytes + 2 * (len(part) + dialect.overhead_bytes)
    assert json.loads(payload)["gateway"] == long
