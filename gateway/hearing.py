"""What a link hears from devices that speak up by themselves, and what their silence means.

They are not polled: the driver listens to them. A connection that is cut is tried again at
once; where the subscription stands as it was, nothing is lost. Otherwise it is an outage of
its devices from the last word to the first of the next one, however short.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from functools import partial
from typing import Any

import structlog

from gateway.clock import Clock
from gateway.driver import Missing, News, Subscribing
from gateway.errors import JournalError, LinkError, SubscriptionLostError
from gateway.model import Block, Cause, Quality
from gateway.sink import Sink

log = structlog.get_logger()

STEADY_S = 10.0
"""A subscription that stood so long is made anew at once when it is lost."""
DISK_PAUSE_S = 1.0
"""How often a disk that failed is asked again whether it has what was subscribed."""


class Hearing:
    """The subscribed devices of one link; one connection at a time listens to them."""

    def __init__(
        self, name: str, blocks: Sequence[Block[Any]], sink: Sink, clock: Clock
    ) -> None:
        self._name = name
        self._blocks = blocks
        self._sink = sink
        self._clock = clock
        self._short_lives = 0
        self.is_cut = False
        """Whether a subscription ended that may still be found as it was."""

    def __bool__(self) -> bool:
        """Whether there is anything to hear."""
        return bool(self._blocks)

    async def listen(self, driver: Subscribing, heard: Callable[[str], None]) -> None:
        """Take in what the devices say, until the link fails.

        heard: told the device of each word, before the sink gets it.
        """
        if self.is_cut and not driver.resumed:
            self.lost(Cause.SUB_RECREATED)
        self.is_cut = False
        await driver.subscribe(self._blocks, partial(self._hear, heard))

    def ended(self, error: LinkError, lasted_s: float) -> int:
        """The session ended, whichever request noticed: nothing more is told on it.

        How many sessions in a row did not last.
        """
        self._short_lives = 0 if lasted_s >= STEADY_S else self._short_lives + 1
        if isinstance(error, SubscriptionLostError):
            self.lost(error.cause)
        else:
            self.is_cut = True
        log.warning("subscription cut", link=self._name, error=str(error))
        return self._short_lives

    def lost(self, cause: Cause) -> None:
        """Nobody will get what the devices say until they are heard again."""
        self.is_cut = False
        for name in dict.fromkeys(block.device for block in self._blocks):
            self._sink.device_missing(name, cause, Quality.BAD_NO_COMMUNICATION)

    def _hear(self, heard: Callable[[str], None], news: News) -> Awaitable[None]:
        """Hand ``news`` on; the awaitable ends when they are on disk, however long it takes."""
        for item in news:
            heard(item.block.device)
            if not isinstance(item, Missing):
                self._sink.readings(item)
            elif item.quality is None:
                self._sink.changes_lost(item.block, item.rows, item.cause)
            else:
                self._sink.block_missing(item.block, item.rows, item.cause, item.quality)
        return _Later(self._durable)

    async def _durable(self) -> None:
        """Return when the disk has everything said so far; a failed disk is asked again."""
        while True:
            try:
                await self._sink.durable()
            except JournalError:
                await self._clock.sleep_until(self._clock.monotonic() + DISK_PAUSE_S)
            else:
                return


class _Later:
    """An awaitable that begins when it is awaited, and need not be."""

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._begin = begin

    def __await__(self) -> Generator[Any, Any, None]:
        return self._begin().__await__()
