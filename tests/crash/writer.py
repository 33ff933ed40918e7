"""Processes that keep a real journal busy until something kills them.

`race` goes as fast as the disk lets it, with the journal's own threads. `script` does a
fixed sequence of everything the journal can do, in one thread: its system calls can be
counted, and are the same in every run.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from gateway.clock import Clock
from gateway.errors import JournalError
from gateway.journal import Damage, Entry, Journal, Settings
from gateway.journal.files import DiskFile, DiskFiles, File, Files
from gateway.model import Cause, Lane
from tests.crash.ledger import Key, Ledger, payload
from tests.journal.rig import StillClock, commit, open_journal, small

STREAMS = ("pump", "tank-101")
SIZE = 2 << 20
_OFTEN = {Lane.ALARM: 0.5, Lane.DATA: 0.1}
"""How often a commit is followed by marks and settling."""
_BACKLOG = {Lane.ALARM: 40, Lane.DATA: 4000}
"""Records a lane may hold before the older half of them is settled."""
_SCRIPT_SEGMENTS = 16
"""So few that data is evicted."""
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])
Work = Callable[[Settings, Ledger, int, Files], None]


def settings(path: Path) -> Settings:
    """Small segments and short commits: much happens in little time."""
    return replace(small(path, size=SIZE), commit_s=0.01)


class Child:
    """A writer that waits for `go`."""

    def __init__(
        self, work: Work, path: Path, ledger: Path, seed: int = 0, *, synced: bool = True
    ) -> None:
        theirs, self._gate = _FORKS.Pipe()
        arguments = (work, path, ledger, seed, synced, theirs)
        self.process: BaseProcess = _FORKS.Process(target=_live, args=arguments, daemon=True)
        self.process.start()
        theirs.close()
        self._gate.recv()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def go(self) -> None:
        self._gate.send(None)

    def stop(self) -> None:
        """Let it do nothing more: SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def kill(self) -> None:
        """End it: SIGKILL.

        Raises:
            RuntimeError: It had ended by itself.
        """
        self.process.kill()
        if not self.ended(30):
            raise RuntimeError(f"the writer ended with {self.process.exitcode}")

    def ended(self, limit_s: float) -> bool:
        """Wait for its end; False: it was not killed but came to its own end.

        Raises:
            TimeoutError: It lives on.
        """
        self.process.join(limit_s)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise TimeoutError(f"the writer lived on for {limit_s} s")
        self._gate.close()
        return self.process.exitcode == -signal.SIGKILL


class _Unsynced(DiskFile):
    """The negative control: says it is on the medium, and it is in memory."""

    def sync(self) -> None:
        pass


class UnsyncedFiles(DiskFiles):
    def open(self, path: Path, *, create: bool = False) -> File:
        file = super().open(path, create=create)
        assert isinstance(file, DiskFile)
        return _Unsynced(file._fd)


def _live(
    work: Work, path: Path, ledger: Path, seed: int, synced: bool, gate: Connection
) -> None:
    files = DiskFiles() if synced else UnsyncedFiles()
    gate.send("ready")
    gate.recv()
    work(settings(path), Ledger(ledger), seed, files)


class Pen:
    """Appends records that say who they are, and settles what is old."""

    def __init__(self, journal: Journal, ledger: Ledger, clock: Clock) -> None:
        self.journal = journal
        self._ledger = ledger
        self._clock = clock
        self._seqs: dict[Key, int] = {}

    def append(self, lane: Lane, stream: str) -> None:
        key = (self.journal.incarnation, lane.value, stream)
        seq = self._seqs.get(key, 0) + 1
        took = self.journal.append(
            lane, stream, payload(key, seq), time_ns=self._clock.now_ns(), readings=1,
            covers=True,
        )  # fmt: skip
        assert took == seq
        self._seqs[key] = seq

    def heads(self, lane: Lane) -> dict[Key, int]:
        """What was appended to ``lane`` so far."""
        return {key: seq for key, seq in self._seqs.items() if key[1] == lane.value}

    def accepted(self, heads: dict[Key, int]) -> None:
        for key, seq in heads.items():
            self._ledger.accepted(key, seq)

    def mark(self) -> None:
        now = self._clock.now_ns()
        self.journal.mark({(Lane(lane), stream): now for _, lane, stream in self._seqs})

    def settle(self, lane: Lane, *, beyond: int) -> None:
        """Settle the older half when more than ``beyond`` records wait."""
        start = self.journal.settled(lane)
        items = self.journal.read(lane, start, max_bytes=1 << 30, max_records=10**6)
        if len(items) <= beyond:
            return
        older = items[: len(items) // 2]
        last = {(e.incarnation, lane.value, e.stream): _last_seq(e) for e in older}
        for key, seq in last.items():
            self._ledger.settling(key, seq)
        self.journal.settle(lane, older[-1].position)


def _last_seq(item: Entry | Damage) -> int:
    if isinstance(item, Entry):
        return item.seq
    assert item.cause is Cause.JOURNAL_EVICTED, item  # no crash damages what was read
    return item.last_seq


def race(settings: Settings, ledger: Ledger, seed: int, files: Files) -> None:
    """For ever: two lanes at full speed, each in its own pace; marks; settling."""
    asyncio.run(_race(settings, ledger, random.Random(seed), files))


async def _race(
    settings: Settings, ledger: Ledger, chance: random.Random, files: Files
) -> None:
    clock = Clock()
    journal = open_journal(settings, clock, files)
    journal.start(lambda lane: None)
    pen = Pen(journal, ledger, clock)
    async with asyncio.TaskGroup() as tasks:
        for lane, most in ((Lane.DATA, 40), (Lane.ALARM, 3)):
            tasks.create_task(_write(pen, lane, chance, most))


async def _write(pen: Pen, lane: Lane, chance: random.Random, most: int) -> None:
    pen.settle(lane, beyond=_BACKLOG[lane])
    while True:
        for _ in range(chance.randint(1, most)):
            pen.append(lane, chance.choice(STREAMS))
        heads = pen.heads(lane)
        await pen.journal.durable(lane)
        pen.accepted(heads)
        if chance.random() < _OFTEN[lane]:
            pen.mark()
            pen.settle(lane, beyond=_BACKLOG[lane])


def script(settings: Settings, ledger: Ledger, _seed: int, files: Files) -> None:
    """Three lives: births, seals, evictions, settling, marks, a stop in order and one not."""
    for life in range(3):
        clock = StillClock()
        journal = open_journal(
            replace(settings, size=settings.data_segment * _SCRIPT_SEGMENTS), clock, files
        )
        pen = Pen(journal, ledger, clock)
        for turn in range(10):
            clock.pass_s(1)
            _turn(pen, 12 if life == 1 else 30)
            if turn == 4:
                pen.settle(Lane.DATA, beyond=0)
                journal._save_cursor()
        for alarm in range(2):
            pen.settle(Lane.ALARM, beyond=alarm)
        if life < 2:
            journal._stop()
            journal._finish(clean=life == 0)
        journal._release()


def _turn(pen: Pen, count: int) -> None:
    for n in range(count):
        pen.append(Lane.DATA, STREAMS[n % 2])
    pen.append(Lane.ALARM, "pump")
    pen.mark()
    for lane in (Lane.ALARM, Lane.DATA, Lane.META):
        if not commit(pen.journal, lane):
            raise JournalError(f"{lane}: {pen.journal.stats().failed}")
        pen.accepted(pen.heads(lane))
