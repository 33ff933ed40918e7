"""A small value that is replaced often: two slots in turn, the newest intact one counts."""

from __future__ import annotations

import json
import struct
from collections.abc import Set
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from gateway.journal.files import Files

_SLOT_BYTES = 4096
_HEAD = struct.Struct("<8sQII")  # magic, turn, length, CRC of turn and body
_MAGIC = b"TGSLOT01"


STATE_KEYS: Final = frozenset(("format", "gateway", "incarnation", "clean"))
"""What the file ``state`` of a journal always says."""


class SlotFile:
    """One JSON object in a file, safe against a torn write and a flipped bit.

    A lost slot costs the last `write` only.
    """

    def __init__(self, files: Files, path: Path, keys: Set[str] = frozenset()) -> None:
        """keys: what every value has; a slot without them holds something else, so none."""
        self._files = files
        self._path = path
        self._keys = keys
        self._turn = 0

    def read(self) -> dict[str, Any] | None:
        """The last value written; None when there is none."""
        if self._path.name not in self._files.names(self._path.parent):
            return None
        file = self._files.open(self._path)
        try:
            found = [_unpack(file.read(_SLOT_BYTES, k * _SLOT_BYTES)) for k in (0, 1)]
        finally:
            file.close()
        ours = (slot for slot in found if slot and slot[1].keys() >= self._keys)
        newest = max(ours, key=lambda slot: slot[0], default=None)
        if newest is None:
            return None
        self._turn = newest[0]
        return newest[1]

    def write(self, value: dict[str, Any], *, sync: bool) -> None:
        """Replace the value; with ``sync`` it is on the medium on return.

        Raises:
            OSError: The disk refused; the former value still stands.
        """
        self._turn += 1
        file = self._files.open(self._path, create=True)
        try:
            if file.size() < 2 * _SLOT_BYTES:
                # Both slots take their room now: later the disk may be full.
                file.write(bytes(2 * _SLOT_BYTES - file.size()), file.size())
            file.write(_pack(self._turn, value), self._turn % 2 * _SLOT_BYTES)
            if sync:
                file.sync()
        finally:
            file.close()
        if sync:
            self._files.sync_folder(self._path.parent)


def _pack(turn: int, value: dict[str, Any]) -> bytes:
    body = json.dumps(value).encode()
    crc = crc32(body, crc32(struct.pack("<Q", turn)))
    return (_HEAD.pack(_MAGIC, turn, len(body), crc) + body).ljust(_SLOT_BYTES, b"\0")


def _unpack(slot: bytes) -> tuple[int, dict[str, Any]] | None:
    if len(slot) < _HEAD.size:
        return None
    magic, turn, length, crc = _HEAD.unpack_from(slot)
    body = slot[_HEAD.size : _HEAD.size + length]
    if magic != _MAGIC or crc != crc32(body, crc32(struct.pack("<Q", turn))):
        return None
    return turn, json.loads(body)
