"""Limits of tags, and the alarms they raise and clear, in the words of ISA-18.2. Pure.

    reading ─► beyond the limit? ─► for long enough? ─► alarm active · cleared
               dead band            on, off delay

* Each limit of a tag is an alarm of its own: above ``high_high``, ``high`` is active too.
* A value is beyond a limit from the limit on, and until it has come back by more than the
  dead band. In between nothing changes.
* Delays run on the monotonic clock of the readings. When none comes, the last one counts
  as long as the tag is being read: `LimitRule.ripen` is called when a delay ends.
* While quality is bad nothing changes and no delay runs. Uncertain values are evaluated.

A full ISA-18.2 alarm is acknowledged, latched, shelved and suppressed beside being active
or cleared. Those are further states of `_Watch`; what is here decides only the process
condition they start from.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, nan
from operator import ge, itemgetter, le
from typing import Any

from gateway.config import AlarmsConfig
from gateway.model import (
    Alarm,
    AlarmLevel,
    AlarmState,
    Batch,
    Block,
    Priority,
    Quality,
    Tag,
    TagClass,
)

_PRIORITY = {
    AlarmLevel.HIGH_HIGH: Priority.HIGH,
    AlarmLevel.HIGH: Priority.MEDIUM,
    AlarmLevel.LOW: Priority.MEDIUM,
    AlarmLevel.LOW_LOW: Priority.HIGH,
}
"""For limits that are not given one."""
_BAD = int(Quality.BAD)


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a tag, in the unit of the tag."""

    level: AlarmLevel
    value: float
    priority: Priority = Priority.MEDIUM
    deadband: float = 0.0
    on_delay_ns: int = 0
    off_delay_ns: int = 0

    @property
    def back(self) -> float:
        """Beyond it, towards normal, a value that was beyond the limit is back."""
        return self.value + (-self.deadband if self.level.is_high else self.deadband)

    def is_beyond(self, value: float, *, was: bool) -> bool:
        """Whether ``value`` is beyond the limit, when the one before it ``was``."""
        edge = self.back if was else self.value
        return value >= edge if self.level.is_high else value <= edge


def levels_of(config: AlarmsConfig) -> dict[str, float]:
    """The limits that are set, by level."""
    values = {level.value: getattr(config, level) for level in AlarmLevel}
    return {level: value for level, value in values.items() if value is not None}


def limits_of(config: AlarmsConfig, tag: Tag) -> tuple[Limit, ...]:
    """What ``config`` says about ``tag``; one of class ``safety`` has no delays."""
    is_safety = tag.tag_class is TagClass.SAFETY
    on_ns, off_ns = (
        0 if is_safety else int(delay_s * 1e9)
        for delay_s in (config.on_delay, config.off_delay)
    )
    return tuple(
        Limit(
            AlarmLevel(level),
            value,
            Priority(config.priority) if config.priority else _PRIORITY[AlarmLevel(level)],
            config.deadband,
            on_ns,
            off_ns,
        )
        for level, value in levels_of(config).items()
    )


