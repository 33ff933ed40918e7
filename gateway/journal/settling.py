"""How far a lane is settled, and what that says about each stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

Key = tuple[bytes, bytes]
"""Incarnation and name of a stream."""
Expected = dict[Key, tuple[int, int]]
"""Per stream: the seq that must come next, and the time of the record before it."""


MOST_NOTES = 32_768
"""What is read beyond them is read once more before it is settled."""


class Note(NamedTuple):
    """Something that was read and waits to be settled."""

    position: int
    key: Key
    last_seq: int
    time_ns: int
    records: int
    readings: int


class Settling:
    """The settled prefix of a lane; only a reader's notes move it."""

    def __init__(self, position: int, expected: Expected) -> None:
        self.position = position
        self.expected = expected
        """As of ``position``: what a reader must find next."""
        self.noted = position
        """Everything up to here was read once."""
        self.records = 0
        self.readings = 0
        """Settled in the segment ``position`` is in."""
        self.seqs: dict[Key, int] = {}
        """Last settled seq of each stream, since start."""
        self.paid: dict[Key, int] = {}
        """Settled readings of each stream, since start and in the segment it began in."""
        self._paid_before: dict[Key, int] = {}
        """`paid` when the segment ``position`` is in was entered."""
        self._notes: deque[Note] = deque()

    @property
    def oldest_ns(self) -> int | None:
        """Time of the oldest record that was read and is not settled."""
        return self._notes[0].time_ns if self._notes else None

    def note(self, note: Note) -> None:
        """Remember what was read; it must be the next beyond ``noted``."""
        if len(self._notes) < MOST_NOTES:
            self._notes.append(note)
            self.noted = note.position

    def reach(self, holds: Callable[[Key, int], bool], up_to: int, most: int) -> int:
        """How far every record that was noted is one that ``holds``, by stream and last seq.

        At most ``up_to``, and ``most`` records on.
        """
        position = self.position
        for note in islice(self._notes, most):
            if note.position > up_to or not holds(note.key, note.last_seq):
                return position
            position = note.position
        return position

    def restart(self) -> None:
        """Whoever reads begins again: what was read before may lie elsewhere by now."""
        self._notes.clear()
        self.noted = self.position

    def advance(self, position: int) -> None:
        """Everything up to ``position`` is settled."""
        while self._notes and self._notes[0].position <= position:
            self._settle(self._notes.popleft())
        self._move(max(position, self.position))
        self.noted = max(self.noted, self.position)

    def _settle(self, note: Note) -> None:
        self._move(note.position)
        self.records += note.records
        self.readings += note.readings
        self.seqs[note.key] = note.last_seq
        self.paid[note.key] = self.paid.get(note.key, 0) + note.readings
        self.expected[note.key] = (note.last_seq + 1, note.time_ns)

    def _move(self, position: int) -> None:
        if position >> 32 != self.position >> 32:
            self.records = self.readings = 0
            self._paid_before = dict(self.paid)
        self.position = position

    def paid_here(self, key: Key) -> int:
        """Settled readings of ``key`` in the segment ``position`` is in."""
        return self.paid.get(key, 0) - self._paid_before.get(key, 0)

    def unpaid(self, key: Key, before_seq: int) -> int:
        """Readings of ``key`` that were read and wait, of records before ``before_seq``."""
        return sum(
            note.readings
            for note in self._notes
            if note.key == key and note.last_seq < before_seq
        )
