"""The journal against a small model, over a disk that loses power, fails and flips bits.

    python -m tests.journal.model --steps 1000000 --seed 7

Append, commit, settle, evict, crash (any unsynced sector and name may be gone, any write
torn), reopen, flip, full, and a disk that takes nothing for long. A step is one of these.
"""

from __future__ import annotations

import argparse
import random
import time
from functools import partial

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.errors import JournalError
from gateway.journal import Damage, Entry, Journal
from gateway.model import Cause, Lane
from tests.journal.fake_disk import FakeDisk, PowerCutError
from tests.journal.rig import StillClock, close, commit, open_journal, read, small

CORRUPT = Cause.JOURNAL_CORRUPT
LANES = st.sampled_from((Lane.DATA, Lane.DATA, Lane.ALARM))
STREAMS = st.sampled_from(("a", "b", "device-c"))
SIZES = st.one_of(st.integers(0, 60), st.integers(0, 3000))
Key = tuple[Lane, str, str, int]
"""Lane, incarnation, stream, seq."""


class Machine(RuleBasedStateMachine):
    honours_sync = True
    flips_allowed = False
    settings = staticmethod(small)

    @initialize()
    def begin(self) -> None:
        self.disk = FakeDisk(honours_sync=self.honours_sync)
        self.clock = StillClock()
        self.appended: dict[Key, tuple[bytes, int]] = {}
        self.waiting: list[Key] = []
        self.accepted: set[Key] = set()
        self.settled: set[Key] = set()
        self.flips = 0
        self.number = 0
        self.journal: Journal = open_journal(self.settings(), self.clock, self.disk)

    @rule(lane=LANES, stream=STREAMS, size=SIZES, covers=st.booleans())
    def append(self, lane: Lane, stream: str, size: int, covers: bool) -> None:
        self.clock.pass_s(1)
        self.number += 1
        payload = b"%08d" % self.number + random.Random(size).randbytes(size)
        time_ns = self.clock.now_ns()
        try:
            seq = self.journal.append(
                lane, stream, payload, time_ns=time_ns, readings=size, covers=covers
            )
        except JournalError:
            return
        key = (lane, self.journal.incarnation, stream, seq)
        assert key not in self.appended
        self.appended[key] = payload, time_ns
        self.waiting.append(key)

    @rule(stream=STREAMS)
    def mark(self, stream: str) -> None:
        self.clock.pass_s(1)
        try:
            self.journal.mark({(Lane.DATA, stream): self.clock.now_ns()})
        except JournalError:
            return

    @rule(lane=st.sampled_from(tuple(Lane)))
    def commit(self, lane: Lane) -> None:
        if commit(self.journal, lane):
            self.accept(lane)

    def accept(self, lane: Lane) -> None:
        done = [key for key in self.waiting if key[0] is lane]
        self.accepted.update(done)
        self.waiting = [key for key in self.waiting if key[0] is not lane]

    @rule(failures=st.integers(0, 6), syncs=st.integers(0, 3), lane=LANES)
    def commit_on_a_failing_disk(self, failures: int, syncs: int, lane: Lane) -> None:
        self.disk.failing, self.disk.failing_syncs = failures, syncs
        if commit(self.journal, lane):
            self.accept(lane)
        self.disk.failing = self.disk.failing_syncs = 0

    @rule(lane=LANES, part=st.floats(0, 1))
    def settle(self, lane: Lane, part: float) -> None:
        items = self.check_read(lane)
        if not items:
            return
        last = items[int(part * (len(items) - 1))]
        self.journal.settle(lane, last.position)
        for item in items:
            if item.position <= last.position:
                self.settled.update(keys(lane, item))

    @rule(cursor_saved=st.booleans(), seed=st.integers(0, 1 << 32))
    def crash(self, cursor_saved: bool, seed: int) -> None:
        if cursor_saved:
            self.journal._save_cursor()
        self.disk.crash(random.Random(seed))
        self.reopen()

    @rule(lane=LANES, changes=st.integers(0, 12), seed=st.integers(0, 1 << 32))
    def crash_during_a_commit(self, lane: Lane, changes: int, seed: int) -> None:
        self.disk.fuse = changes
        try:
            if commit(self.journal, lane):
                self.accept(lane)
        except PowerCutError:
            self.disk.crash(random.Random(seed))
            self.reopen()
        self.disk.fuse = None

    @rule(changes=st.integers(0, 40), seed=st.integers(0, 1 << 32))
    def crash_during_a_start(self, changes: int, seed: int) -> None:
        self.journal._save_cursor()
        self.disk.crash(random.Random(seed))
        self.disk.fuse = changes
        try:
            self.reopen()
        except PowerCutError:
            self.disk.crash(random.Random(seed + 1))
            self.reopen()
        self.disk.fuse = None

    @rule(clean=st.booleans())
    def stop(self, clean: bool) -> None:
        close(self.journal, clean=clean)
        for lane in Lane:
            if self.journal._logs[lane].failed is None:
                self.accept(lane)
        self.reopen()
        assert not self.flips_allowed or self.flips or self.journal.recovered.torn == {}

    @precondition(lambda self: self.flips_allowed and self.flips < 1)
    @rule(seed=st.integers(0, 1 << 32), lane=st.sampled_from(tuple(Lane)))
    def flip(self, seed: int, lane: Lane) -> None:
        close(self.journal, clean=True)
        for each in Lane:
            if self.journal._logs[each].failed is None:
                self.accept(each)
        self.flips += self.disk.flip(random.Random(seed), lane.value)
        self.reopen()

    def reopen(self) -> None:
        self.waiting.clear()
        self.journal = open_journal(self.settings(), self.clock, self.disk)
        for lane in Lane:
            self.check_lane(lane)
        self.check_states()

    def check_read(self, lane: Lane) -> list[Entry | Damage]:
        """Everything unsettled, each record as it was appended, in seq order per stream."""
        items = read(self.journal, lane)
        seen: dict[tuple[str, str], int] = {}
        position = self.journal.settled(lane)
        for item in items:
            assert item.position > position
            position = item.position
            first = item.seq if isinstance(item, Entry) else item.first_seq
            assert first > seen.get((item.incarnation, item.stream), 0)
            for key in keys(lane, item):
                seen[key[1], key[2]] = key[3]
                if isinstance(item, Entry):
                    assert self.appended[key] == (item.payload, item.time_ns)
            if isinstance(item, Damage) and item.cause is Cause.JOURNAL_EVICTED:
                self.check_evicted(lane, item)
            if isinstance(item, Damage) and item.cause is Cause.STORAGE_FAILED:
                self.check_dropped(lane, item)
        return items

    def check_evicted(self, lane: Lane, gap: Damage) -> None:
        """What went unsettled is named to the reading, and it is never an alarm."""
        assert lane is not Lane.ALARM
        gone = [self.appended[key] for key in keys(lane, gap)]
        assert gap.readings == sum(len(payload) - 8 for payload, _ in gone)
        assert gap.from_ns <= gone[0][1]
        assert gap.to_ns == gone[-1][1]

    def check_dropped(self, lane: Lane, gap: Damage) -> None:
        """What memory could not hold is named to the reading."""
        gone = [self.appended[key] for key in keys(lane, gap)]
        assert gap.readings == sum(len(payload) - 8 for payload, _ in gone)
        assert gap.from_ns <= gone[0][1]
        assert gap.to_ns == gone[-1][1]

    def check_lane(self, lane: Lane) -> None:
        """Nothing accepted is lost; what a flipped bit destroyed is named."""
        items = self.check_read(lane)
        read_back = {key for item in items for key in keys(lane, item)}
        lost = {
            key for key in self.accepted if key[0] is lane
        } - self.settled - read_back  # fmt: skip
        if self.flips:
            lost = {key for key in lost if not self.is_named(key)}
        assert not lost
        if not self.flips:
            broken = [i for i in items if isinstance(i, Damage) and i.cause is CORRUPT]
            damage = {key for item in broken for key in keys(lane, item)}
            assert not damage & self.accepted

    def is_named(self, key: Key) -> bool:
        """The last record of a stream is gone: what it said to cover is not covered."""
        lane, incarnation, stream, seq = key
        state = self.journal.recovered.streams.get((lane, stream))
        if state is None or state.incarnation != incarnation or state.seq < seq:
            return True
        if state.covered_to_ns is None or state.covered_to_ns < self.appended[key][1]:
            return True
        torn = self.journal.recovered.torn.get((lane, stream))
        return torn is not None and torn.first_seq <= seq <= torn.last_seq

    def check_states(self) -> None:
        """Coverage never reaches over a record that is not there."""
        for (lane, stream), state in self.journal.recovered.streams.items():
            mine = [k for k in self.appended if k[0] is lane and k[2] == stream]
            for key in mine:
                time_ns = self.appended[key][1]
                if key[1] != state.incarnation and key in self.accepted:
                    continue
                if state.covered_to_ns is not None and time_ns <= state.covered_to_ns:
                    assert key[1] != state.incarnation or key[3] <= state.seq

    @invariant()
    def the_disk_share_is_kept(self) -> None:
        for lane in Lane:
            share = self.settings().quota(lane) + self.journal._ground.loan.balance(lane)
            assert self.journal.stats().lanes[lane].segments <= share

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.disk.crash(random.Random(0))
            self.reopen()


