"""No alarm is lost, and none is told as another, whatever the power does."""

from __future__ import annotations

import asyncio
import errno
import random
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import annunciator
from gateway.alarm_file import AlarmFile
from gateway.alarms import Limit
from gateway.annunciator import Annunciator
from gateway.errors import JournalError
from gateway.journal import Entry, TornStream
from gateway.model import Alarm, AlarmLevel, AlarmState, Batch, Block, Gap, Lane, Tag
from gateway.record import Encoder, decode, encode_schema, layout_of
from tests.journal.fake_disk import SECTOR, FakeDisk, PowerCutError
from tests.journal.rig import ROOT, StillClock, commit, entries, open_journal, read, small

BOOT = "b" * 32
BLOCK: Block[None] = Block("d", (Tag("t0", "d", None), Tag("t1", "d", None)), 1.0, None)
LIMITS = {("d", tag.name): (Limit(AlarmLevel.HIGH, 10.0),) for tag in BLOCK.tags}


class Gateway:
    """A journal and an annunciator on one disk, run by hand."""

    def __init__(
        self, disk: FakeDisk, clock: StillClock, torn: TornStream | None = None
    ) -> None:
        self.clock = clock
        layouts = [layout_of(BLOCK)]
        self.journal = open_journal(small(), clock, disk, encode_schema(layouts))
        if torn is not None:
            found = replace(self.journal.recovered, torn={(Lane.ALARM, "d"): torn})
            self.journal.recovered = found
        encoder = Encoder(BOOT, [BLOCK], layouts)
        self.alarms = Annunciator(self.journal, encoder, clock, AlarmFile(disk, ROOT))
        self.alarms.start([BLOCK], LIMITS)

    def read(self, *values: float) -> None:
        self.clock.pass_s(1)
        self.alarms.readings(Batch(BLOCK, self.clock.now_ns(), values))

    def flush(self) -> None:
        asyncio.run(self.alarms.flush())

    def commit(self) -> None:
        commit(self.journal, Lane.ALARM)

    def said(self) -> list[Alarm]:
        """Every change whose record is committed, in the order of delivery.

        Records of a commit that the power tore are told as damage; they were never accepted.
        """
        found = [item for item in read(self.journal, Lane.ALARM) if isinstance(item, Entry)]
        bodies = [decode(entry.payload, ()).body for entry in found]
        return [body for body in bodies if isinstance(body, Alarm)]


def active(said: list[Alarm]) -> dict[str, str]:
    """What a platform holds for active: tag → id."""
    known: dict[str, str] = {}
    for alarm in said:
        if alarm.state == "active":
            assert known.get(alarm.tag, alarm.id) == alarm.id, "raised again under another id"
            known[alarm.tag] = alarm.id
        else:
            known.pop(alarm.tag, None)
    return known


STEPS = st.one_of(
    st.tuples(st.sampled_from([5.0, 15.0]), st.sampled_from([5.0, 15.0])),
    st.just("flush"),
    st.just("commit"),
    st.integers(0, 12),  # so many changes of the disk until the power goes
)


@given(st.lists(STEPS, max_size=20), st.integers())
def test_no_alarm_is_lost_or_raised_twice_whatever_the_power_does(
    steps: list[tuple[float, float] | str | int], seed: int
) -> None:
    disk, clock, chance = FakeDisk(), StillClock(), random.Random(seed)
    gateway = Gateway(disk, clock)
    for step in steps:
        try:
            if isinstance(step, tuple):
                gateway.read(*step)
            elif step == "flush":
                gateway.flush()
            elif step == "commit":
                gateway.commit()
            elif isinstance(step, int):
                disk.fuse = step
                gateway.flush()
                gateway.commit()
                raise PowerCutError
        except PowerCutError:
            disk.crash(chance)
            gateway = Gateway(disk, clock)
        active(gateway.said())
    gateway.read(15.0, 5.0)
    gateway.flush()
    gateway.commit()
    assert active(gateway.said()).keys() == {"t0"}


def test_an_alarm_keeps_its_id_when_the_power_goes() -> None:
    disk, clock = FakeDisk(), StillClock()
    gateway = Gateway(disk, clock)
    gateway.read(15.0, 5.0)
    gateway.flush()
    gateway.commit()
    disk.crash(random.Random(0))
    gateway = Gateway(disk, clock)
    gateway.read(15.0, 5.0)
    gateway.read(5.0, 5.0)
    gateway.flush()
    gateway.commit()
    assert len({alarm.id for alarm in gateway.said()}) == 1
    assert [alarm.state.value for alarm in gateway.said()] == ["active", "cleared"]


