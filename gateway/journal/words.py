"""The words of the journal: what goes in, what comes out, what was found at start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from gateway.model import Cause, Lane

MIB = 1 << 20
_SMALL_SHARE = {Lane.ALARM: 16, Lane.META: 32}
LEAST_SEGMENTS = 4
"""A lane never has a share of less."""
KEPT_BACK = 1
"""Files of each pool no record is written to: the next tomb needs one when all is full."""
ENDED = (1 << 63) - 1
"""How far a stream was watched that nobody is to watch any more: for ever."""
ALARM_COMMIT_S = 0.02
"""Time an alarm waits for company; with the flush it is durable in 50 ms."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person may choose about the journal."""

    path: Path
    size: int = 2048 * MIB
    """Bytes on disk, all lanes together."""
    commit_s: float = 0.25
    """D: longest time a record waits in memory before it is written."""
    memory: int = 32 * MIB
    """Bytes of records that may wait for the disk; an eighth of it is the alarms' own."""
    retain_settled_s: float = 86_400.0
    """Settled records are kept this long, but never in more than a quarter of ``size``."""
    data_segment: int = 4 * MIB
    small_segment: int = MIB
    """Bytes of a segment of the alarm and meta lanes."""

    def segment_bytes(self, lane: Lane) -> int:
        """Size of each segment file of ``lane``."""
        return self.data_segment if lane is Lane.DATA else self.small_segment

    def quota(self, lane: Lane) -> int:
        """Segments ``lane`` may hold; alarms and meta have a share nothing else can take."""
        if lane is not Lane.DATA:
            share = self.size // _SMALL_SHARE[lane] // self.small_segment
            return max(LEAST_SEGMENTS, share)
        small = sum(self.quota(other) for other in _SMALL_SHARE) + KEPT_BACK
        room = self.size - small * self.small_segment
        return max(LEAST_SEGMENTS, room // self.data_segment - KEPT_BACK)

    def delay_s(self, lane: Lane) -> float:
        """Longest time from the first record in memory to the start of its commit."""
        return min(ALARM_COMMIT_S, self.commit_s) if lane is Lane.ALARM else self.commit_s

    def memory_limit(self, lane: Lane) -> int:
        """Bytes of ``lane`` that may wait for the disk."""
        alarms = self.memory // 8
        return alarms if lane is Lane.ALARM else self.memory - alarms


class Entry(NamedTuple):
    """One committed record."""

    position: int
    """Where it ends: settle it with this, read on after this."""
    stream: str
    incarnation: str
    """32 hex digits."""
    seq: int
    schema: int
    time_ns: int
    readings: int
    payload: bytes


class Damage(NamedTuple):
    """Stored records of one stream that are not there any more, or cannot be read."""

    position: int
    stream: str
    incarnation: str
    first_seq: int
    last_seq: int
    from_ns: int
    to_ns: int
    readings: int | None
    """None: nobody knows how many."""
    cause: Cause = Cause.JOURNAL_CORRUPT
    is_exact: bool = True
    """False: there were no more than ``readings``."""


class StreamState(NamedTuple):
    """Where a stream ended in the last incarnation that wrote to it."""

    incarnation: str
    seq: int
    """Last committed."""
    covered_to_ns: int | None
    """The device had been watched up to here; None while nobody said so, or `ENDED`."""


class TornStream(NamedTuple):
    """Records of the last incarnation that cannot be there any more: it died writing them,
    or the segments that held them are gone.
    """

    first_seq: int
    last_seq: int
    from_ns: int
    to_ns: int
    readings: int | None
    """None: nobody knows how many."""
    cause: Cause = Cause.UNCOMMITTED_WINDOW


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the journal held when it was opened."""

    clean: bool = False
    """The last incarnation stopped in order."""
    first_start: bool = True
    previous: str | None = None
    """The last incarnation."""
    streams: Mapping[tuple[Lane, str], StreamState] = field(default_factory=dict)
    torn: Mapping[tuple[Lane, str], TornStream] = field(default_factory=dict)
    quarantined: tuple[str, ...] = ()
    """Files that could not be parsed, as named under ``quarantine/``."""


class WriterState(NamedTuple):
    """One writer thread as the watchdog sees it."""

    name: str
    alive: bool
    busy_s: float | None
    """Seconds in the current system call; None while idle."""


@dataclass(frozen=True, slots=True)
class LaneStats:
    """One lane in numbers."""

    segments: int
    unsettled_records: int
    unsettled_readings: int
    unsettled_bytes: int
    oldest_unsettled_ns: int | None
    memory_bytes: int
    """Records that wait for the disk."""
    commits: int
    last_commit_s: float
    """How long the last commit took, write and flush."""
    failed: str | None
    waiting_s: float = 0.0
    """How long the oldest record in memory has waited for the disk."""
    evicted_records: int = 0
    """Given up unsettled since start, for want of room."""


@dataclass(frozen=True, slots=True)
class Stats:
    """The journal in numbers."""

    bytes_used: int
    size: int
    reserved_bytes: int
    """Bytes that stand on disk already, used or not."""
    lanes: Mapping[Lane, LaneStats]
    writers: tuple[WriterState, ...]

    @property
    def failed(self) -> str | None:
        """Why the disk takes nothing, if so."""
        return next((lane.failed for lane in self.lanes.values() if lane.failed), None)

    @property
    def unsettled_records(self) -> int:
        """Records not yet settled, all lanes."""
        return sum(lane.unsettled_records for lane in self.lanes.values())

    @property
    def unsettled_readings(self) -> int:
        """Readings not yet settled, all lanes."""
        return sum(lane.unsettled_readings for lane in self.lanes.values())

    @property
    def unsettled_bytes(self) -> int:
        """Bytes not yet settled, all lanes."""
        return sum(lane.unsettled_bytes for lane in self.lanes.values())

    @property
    def oldest_unsettled_ns(self) -> int | None:
        """Time of the oldest unsettled record."""
        times = (lane.oldest_unsettled_ns for lane in self.lanes.values())
        return min((time for time in times if time is not None), default=None)

    @property
    def memory_bytes(self) -> int:
        """Bytes that wait for the disk, all lanes."""
        return sum(lane.memory_bytes for lane in self.lanes.values())

    @property
    def commits(self) -> int:
        """Commits since start, all lanes."""
        return sum(lane.commits for lane in self.lanes.values())

    @property
    def last_commit_s(self) -> float:
        """The slower of the lanes' last commits."""
        return max(lane.last_commit_s for lane in self.lanes.values())
