"""The threads that make records durable. All decisions are the lanes'; here is only when."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import structlog

from gateway.clock import Clock
from gateway.journal.log import Log
from gateway.journal.pool import Pool
from gateway.journal.words import WriterState

log = structlog.get_logger()
_IDLE_S = 1.0
"""Longest sleep of a writer; also the pace of `every_second`."""
_GROW_BYTES_S = 16 << 20
"""Pace at which the pool is written in the background."""
_GROW_RETRY_S = 60.0


class Writer:
    """One thread that commits some lanes."""

    def __init__(
        self, name: str, logs: Sequence[Log], clock: Clock, committed: Callable[[Log], None],
        every_second: Callable[[], None],
    ) -> None:  # fmt: skip
        self.name = name
        self._logs = logs
        self._clock = clock
        self._committed = committed
        self._every_second = every_second
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"journal-{name}", daemon=True)
        for lane in logs:
            lane.wake = self._wake.set

    def start(self) -> None:
        """Begin to commit."""
        self._thread.start()

    def stop(self) -> None:
        """Return when the thread has ended; what waits in memory still waits."""
        self._stopping = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()

    def state(self) -> WriterState:
        """For the watchdog."""
        since = [lane.meter.busy_since for lane in self._logs]
        busy = [self._clock.monotonic() - at for at in since if at is not None]
        return WriterState(self.name, self._thread.is_alive(), max(busy, default=None))

    def _run(self) -> None:
        next_second = self._clock.monotonic() + _IDLE_S
        while not self._stopping:
            self._commit_due()
            now = self._clock.monotonic()
            if now >= next_second:
                self._every_second()
                next_second = now + _IDLE_S
            due = [lane.due_in(now) for lane in self._logs]
            pause = min((s for s in due if s is not None), default=_IDLE_S)
            if self._wake.wait(min(pause, max(0.0, next_second - now))):
                self._wake.clear()

    def _commit_due(self) -> None:
        now = self._clock.monotonic()
        for lane in self._logs:
            due = lane.due_in(now)
            if due is not None and due <= 0:
                commit_and_say(lane)
                self._committed(lane)


def commit_and_say(lane: Log) -> None:
    """Commit ``lane``; log when the disk fails, and when it takes records again."""
    before = lane.failed
    lane.commit()
    if lane.failed is not None and before is None:
        log.error("journal failed", lane=lane.lane.value, error=lane.failed)
    elif lane.failed is None and before is not None:
        log.info("journal recovered", lane=lane.lane.value)


class Grower:
    """One thread that writes the pool up to its size, at a modest rate."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        self._pools = pools
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-pool", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Return when the thread has ended."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            try:
                pause = self._grow()
            except OSError as error:
                log.warning("journal pool cannot grow", error=str(error))
                pause = _GROW_RETRY_S

    def _grow(self) -> float:
        """Write one file; seconds to wait before the next."""
        for pool in self._pools:
            if pool.grow():
                return pool.segment_bytes / _GROW_BYTES_S
        return _GROW_RETRY_S
