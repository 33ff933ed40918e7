"""What of a device is being watched, and a gap for everything that is not.

One `Coverage` per device. It turns what a link says (readings, missing, polls missed)
into the gap records that stand between the readings, so that readings and gaps
together cover all time. Pure: it takes times and returns what to write, in order.
All times of a gap are of one clock: when that is set, what is remembered moves with it.

* An outage begins with one bad-quality image and one open gap, which is announced
  again every `ANNOUNCE_S` with the same id and closed when readings return.
* Polls that gave nothing between two good ones become one closed gap.
* The first word of a stream in an incarnation is its ``not_running`` gap.
* A device that goes leaves a closed ``config_removed`` gap; one whose configuration
  changed has one from the last reading before to the first word after.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

from gateway.model import Batch, Block, Cause, Gap, Quality

ANNOUNCE_S = 60.0
LONGEST_HOLE = 1.5
"""Intervals between two readings beyond which a gap has to stand between them."""
Item: TypeAlias = Batch | Gap


@dataclass(frozen=True, slots=True)
class Before:
    """How the stream ended in the previous incarnation."""

    incarnation: str
    seq: int
    covered_to_ns: int | None
    """None when nothing of it was ever covered."""
    clean: bool
    torn: Gap | None = None
    """Records that were being written when the agent died, if any were seen."""


@dataclass(slots=True)
class _Outage:
    gap: Gap
    count: int | None
    """None where nobody can count: a subscribed device changes when it likes."""
    announced_s: float | None = None

    def clock_set(self, step_ns: int) -> None:
        self.gap = replace(self.gap, from_ns=self.gap.from_ns + step_ns)


class _Seen(NamedTuple):
    """The last reading of some tags."""

    time_ns: int
    """Unix time."""
    elapsed_ns: int
    """The same moment on a clock that is never set."""

    def after(self, step_ns: int) -> _Seen:
        """The same by the clock after it was set."""
        return self._replace(time_ns=self.time_ns + step_ns)


class _Block:
    """What is known of one block: since when its tags are missing, and why.

    A block that was divided is read in pieces, and each row has a moment of its own.
    """

    def __init__(self, block: Block[Any]) -> None:
        self.block = block
        self.outages: dict[tuple[int, ...], _Outage] = {}
        self.skipped: dict[tuple[int, ...], tuple[Cause, int]] = {}
        self._all: _Seen | None = None
        self._by_row: list[_Seen | None] | None = None
        self._longest_ns = block.interval_s * LONGEST_HOLE * 1e9

    def names(self, rows: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.block.tags[row].name for row in rows)

    def seen(self, batch: Batch) -> None:
        seen = _Seen(_known_to_ns(batch), batch.elapsed_ns)
        if batch.index is None or self.block.subscribed:
            self._all, self._by_row = seen, None
            return
        if self._by_row is None:
            self._by_row = [self._all] * len(self.block.tags)
        for row in batch.index:
            self._by_row[row] = seen

    def forget(self) -> None:
        """A gap covers all that was not read until now."""
        self._all = self._by_row = None

    def clock_set(self, step_ns: int) -> None:
        self._all = self._all and self._all.after(step_ns)
        if self._by_row is not None:
            self._by_row = [seen and seen.after(step_ns) for seen in self._by_row]
        for outage in self.outages.values():
            outage.clock_set(step_ns)

    def last(self, rows: Sequence[int]) -> int | None:
        """Unix time of the last moment at which all of ``rows`` had been read."""
        if self._by_row is None:
            return self._all and self._all.time_ns
        return min((seen.time_ns for row in rows if (seen := self._by_row[row])), default=None)

    def missed_before(self, time_ns: int, rows: Sequence[int], readings: int) -> int:
        """Of ``readings`` of ``rows`` missed since the last, those due up to ``time_ns``."""
        since_ns = self.last(rows)
        if since_ns is None:
            return 0
        polls = int(max(0, time_ns - since_ns) / (self.block.interval_s * 1e9))
        return min(readings, polls * len(rows))

    def took_long(self, batch: Batch) -> bool:
        """Whether the last reading lies further back than a hole may be long."""
        if batch.index is None and self._by_row is None:
            return self._all is not None and self._is_long(self._all, batch)
        return any(True for _ in self.holes(batch))

    def holes(self, batch: Batch) -> Iterator[tuple[int, list[int]]]:
        """Since when which rows of ``batch`` had not been read, where that is too long."""
        rows = range(len(self.block.tags)) if batch.index is None else batch.index
        by_row = self._by_row or [self._all] * len(self.block.tags)
        since: dict[int, list[int]] = {}
        for row in rows:
            seen = by_row[row]
            if seen is not None and self._is_long(seen, batch):
                since.setdefault(seen.time_ns, []).append(row)
        yield from since.items()

    def _is_long(self, seen: _Seen, batch: Batch) -> bool:
        """Never for a subscribed block, whose silence is the link's to judge."""
        took_ns = batch.elapsed_ns - seen.elapsed_ns
        return took_ns > self._longest_ns and not self.block.subscribed