class _Watch:
    """One limit of one tag: the condition, and the alarm while it is active."""

    __slots__ = (
        "alarm", "beyond", "frozen_ns", "limit", "quality", "since_ns", "tag", "value",
    )  # fmt: skip

    def __init__(self, tag: Tag, limit: Limit) -> None:
        self.tag = tag
        self.limit = limit
        self.beyond = False
        self.alarm: Alarm | None = None
        self.since_ns = 0
        """Since when ``beyond`` is as it is, less the time that was frozen."""
        self.frozen_ns: int | None = None
        self.value: float = 0.0
        self.quality = 0

    @property
    def is_pending(self) -> bool:
        """Whether a delay runs, or would if it were not frozen."""
        return self.beyond is (self.alarm is None)

    @property
    def due_ns(self) -> int:
        """When the delay ends, on the monotonic clock."""
        limit = self.limit
        return self.since_ns + (limit.on_delay_ns if self.beyond else limit.off_delay_ns)

    @property
    def is_running(self) -> bool:
        """Whether a delay runs now."""
        return self.is_pending and self.frozen_ns is None

    def take(self, value: float, quality: int, mono_ns: int) -> None:
        """A usable value was read."""
        self.value, self.quality = value, quality
        if self.frozen_ns is not None:
            self.since_ns += mono_ns - self.frozen_ns
            self.frozen_ns = None
        beyond = self.limit.is_beyond(value, was=self.beyond)
        if beyond is not self.beyond:
            self.beyond, self.since_ns = beyond, mono_ns

    def freeze(self, mono_ns: int) -> None:
        """No usable value comes any more."""
        if self.is_running:
            self.frozen_ns = mono_ns

    def restore(self, alarm: Alarm) -> None:
        """The alarm was active before."""
        if self.alarm is None:
            self.alarm, self.beyond = alarm, True

    def follow(self, old: _Watch) -> None:
        """Go on where ``old``, of the same limit, stopped."""
        self.alarm, self.beyond, self.since_ns = old.alarm, old.beyond, old.since_ns
        self.frozen_ns, self.value, self.quality = old.frozen_ns, old.value, old.quality

    def conclude(self, time_ns: int, mono_ns: int, new_id: Callable[[], str]) -> Alarm | None:
        """What the end of a delay brings, if it has ended by ``mono_ns``, or ``time_ns``."""
        if not self.is_running or self.due_ns > mono_ns:
            return None
        at_ns = time_ns - (mono_ns - self.due_ns)
        if self.alarm is None:
            self.alarm = self._raised(new_id(), at_ns)
            return self.alarm
        cleared = replace(
            self.alarm,
            state=AlarmState.CLEARED,
            value=self.value,
            limit=self.limit.value,
            quality=Quality(self.quality),
            cleared_ns=at_ns,
        )
        self.alarm = None
        return cleared

    def _raised(self, id_: str, at_ns: int) -> Alarm:
        return Alarm(
            id_,
            self.tag.name,
            self.limit.level,
            AlarmState.ACTIVE,
            self.limit.priority,
            self.value,
            self.limit.value,
            self.tag.unit,
            Quality(self.quality),
            at_ns,
        )


