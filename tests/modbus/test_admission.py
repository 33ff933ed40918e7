"""Only bytes that are provably the answer get through."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.admission import ExceptionReply, Refusal, admit, missing


def ask(tid: int = 7, unit: int = 3, function: int = 3, count: int = 2) -> bytes:
    return struct.pack(">HHHBBHH", tid, 0, 6, unit, function, 100, count)


def reply(pdu: bytes, *, tid: int = 7, protocol: int = 0, length: int | None = None,
          unit: int = 3) -> bytes:  # fmt: skip
    size = len(pdu) + 1 if length is None else length
    return struct.pack(">HHHB", tid, protocol, size, unit) + pdu


GOOD = b"\x03\x04\x12\x34\x56\x78"


def test_the_answer_to_the_request_gives_its_data_bytes() -> None:
    assert admit(ask(), reply(GOOD)) == b"\x12\x34\x56\x78"


@pytest.mark.parametrize(
    ("function", "count", "size"), [(1, 8, 1), (1, 9, 2), (2, 2000, 250), (4, 125, 250)]
)
def test_every_function_has_its_exact_byte_count(function: int, count: int, size: int) -> None:
    content = bytes(range(size))
    answer = reply(bytes((function, size)) + content)
    assert admit(ask(function=function, count=count), answer) == content


def test_an_exception_to_this_request_is_its_code() -> None:
    assert admit(ask(), reply(b"\x83\x02")) == ExceptionReply(2)


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        (reply(GOOD, tid=6), Refusal.TRANSACTION),
        (reply(GOOD, tid=0), Refusal.TRANSACTION),
        (reply(GOOD, protocol=1), Refusal.PROTOCOL),
        (reply(GOOD, unit=4), Refusal.UNIT),
        (reply(b"\x04" + GOOD[1:]), Refusal.FUNCTION),
        (reply(b"\x06\x00\x01\x00\x01"), Refusal.FUNCTION),
        (reply(b"\x84\x02"), Refusal.FUNCTION),
        (reply(b"\x83\x02", tid=6), Refusal.TRANSACTION),
        (reply(b"\x83\x02\x00"), Refusal.EXCEPTION_LENGTH),
        (reply(b"\x03\x02\x12\x34"), Refusal.BYTE_COUNT),
        (reply(b"\x03\x06\x12\x34\x56\x78\x9a\xbc"), Refusal.BYTE_COUNT),
        (reply(b"\x03\x00"), Refusal.BYTE_COUNT),
        (reply(b"\x03\x03\x12\x34\x56"), Refusal.BYTE_COUNT),
        (reply(b"\x03\x02\x12\x34\x56\x78"), Refusal.BYTE_COUNT),
        (reply(b"\x03\x00\x64\x00\x02"), Refusal.BYTE_COUNT),
        (reply(GOOD) + reply(GOOD), Refusal.LENGTH),
        (reply(GOOD) + b"\0", Refusal.LENGTH),
        (reply(GOOD, length=0), Refusal.LENGTH),
        (reply(GOOD, length=1), Refusal.LENGTH),
        (reply(GOOD, length=65535), Refusal.LENGTH),
        (reply(GOOD)[:-1], Refusal.SHORT),
        (reply(GOOD)[:5], Refusal.SHORT),
        (b"", Refusal.SHORT),
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_its_reason(answer: bytes, refusal: Refusal) -> None:
    assert admit(ask(), answer) is refusal


@given(st.integers(0, 2**16 - 1), st.integers(0, len(reply(GOOD)) - 5), st.integers(1, 255))
def test_no_changed_byte_of_header_or_count_is_admitted(tid: int, at: int, flip: int) -> None:
    answer = bytearray(reply(GOOD, tid=tid))
    answer[at] ^= flip
    admitted = admit(ask(tid=tid), bytes(answer))
    assert isinstance(admitted, Refusal)


@given(st.binary(max_size=300))
def test_noise_is_neither_admitted_nor_waited_for_beyond_one_frame(noise: bytes) -> None:
    assert isinstance(admit(ask(), noise), Refusal)
    assert missing(noise) <= 260 - len(noise) or missing(noise) == 0


def test_it_waits_for_exactly_the_bytes_the_header_announces() -> None:
    answer = reply(GOOD)
    waits = [missing(answer[:n]) for n in range(len(answer) + 1)]
    assert waits == [6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("length", [0, 1, 2, 255, 65535])
def test_it_does_not_wait_for_a_frame_that_cannot_be_an_answer(length: int) -> None:
    assert missing(reply(GOOD, length=length)[:6]) == 0
