"""What a restart must know of the alarms: one value on disk, replaced as a whole.

Two files, written in turn, each with its own checksum: the newest intact one counts, so
that a torn write costs the write that was torn. They are made once and written in place,
so that a full disk does not matter until a value outgrows what was reserved.
"""

from __future__ import annotations

import struct
from pathlib import Path
from zlib import crc32

from gateway.journal.files import Files

_HEAD = struct.Struct("<8sQII")
"""Magic, turn, length of the body, CRC of turn and body."""
_MAGIC = b"TGALARM1"
_NAMES = ("alarms.0", "alarms.1")


class AlarmFile:
    """The two files in ``folder``."""

    def __init__(self, files: Files, folder: Path) -> None:
        self._files = files
        self._paths = [folder / name for name in _NAMES]
        self._turn = 0

    def read(self) -> bytes | None:
        """The value written last; None when none was, or both files are damaged.

        Raises:
            OSError: The disk cannot be read.
        """
        found = [slot for slot in map(self._read, self._paths) if slot is not None]
        self._turn, body = max(found, default=(0, b""))
        return body if found else None

    def reserve(self, size: int) -> None:
        """See to it that a value of ``size`` bytes fits without the disk giving more.

        Raises:
            OSError: The disk has no room.
        """
        for path in self._paths:
            file = self._files.open(path, create=True)
            try:
                length = file.size()
                if length < size + _HEAD.size:
                    file.write(bytes(size + _HEAD.size - length), length)
                    file.sync()
            finally:
                file.close()
        self._files.sync_folder(self._paths[0].parent)

    def write(self, body: bytes) -> None:
        """Replace the value; it is on the medium on return.

        Raises:
            OSError: The disk refused; the former value still stands.
        """
        turn = self._turn + 1
        path = self._paths[turn % 2]
        is_new = path.name not in self._files.names(path.parent)
        file = self._files.open(path, create=True)
        try:
            file.write(_HEAD.pack(_MAGIC, turn, len(body), _crc(turn, body)) + body, 0)
            file.sync()
        finally:
            file.close()
        if is_new:
            self._files.sync_folder(path.parent)
        self._turn = turn

    def _read(self, path: Path) -> tuple[int, bytes] | None:
        if path.name not in self._files.names(path.parent):
            return None
        file = self._files.open(path)
        try:
            content = file.read(file.size(), 0)
        finally:
            file.close()
        if len(content) < _HEAD.size:
            return None
        magic, turn, length, crc = _HEAD.unpack_from(content)
        body = content[_HEAD.size : _HEAD.size + length]
        is_intact = magic == _MAGIC and len(body) == length and crc == _crc(turn, body)
        return (turn, body) if is_intact else None


def _crc(turn: int, body: bytes) -> int:
    return crc32(body, crc32(struct.pack("<Q", turn)))
