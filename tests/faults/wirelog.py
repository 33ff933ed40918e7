"""The wire log: one fixed record for every request the plant saw, and what it answered.

Both plants, in Python and in C, write this format; ``struct`` of ``_RECORD`` is its
only definition besides the C one. Times are CLOCK_MONOTONIC in nanoseconds, which
all processes of one machine share.
"""

from __future__ import annotations

import os
import struct
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

_RECORD = struct.Struct("<QBBHHIB")


class What(IntEnum):
    """What became of one request."""

    REPLY = 1
    """The true answer, put on the wire at ``mono_ns``."""
    LATE = 2
    """The true answer, deliberately after the requester's timeout."""
    EXCEPTION = 3
    HOSTILE = 4
    """Bytes that are not provably the answer to this request."""
    SILENT = 5
    """Nothing was sent."""
    FORBIDDEN = 6
    """The request had a function code other than 1 to 4 (I11)."""


class Wire(NamedTuple):
    """One request as the plant saw it."""

    mono_ns: int
    unit: int
    function: int
    address: int
    quantity: int
    tick: int
    what: What


class WireLog:
    """Appends records; each is in the file when `append` returns."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(self, record: Wire) -> None:
        os.write(self._fd, pack(record))


def pack(record: Wire) -> bytes:
    """The bytes of one record."""
    return _RECORD.pack(*record)


def read(path: Path) -> list[Wire]:
    """All whole records of a log, in the order they were written."""
    data = path.read_bytes()
    whole = len(data) - len(data) % _RECORD.size
    return [_wire(*fields) for fields in _RECORD.iter_unpack(data[:whole])]


def _wire(
    mono_ns: int, unit: int, function: int, address: int, quantity: int, tick: int, what: int
) -> Wire:
    return Wire(mono_ns, unit, function, address, quantity, tick, What(what))
