"""Bytes to values: reference values with their origin, and round trips for every type."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.address import Address, Order, Table
from drivers.modbus.codec import decoder, encode
from gateway.model import DataType, Scalar

HOLDING = Table.HOLDING


def at(offset: int, type_: DataType, order: Order = Order.ABCD, **rest: Any) -> Address:
    return Address(1, HOLDING, offset, type_, order, **rest)


def decode(address: Address, wire: str) -> Scalar:
    (value,) = decoder([address], address.offset)(bytes.fromhex(wire))
    return value


@pytest.mark.parametrize(
    ("type_", "order", "wire", "value"),
    [
        # MODBUS Application Protocol V1.1b3, 6.3: registers 108 to 110 hold 022B 0000 0064.
        (DataType.UINT16, Order.ABCD, "02 2B", 555),
        (DataType.UINT16, Order.ABCD, "00 64", 100),
        # V1.1b3, 4.2: 0x1234 travels as 12 34.
        (DataType.INT16, Order.ABCD, "12 34", 0x1234),
        (DataType.INT16, Order.CDAB, "12 34", 0x1234),
        (DataType.INT16, Order.BADC, "34 12", 0x1234),
        (DataType.INT16, Order.DCBA, "34 12", 0x1234),
        # Two's complement.
        (DataType.INT16, Order.ABCD, "FF FF", -1),
        (DataType.INT16, Order.ABCD, "80 00", -32768),
        # The letters themselves: A = 01, B = 02 …
        (DataType.UINT32, Order.ABCD, "01 02 03 04", 0x01020304),
        (DataType.UINT32, Order.CDAB, "03 04 01 02", 0x01020304),
        (DataType.UINT32, Order.BADC, "02 01 04 03", 0x01020304),
        (DataType.UINT32, Order.DCBA, "04 03 02 01", 0x01020304),
        (DataType.UINT64, Order.ABCD, "01 02 03 04 05 06 07 08", 0x0102030405060708),
        (DataType.UINT64, Order.CDAB, "07 08 05 06 03 04 01 02", 0x0102030405060708),
        (DataType.UINT64, Order.BADC, "02 01 04 03 06 05 08 07", 0x0102030405060708),
        (DataType.UINT64, Order.DCBA, "08 07 06 05 04 03 02 01", 0x0102030405060708),
        # IEEE 754-2008, Table 3.5 layouts: 123456.0 is 47F12000, pi is 400921FB54442D18.
        (DataType.FLOAT32, Order.ABCD, "47 F1 20 00", 123456.0),
        # The names as in Telegraf's inputs/modbus README: ABCD is Motorola, DCBA is Intel,
        # BADC and CDAB are the same two with the bytes of each register swapped.
        (DataType.FLOAT32, Order.DCBA, "00 20 F1 47", 123456.0),
        (DataType.FLOAT32, Order.BADC, "F1 47 00 20", 123456.0),
        (DataType.FLOAT32, Order.CDAB, "20 00 47 F1", 123456.0),
        (DataType.FLOAT64, Order.ABCD, "40 09 21 FB 54 44 2D 18", math.pi),
        # Beyond 2**53 a float would round.
        (DataType.INT64, Order.ABCD, "80 00 00 00 00 00 00 01", -(2**63) + 1),
        (DataType.UINT64, Order.ABCD, "FF FF FF FF FF FF FF FF", 2**64 - 1),
        # Binary-coded decimal: one digit in four bits.
        (DataType.BCD16, Order.ABCD, "12 34", 1234),
        (DataType.BCD16, Order.ABCD, "99 99", 9999),
        (DataType.BCD32, Order.ABCD, "12 34 56 78", 12345678),
        (DataType.BCD32, Order.CDAB, "56 78 12 34", 12345678),
    ],
)
def test_reference_values(type_: DataType, order: Order, wire: str, value: Scalar) -> None:
    decoded = decode(at(0, type_, order), wire)
    assert (decoded, type(decoded)) == (value, type(value))


@pytest.mark.parametrize("wire", ["00 0A", "F0 00", "12 3B"])
def test_a_nibble_above_nine_is_no_decimal_digit(wire: str) -> None:
    assert decode(at(0, DataType.BCD16), wire) is None


@pytest.mark.parametrize(
    ("order", "length", "wire", "value"),
    [
        (Order.ABCD, 4, b"PUMP", "PUMP"),
        (Order.BADC, 4, b"UPPM", "PUMP"),
        (Order.CDAB, 4, b"PUMP", "PUMP"),
        (Order.DCBA, 3, b"UPPM", "PUM"),
        (Order.ABCD, 6, b"P1\0\0xx", "P1"),
        (Order.ABCD, 6, b"P1    ", "P1"),
        (Order.ABCD, 6, "水泵".encode(), "水泵"),
        (Order.ABCD, 4, b"\xff\xfe\xff\xfe", None),
    ],
)
def test_text_ends_at_nul_and_only_bytes_of_a_register_swap(
    order: Order, length: int, wire: bytes, value: Scalar
) -> None:
    address = at(0, DataType.STRING, order, length=length)
    assert decoder([address], 0)(wire) == [value]


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("bit", range(16))
def test_a_bit_is_counted_from_the_least_significant_of_its_register(
    order: Order, bit: int
) -> None:
    number = encode(at(0, DataType.UINT16, order), 1 << bit)
    bools = [at(0, DataType.BOOL, order, bit=b) for b in range(16)]
    assert decoder(bools, 0)(number) == [b == bit for b in range(16)]


def test_bits_are_packed_from_the_least_significant_of_the_first_byte() -> None:
    # V1.1b3, 6.1: coils 20 to 38 answer CD 6B 05; coils 27 to 20 are 1100 1101.
    coils = [Address(1, Table.COIL, offset, DataType.BOOL) for offset in range(19, 38)]
    values = decoder(coils, 19)(bytes.fromhex("CD 6B 05"))
    assert "".join(str(int(bool(v))) for v in values) == "1011001111010110101"


RANGES: dict[DataType, st.SearchStrategy[Any]] = {
    DataType.INT16: st.integers(-(2**15), 2**15 - 1),
    DataType.UINT16: st.integers(0, 2**16 - 1),
    DataType.INT32: st.integers(-(2**31), 2**31 - 1),
    DataType.UINT32: st.integers(0, 2**32 - 1),
    DataType.INT64: st.integers(-(2**63), 2**63 - 1),
    DataType.UINT64: st.integers(0, 2**64 - 1),
    DataType.FLOAT32: st.floats(width=32, allow_nan=False),
    DataType.FLOAT64: st.floats(allow_nan=False),
    DataType.BCD16: st.integers(0, 9999),
    DataType.BCD32: st.integers(0, 99999999),
    DataType.STRING: st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=7),
}


@st.composite
def values(draw: st.DrawFn) -> tuple[Address, Scalar]:
    type_ = draw(st.sampled_from(list(RANGES)))
    length = 7 if type_ is DataType.STRING else 0
    address = at(draw(st.integers(0, 100)), type_, draw(st.sampled_from(Order)), length=length)
    return address, draw(RANGES[type_])


@given(values())
def test_every_type_in_every_order_survives_the_round_trip(
    case: tuple[Address, Scalar],
) -> None:
    address, raw = case
    (back,) = decoder([address], address.offset)(encode(address, raw))
    assert (back, type(back)) == (raw, type(raw))


@given(st.lists(values(), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_a_block_of_mixed_types_orders_and_gaps_decodes_each_value_as_if_alone(
    cases: list[tuple[Address, Scalar]], random: Any
) -> None:
    image = bytearray(random.randbytes(250))
    addresses = [address for address, _ in cases if address.end <= 125]
    for address, raw in cases:
        image[2 * address.offset : 2 * address.end] = encode(address, raw)
    alone = [
        decoder([a], a.offset)(bytes(image[2 * a.offset : 2 * a.end]))[0] for a in addresses
    ]
    assert repr(list(decoder(addresses, 0)(bytes(image)))) == repr(alone)


@pytest.mark.parametrize(("type_", "raw"), [(DataType.UINT16, 65536), (DataType.INT16, 40000)])
def test_a_value_that_does_not_fit_is_not_encoded(type_: DataType, raw: int) -> None:
    with pytest.raises(struct.error):
        encode(at(0, type_), raw)
