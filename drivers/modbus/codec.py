"""Bytes of a reply ⇄ raw values, by one layout compiled per block.

A layout is one permutation and one `struct.Struct`. The permutation puts the bytes of the
block's values one behind the other, most significant first, in the order of the tags; so it
also steps over unused registers, undoes every byte order and serves two tags on one register.
The struct then unpacks all of them at once. What a struct cannot do (bits, BCD, text) is
mended afterwards, row by row.

Nothing here knows units or scales: raw values are what the device holds.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, TypeAlias

from drivers.modbus.address import Address
from gateway.model import DataType, Scalar

Decode: TypeAlias = Callable[[bytes], Sequence[Scalar]]
"""Data bytes of one admitted reply → raw values in tag order; None where there is none."""

_CODES = {
    DataType.BOOL: "H",
    DataType.INT16: "h",
    DataType.UINT16: "H",
    DataType.BCD16: "H",
    DataType.INT32: "i",
    DataType.UINT32: "I",
    DataType.BCD32: "I",
    DataType.FLOAT32: "f",
    DataType.INT64: "q",
    DataType.UINT64: "Q",
    DataType.FLOAT64: "d",
}
_BITS = tuple(tuple(bool(byte >> bit & 1) for bit in range(8)) for byte in range(256))
"""The eight bits of each byte, first address first (V1.1b3, 6.1: LSB is the first coil)."""
_TABLE_SIZE = 256


def _code(address: Address) -> str:
    return _CODES.get(address.type) or f"{2 * address.width}s"


def register_struct(addresses: Iterable[Address]) -> struct.Struct:
    """The values of ``addresses`` one behind the other, big-endian, without padding."""
    runs = groupby(map(_code, addresses))
    return struct.Struct(">" + "".join(_repeat(code, len(list(run))) for code, run in runs))


def _repeat(code: str, times: int) -> str:
    return code * times if code.endswith("s") else f"{times}{code}"


def value_bytes(address: Address, start: int) -> list[int]:
    """Where the bytes of one value lie in data that begins at register ``start``.

    Most significant byte first. Text reads on: only the bytes of its registers swap.
    """
    first = 2 * (address.offset - start)
    words = [(at, at + 1) for at in range(first, first + 2 * address.width, 2)]
    if address.order.swaps_words and address.type is not DataType.STRING:
        words.reverse()
    if address.order.swaps_bytes:
        words = [(low, high) for high, low in words]
    return list(chain.from_iterable(words))


def decoder(addresses: Sequence[Address], start: int) -> Decode:
    """What decodes one block of a single table, beginning at offset ``start``."""
    if addresses[0].table.holds_bits:
        return partial(_decode_bits, _picker([a.offset - start for a in addresses]))
    wires = list(chain.from_iterable(value_bytes(a, start) for a in addresses))
    unpack = _unpacker(register_struct(addresses), wires)
    masks = [(row, 1 << a.bit) for row, a in enumerate(addresses) if a.bit >= 0]
    mends = [(row, mend) for row, a in enumerate(addresses) if (mend := _mend(a))]
    return partial(_decode_mended, unpack, masks, mends) if masks or mends else unpack


def _unpacker(values: struct.Struct, wires: list[int]) -> Decode:
    if wires == list(range(len(wires))):
        return partial(_decode_plain, values.unpack, len(wires))
    return partial(_decode_permuted, values.unpack, bytes(wires))


def _picker(rows: list[int]) -> Callable[[Sequence[bool]], Sequence[bool]]:
    if len(rows) == 1:
        return lambda bits: (bits[rows[0]],)
    return itemgetter(*rows)


def _decode_bits(
    pick: Callable[[Sequence[bool]], Sequence[bool]], data: bytes
) -> Sequence[Scalar]:
    return pick(tuple(chain.from_iterable(map(_BITS.__getitem__, data))))


def _decode_plain(
    unpack: Callable[[bytes], Sequence[Scalar]], size: int, data: bytes
) -> Sequence[Scalar]:
    return unpack(data[:size])


def _decode_permuted(
    unpack: Callable[[bytes], Sequence[Scalar]], permutation: bytes, data: bytes
) -> Sequence[Scalar]:
    # The permutation is translated by the data: byte i becomes data[permutation[i]].
    return unpack(permutation.translate(data.ljust(_TABLE_SIZE)))


def _decode_mended(
    unpack: Callable[[bytes], Sequence[Any]],
    masks: Sequence[tuple[int, int]],
    mends: Sequence[tuple[int, Mend]],
    data: bytes,
) -> Sequence[Scalar]:
    values = list(unpack(data))
    for row, mask in masks:
        values[row] = values[row] & mask != 0
    for row, mend in mends:
        try:
            values[row] = mend(values[row])
        except ValueError:
            values[row] = None
    return values


# Mends: what is left to do after the struct. Each raises ValueError where there is no value.

Mend: TypeAlias = Callable[..., Scalar]


def _mend(address: Address) -> Mend | None:
    mends: dict[DataType, Mend] = {
        DataType.BCD16: _decimal,
        DataType.BCD32: _decimal,
        DataType.STRING: partial(_text, address.length),
    }
    return mends.get(address.type)


def _decimal(number: int) -> int:
    """Binary-coded decimal: one decimal digit in each four bits; A to F are no digits."""
    return int(f"{number:x}")


def _text(length: int, characters: bytes) -> str:
    """Text up to the first NUL, without the spaces that fill it up."""
    return characters[:length].partition(b"\0")[0].decode().rstrip(" ")


# The way back, for the simulator and for round trips.


def encode(address: Address, raw: Scalar) -> bytes:
    """The register bytes of ``raw`` in the device's order; not for bits.

    Raises:
        struct.error: ``raw`` does not fit the type.
    """
    ordered = struct.pack(">" + _code(address), _unmend(address, raw))
    wires = value_bytes(address, address.offset)
    return bytes(ordered[wires.index(at)] for at in range(len(ordered)))


def _unmend(address: Address, raw: Scalar) -> Scalar | bytes:
    if address.type in (DataType.BCD16, DataType.BCD32):
        return int(str(raw), 16)
    if address.type is DataType.STRING:
        return str(raw).encode()[: address.length].ljust(2 * address.width, b"\0")
    return raw
