"""What the decoder owes: what asyncua encodes comes out; what a hostile server sends is not."""

from __future__ import annotations

import datetime
import struct
import tracemalloc
import uuid
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given
from hypothesis import strategies as st

from drivers.opcua.codec import (
    NOT_SCALAR,
    DecodeError,
    decode_publish,
    decode_read,
    unix_ns,
)
from tests.fuzz.watch import within_bounds
from tests.opcua.site import notification

NOON = ua.DateTime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=datetime.UTC)
NOON_NS = 1_795_348_800_123_456_000


def read_answer(*values: ua.DataValue) -> bytes:
    response = ua.ReadResponse()
    response.Results = list(values)
    return struct_to_binary(response)


def data_value(value: Any, kind: ua.VariantType | None = None, **more: Any) -> ua.DataValue:
    variant = ua.Variant(value) if kind is None else ua.Variant(value, kind)
    return ua.DataValue(variant, **more)


SCALARS = [
    (True, ua.VariantType.Boolean),
    (-7, ua.VariantType.SByte),
    (200, ua.VariantType.Byte),
    (-30000, ua.VariantType.Int16),
    (60000, ua.VariantType.UInt16),
    (-(2**31), ua.VariantType.Int32),
    (2**32 - 1, ua.VariantType.UInt32),
    (-(2**63), ua.VariantType.Int64),
    (2**64 - 1, ua.VariantType.UInt64),
    (0.5, ua.VariantType.Float),
    (1e300, ua.VariantType.Double),
    ("液位", ua.VariantType.String),
]


@pytest.mark.parametrize(("value", "kind"), SCALARS, ids=lambda v: str(v)[:12])
def test_every_scalar_comes_out_as_it_went_in(value: Any, kind: ua.VariantType) -> None:
    status = ua.StatusCode(ua.UInt32(0x40940000))
    timing = {"StatusCode": status, "SourceTimestamp": NOON, "ServerTimestamp": NOON}
    timed = data_value(value, kind, **timing)
    plain = data_value(value, kind)
    first, second = decode_read(read_answer(timed, plain))
    assert (first.value, first.status, first.source_ns, first.server_ns) == (
        value,
        0x40940000,
        NOON_NS,
        NOON_NS,
    )
    assert second.value == value
    assert second.source_ns is None


NOT_SCALARS = [
    [1.0, 2.0, 3.0],
    ["a", None, "b"],
    [[1, 2], [3, 4]],
    uuid.UUID(int=5),
    ua.NodeId(ua.String("x"), ua.Int16(2)),
    ua.LocalizedText("text", "en"),
    ua.QualifiedName("name", ua.UInt16(1)),
    ua.Range(0.0, 9.0),
    [ua.Range(0.0, 9.0), ua.Range(1.0, 2.0)],
    [ua.Variant(1), ua.Variant("x")],
]


@pytest.mark.parametrize("value", NOT_SCALARS, ids=lambda v: str(v)[:16])
def test_what_is_no_scalar_is_stepped_over_and_its_neighbours_come_out(value: Any) -> None:
    samples = decode_read(read_answer(data_value(1.0), data_value(value), data_value(2.0)))
    assert [sample.value for sample in samples] == [1.0, NOT_SCALAR, 2.0]


def test_a_text_that_is_not_utf8_can_still_be_written_as_json() -> None:
    body = read_answer(data_value("abcd")).replace(b"abcd", b"a\xff\xfed")
    (sample,) = decode_read(body)
    assert isinstance(sample.value, str)
    sample.value.encode()


def test_no_time_and_times_no_record_can_hold_are_none() -> None:
    assert unix_ns(0) is None
    assert unix_ns(2**63 - 1) is None
    assert unix_ns(-1) is None
    far = ua.DateTime(2300, 1, 1, tzinfo=datetime.UTC)
    (sample,) = decode_read(read_answer(data_value(1.0, SourceTimestamp=far)))
    assert sample.source_ns is None


def test_a_value_that_is_a_time_may_lie_beyond_what_a_record_can_hold() -> None:
    far = ua.DateTime(2300, 1, 1, tzinfo=datetime.UTC)
    (sample,) = decode_read(read_answer(data_value(far)))
    assert sample.value == "2300-01-01T00:00:00Z"


@given(st.lists(st.tuples(st.integers(1, 2**32 - 1), st.floats(allow_nan=False)), max_size=20))
def test_every_sample_of_a_notification_comes_out_in_order(
    samples: list[tuple[int, float]],
) -> None:
    published = decode_publish(notification(5, *samples, more=True))
    got = [(sample.handle, sample.value) for sample in published.notification.samples]
    assert got == samples
    assert published.more
    assert published.notification.is_keep_alive == (not samples)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_answer_is_a_decode_error_or_a_value_and_nothing_else(
    at: int, byte: int
) -> None:
    body = bytearray(notification(5, (1, 1.0), (2, 2.0), (3, 3.0)))
    body[at % len(body)] = byte
    for cut in (len(body), at % len(body)):
        try:
            decode_publish(bytes(body[:cut]))
        except DecodeError:
            pass


HEAD = read_answer()[:-8]
"""A Read answer up to its array of results."""
BOMBS = {
    "string array of negative element": b"\x01\x8c" + struct.pack("<ii", 2**20, -4),
    "array longer than the message": b"\x01\x8b" + struct.pack("<i", 2**31 - 1),
    "array of a negative length": b"\x01\x8b" + struct.pack("<i", -7),
    "array of nulls with dimensions": b"\x01\xc0" + struct.pack("<ii", 0, 0),
    "array of nulls": b"\x01\x80" + struct.pack("<i", 2**31 - 1),
    "variants in variants": b"\x01" + b"\x18" * 5000,
    "diagnostics in diagnostics": b"\x01\x19" + b"\x40" * 5000,
    "string of a negative length": b"\x01\x0c" + struct.pack("<i", -4),
    "string longer than the message": b"\x01\x0c" + struct.pack("<i", 2**30),
    "dimensions longer than the message": b"\x01\xc3" + struct.pack("<iBi", 1, 0, 2**30),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_and_builds_nothing(bomb: bytes) -> None:
    body = HEAD + struct.pack("<i", 1) + bomb
    tracemalloc.start()
    with pytest.raises(DecodeError):
        decode_read(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_work_grows_no_faster_than_the_answer() -> None:
    nulls = b"\xc0" + struct.pack("<ii", 4000, 0)
    body = HEAD + struct.pack("<i", 1) + b"\x01\x98" + struct.pack("<i", 2000) + nulls * 2000
    with pytest.raises(DecodeError):
        within_bounds(decode_read, body)


def test_more_results_than_bytes_are_refused() -> None:
    with pytest.raises(DecodeError):
        decode_read(HEAD + struct.pack("<i", 2**31 - 1))


def test_the_answer_to_another_service_is_refused() -> None:
    with pytest.raises(DecodeError):
        decode_read(notification(1, (1, 1.0)))


def test_a_server_that_gives_no_publish_time_is_known_by_the_time_of_its_answer() -> None:
    response = ua.PublishResponse()
    response.ResponseHeader.Timestamp = NOON
    body = bytearray(struct_to_binary(response))
    body[-20:-12] = bytes(8)
    assert decode_publish(bytes(body)).notification.publish_ns == NOON_NS