def keys(lane: Lane, item: Entry | Damage) -> list[Key]:
    if isinstance(item, Entry):
        return [(lane, item.incarnation, item.stream, item.seq)]
    numbers = range(item.first_seq, item.last_seq + 1)
    return [(lane, item.incarnation, item.stream, seq) for seq in numbers]


class CrowdedMachine(Machine):
    """Four segments of data and no more."""

    settings = staticmethod(partial(small, size=1))

    @rule(stream=STREAMS, size=st.integers(2000, 3500), count=st.integers(1, 8))
    def append_much(self, stream: str, size: int, count: int) -> None:
        for number in range(count):
            self.append(Lane.DATA, stream, size + number, covers=True)
        self.commit(Lane.DATA)

    @rule()
    def alarms_are_never_refused_for_want_of_room(self) -> None:
        self.append(Lane.ALARM, "a", 20, covers=True)
        self.commit(Lane.ALARM)

    @invariant()
    def files_stay_few(self) -> None:
        for pool in self.journal._pools.values():
            assert pool.lent + pool.free <= pool.limit + 2


class StarvedMachine(Machine):
    """Little memory, and a disk that takes nothing for long."""

    settings = staticmethod(partial(small, memory=16 << 10))

    @rule(stream=STREAMS, lane=LANES, count=st.integers(1, 30), heals=st.booleans())
    def append_while_the_disk_takes_nothing(
        self, stream: str, lane: Lane, count: int, heals: bool
    ) -> None:
        self.disk.failing = 1 << 30
        for number in range(count):
            self.append(lane, stream, 500 + number, covers=True)
            if number % 8 == 0:
                assert not commit(self.journal, lane)
        self.disk.failing = 0
        if heals:
            self.commit(lane)

    @invariant()
    def memory_is_bounded(self) -> None:
        for lane in Lane:
            limit = self.settings().memory_limit(lane)
            assert self.journal.stats().lanes[lane].memory_bytes <= limit + 4096


