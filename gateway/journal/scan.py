"""Frames of one segment, in order, stepping over what cannot be parsed."""

from __future__ import annotations

from gateway.journal.files import File
from gateway.journal.format import (
    FOOTER_BYTES,
    FRAME_BYTES,
    HEADER_BYTES,
    NAME_LIMIT,
    Frame,
    Kind,
    Seal,
    find_frame,
    resembles_frame,
    seal_offset,
    unpack_frame,
    unpack_seal,
)

_CHUNK = 256 << 10
_HEAD_LIMIT = FRAME_BYTES + NAME_LIMIT


class Scan:
    """A place in a segment, and the frames from there up to ``end``."""

    def __init__(self, file: File, generation: int, at: int, end: int) -> None:
        self._file = file
        self._generation = generation
        self.at = max(at, HEADER_BYTES)
        self.end = end
        """May grow; bytes beyond it are never looked at."""
        self.skipped = False
        """Bytes of a frame were met that could not be parsed."""
        self._buffer = b""
        self._base = 0

    def next(self) -> Frame | None:
        """The next frame; None when there is none before ``end``.

        Raises:
            OSError: The disk cannot read these bytes.
        """
        while self.at < self.end:
            frame = self._frame()
            if frame is not None:
                self.at = frame.end
                return frame
            if not self._resynchronise():
                return None
        return None

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _frame(self) -> Frame | None:
        at = self.at - self._base
        if not 0 <= at <= len(self._buffer) - _HEAD_LIMIT:
            at = self._load(_CHUNK)
        frame = unpack_frame(self._buffer, at, self._generation, self._base)
        if frame is None or frame.end > self.end:
            return None
        if frame.end > self._base + len(self._buffer):
            at = self._load(max(_CHUNK, frame.end - self.at))
            frame = unpack_frame(self._buffer, at, self._generation, self._base)
        return frame

    def _load(self, size: int) -> int:
        """Read from ``at`` on, unless all there is has been read; the index of ``at``."""
        reached = self._base + len(self._buffer)
        if self._base <= self.at < reached == self.end:
            return self.at - self._base
        self._base = self.at
        self._buffer = self._file.read(min(size, self.end - self.at), self.at)
        return 0

    def _resynchronise(self) -> bool:
        """Move to the next bytes that may be a frame; stay when there are none."""
        head = self._file.read(FRAME_BYTES, self.at)
        self.skipped |= resembles_frame(head, self._generation)
        start = self.at + 8
        while start < self.end:
            chunk = self._file.read(min(_CHUNK, self.end - start), start)
            found = find_frame(chunk, 0, self._generation)
            if found >= 0:
                self.at = start + found
                self.skipped = True
                return True
            if len(chunk) < _CHUNK:
                return False
            start += _CHUNK - 16  # the 16 bytes searched for may lie across two chunks
        return False


def walk(file: File, generation: int, size: int) -> tuple[list[Frame], bool]:
    """Every frame in a segment of ``size`` bytes but its seal; True: some were unreadable.

    Raises:
        OSError: The disk cannot read these bytes.
    """
    scan = Scan(file, generation, HEADER_BYTES, size)
    frames = []
    while (frame := scan.next()) is not None:
        if frame.kind == Kind.SEAL:
            break
        frames.append(frame)
    return frames, scan.skipped


def read_seal(file: File, generation: int, size: int) -> Seal | None:
    """The seal of a segment of ``size`` bytes; None when it has none that is intact.

    A tomb has a second one in the place of frames.
    """
    offset = seal_offset(file.read(FOOTER_BYTES, size - FOOTER_BYTES), generation)
    for at in (offset or 0, HEADER_BYTES):
        if HEADER_BYTES <= at < size:
            frame = Scan(file, generation, at, size - FOOTER_BYTES).next()
            if frame is not None and frame.kind == Kind.SEAL and frame.payload is not None:
                return unpack_seal(frame.payload)
    return None
