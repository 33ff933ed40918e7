"""Where a value lies in a Modbus device: what a person writes, and what the wire knows.

``holding/100`` counts from 0, as the wire does. With ``addressing: modicon`` the numbers
of old manuals are understood too: the first digit names the table and the rest counts
from 1, so ``40101`` is ``holding/100``.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from enum import IntEnum, StrEnum
from typing import NamedTuple

from gateway.errors import Mistake
from gateway.model import DataType

LAST_OFFSET = 0xFFFF


class Table(IntEnum):
    """The four tables; the number is the function code that reads it.

    Source: MODBUS Application Protocol V1.1b3, 4.3 (data model) and 6.1 to 6.4.
    """

    COIL = 1
    DISCRETE = 2
    HOLDING = 3
    INPUT = 4

    @property
    def word(self) -> str:
        """As written in an address: ``holding``."""
        return self.name.lower()

    @property
    def holds_bits(self) -> bool:
        """True where an address names one bit, False where it names a 16-bit register."""
        return self <= Table.DISCRETE


class Order(StrEnum):
    """How the bytes of a value lie in its registers; A is the most significant byte.

    A 64-bit value ABCDEFGH follows the same two habits: ``CDAB`` stores its registers
    last first (GHEFCDAB), ``BADC`` swaps the bytes of each register (BADCFEHG), and
    ``DCBA`` does both (HGFEDCBA). A single register is ``AB`` or, byte-swapped, ``BA``.
    """

    ABCD = "ABCD"
    CDAB = "CDAB"
    BADC = "BADC"
    DCBA = "DCBA"

    @property
    def swaps_words(self) -> bool:
        """The least significant register comes first."""
        return self in (Order.CDAB, Order.DCBA)

    @property
    def swaps_bytes(self) -> bool:
        """The low byte of each register comes first."""
        return self in (Order.BADC, Order.DCBA)


REGISTERS = {
    DataType.BOOL: 1,
    DataType.INT16: 1,
    DataType.UINT16: 1,
    DataType.BCD16: 1,
    DataType.INT32: 2,
    DataType.UINT32: 2,
    DataType.FLOAT32: 2,
    DataType.BCD32: 2,
    DataType.INT64: 4,
    DataType.UINT64: 4,
    DataType.FLOAT64: 4,
}
"""Registers a value takes; a string takes one for every two characters."""


class Address(NamedTuple):
    """One value in a device: `Tag.address` of every Modbus tag."""

    unit: int
    """Unit id of the device, 0 to 255."""
    table: Table
    offset: int
    """As on the wire, counted from 0."""
    type: DataType
    order: Order = Order.ABCD
    length: int = 0
    """Characters of a string, one byte each; 0 for every other type."""
    bit: int = -1
    """Bit of a register, 0 is the least significant; -1: not a bit of a register."""

    @property
    def width(self) -> int:
        """Registers the value takes, or 1 bit."""
        return REGISTERS.get(self.type) or (self.length + 1) // 2

    @property
    def end(self) -> int:
        """The first offset after the value."""
        return self.offset + self.width

    def __str__(self) -> str:
        bit = f" bit {self.bit}" if self.bit >= 0 else ""
        return f"{self.table.word}/{self.offset}{bit}"


_TABLES = {table.word: table for table in Table}
_ALIASES = {
    "coils": "coil",
    "discrete_input": "discrete",
    "discrete_inputs": "discrete",
    "holding_register": "holding",
    "holding_registers": "holding",
    "input_register": "input",
    "input_registers": "input",
    "hr": "holding",
    "ir": "input",
    "di": "discrete",
    "co": "coil",
}
_NUMBERED = re.compile(r"(?P<table>[A-Za-z_ -]+)/(?P<number>[0-9]+)", re.ASCII)
_MODICON = re.compile(r"[0134][0-9]{4,5}", re.ASCII)
_COIL_WITHOUT_ZEROS = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)
"""YAML drops leading zeros, so coil 00017 arrives as 17."""
_MODICON_TABLES = {"0": Table.COIL, "1": Table.DISCRETE, "3": Table.INPUT, "4": Table.HOLDING}


def numbered(text: str) -> tuple[Table, int] | None:
    """The table and offset of ``holding/100``; None for a number as old manuals have it.

    Raises:
        Mistake: It is neither, or there is no such place; with a suggestion where one is near.
    """
    if match := _NUMBERED.fullmatch(text):
        return _table(match["table"]), _offset(text, int(match["number"]))
    if _MODICON.fullmatch(text) or _COIL_WITHOUT_ZEROS.fullmatch(text):
        return None
    raise Mistake("modbus_address", path=("address",), address=text)


def counted(text: str, *, modicon: bool) -> tuple[Table, int]:
    """The table and zero-based offset of ``40101``, which counts from 1.

    Raises:
        Mistake: No such place; the code says why, with a suggestion where one is near.
    """
    if modicon and _COIL_WITHOUT_ZEROS.fullmatch(text):
        return Table.COIL, int(text) - 1
    if not _MODICON.fullmatch(text):
        raise Mistake("modbus_address", path=("address",), address=text)
    table, offset = _MODICON_TABLES[text[0]], int(text[1:]) - 1
    if not modicon:
        raise Mistake(
            "modbus_modicon",
            path=("address",),
            address=text,
            suggestion=f"{table.word}/{offset}",
        )
    return table, _offset(text, offset)


def _table(word: str) -> Table:
    if word in _TABLES:
        return _TABLES[word]
    plain = word.strip().lower().replace(" ", "_").replace("-", "_")
    near = _ALIASES.get(plain) or next(iter(get_close_matches(plain, _TABLES, n=1)), "holding")
    raise Mistake("modbus_table", path=("address",), table=word, suggestion=near)


def _offset(text: str, offset: int) -> int:
    if not 0 <= offset <= LAST_OFFSET:
        raise Mistake("modbus_address_range", path=("address",), address=text)
    return offset
