"""What one lane settles, on a real journal."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from gateway.feed import Feed
from gateway.journal import settling
from gateway.model import Lane
from gateway.settlement import Settlement
from tests.delivery.site import DIALECT
from tests.journal.rig import StillClock, close, commit, entries, open_journal, small
from tests.journal.test_journal import put
from tests.patience import until


@pytest.mark.parametrize("by_receipt", [True, False])
async def test_what_is_no_longer_remembered_is_read_once_more_and_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_receipt: bool
) -> None:
    monkeypatch.setattr(settling, "MOST_NOTES", 5)
    clock = StillClock()
    journal = open_journal(small(tmp_path / "j"), clock)
    put(journal, count=40)
    commit(journal)
    found = entries(journal, Lane.DATA)
    held = 0
    feed = Feed(Lane.DATA, journal, DIALECT, clock)
    settlement = Settlement(Lane.DATA, journal, feed, lambda *stream: stream[-1] <= held)
    settlement.by_receipt, settlement.acknowledged = by_receipt, found[-1].position
    loop = threading.get_ident()
    follow = journal.follow

    def follow_elsewhere(lane: Lane) -> bool:
        assert threading.get_ident() != loop, "the loop must not wait for the disk"
        return follow(lane)

    monkeypatch.setattr(journal, "follow", follow_elsewhere)

    def is_settled(count: int) -> bool:
        while settlement.step():
            pass
        settlement.follow(group, lambda: None)
        return journal.settled(Lane.DATA) == found[count - 1].position

    async with asyncio.TaskGroup() as group:
        for held in (3, 21, 40):
            if not by_receipt:
                settlement.acknowledged = found[held - 1].position
            settlement.review()
            await until(lambda held=held: is_settled(held))  # type: ignore[misc]
    await asyncio.to_thread(close, journal)
