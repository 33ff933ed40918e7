"""While the disk takes nothing, live records are published from memory, and marked."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.continuity import Continuity
from gateway.dialects import wire
from gateway.journal import Damage
from gateway.model import Cause, ClockState, Lane, Stamp
from tests.delivery.plant import BOOT, RUN, START_NS, MemoryJournal, StillClock, block
from tests.delivery.site import DIALECT, Platform, broker_with, delivering
from tests.patience import until


def sick_journal(devices: int = 1, count: int = 5) -> MemoryJournal:
    journal = MemoryJournal(*[block(f"tk{101 + n}") for n in range(devices)])
    journal.sick = "Input/output error"
    for n in range(devices):
        journal.keep_in_memory(f"tk{101 + n}", count)
    return journal


def volatile(platform: Platform, lane: str = "data") -> list[Any]:
    return [m for m in platform.of(lane) if m.get("volatile")]


async def test_live_records_go_out_marked_with_the_keys_they_will_keep() -> None:
    journal, platform = sick_journal(2), Platform()
    async with broker_with(platform) as broker, delivering(journal, broker.url, StillClock()):
        await until(lambda: len(platform.seqs("tk102")) == 5)
        assert platform.seqs("tk101") == platform.seqs("tk102") == [1, 2, 3, 4, 5]
        assert len(volatile(platform)) == len(platform.of("data")) == 2
        journal.keep_in_memory("tk101", 2)
        await until(lambda: platform.seqs("tk101")[-1] == 7)
    assert platform.seqs("tk101") == [1, 2, 3, 4, 5, 6, 7]
    assert volatile(platform)[0]["incarnation"] == RUN
    assert journal.settled(Lane.DATA) == 0


class SetClock(StillClock):
    """A clock that was set forward by an hour right after the records were made."""

    def now_ns(self) -> int:
        return START_NS + 3600 * 10**9

    def stamp(self) -> Stamp:
        return Stamp(self.now_ns(), ClockState.SYNCED, 3, 10)


async def test_no_live_record_is_late_because_the_clock_was_set() -> None:
    journal, platform, clock = sick_journal(), Platform(), SetClock()
    clock.boot = BOOT
    async with broker_with(platform) as broker, delivering(journal, broker.url, clock):
        await until(lambda: platform.seqs("tk101") == [1, 2, 3, 4, 5])
    (message,) = volatile(platform)
    assert not any(record.get("late") for record in message["records"])


async def test_alarms_need_no_disk_to_reach_the_platform() -> None:
    journal, platform = sick_journal(), Platform()
    journal.keep_in_memory("tk101", 1, lane=Lane.ALARM)
    async with broker_with(platform) as broker, delivering(journal, broker.url, StillClock()):
        await until(lambda: len(volatile(platform, "alarm")) == 1)


async def test_once_the_disk_works_the_same_records_come_unmarked_and_are_settled() -> None:
    journal, platform = sick_journal(), Platform()
    async with (
        broker_with(platform) as broker,
        delivering(journal, broker.url, StillClock()) as delivery,
    ):
        await until(lambda: platform.seqs("tk101") == [1, 2, 3, 4, 5])
        journal.recover()
        delivery.committed(Lane.DATA)
        await until(lambda: journal.settled(Lane.DATA) == journal.committed(Lane.DATA) > 0)
    assert platform.seqs("tk101") == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]
    assert [bool(m.get("volatile")) for m in platform.of("data")] == [True, False]


async def test_what_was_in_flight_when_the_connection_went_is_passed_on_again() -> None:
    journal, platform = sick_journal(), Platform()
    async with broker_with(platform) as broker:
        broker.faults.drop_acks = 1
        async with delivering(journal, broker.url, StillClock()):
            await until(lambda: platform.seqs("tk101") == [1, 2, 3, 4, 5])
            broker.cut()
            await until(lambda: platform.seqs("tk101") == [1, 2, 3, 4, 5] * 2)
            broker.cut()
            journal.keep_in_memory("tk101", 1)
            await until(lambda: platform.seqs("tk101")[-1] == 6)
    assert platform.seqs("tk101") == [*[1, 2, 3, 4, 5] * 2, 6]


async def test_what_memory_gave_up_before_it_was_told_is_a_gap_with_its_seqs() -> None:
    journal, platform = sick_journal(count=0), Platform()
    gap = Damage(0, "tk101", RUN, 1, 90, START_NS, START_NS, 360, Cause.STORAGE_FAILED)
    journal.memory[Lane.DATA].append(gap)
    async with broker_with(platform) as broker, delivering(journal, broker.url, StillClock()):
        await until(lambda: volatile(platform) != [])
    (message,) = volatile(platform)
    (record,) = message["records"]
    assert (message["first"], message["last"]) == (1, 90)
    assert record["gap"]["cause"] == "storage_failed"
    assert record["gap"]["seqs"] == [1, 90]
    assert (record["gap"]["count"], record["gap"]["count_is"]) == (360, "exact")


async def test_messages_stay_short_while_the_link_is_not_known_to_be_fast() -> None:
    journal, platform = MemoryJournal(block("tk101", 400)), Platform()
    journal.sick = "Input/output error"
    journal.keep_in_memory("tk101", 100)
    async with broker_with(platform) as broker, delivering(journal, broker.url, StillClock()):
        await until(lambda: len(platform.seqs("tk101")) == 100)
    assert platform.seqs("tk101") == list(range(1, 101))
    assert len(volatile(platform)) > 10


async def test_a_checker_of_continuity_expects_nothing_of_volatile_messages() -> None:
    journal, platform = sick_journal(), Platform()
    async with broker_with(platform) as broker, delivering(journal, broker.url, StillClock()):
        await until(lambda: len(platform.seqs("tk101")) == 5)
    check = Continuity()
    payload = msgspec.json.encode(platform.of("data")[0])
    message = wire.parse(DIALECT.topic("data", "tk101"), payload)
    assert isinstance(message, wire.LaneMessage)
    assert check.message(message) == []
    assert (check.volatile, check.records, check.streams) == (5, 0, 0)