def test_what_was_not_committed_is_said_after_the_start_under_its_id() -> None:
    disk, clock = FakeDisk(), StillClock()
    gateway = Gateway(disk, clock)
    gateway.read(15.0, 5.0)
    gateway.flush()
    (lost,) = gateway.alarms._changes
    disk.crash(random.Random(0))
    gateway = Gateway(disk, clock)
    gateway.flush()
    gateway.commit()
    assert [alarm.id for alarm in gateway.said()] == [lost.alarm.id]


def test_what_was_committed_is_not_said_again_after_a_start() -> None:
    disk, clock = FakeDisk(), StillClock()
    gateway = Gateway(disk, clock)
    for value in (15.0, 5.0, 15.0):
        gateway.read(value, 5.0)
    gateway.flush()
    gateway.commit()
    before = gateway.said()
    disk.crash(random.Random(0))
    gateway = Gateway(disk, clock)
    gateway.flush()
    gateway.commit()
    assert gateway.said() == before
    assert len(before) == 3


def test_what_the_platform_may_know_is_on_disk_before_the_journal_has_it() -> None:
    disk = FakeDisk()
    gateway = Gateway(disk, StillClock())
    gateway.read(15.0, 5.0)
    asyncio.run(gateway.alarms._save())
    assert gateway.journal.stats().lanes[Lane.ALARM].memory_bytes == 0
    assert b"t0" in (AlarmFile(disk, ROOT).read() or b"")


def test_a_change_the_journal_refuses_is_said_later_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = Gateway(FakeDisk(), StillClock())
    append = gateway.journal.append

    def refuse(*_: object, **__: object) -> int:
        raise JournalError("no room")

    monkeypatch.setattr(gateway.journal, "append", refuse)
    gateway.read(15.0, 5.0)
    gateway.flush()
    gateway.read(5.0, 15.0)
    monkeypatch.setattr(gateway.journal, "append", append)
    gateway.flush()
    gateway.commit()
    found = [(alarm.tag, alarm.state.value) for alarm in gateway.said()]
    assert found == [("t0", "active"), ("t0", "cleared"), ("t1", "active")]


def test_an_alarm_goes_out_when_its_state_cannot_be_saved() -> None:
    disk = FakeDisk()
    gateway = Gateway(disk, StillClock())
    gateway.read(15.0, 5.0)
    disk.failing = 1
    gateway.flush()
    gateway.commit()
    assert [alarm.tag for alarm in gateway.said()] == ["t0"]


def test_an_alarm_goes_out_though_its_state_file_never_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(annunciator, "SAVE_S", 0.02)
    answer, write = threading.Event(), AlarmFile.write

    def hang(file: AlarmFile, body: bytes) -> None:
        answer.wait(60)
        write(file, body)

    def disk_has_it() -> bool:
        return not gateway.alarms.refusing

    async def alarm_and_clear() -> list[Alarm]:
        gateway.read(15.0, 5.0)
        await gateway.alarms.flush()
        gateway.read(5.0, 5.0)
        await gateway.alarms.flush()
        assert not disk_has_it()
        answer.set()
        while not disk_has_it():
            await asyncio.sleep(0.01)
            await gateway.alarms.flush()
        gateway.commit()
        return gateway.said()

    disk = FakeDisk()
    gateway = Gateway(disk, StillClock())
    monkeypatch.setattr(AlarmFile, "write", hang)
    said = asyncio.run(asyncio.wait_for(alarm_and_clear(), 30))
    assert [alarm.state for alarm in said] == [AlarmState.ACTIVE, AlarmState.CLEARED]


def test_a_full_disk_makes_no_start_forget_what_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: AlarmFile, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    disk = FakeDisk()
    gateway = Gateway(disk, StillClock())
    gateway.read(15.0, 5.0)
    gateway.flush()
    gateway.commit()
    asyncio.run(gateway.journal.close(clean=True))
    monkeypatch.setattr(AlarmFile, "reserve", refuse)
    again = Gateway(disk, gateway.clock)
    again.read(15.0, 5.0)
    again.flush()
    again.commit()
    assert len({alarm.id for alarm in (*gateway.said(), *again.said())}) == 1
    again.read(5.0, 5.0)
    again.flush()
    again.commit()
    assert active(again.said()) == {}


DELAYED = {("d", "t0"): (Limit(AlarmLevel.HIGH, 10.0, on_delay_ns=5 * 10**9),)}


