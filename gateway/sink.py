"""Where links leave what they learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from gateway.model import Batch, Block, Cause, Quality


class Sink(Protocol):
    """What a link tells the gateway. Plain calls that only fill memory."""

    def readings(self, batch: Batch) -> None:
        """A poll gave ``batch``."""

    def device_missing(self, device: str, cause: Cause, quality: Quality) -> None:
        """From now on nothing comes from ``device``; repeated calls are one outage."""

    def block_missing(
        self, block: Block[Any], rows: Sequence[int], cause: Cause, quality: Quality
    ) -> None:
        """From now on ``rows`` of ``block`` give nothing; repeated calls are one outage."""

    def polls_missed(
        self, block: Block[Any], rows: Sequence[int], cause: Cause, polls: int
    ) -> None:
        """So many polls of ``rows`` of ``block`` were due and gave nothing."""

    def changes_lost(self, block: Block[Any], rows: Sequence[int], cause: Cause) -> None:
        """Changes of ``rows`` of ``block`` are lost; their newest values follow."""

    async def durable(self) -> None:
        """Return when everything said so far is on disk.

        Raises:
            JournalError: It is not, and nobody knows when it will be.
        """
