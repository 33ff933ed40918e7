"""The room that alarms may borrow from data: when all is full, alarms go last.

    data lane:  gives up its oldest segment ──▶ its file, cut to size, joins the small pool
    alarm lane: asks when its own share is full; gives the room back once alarms are settled

Shares and pools move by one data file at a time. How much is lent is kept nowhere: at a
start it follows from the segments the alarm lane holds. Data keeps its last few segments.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.journal.pool import Pool
from gateway.journal.words import LEAST_SEGMENTS, Settings
from gateway.model import Lane


class Loan:
    """What the data lane has lent to the alarm lane, in files of the data lane."""

    def __init__(self, settings: Settings, pools: Mapping[Lane, Pool], alarms: int) -> None:
        """alarms: segments the alarm lane holds at the start."""
        self._large, self._small = pools[Lane.DATA], pools[Lane.ALARM]
        self._ratio = max(1, settings.data_segment // settings.small_segment)
        self._most = settings.quota(Lane.DATA) - LEAST_SEGMENTS
        self._taken = 0
        self._lock = threading.Lock()
        self.is_wanted = False
        """The alarm lane waits for room."""
        self.wake: Callable[[], None] = lambda: None
        """Wakes the writer of the data lane."""
        while self.left and alarms > settings.quota(Lane.ALARM) + self.balance(Lane.ALARM):
            self._shift(1)

    @property
    def left(self) -> int:
        """Segments the alarm lane may still get."""
        return max(0, self._most - self._taken) * self._ratio

    def balance(self, lane: Lane) -> int:
        """Segments ``lane`` may hold beyond its own share; below 0: those it has lent."""
        if lane is Lane.DATA:
            return -self._taken
        return self._taken * self._ratio if lane is Lane.ALARM else 0

    def ask(self) -> None:
        """The alarm lane is full: let the data lane give up a segment."""
        if self.left:
            self.is_wanted = True
            self.wake()

    def grant(self, path: Path) -> None:
        """The alarm lane may use the file at ``path``, lent by the pool of the data lane.

        Raises:
            OSError: The disk failed.
        """
        self._small.adopt(path)
        self._large.lost()
        self._shift(1)
        self.is_wanted = False

    def repay(self, spare: int) -> None:
        """Give back what fits into ``spare`` segments that the alarm lane does not need.

        Raises:
            OSError: The disk failed.
        """
        while self._taken and spare >= self._ratio:
            self._shift(-1)
            spare -= self._ratio
            self._small.trim()

    def _shift(self, files: int) -> None:
        with self._lock:
            self._taken += files
            self._large.limit -= files
            self._small.limit += files * self._ratio
