"""What a range of a table holds, given what its tags are worth; for the simulator.

The way back of `codec`: plain numbers are packed by one struct and put into place by one
permutation. Bits, text, BCD, values that the range cuts and values that share a register
follow one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from drivers.modbus.address import Address
from drivers.modbus.codec import encode, register_struct, value_bytes
from gateway.model import DataType, Scalar, Tag
from gateway.normalise import raw_of

Worth: TypeAlias = Callable[[Tag], Scalar]
"""What a tag is worth at the moment, in its unit; None reads as 0."""
Image: TypeAlias = Callable[[Worth], bytes]
"""The data bytes of a range, as they go over the wire."""

_ONE_BY_ONE = frozenset({DataType.BOOL, DataType.STRING, DataType.BCD16, DataType.BCD32})
_TABLE_SIZE = 256
_ZERO = 255
"""Never a place of a value: a range holds at most 250 bytes."""


def image(tags: Sequence[Tag], offset: int, count: int) -> Image:
    """The image of ``count`` registers or bits; what has no tag is 0.

    tags: all of one table, which is theirs alone.
    """
    inside = [t for t in tags if t.address.offset < offset + count and offset < t.address.end]
    if inside and inside[0].address.table.holds_bits:
        return _Bits(inside, offset, count)
    return _Registers(inside, offset, count)


class _Bits:
    """A range of coils or discrete inputs."""

    def __init__(self, tags: Sequence[Tag], offset: int, count: int) -> None:
        self._tags = [(tag, tag.address.offset - offset) for tag in tags]
        self._size = (count + 7) // 8

    def __call__(self, worth: Worth) -> bytes:
        content = bytearray(self._size)
        for tag, at in self._tags:
            if raw_of(tag, worth(tag)):
                content[at // 8] |= 1 << at % 8
        return bytes(content)


class _Registers:
    """A range of registers."""

    def __init__(self, tags: Sequence[Tag], offset: int, count: int) -> None:
        self._offset = offset
        self._plain: list[Tag] = []
        self._single: list[Tag] = []
        taken: set[int] = set()
        for tag in tags:
            place = range(tag.address.offset, tag.address.end)
            whole = offset <= place.start and place.stop <= offset + count
            is_plain = whole and tag.type not in _ONE_BY_ONE and taken.isdisjoint(place)
            (self._plain if is_plain else self._single).append(tag)
            taken.update(place)
        addresses = [tag.address for tag in self._plain]
        self._pack = register_struct(addresses).pack
        self._places = _places(addresses, offset, count)

    def __call__(self, worth: Worth) -> bytes:
        packed = self._pack(*[raw_of(tag, worth(tag)) or 0 for tag in self._plain])
        content = self._places.translate(packed.ljust(_TABLE_SIZE, b"\0"))
        return self._with_singles(bytearray(content), worth) if self._single else content

    def _with_singles(self, content: bytearray, worth: Worth) -> bytes:
        for tag in self._single:
            value = worth(tag)
            if value is not None:
                _put(content, tag.address, raw_of(tag, value), self._offset)
        return bytes(content)


def _places(addresses: Sequence[Address], offset: int, count: int) -> bytes:
    """For each byte of the range, where it lies among the packed values."""
    places = bytearray([_ZERO]) * (2 * count)
    wires = [at for address in addresses for at in value_bytes(address, offset)]
    for packed_at, wire_at in enumerate(wires):
        places[wire_at] = packed_at
    return bytes(places)


def _put(content: bytearray, address: Address, raw: Scalar, offset: int) -> None:
    start = 2 * (address.offset - offset)
    if address.bit >= 0:
        content[start + ((address.bit >= 8) == address.order.swaps_bytes)] |= (
            bool(raw) << address.bit % 8
        )
        return
    encoded = encode(address, raw)
    if start < 0:
        start, encoded = 0, encoded[-start:]
    content[start : start + len(encoded)] = encoded[: len(content) - start]


def span(tags: Sequence[Tag]) -> range:
    """From the first to the last offset that ``tags`` of one table use."""
    addresses: list[Address] = [tag.address for tag in tags]
    return range(min(a.offset for a in addresses), max(a.end for a in addresses))
