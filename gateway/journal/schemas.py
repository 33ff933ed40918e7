"""The layouts records were written with, kept while a segment needs them."""

from __future__ import annotations

import hashlib
import struct
import threading
from collections.abc import Container
from pathlib import Path
from zlib import crc32

from gateway.errors import JournalError
from gateway.journal.files import Files

_HEAD = struct.Struct("<8sII")
_MAGIC = b"TGSCHEMA"


def schema_key(blob: bytes) -> int:
    """What frames carry in place of ``blob``."""
    return int.from_bytes(hashlib.sha256(blob).digest()[:8], "big")


class Schemas:
    """Files ``<16 hex digits>``, each holding its blob twice, each copy with a CRC."""

    def __init__(self, files: Files, folder: Path) -> None:
        self._files = files
        self._folder = folder
        self._saving = threading.Lock()
        """Two writers save; the event loop never waits for them."""
        self._known: dict[int, bytes] = {}
        self._unsaved: dict[int, bytes] = {}

    def use(self, blob: bytes) -> int:
        """The key of ``blob``, which `save` will make durable."""
        key = schema_key(blob)
        if key not in self._known:
            self._known[key] = blob
            self._unsaved[key] = blob
        return key

    def save(self) -> None:
        """Make every blob in use durable; called before each commit, mostly for nothing.

        Raises:
            OSError: The disk refused; the next call tries again.
        """
        if not self._unsaved:
            return
        with self._saving:
            for key, blob in list(self._unsaved.items()):
                if self._stored(key) != blob:
                    self._write(key, blob)
                del self._unsaved[key]

    def read(self, key: int) -> bytes:
        """The blob of ``key``.

        Raises:
            JournalError: It is not stored, or both copies are damaged.
        """
        blob = self._known.get(key)
        if blob is None:
            blob = self._stored(key)
            if blob is None:
                raise JournalError(f"schema {key:016x} is missing or damaged")
        return blob

    def keep(self, keys: Container[int]) -> None:
        """Remove what no segment refers to."""
        for name in self._files.names(self._folder):
            if not _is_key(name) or int(name, 16) not in keys:
                self._files.remove(self._folder / name)

    def _write(self, key: int, blob: bytes) -> None:
        copy = _HEAD.pack(_MAGIC, len(blob), crc32(blob)) + blob
        draft = self._folder / f"{key:016x}.new"
        if draft.name in self._files.names(self._folder):
            self._files.remove(draft)  # its flush failed: that file is never flushed again
        file = self._files.open(draft, create=True)
        try:
            # The length heads both copies, so the second is found from the end of the file.
            file.write(copy + copy, 0)
            file.sync()
            self._files.rename(draft, self._folder / f"{key:016x}")
            file.sync()  # see `Files.rename`
        finally:
            file.close()
        self._files.sync_folder(self._folder)

    def _stored(self, key: int) -> bytes | None:
        name = f"{key:016x}"
        if name not in self._files.names(self._folder):
            return None
        file = self._files.open(self._folder / name)
        try:
            content = file.read(file.size(), 0)
        finally:
            file.close()
        half = len(content) // 2
        blobs = map(_unpack, (content[:half], content[half:]))
        return next((blob for blob in blobs if blob is not None), None)


def _unpack(copy: bytes) -> bytes | None:
    if len(copy) < _HEAD.size:
        return None
    magic, length, crc = _HEAD.unpack_from(copy)
    blob = copy[_HEAD.size :]
    return blob if magic == _MAGIC and length == len(blob) and crc == crc32(blob) else None


def _is_key(name: str) -> bool:
    return len(name) == 16 and set(name) <= set("0123456789abcdef")