class Coverage:
    """The gaps of one device's data stream."""

    def __init__(
        self,
        device: str,
        blocks: Sequence[Block[Any]],
        gap_id: Callable[[], str],
        before: Before | None,
        start_ns: int,
        *,
        changed: bool = False,
    ) -> None:
        """gap_id: a new id each call. start_ns: since when the device is to be watched.

        changed: it was watched up to ``start_ns`` under another configuration.
        """
        self.device = device
        self.covered_to_ns = start_ns
        """Up to when readings or closed gaps cover the device."""
        self._blocks = {id(block): _Block(block) for block in blocks}
        self._gap_id = gap_id
        self._before = before
        self._changed = changed
        self._begun = False
        self._opening: Gap | None = None
        """The ``not_running`` gap, until its times are known to be true."""
        self._unstored: Gap | None = None
        self._outage: _Outage | None = None
        """Of the device as a whole."""
        self._troubled = False
        """Whether any block has an outage or skipped polls."""

    def account(self, unstored: Gap) -> None:
        """Answer for what a run without a disk took; its gap ends where this begins."""
        self._unstored = unstored

    @property
    def _unheard_ns(self) -> int:
        """How long before the last word a change may be unheard; 0: nothing is subscribed."""
        blocks = (known.block for known in self._blocks.values())
        return max((_unheard_ns(block) for block in blocks if block.subscribed), default=0)

    @property
    def watched(self) -> bool:
        """Whether the device as a whole gives readings."""
        return self._begun and self._outage is None

    def readings(self, batch: Batch) -> Sequence[Gap]:
        """The gaps to write before ``batch``."""
        known = self._blocks[id(batch.block)]
        if self.watched and not self._troubled and not known.took_long(batch):
            gaps: Sequence[Gap] = ()
        else:
            gaps = list(self._closing(known, batch))
        known.seen(batch)
        self.covered_to_ns = _known_to_ns(batch)
        return gaps

    def _closing(self, known: _Block, batch: Batch) -> Iterator[Gap]:
        now_ns = batch.time_ns
        yield from self._begin(now_ns)
        if self._outage is not None:
            yield _closed(self._outage, now_ns)
            cause, self._outage = self._outage.gap.cause, None
            for block in self._blocks.values():
                block.forget()
                if block.block.subscribed and not known.block.subscribed:
                    # A polled block answers: that says nothing of what is subscribed, all of
                    # which is heard or not heard together.
                    key = tuple(range(len(block.block.tags)))
                    gap = self._gap(cause, now_ns, None, None, block.names(key))
                    block.outages[key] = _Outage(gap, None)
                    yield gap
        rows = range(len(known.block.tags)) if batch.index is None else batch.index
        for key in [key for key in known.outages if not set(key).isdisjoint(rows)]:
            yield _closed(known.outages.pop(key), now_ns)
            known.skipped.pop(key, None)
            known.seen(batch)
        yield from self._skipped_polls(known, batch, set(rows))
        self._troubled = any(b.outages or b.skipped for b in self._blocks.values())

    def _skipped_polls(self, known: _Block, batch: Batch, rows: set[int]) -> Iterator[Gap]:
        """Gaps since the last poll of the same rows, if polls were skipped or it took long.

        Two polls on time can lie far apart when the second answer is slow: then no poll was
        skipped, and how many readings are missing is a matter of view: one of each at most.
        """
        for key in [key for key in known.skipped if not rows.isdisjoint(key)]:
            cause, missed = known.skipped.pop(key)
            since_ns = known.last(key)
            if since_ns is not None and since_ns < batch.time_ns:
                yield self._gap(cause, since_ns, batch.time_ns, missed, known.names(key))
            rows = rows - set(key)
        for since_ns, late in known.holes(batch):
            if tags := known.names([row for row in late if row in rows]):
                gap = self._gap(Cause.POLL_OVERRUN, since_ns, batch.time_ns, len(tags), tags)
                yield replace(gap, exact=False)

    def device_missing(self, cause: Cause, quality: Quality, now_ns: int) -> Sequence[Item]:
        """What to write when nothing comes from the device any more."""
        if self._outage is not None:
            return ()
        items: list[Item] = [*self._begin(now_ns)]
        skipped, exact = 0, True
        for known in self._blocks.values():
            items += (_closed(outage, now_ns) for outage in known.outages.values())
            for key, (why, readings) in known.skipped.items():
                early = known.missed_before(self.covered_to_ns, key, readings)
                items += self._missed_early(known, key, why, early)
                skipped += readings - early
                exact &= early in (0, readings)
            known.outages.clear()
            known.skipped.clear()
        items += (known.block.bad(quality, now_ns) for known in self._blocks.values())
        gap = self._gap(cause, self.covered_to_ns - self._unheard_ns, None, None)
        gap = replace(gap, exact=exact)
        self._outage = _Outage(gap, None if self._unheard_ns else skipped)
        return [*items, self._outage.gap]

    def _missed_early(
        self, known: _Block, key: tuple[int, ...], cause: Cause, count: int
    ) -> Iterator[Gap]:
        """The gap for what one block lacks from before the whole device fell silent."""
        if count:
            since_ns, names = known.last(key), known.names(key)
            gap = self._gap(cause, since_ns or 0, self.covered_to_ns, count, names)
            yield replace(gap, exact=False)

    def block_missing(
        self,
        block: Block[Any],
        rows: Sequence[int],
        cause: Cause,
        quality: Quality,
        now_ns: int,
    ) -> Sequence[Item]:
        """What to write when ``rows`` of ``block`` give nothing, while others do."""
        known, key = self._blocks[id(block)], tuple(rows)
        if key in known.outages:
            return ()
        items: list[Item] = [*self._begin(now_ns)]
        since_ns = known.last(key)
        if self._outage is not None:
            items.append(_closed(self._outage, now_ns))
            self._outage, since_ns = None, now_ns
        for other in [other for other in known.outages if not set(other).isdisjoint(key)]:
            items.append(_closed(known.outages.pop(other), now_ns))
            since_ns = now_ns
        bad = block.bad(quality, now_ns)
        items.append(bad if len(key) == len(block.tags) else bad.select(key))
        _, skipped = known.skipped.pop(key, (cause, 0))
        since_ns = self.covered_to_ns if since_ns is None else since_ns
        gap = self._gap(cause, since_ns, None, None, known.names(key))
        known.outages[key] = _Outage(gap, None if block.subscribed else skipped)
        self._troubled = True
        return [*items, gap]

    def changes_lost(
        self, block: Block[Any], rows: Sequence[int], cause: Cause, now_ns: int
    ) -> Sequence[Gap]:
        """The gap for changes of ``rows`` that nobody will get; the newest value follows."""
        known = self._blocks[id(block)]
        since_ns = known.last(rows)
        if since_ns is None:
            return ()
        names = known.names(rows)
        return (self._gap(cause, since_ns - _unheard_ns(block), now_ns, None, names),)

    def polls_missed(
        self, block: Block[Any], rows: Sequence[int], cause: Cause, polls: int
    ) -> None:
        """Count polls of ``rows`` of ``block`` that were due and gave nothing."""
        known, key = self._blocks[id(block)], tuple(rows)
        outage = self._outage or known.outages.get(key)
        if outage is not None:
            if outage.count is not None:
                outage.count += polls * len(key)
            return
        first, count = known.skipped.get(key, (cause, 0))
        known.skipped[key] = first, count + polls * len(key)
        self._troubled = True

    def clock_set(self, step_ns: int) -> None:
        """The wall clock was set forward by ``step_ns``: what is told from now on is by it."""
        self.covered_to_ns += step_ns
        for known in self._blocks.values():
            known.clock_set(step_ns)
        if self._outage is not None:
            self._outage.clock_set(step_ns)
        if self._unstored is not None:
            self._unstored = replace(self._unstored, from_ns=self._unstored.from_ns + step_ns)
        if self._opening is not None and self._opening.to_ns is not None:
            self._opening = replace(self._opening, to_ns=self._opening.to_ns + step_ns)

    def clock_trusted(self) -> Sequence[Gap]:
        """The gap before the first word once more, now that its end is known in civil time."""
        told, self._opening = self._opening, None
        if told is None or told.to_ns is None or self._before is None:
            return ()
        gap = self._not_running(self._before, told.to_ns)
        return () if gap.from_ns == told.from_ns else (replace(gap, id=told.id),)

    def announce(self, now_s: float) -> Sequence[Gap]:
        """The open gaps that are due to be announced again; ``now_s`` is monotonic."""
        due = []
        outages = [o for known in self._blocks.values() for o in known.outages.values()]
        for outage in (*outages, *([self._outage] if self._outage else ())):
            if outage.announced_s is None:
                outage.announced_s = now_s
            elif now_s - outage.announced_s >= ANNOUNCE_S:
                outage.announced_s = now_s
                due.append(outage.gap)
        return due

    def end(self, now_ns: int, removed: Sequence[str] | None = None) -> Sequence[Gap]:
        """The last words: nothing stays open, and ``removed`` is not watched any more.

        removed: names of tags; None: the whole device. Without any, `covered_to_ns` says
        from where whoever watches the rest has to account for it.
        """
        owes_more = not self._begun and (self._before is not None or self._changed)
        since_ns = now_ns if owes_more else min(self.covered_to_ns, now_ns)
        gaps = [*self._begin(now_ns), *self._ends(now_ns)]
        if self._outage is not None:
            since_ns = now_ns
        self.covered_to_ns = since_ns
        if removed is None or removed:
            gaps.append(self._bounded(Cause.CONFIG_REMOVED, since_ns, now_ns, removed))
        return gaps

    def _ends(self, now_ns: int) -> Iterator[Gap]:
        """Everything that is open or pending, closed at ``now_ns``."""
        outages = [o for known in self._blocks.values() for o in known.outages.values()]
        for outage in (*([self._outage] if self._outage else ()), *outages):
            yield _closed(outage, now_ns)
        yield from self.finish(now_ns)

    def finish(self, now_ns: int) -> Sequence[Gap]:
        """The gaps to write when nobody will poll any more; open ones stay open."""
        return [
            self._gap(cause, since_ns, now_ns, missed, known.names(key))
            for known in self._blocks.values()
            for key, (cause, missed) in known.skipped.items()
            if (since_ns := known.last(key)) is not None and since_ns < now_ns
        ]

    def _begin(self, now_ns: int) -> Iterator[Gap]:
        """The first words of the stream in this incarnation, or under this configuration."""
        if self._begun:
            return
        self._begun = True
        before, covered_to_ns = self._before, self.covered_to_ns
        self.covered_to_ns = now_ns
        until_ns = now_ns if self._unstored is None else min(self._unstored.from_ns, now_ns)
        if before is not None:
            self._opening = self._not_running(before, until_ns)
            yield self._opening
            if before.torn is not None:
                yield before.torn
        elif self._changed:
            since_ns = min(covered_to_ns - self._unheard_ns, now_ns)
            yield self._bounded(Cause.CONFIG_REMOVED, since_ns, now_ns)
        if self._unstored is not None:
            yield replace(self._unstored, to_ns=now_ns)

    def _not_running(self, before: Before, now_ns: int) -> Gap:
        cause = Cause.NOT_RUNNING_CLEAN if before.clean else Cause.NOT_RUNNING_UNCLEAN
        since_ns = now_ns if before.covered_to_ns is None else before.covered_to_ns
        if before.torn is not None and before.torn.to_ns is not None:
            since_ns = max(since_ns, before.torn.to_ns)
        gap = self._bounded(cause, min(since_ns - self._unheard_ns, now_ns), now_ns)
        return replace(gap, after=(before.incarnation, before.seq))

    def _bounded(
        self, cause: Cause, from_ns: int, to_ns: int, tags: Collection[str] | None = None
    ) -> Gap:
        """A closed gap that counts what can have been due at most; None: of every tag."""
        seconds = max(0, to_ns - from_ns) / 1e9
        # A subscribed device changes when it likes; of one that went nobody knows the tags.
        if self._unheard_ns or not self._blocks:
            gap = self._gap(cause, from_ns, to_ns, None)
            return replace(gap, exact=False, tags=None if tags is None else tuple(tags))
        count = sum(
            1 + int(seconds / known.block.interval_s)
            for known in self._blocks.values()
            for tag in known.block.tags
            if tags is None or tag.name in tags
        )
        gap = self._gap(cause, from_ns, to_ns, count)
        return replace(gap, exact=False, tags=None if tags is None else tuple(tags))

    def _gap(
        self,
        cause: Cause,
        from_ns: int,
        to_ns: int | None,
        count: int | None,
        tags: tuple[str, ...] | None = None,
    ) -> Gap:
        return Gap(self._gap_id(), cause, from_ns, to_ns, tags, count)


def _known_to_ns(batch: Batch) -> int:
    """Up to when nothing of its block is missing."""
    return batch.time_ns if batch.known_to_ns is None else batch.known_to_ns


def _unheard_ns(block: Block[Any]) -> int:
    """How long before the last word of a subscribed block a change may have gone unheard.

    The server looks at a value once in an interval, and its word takes time to arrive.
    """
    return int(2 * block.interval_s * 1e9)


def _closed(outage: _Outage, now_ns: int) -> Gap:
    """Its gap with an end; a clock that was set back does not make it end before it began."""
    gap = outage.gap
    return replace(gap, to_ns=max(now_ns, gap.from_ns), count=outage.count)
