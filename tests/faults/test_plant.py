"""The plant tells the truth in a way that can be checked, and lies so that it shows."""

from __future__ import annotations

import struct

import pytest

from tests.faults.encoding import REGION, TYPES, WIDTH, Function, payload, register_at, value_at
from tests.faults.plant import HOSTILE, Ask, Fault, truth

_FORMAT = {"uint16": "H", "uint32": "I", "uint64": "Q", "float32": "f"}


@pytest.mark.parametrize("kind", TYPES)
def test_the_bytes_of_a_reply_hold_the_value_of_each_tag(kind: str) -> None:
    first, width = TYPES.index(kind) * REGION + 8, WIDTH[kind]
    data = payload(7, Function.HOLDING, first, 5 * width, tick=123_456)
    values = [v for (v,) in struct.iter_unpack(f">{_FORMAT[kind]}", data)]
    want = [value_at(7, Function.HOLDING, first + i * width, 123_456) for i in range(5)]
    assert values == want


@pytest.mark.parametrize("kind", TYPES)
def test_a_reply_that_begins_inside_a_value_holds_the_same_registers(kind: str) -> None:
    first = TYPES.index(kind) * REGION + 9
    data = payload(7, Function.INPUT, first, 6, tick=9)
    want = [register_at(7, Function.INPUT, a, 9) for a in range(first, first + 6)]
    assert list(struct.unpack(">6H", data)) == want


def test_bits_are_packed_from_the_lowest() -> None:
    data = payload(1, Function.COILS, 3, 11, tick=5)
    bits = [bool(data[i // 8] >> i % 8 & 1) for i in range(11)]
    assert bits == [value_at(1, Function.COILS, 3 + i, 5) for i in range(11)]


def test_a_value_tells_apart_units_addresses_and_ticks() -> None:
    values = {
        value_at(unit, Function.INPUT, 2 * REGION + 4 * i, tick)
        for unit in range(1, 9)
        for i in range(16)
        for tick in range(50)
    }
    assert len(values) == 8 * 16 * 50


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("function", list(Function))
def test_a_hostile_answer_is_never_the_answer(name: str, function: Function) -> None:
    ask = Ask(tid=0xFFFF, unit=247, function=function, address=0, quantity=16)
    assert HOSTILE[name](ask, 5) != ask.frame(truth(ask, 5))


def test_a_fault_concerns_only_its_units_and_addresses() -> None:
    fault = Fault("exception", units=frozenset({2}), addresses=(7, 8))
    asked = [(2, 0, 8), (2, 8, 1), (2, 0, 7), (2, 9, 4), (1, 0, 8)]
    concerned = [fault.concerns(Ask(1, unit, 3, first, n)) for unit, first, n in asked]
    assert concerned == [True, True, False, False, False]
