"""What the plant serves: registers that encode (unit, function, address, tick).

The data area of each table is cut into regions of one type, so that an address
alone says how it is encoded:

    0      …  9999   uint16   hash of unit, function, address, tick
    10000  … 19999   uint32   tick:16 | unit:4 | address:12
    20000  … 29999   uint64   tick:32 | unit:16 | address:16
    30000  … 39999   float32  the integer (tick:8 | unit:4 | address:12), which is exact

Bits (functions 1 and 2) are the lowest bit of the hash. Words are big-endian,
the first register is the most significant. The C plant implements the uint16
region with the same formula.
"""

from __future__ import annotations

import struct
from enum import IntEnum

_MASK = 0xFFFFFFFF
Value = bool | int | float


class Function(IntEnum):
    """The read functions of Modbus (Application Protocol V1.1b3, 6.1 to 6.4)."""

    COILS = 1
    DISCRETE = 2
    HOLDING = 3
    INPUT = 4

    @property
    def is_bits(self) -> bool:
        """Whether this table holds bits, not registers."""
        return self in (Function.COILS, Function.DISCRETE)


REGION = 10_000
TYPES = ("uint16", "uint32", "uint64", "float32")
_FORMAT = {"uint32": "I", "uint64": "Q", "float32": "f"}
WIDTH = {"bool": 1, "uint16": 1, "uint32": 2, "uint64": 4, "float32": 2}


def mix(unit: int, function: int, address: int, tick: int) -> int:
    """Sixteen bits that look random and depend on all four arguments."""
    h = tick * 0x9E3779B1 + unit * 0x85EBCA77 + function * 0x27D4EB2F + address * 0xC2B2AE3D
    h &= _MASK
    h ^= h >> 15
    h = h * 0x2C1B3C6D & _MASK
    return h >> 16


def type_at(function: int, address: int) -> str:
    """The type of the tag that lives at ``address``."""
    return "bool" if Function(function).is_bits else TYPES[min(address // REGION, 3)]


def value_at(unit: int, function: int, address: int, tick: int) -> Value:
    """The value of the tag that starts at ``address``."""
    kind = type_at(function, address)
    if kind == "uint16":
        return mix(unit, function, address, tick)
    if kind == "bool":
        return bool(mix(unit, function, address, tick) & 1)
    if kind == "uint32":
        return (tick & 0xFFFF) << 16 | (unit & 0xF) << 12 | address & 0xFFF
    if kind == "uint64":
        return (tick & _MASK) << 32 | unit << 16 | address
    return float((tick & 0xFF) << 16 | (unit & 0xF) << 12 | address & 0xFFF)


def register_at(unit: int, function: int, address: int, tick: int) -> int:
    """The register at ``address``: a whole value, or one word of a wider one."""
    kind = type_at(function, address)
    if kind == "uint16":
        return mix(unit, function, address, tick)
    word = address % WIDTH[kind]
    value = value_at(unit, function, address - word, tick)
    if kind == "float32":
        (value,) = struct.unpack(">I", struct.pack(">f", value))
    return int(value) >> 16 * (WIDTH[kind] - 1 - word) & 0xFFFF


def payload(unit: int, function: int, address: int, count: int, tick: int) -> bytes:
    """The data bytes of the reply to one read request."""
    span = range(address, address + count)
    if Function(function).is_bits:
        bits = sum((mix(unit, function, a, tick) & 1) << i for i, a in enumerate(span))
        return bits.to_bytes((count + 7) // 8, "little")
    kind = type_at(function, address)
    width = WIDTH[kind]
    if kind != "uint16" and address % width == count % width == 0:
        values = [value_at(unit, function, a, tick) for a in span[::width]]
        return struct.pack(f">{len(values)}{_FORMAT[kind]}", *values)
    words = [register_at(unit, function, a, tick) for a in span]
    return struct.pack(f">{count}H", *words)