def test_a_delay_ends_when_no_reading_comes() -> None:
    gateway = Gateway(FakeDisk(), StillClock())
    gateway.alarms.use([BLOCK], DELAYED)
    gateway.read(15.0, 5.0)
    gateway.clock.pass_s(4.9)
    gateway.alarms.tick()
    assert gateway.alarms._pause_s() == pytest.approx(0.1)
    gateway.clock.pass_s(0.2)
    gateway.alarms.tick()
    gateway.flush()
    gateway.commit()
    (alarm,) = gateway.said()
    assert alarm.raised_ns == gateway.clock.now_ns() - 10**8


def test_no_delay_ends_while_the_device_is_missing() -> None:
    gateway = Gateway(FakeDisk(), StillClock())
    gateway.alarms.use([BLOCK], DELAYED)
    gateway.read(15.0, 5.0)
    gateway.alarms.device_missing("d")
    gateway.clock.pass_s(60)
    gateway.alarms.tick()
    assert gateway.alarms._changes == []
    assert gateway.alarms._pause_s() is None


def test_limits_that_change_while_running_are_held_against_the_next_reading() -> None:
    gateway = Gateway(FakeDisk(), StillClock())
    gateway.read(15.0, 15.0)
    gateway.flush()
    gateway.alarms.use([BLOCK], {("d", "t0"): (Limit(AlarmLevel.HIGH, 20.0),)})
    gateway.read(15.0, 15.0)
    gateway.flush()
    gateway.commit()
    found = [(alarm.tag, alarm.state.value, alarm.value) for alarm in gateway.said()[2:]]
    assert found == [("t1", "cleared", None), ("t0", "cleared", 15.0)]


def test_the_first_record_of_an_incarnation_is_the_time_nothing_was_watched() -> None:
    disk, clock = FakeDisk(), StillClock()
    first = Gateway(disk, clock)
    first.read(15.0, 5.0)
    first.flush()
    first.commit()
    disk.crash(random.Random(0))
    second = Gateway(disk, clock)
    second.read(15.0, 5.0)
    second.commit()
    *_, last = entries(second.journal, Lane.ALARM)
    gap = decode(last.payload, ()).body
    assert isinstance(gap, Gap)
    assert (last.seq, gap.cause.value) == (1, "not_running_unclean")
    assert gap.after == (first.journal.incarnation, 1)


def test_records_that_the_power_tore_are_a_gap_behind_the_time_nothing_was_watched() -> None:
    disk, clock = FakeDisk(), StillClock()
    first = Gateway(disk, clock)
    first.read(15.0, 5.0)
    first.flush()
    first.commit()
    torn = TornStream(2, 3, 1002, 1003, 0)
    second = Gateway(disk, clock, torn)
    second.read(15.0, 5.0)
    second.flush()
    second.commit()
    bodies = [decode(each.payload, ()).body for each in entries(second.journal, Lane.ALARM)]
    causes = [body.cause.value for body in bodies if isinstance(body, Gap)]
    assert causes == ["not_running_unclean", "uncommitted_window"]
    assert isinstance(bodies[-1], Gap)
    assert (bodies[-1].from_ns, bodies[-1].to_ns) == (1002, 1003)


def test_only_committed_alarms_are_repeated() -> None:
    gateway = Gateway(FakeDisk(), StillClock())
    gateway.read(15.0, 5.0)
    gateway.flush()
    assert gateway.alarms.standing() == []
    gateway.commit()
    (standing,) = gateway.alarms.standing()
    assert (standing.device, standing.seq) == ("d", 1)
    gateway.read(5.0, 5.0)
    assert gateway.alarms.standing() == []


class TestAlarmFile:
    """One value, replaced as a whole."""

    @given(st.lists(st.integers(0, 255), min_size=1, max_size=6), st.integers())
    def test_a_power_cut_leaves_the_old_value_or_the_new(
        self, fills: list[int], seed: int
    ) -> None:
        values = [bytes([fill]) * (4 * SECTOR + fill) for fill in fills]
        disk, chance = FakeDisk(), random.Random(seed)
        file = AlarmFile(disk, Path("/j"))
        before: bytes | None = None
        for value in values:
            disk.fuse = chance.randint(0, 5)
            try:
                file.write(value)
                before, cut = value, False
            except PowerCutError:
                cut = True
            disk.crash(chance)
            file = AlarmFile(disk, Path("/j"))
            found = file.read()
            assert found == before or (cut and found == value)
            before = found

    def test_a_value_that_was_reserved_room_for_makes_no_file_longer(self) -> None:
        disk = FakeDisk()
        file = AlarmFile(disk, Path("/j"))
        file.reserve(100)
        sizes = [len(node.seen) for node in disk.names_seen.values()]
        file.write(bytes(100))
        file.write(bytes(100))
        assert [len(node.seen) for node in disk.names_seen.values()] == sizes
        assert AlarmFile(disk, Path("/j")).read() == bytes(100)