class FlippingMachine(Machine):
    flips_allowed = True


class LyingMachine(Machine):
    honours_sync = False


MACHINES = (Machine, CrowdedMachine, StarvedMachine, FlippingMachine)
STEPS = 40
"""Steps of one life of a machine."""


def run(machine: type[Machine], lives: int, number: int | None = None) -> None:
    """``lives`` of ``machine``; the same ones each time, or those that ``number`` seeds.

    Raises:
        AssertionError: A law does not hold; the steps that lead there are printed.
    """
    chosen = settings(
        max_examples=lives, stateful_step_count=STEPS, deadline=None, database=None,
        derandomize=number is None, print_blob=False, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    seeded = machine if number is None else seed(number)(machine)
    run_state_machine_as_test(seeded, settings=chosen)


def main() -> None:
    """Run so many steps, a quarter on each machine, and say how many."""
    parser = argparse.ArgumentParser(prog="python -m tests.journal.model")
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    lives = -(-chosen.steps // (STEPS * len(MACHINES)))
    for machine in MACHINES:
        began = time.monotonic()
        run(machine, lives, chosen.seed)
        took = time.monotonic() - began
        print(f"{machine.__name__}: {lives * STEPS} steps in {took:.0f} s, every law held")


if __name__ == "__main__":
    main()
