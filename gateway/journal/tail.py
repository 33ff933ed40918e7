"""The end of a lane, where frames are written: one active segment and the one after it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.clock import Clock
from gateway.journal.files import File, Files
from gateway.journal.format import (
    HEADER_BYTES,
    Draft,
    Header,
    pack_frame,
    pack_seal,
)
from gateway.journal.pool import Pool
from gateway.journal.segment import Segment, Tally, give_birth
from gateway.model import Lane


@dataclass(slots=True)
class Origin:
    """Who writes: what every segment header of this incarnation says."""

    gateway: str
    incarnation: str
    previous: str | None
    boot: str
    config: str


@dataclass(frozen=True, slots=True)
class Written:
    """Frames that reached the medium together."""

    drafts: Sequence[Draft]
    ends: Sequence[int]
    sealed: bool


class Active:
    """The segment being written, and the sums its seal will state."""

    def __init__(self, segment: Segment, file: File, lane: Lane) -> None:
        self.segment = segment
        self.file = file
        self.tally = Tally(lane)
        self.end = HEADER_BYTES

    @property
    def room(self) -> int:
        """Bytes of frames that fit, as long as no stream comes new."""
        return self.segment.size - self.end - self.tally.reserve(b"")

    @property
    def is_half_full(self) -> bool:
        """The next segment should stand ready by now."""
        return self.end * 2 > self.segment.size

    def fits(self, drafts: Sequence[Draft]) -> bool:
        """All of ``drafts`` can be written without a seal."""
        return len(self.pack(drafts)[0]) == len(drafts)

    def pack(self, drafts: Sequence[Draft]) -> tuple[list[bytes], list[int]]:
        """As many of ``drafts`` as fit: their bytes, and where each ends."""
        generation, end = self.segment.generation, self.end
        limit = self.segment.size - self.tally.reserve(b"")
        rows = self.tally.rows
        new: set[tuple[bytes, bytes]] = set()
        frames: list[bytes] = []
        ends: list[int] = []
        for draft in drafts:
            key = draft[2:4]
            if key not in rows and key not in new:
                new.add(key)
                limit -= self.tally.reserve(draft.name) - self.tally.reserve(b"") + 96
            frame = pack_frame(draft, generation)
            end += len(frame)
            if end > limit:
                break
            frames.append(frame)
            ends.append(end)
        return frames, ends

    def write(self, drafts: Sequence[Draft], watch: Callable[[], None]) -> Written:
        """Write what fits and make it durable; seal when something did not fit.

        Raises:
            OSError: Nobody knows what is on the medium; this file must not be synced again.
        """
        frames, ends = self.pack(drafts)
        done = drafts[: len(frames)]
        sealed = len(frames) < len(drafts)
        watch()
        if frames:
            self.file.write(b"".join(frames), self.end)
        tally = self.tally.copy() if sealed else self.tally
        if sealed:
            for draft, end in zip(done, ends, strict=True):
                tally.add(draft, end)
            self._write_seal(tally, ends[-1] if ends else self.end)
        watch()
        self.file.sync()
        if not sealed:
            for draft, end in zip(done, ends, strict=True):
                tally.add(draft, end)
        self.tally = tally
        self.end = ends[-1] if ends else self.end
        return Written(done, ends, sealed)

    def _write_seal(self, tally: Tally, end: int) -> None:
        segment = self.segment
        tail = pack_seal(tally.seal(end), segment.generation, segment.size)
        self.file.write(tail, segment.size - len(tail))


class Births:
    """Makes the segments of one lane, in order."""

    def __init__(
        self, lane: Lane, files: Files, pool: Pool, folder: Path, origin: Origin, clock: Clock,
        next_number: int,
    ) -> None:  # fmt: skip
        self.lane = lane
        self.files = files
        self.pool = pool
        self._folder = folder
        self._origin = origin
        self._clock = clock
        self._next = self._first = next_number

    def next(self, oldest: int | None) -> Active:
        """A new segment, durable and empty.

        oldest: number of the oldest one that holds records; None: there is none.

        Raises:
            OSError: There is no room, or the disk failed.
        """
        origin = self._origin
        header = Header(
            self.lane.value, self._next, int.from_bytes(os.urandom(8)), origin.gateway,
            origin.incarnation, origin.previous, self._first, origin.boot,
            self._clock.now_ns(), self._clock.monotonic_ns(), origin.config,
            oldest=self._next if oldest is None else oldest,
        )  # fmt: skip
        self._next += 1
        segment, file = give_birth(self.files, self.pool, self._folder, header)
        return Active(segment, file, self.lane)
