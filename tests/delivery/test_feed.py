"""What a lane reads ahead: bounded, patient with the disk, and never silent about loss."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import JournalError
from gateway.feed import HELD_BYTES, READ_RECORDS, RETRY_S, Feed
from gateway.journal import Damage, Entry
from gateway.lane import Item
from gateway.model import Lane
from tests.delivery.plant import MemoryJournal, StillClock, block
from tests.delivery.site import DIALECT


class SickJournal(MemoryJournal):
    """A journal whose disk fails ``failures`` times."""

    def __init__(self, *, reads: int = 0, schemas: int = 0) -> None:
        super().__init__(block("tk101", 100))
        self.reads, self.schemas = reads, schemas

    def read(
        self, lane: Lane, after: int, *, max_bytes: int, max_records: int
    ) -> Sequence[Entry | Damage]:
        if self.reads:
            self.reads -= 1
            raise JournalError("cannot read")
        return super().read(lane, after, max_bytes=max_bytes, max_records=max_records)

    def schema(self, key: int) -> bytes:
        if self.schemas:
            self.schemas -= 1
            raise JournalError("schema cannot be read")
        return super().schema(key)


def feed_of(journal: MemoryJournal) -> tuple[Feed, StillClock]:
    clock = StillClock()
    return Feed(Lane.DATA, journal, DIALECT, clock), clock


async def load(feed: Feed) -> list[Item]:
    fetched = await feed.fetch()
    return [] if fetched is None else feed.take(fetched)


def may_read(feed: Feed) -> bool:
    return feed.has_more


async def test_disk_that_cannot_be_read_is_tried_again_and_nothing_is_skipped() -> None:
    journal = SickJournal(reads=1, schemas=1)
    journal.poll()
    feed, clock = feed_of(journal)
    for _ in range(2):
        assert await load(feed) == []
        assert feed.is_unreadable
        assert not feed.has_more
        clock.s += RETRY_S
    (item,) = await load(feed)
    assert (item.first, item.last) == (1, 1)


async def test_schema_lost_for_good_makes_gaps_of_its_records() -> None:
    journal = SickJournal(schemas=3)
    journal.poll()
    feed, _ = feed_of(journal)
    assert await load(feed) == []
    assert await load(feed) == []
    (item,) = await load(feed)
    assert b"journal_corrupt" in feed._held[item.position].part


async def test_position_behind_the_last_record_is_not_read_for_ever() -> None:
    journal = MemoryJournal(block("tk101"))
    journal.poll()
    feed, _ = feed_of(journal)
    await load(feed)
    journal.committed = lambda lane: 15  # type: ignore[method-assign]
    assert await load(feed) == []
    assert not feed.has_more


async def test_records_in_memory_are_bounded_and_leave_when_settled() -> None:
    journal = SickJournal()
    for _ in range(20_000):
        journal.poll()
    feed, _ = feed_of(journal)
    while may_read(feed):
        assert 0 < len(await load(feed)) <= READ_RECORDS
    held = sum(len(record.part) for record in feed._held.values())
    assert HELD_BYTES <= held < HELD_BYTES + 2_000_000
    feed.release(feed.read_to)
    assert may_read(feed)
    assert not feed.is_late
