"""What one lane has put aside on disk: refused records, and the gaps owed for them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeAlias

import structlog

from gateway import lane as lanes
from gateway.clock import Clock
from gateway.errors import JournalError
from gateway.feed import RETRY_S, Backlog, Feed
from gateway.lane import Isolated, Owed
from gateway.model import Lane

Order: TypeAlias = lanes.Quarantine | lanes.Owe | lanes.Pay
_log = structlog.get_logger()


class Aside:
    """Obeys one lane's orders to the disk, in turn; tells the lane what was done."""

    def __init__(
        self,
        lane: Lane,
        journal: Backlog,
        feed: Feed,
        tell: Callable[[lanes.Event], None],
        clock: Clock,
    ) -> None:
        self.orders: deque[Order] = deque()
        """Not yet obeyed."""
        self._lane = lane
        self._journal = journal
        self._feed = feed
        self._tell = tell
        self._clock = clock
        self._retry_s = float("-inf")

    async def remember(self) -> None:
        """Take up the gaps that are owed from before this start."""
        try:
            gaps = await asyncio.to_thread(self._journal.owed, self._lane)
        except JournalError as error:
            _log.error("owed gaps unreadable", lane=self._lane, error=str(error))
            return
        self._feed.owed = {(gap.incarnation, gap.stream): gap for gap in gaps}
        self.say_again()

    def say_again(self) -> None:
        """Offer every gap that is owed: nobody knows whether it arrived."""
        self._say({gap.stream for gap in self._feed.owed.values()})

    def _say(self, devices: Iterable[str]) -> None:
        gaps = self._feed.hold_owed()
        for device in devices:
            self._tell(Owed(device, [gap for gap in gaps if gap.stream[1] == device]))

    async def obey(self) -> bool:
        """Let the disk keep what was refused, off the loop; False when there is nothing."""
        if not self.orders or self._clock.monotonic() < self._retry_s:
            return False
        try:
            await self._put(self.orders[0])
        except JournalError as error:
            _log.error("not quarantined", lane=self._lane, error=str(error))
            self._retry_s = self._clock.monotonic() + RETRY_S
            return False
        self.orders.popleft()
        return True

    async def _put(self, order: Order) -> None:
        feed, journal = self._feed, self._journal
        if isinstance(order, lanes.Pay):
            owed = {key: gap for key, gap in feed.owed.items() if key != order.stream}
            await asyncio.to_thread(journal.owe, self._lane, list(owed.values()))
            feed.paid(order.stream)
            return
        items = [order.item] if isinstance(order, lanes.Quarantine) else order.items
        _log.warning(
            "records quarantined",
            lane=self._lane,
            device=items[0].stream[1],
            first=items[0].first,
            last=items[-1].last,
            reason=order.reason,
        )
        positions = [item.position for item in items]
        kept = [item.position for item in items if not item.replaced]
        await asyncio.to_thread(journal.quarantine, feed.refused(kept, order.reason))
        if isinstance(order, lanes.Quarantine):
            self._tell(Isolated(positions[0], feed.replace(positions[0])))
            return
        owed = feed.owing(positions)
        await asyncio.to_thread(journal.owe, self._lane, list(owed.values()))
        feed.owed = owed
        self._say([order.device])
