"""Segment files that stand ready, written in full so that the disk cannot fill under us."""

from __future__ import annotations

import errno
import itertools
import threading
from collections.abc import Container
from pathlib import Path

from gateway.journal.files import Files
from gateway.journal.format import HEADER_BYTES, NewerFormatError, unpack_header

DISK_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
"""There is no room: the disk itself is well."""
_STEP = 1 << 20
_ZEROS = bytes(_STEP)


class Pool:
    """Pre-written files of one size; segments are born from it and come back to it."""

    def __init__(
        self, files: Files, folder: Path, segment_bytes: int, limit: int, kept_back: int = 0
    ) -> None:
        self._files = files
        self._folder = folder
        self.segment_bytes = segment_bytes
        self.limit = limit
        """Files there may be, free and lent together."""
        self._kept_back = kept_back
        self.lent = 0
        self._free: list[Path] = []
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    @property
    def free(self) -> int:
        """Files that stand ready."""
        return len(self._free)

    def open(self, live: Container[int]) -> list[Path]:
        """Find the files that stand ready; remove the unfinished and those of another size.

        live: generations of the segments there are. A file that has one of them is a
        second name of that segment, left by a file system that renames in two steps: it
        is given back, to be neither written nor removed.
        """
        self._files.make_folder(self._folder)
        twins = []
        for name in self._files.names(self._folder):
            path = self._folder / name
            size, generation = self._look(path)
            if generation in live:
                twins.append(path)
            elif name.isdecimal() and size == self.segment_bytes:
                self._free.append(path)
            else:
                self._files.remove(path)
        last = max((int(path.name) for path in self._free), default=0)
        self._numbers = itertools.count(last + 1)
        return twins

    def take(self, *, last: bool = False) -> Path:
        """A file for a new segment; written on the spot when none stands ready.

        last: it may be one of those kept back.

        Raises:
            OSError: There is no room for another, or the disk failed.
        """
        with self._lock:
            self.lent += 1
            if len(self._free) > (0 if last else self._kept_back):
                return self._free.pop()
        try:
            return self._write()
        except OSError:
            self.lost()
            raise

    def give(self, path: Path) -> None:
        """Take the file of a segment back; its content is no longer needed."""
        target = self._folder / f"{next(self._numbers)}"
        self._files.rename(path, target)
        with self._lock:
            self.lent -= 1
            self._free.append(target)

    def adopt(self, path: Path) -> None:
        """Take over a file of another pool, cut to size: on a full disk there is no other.

        Raises:
            OSError: The disk failed.
        """
        file = self._files.open(path)
        try:
            file.truncate(self.segment_bytes)
        finally:
            file.close()
        target = self._folder / f"{next(self._numbers)}"
        self._files.rename(path, target)
        with self._lock:
            self._free.append(target)

    def lost(self) -> None:
        """Forget a file that was lent and will not come back."""
        with self._lock:
            self.lent -= 1

    def trim(self) -> None:
        """Remove what is free beyond the limit: files that a failed disk made us forget."""
        while True:
            with self._lock:
                if not self._free or self.lent + len(self._free) <= self.limit:
                    return
                path = self._free.pop()
            self._files.remove(path)

    def grow(self) -> bool:
        """Write one more file; False when all there may be stand already."""
        with self._lock:
            if self.lent + len(self._free) >= self.limit:
                return False
        path = self._write()
        with self._lock:
            self._free.insert(0, path)
        return True

    def _write(self) -> Path:
        number = next(self._numbers)
        draft = self._folder / f"{number}.new"
        file = self._files.open(draft, create=True)
        try:
            for at in range(0, self.segment_bytes, _STEP):
                file.write(_ZEROS[: self.segment_bytes - at], at)
            file.sync()
        except OSError:
            self._files.remove(draft)  # on a full disk its bytes are somebody's room
            raise
        finally:
            file.close()
        path = self._folder / str(number)
        self._files.rename(draft, path)
        self._files.sync_folder(self._folder)
        return path

    def _look(self, path: Path) -> tuple[int, int | None]:
        """Bytes in a file, and the generation of the segment it is or was."""
        file = self._files.open(path)
        try:
            header = unpack_header(file.read(HEADER_BYTES, 0))
            return file.size(), header and header.generation
        except NewerFormatError:
            return file.size(), None
        finally:
            file.close()
