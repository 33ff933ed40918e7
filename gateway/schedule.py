"""When each block is due: a fixed grid per interval, with no drift and no backlog."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.model import Block, Cause


@dataclass(slots=True, eq=False)
class Slot:
    """A block and the grid point its next poll belongs to (monotonic seconds)."""

    due: float
    block: Block[Any]
    not_before: float = 0.0
    """Run later than ``due``, behind the blocks that are due by then."""
    deferred: bool = False
    """It has let everybody else go first."""
    failures: int = 0
    """Polls in a row that the device did not answer."""
    cause: Cause = Cause.POLL_OVERRUN
    """Why polls that are passed over were missed."""
    rank: int = field(init=False)
    """Class of the block; the smaller goes first."""

    def __post_init__(self) -> None:
        self.rank = self.block.tag_class

    @property
    def run_at(self) -> float:
        """When it is this slot's turn."""
        return max(self.due, self.not_before)


class Schedule:
    """Hands out blocks in the order they fall due, the more important class first.

    Due times lie on ``start + k * interval``. A late poll belongs to the grid point
    nearest to it; the points it passed over were missed. It never runs twice to catch up.
    """

    def __init__(self, blocks: Iterable[Block[Any]], start: float) -> None:
        """Make every block due at ``start`` (monotonic seconds)."""
        self._heap: list[tuple[float, int, int, Slot]] = []
        self._order = 0
        for block in blocks:
            self.add(Slot(start, block))

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, slot: Slot) -> None:
        """Queue ``slot`` at its time."""
        self._order += 1
        heapq.heappush(self._heap, (slot.run_at, slot.rank, self._order, slot))

    def pop(self) -> Slot | None:
        """The next slot, which is the caller's until `add`; None when all are out."""
        return heapq.heappop(self._heap)[3] if self._heap else None

    def skip_all(self, now: float) -> Iterator[tuple[Block[Any], int]]:
        """Move each queued slot to the point nearest to ``now``; blocks and polls missed."""
        slots = [entry[3] for entry in sorted(self._heap)]
        self._heap.clear()
        for slot in slots:
            missed = skip(slot, now)
            self.add(slot)
            if missed:
                yield slot.block, missed


def skip(slot: Slot, now: float) -> int:
    """Move ``slot`` to the grid point nearest to ``now``; how many points it passed over."""
    missed = int((now - slot.due) / slot.block.interval_s + 0.5)
    if missed <= 0:
        return 0
    slot.due += missed * slot.block.interval_s
    return missed
