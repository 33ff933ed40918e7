"""Bytes as choices: what a target needs beside the bytes it reads."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Feed:
    """Reads forward through an input; behind its end there are only zeros."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        start, self._at = self._at, self._at + size
        return self._data[start : self._at].ljust(size, b"\0")

    def rest(self) -> bytes:
        """All that is left."""
        start, self._at = self._at, len(self._data)
        return self._data[start:]

    def number(self, size: int = 1) -> int:
        """The next ``size`` bytes as a number from 0 on."""
        return int.from_bytes(self.take(size), "little")

    def signed(self, size: int = 8) -> int:
        """The next ``size`` bytes as a number with a sign."""
        return int.from_bytes(self.take(size), "little", signed=True)

    def double(self) -> float:
        """Any double there is."""
        (value,) = struct.unpack("<d", self.take(8))
        return float(value)

    def one_of(self, choices: Sequence[T]) -> T:
        """One of ``choices``."""
        return choices[self.number() % len(choices)]

    def text(self) -> str:
        """Up to 255 bytes of text; what is no UTF-8 is replaced."""
        return self.take(self.number()).decode(errors="replace")
