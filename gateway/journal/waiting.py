"""What of one lane waits in memory for the disk, oldest first, within bounds.

Frames come in fresh, are in the writer's hands while it writes, and leave when they are
durable. When the disk fails the writer gives them back. Beyond the bound the oldest that
nobody is writing become one gap per stream: a frame of kind `Kind.DROPPED`, which stands
where they stood, says how many they were, and is made durable in their place.

Every call but `Waiting.count` is made under the lock of the lane.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice

from gateway.journal.format import Draft, Kind, frame_bytes, pack_dropped, unpack_dropped

_SHED_SHARE = 16
"""So much of the bound is made free at once: shedding one by one would cost a copy each."""
_FRESH_SHARE = 8
"""What is fresh may have so much, however much is in the writer's hands."""

_MOST_READINGS = (1 << 32) - 1
"""What the head of a frame can say; its payload knows better."""


class Waiting:
    """The frames of one lane that are not durable yet."""

    def __init__(self, limit: int) -> None:
        """limit: bytes that may wait."""
        self.limit = limit
        self.bytes = 0
        self.taken = 0
        """Frames taken since start."""
        self.done = 0
        """Of them, those that do not wait any more: durable, or counted by a gap."""
        self.sheds = 0
        """How often frames were given up."""
        self.writing: list[Draft] = []
        """What the writer has in its hands."""
        self._fresh: list[Draft] = []

    @property
    def count(self) -> int:
        """Frames that wait."""
        return self.taken - self.done

    def add(self, draft: Draft, size: int) -> None:
        """Take ``draft``, of ``size`` bytes on disk; the oldest make room for it."""
        self._fresh.append(draft)
        self.bytes += size
        self.taken += 1
        if self.bytes > self.limit:
            self._shed()

    def begin(self) -> None:
        """Put all that waits into the writer's hands."""
        self.writing += self._fresh
        self._fresh = []

    def finish(self, count: int) -> None:
        """The first ``count`` frames in the writer's hands are durable."""
        self.bytes -= _size(self.writing[:count])
        self.done += count
        del self.writing[:count]

    def give_back(self) -> None:
        """The disk failed: what the writer has in its hands waits again."""
        self._fresh[:0] = self.writing
        self.writing = []

    def since(self, number: int, limit: int) -> list[tuple[int, Draft]]:
        """Up to ``limit`` frames behind the ``number``-th that was taken, each with its own.

        Marks are no news for anybody: they are left out.
        """
        skip = max(0, number - self.done)
        behind = islice(chain(self.writing, self._fresh), skip, None)
        numbered = enumerate(behind, start=self.done + skip + 1)
        return list(islice((each for each in numbered if each[1].kind != Kind.MARK), limit))

    def _shed(self) -> None:
        """Let the oldest fresh frames become gaps; the newest frame stays."""
        goal = self.limit - self.limit // _SHED_SHARE
        goal = max(goal, _size(self.writing) + self.limit // _FRESH_SHARE)
        gaps: dict[bytes, Draft] = {}
        count, left = 0, self.bytes
        for draft in self._fresh[:-1]:
            if left <= goal:
                break
            count += 1
            left -= frame_bytes(draft.name, draft.payload)
            if draft.kind != Kind.MARK:
                gaps[draft.name] = dropped(gaps.get(draft.name), draft)
        if not count:
            return
        self._fresh[:count] = gaps.values()
        self.bytes = left + _size(gaps.values())
        self.done += count - len(gaps)
        self.sheds += 1


def dropped(former: Draft | None, draft: Draft) -> Draft:
    """The frame that stands for ``draft``, and for what ``former`` stands for."""
    first, from_ns, readings = _stands_for(draft)
    if former is not None:
        first, from_ns, before = _stands_for(former)
        readings += before
    payload = pack_dropped(first, from_ns, readings)
    counted = min(readings, _MOST_READINGS)
    return draft._replace(kind=Kind.DROPPED, schema=0, readings=counted, payload=payload)


def _stands_for(draft: Draft) -> tuple[int, int, int]:
    """First seq, time of the first record, and readings."""
    if draft.kind == Kind.DROPPED:
        return unpack_dropped(draft.payload)
    return draft.seq, draft.time_ns, draft.readings


def _size(drafts: Iterable[Draft]) -> int:
    return sum(frame_bytes(draft.name, draft.payload) for draft in drafts)
