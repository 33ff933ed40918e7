"""What one lane may settle: by the broker's word, or by the platform's as well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from gateway.errors import JournalError
from gateway.feed import Backlog, Feed
from gateway.lane import Stream
from gateway.model import Lane

_log = structlog.get_logger()


class Settlement:
    """Between what the broker acknowledged and what the journal may recycle."""

    def __init__(
        self,
        lane: Lane,
        journal: Backlog,
        feed: Feed,
        holds: Callable[[Lane, str, str, int], bool],
    ) -> None:
        """holds: whether the platform has a record, by lane, incarnation, device and seq."""
        self.acknowledged = journal.settled(lane)
        """Position up to which the broker has everything."""
        self.by_receipt = False
        """The platform has the last word."""
        self.is_stalled = False
        """The platform confirms nothing of what the broker acknowledged."""
        self._lane = lane
        self._journal = journal
        self._feed = feed
        self._holds = holds
        self._is_due = False
        self._may_follow = False

    def review(self) -> None:
        """Something was acknowledged or confirmed: settle, at once or with `step`."""
        self._is_due = True
        if not self.by_receipt:
            self.step()

    def step(self) -> bool:
        """Settle some of what may be settled; True when there may be more. Reads nothing."""
        if not self._is_due:
            return False
        more = self.by_receipt and self._journal.settle_held(
            self._lane, self._is_held, self.acknowledged
        )
        if not self.by_receipt:
            self._journal.settle(self._lane, self.acknowledged)
        self._is_due = more
        self._may_follow |= not more
        return more

    def follow(self, group: asyncio.TaskGroup, wake: Callable[[], None]) -> None:
        """Have what is no longer remembered read by ``group``, then settle on."""
        if not self._may_follow or self._journal.knows_next(self._lane, self.acknowledged):
            return
        self._may_follow = False
        group.create_task(self._follow(wake))

    async def _follow(self, wake: Callable[[], None]) -> None:
        try:
            self._is_due = await asyncio.to_thread(self._journal.follow, self._lane)
        except JournalError as error:
            # The next receipt or acknowledgement asks again; a restart costs duplicates.
            _log.warning("not settled", lane=self._lane, error=str(error))
        wake()

    def has_gap(self, stream: Stream) -> bool:
        """Whether the platform holds the gap that is owed to ``stream``."""
        owed = self._feed.owed.get(stream)
        return owed is not None and self._holds(self._lane, *stream, owed.last_seq)

    def _is_held(self, incarnation: str, device: str, seq: int) -> bool:
        """Whether the platform has this record, or is owed a gap that stands for it."""
        owed = self._feed.owed.get((incarnation, device))
        is_owed = owed is not None and owed.first_seq <= seq <= owed.last_seq
        return is_owed or self._holds(self._lane, incarnation, device, seq)