class LimitRule:
    """The limits of one block's tags, held against each of its batches.

    Of each tag the two edges between which nothing changes are kept as columns, so that
    a batch in which nothing happens costs two comparisons a tag.
    """

    def __init__(
        self,
        block: Block[Any],
        limits: Mapping[int, Sequence[Limit]],
        new_id: Callable[[], str],
    ) -> None:
        """limits: row of the tag in the block → its limits; at least one row."""
        self._new_id = new_id
        self._rows = {
            row: [_Watch(block.tags[row], limit) for limit in limits[row]]
            for row in sorted(limits)
        }
        self._place = {row: place for place, row in enumerate(self._rows)}
        self._pick = _picker(list(self._rows), len(block.tags))
        self._above = [inf] * len(self._rows)
        self._below = [-inf] * len(self._rows)
        self._pending: set[int] = set()
        """Rows in which a delay runs or is frozen."""
        for row in self._rows:
            self._settle(row)

    def follow(self, old: LimitRule) -> None:
        """Go on where ``old``, of the same block, stopped; a changed limit begins anew."""
        for row, watches in self._rows.items():
            for watch in watches:
                for other in old._rows.get(row, ()):
                    if other.limit == watch.limit:
                        watch.follow(other)
            self._settle(row)

    @property
    def has_delays(self) -> bool:
        """Whether a delay runs, or is frozen."""
        return bool(self._pending)

    @property
    def due_ns(self) -> int | None:
        """When the next delay ends, on the monotonic clock; None when none runs."""
        watches = (watch for row in self._pending for watch in self._rows[row])
        return min((watch.due_ns for watch in watches if watch.is_running), default=None)

    def restore(self, alarm: Alarm) -> bool:
        """Take ``alarm`` as active; False when its limit is not there any more."""
        for row, watches in self._rows.items():
            for watch in watches:
                if (watch.tag.name, watch.limit.level) == (alarm.tag, alarm.level):
                    watch.restore(alarm)
                    self._settle(row)
                    return True
        return False

    def judge(self, batch: Batch, mono_ns: int) -> Sequence[Alarm]:
        """What ``batch``, read at ``mono_ns``, changes; in the order of its tags."""
        if batch.index is None:
            rows = self._noteworthy(batch)
            if not rows:
                return ()
            pairs: Iterable[tuple[int, int]] = zip(rows, rows, strict=True)
        else:
            pairs = enumerate(batch.index)
        changes: list[Alarm] = []
        for at, row in pairs:
            place = self._place.get(row)
            if place is not None:
                changes += self._judge_row(batch, at, row, place, mono_ns)
        return changes

    def _noteworthy(self, batch: Batch) -> Collection[int]:
        """The rows of a full batch in which something may change, in order."""
        values = batch.values if self._pick is None else self._pick(batch.values)
        if batch.quality is not None and None in values:
            values = [nan if value is None else value for value in values]
        above, below = self._above, self._below
        try:
            if not (any(map(ge, values, above)) or any(map(le, values, below))):
                return sorted(self._pending)
            crossed = {
                row
                for row, value, high, low in zip(self._rows, values, above, below, strict=True)
                if value >= high or value <= low
            }
        except TypeError:
            return self._rows.keys()  # a value that is no number: each is looked at
        return sorted(crossed | self._pending)

    def _judge_row(
        self, batch: Batch, at: int, row: int, place: int, mono_ns: int
    ) -> Iterable[Alarm]:
        value = batch.values[at]
        quality = 0 if batch.quality is None else batch.quality[at]
        if quality >= _BAD or not isinstance(value, int | float):
            return self.freeze((row,), batch.time_ns, mono_ns)
        is_quiet = self._below[place] < value < self._above[place]
        if is_quiet and row not in self._pending:
            return ()
        return self._take(row, value, quality, batch.time_ns, mono_ns)

    def _take(
        self, row: int, value: float, quality: int, time_ns: int, mono_ns: int
    ) -> Iterable[Alarm]:
        changes: list[Alarm] = []
        for watch in self._rows[row]:
            changes += self._overdue(watch, time_ns, mono_ns)
            watch.take(value, quality, mono_ns)
            changes += self._conclude(watch, time_ns, mono_ns)
        self._settle(row)
        return changes

    def _conclude(self, watch: _Watch, time_ns: int, mono_ns: int) -> Iterable[Alarm]:
        change = watch.conclude(time_ns, mono_ns, self._new_id)
        return () if change is None else (change,)

    def _overdue(self, watch: _Watch, time_ns: int, mono_ns: int) -> Iterable[Alarm]:
        """What a delay brings that ended before now, and nobody came to say so."""
        is_over = watch.is_running and watch.due_ns < mono_ns
        return self._conclude(watch, time_ns, mono_ns) if is_over else ()

    def ripen(self, time_ns: int, mono_ns: int) -> Sequence[Alarm]:
        """What the delays that have ended by now change, when no reading came since."""
        changes: list[Alarm] = []
        for row in sorted(self._pending):
            for watch in self._rows[row]:
                changes += self._conclude(watch, time_ns, mono_ns)
            self._settle(row)
        return changes

    def freeze(self, rows: Iterable[int], time_ns: int, mono_ns: int) -> Sequence[Alarm]:
        """From now on ``rows`` give nothing usable: no delay runs until they do.

        What is returned had changed before.
        """
        changes: list[Alarm] = []
        for row in sorted(self._pending.intersection(rows)):
            for watch in self._rows[row]:
                changes += self._overdue(watch, time_ns, mono_ns)
                watch.freeze(mono_ns)
            self._settle(row)
        return changes

    def _settle(self, row: int) -> None:
        """Work out the edges of ``row`` anew."""
        above, below = inf, -inf
        for watch in self._rows[row]:
            limit = watch.limit
            edge = limit.back if watch.beyond else limit.value
            if limit.level.is_high is watch.beyond:
                below = max(below, edge)
            else:
                above = min(above, edge)
        place = self._place[row]
        self._above[place], self._below[place] = above, below
        if any(watch.is_pending for watch in self._rows[row]):
            self._pending.add(row)
        else:
            self._pending.discard(row)


def _picker(rows: Sequence[int], width: int) -> Callable[[Sequence[Any]], Sequence[Any]] | None:
    """What takes the columns ``rows`` out of ``width``; None when that is all of them."""
    if len(rows) == width:
        return None
    return itemgetter(*rows) if len(rows) > 1 else lambda values: (values[rows[0]],)
