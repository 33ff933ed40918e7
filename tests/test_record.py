"""What goes into the journal comes out the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import (
    Alarm,
    AlarmLevel,
    AlarmState,
    Batch,
    Block,
    Cause,
    ClockState,
    Conversion,
    DataType,
    Event,
    Gap,
    Priority,
    Quality,
    Scale,
    Stamp,
    Tag,
)
from gateway.record import (
    Encoder,
    Record,
    Values,
    decode,
    decode_schema,
    encode_schema,
    layout_of,
)

BOOT = "0123456789abcdef0123456789abcdef"
STAMP = Stamp(1_700_000_000_123_456_789, ClockState.HOLDOVER, 12)


def block_of(*kinds: DataType, conversion: Conversion | None = None) -> Block[None]:
    tags = tuple(
        Tag(f"t{i}", "d", None, kind, conversion=conversion) for i, kind in enumerate(kinds)
    )
    return Block("d", tags, 1.0, None)


def there_and_back(block: Block[None], batch: Batch) -> Record:
    layouts = [layout_of(block)]
    payload = Encoder(BOOT, [block], layouts).batch(batch, STAMP)
    return decode(payload, decode_schema(encode_schema(layouts)))


def body(record: Record) -> Values:
    assert isinstance(record.body, Values)
    return record.body


def test_a_full_image_keeps_values_times_clock_and_boot() -> None:
    block = block_of(DataType.INT16, DataType.UINT64, DataType.BOOL)
    record = there_and_back(block, Batch(block, 5, [-7, 2**64 - 1, True], mono_ns=(3, 4)))
    assert (record.time_ns, record.mono_ns, record.boot) == (5, (3, 4), BOOT)
    assert (record.state, record.bound_ms) == (ClockState.HOLDOVER, 12)
    assert tuple(body(record).values) == (-7, 2**64 - 1, True)
    assert body(record).layout.names == ("t0", "t1", "t2")


def test_an_unknown_bound_stays_unknown() -> None:
    block = block_of(DataType.INT16)
    layouts = [layout_of(block)]
    stamp = Stamp(1, ClockState.UNSYNCED, None)
    payload = Encoder(BOOT, [block], layouts).batch(Batch(block, 5, [1]), stamp)
    assert decode(payload, layouts).bound_ms is None


def test_a_scaled_integer_is_stored_as_a_double() -> None:
    block = block_of(DataType.INT16, conversion=Conversion(scale=Scale(1, 0, 10)))
    assert tuple(body(there_and_back(block, Batch(block, 5, [0.3]))).values) == (0.3,)


def test_values_that_are_missing_or_partial_come_back_with_quality_and_rows() -> None:
    block = block_of(DataType.FLOAT32, DataType.FLOAT32)
    got = body(there_and_back(block, Batch(block, 5, [None], b"\x81", index=[1])))
    assert (list(got.values), got.quality, list(got.index or ())) == ([None], b"\x81", [1])


NUMBERS: dict[DataType, st.SearchStrategy[Any]] = {
    DataType.BOOL: st.booleans(),
    DataType.INT16: st.integers(-(2**15), 2**15 - 1),
    DataType.UINT32: st.integers(0, 2**32 - 1),
    DataType.INT64: st.integers(-(2**63), 2**63 - 1),
    DataType.UINT64: st.integers(0, 2**64 - 1),
    DataType.FLOAT32: st.floats(width=32, allow_nan=False, allow_infinity=False),
    DataType.FLOAT64: st.floats(allow_nan=False, allow_infinity=False),
    DataType.STRING: st.text(max_size=8),
}


@given(st.data())
def test_every_type_survives_with_or_without_bad_values(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(list(NUMBERS)), min_size=1, max_size=8))
    values = [data.draw(st.one_of(st.none(), NUMBERS[kind])) for kind in kinds]
    quality = bytes(
        0x80 if value is None else data.draw(st.sampled_from([0, 0x42])) for value in values
    )
    block = block_of(*kinds)
    got = body(
        there_and_back(block, Batch(block, 9, values, quality if any(quality) else None))
    )
    assert list(got.values) == values
    assert (got.quality or bytes(len(values))) == quality


def test_a_gap_and_an_event_come_back_whole() -> None:
    encoder = Encoder(BOOT, [], [])
    gap = Gap("g-1", Cause.JOURNAL_EVICTED, 1, None, ("a", "b"), 7, False, (3, 9), ("ff", 2))
    assert decode(encoder.gap(gap, STAMP), []).body == gap
    event = Event("start", {"version": "1", "clean": True})
    assert decode(encoder.event(event, STAMP), []).body == event


def test_an_alarm_comes_back_whole() -> None:
    encoder = Encoder(BOOT, [], [])
    level, state = AlarmLevel.LOW_LOW, AlarmState.CLEARED
    what = ("ab-1", "level", level, state, Priority.EMERGENCY)
    alarm = Alarm(*what, 7.5, 8.0, "m", Quality.UNCERTAIN_SENSOR, 3, 9)
    record = decode(encoder.alarm(alarm, STAMP, (1, 2)), [])
    assert record.body == alarm
    assert (record.time_ns, record.mono_ns) == (9, (1, 2))


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x09" + bytes(60), b"\x02" + bytes(60)])
def test_bytes_that_are_no_record_are_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError, match="record"):
        decode(payload, [])


def test_a_value_of_another_kind_than_its_type_is_kept_as_it_is() -> None:
    block = block_of(DataType.INT16)
    assert list(body(there_and_back(block, Batch(block, 5, [1.5]))).values) == [1.5]


def test_a_gap_whose_seqs_are_no_pair_is_no_record() -> None:
    layouts = [layout_of(block_of(DataType.INT16))]
    gap = Gap("g", Cause.DEVICE_TIMEOUT, 1, 2, seqs={"a": 1})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a record"):
        decode(Encoder(BOOT, [], []).gap(gap, STAMP), layouts)
