"""What of a device is being watched, and a gap for everything that is not.

One `Coverage` per device. It turns what a link says (readings, missing, polls missed)
into the gap records that stand between the readings, so that readings and gaps
together cover all time. Pure: it takes times and returns what to write, in order.

* An outage begins with one bad-quality image and one open gap, which is announced
  again every `ANNOUNCE_S` with the same id and closed when readings return.
* Polls that gave nothing between two good ones become one closed gap.
* The first word of a stream in an incarnation is its ``not_running`` gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from gateway.model import Batch, Block, Cause, Gap, Quality

ANNOUNCE_S = 60.0
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
    announced_ns: int


class Coverage:
    """The gaps of one device's data stream."""

    def __init__(
        self,
        device: str,
        blocks: Sequence[Block[Any]],
        gap_id: Callable[[], str],
        before: Before | None,
        start_ns: int,
    ) -> None:
        """gap_id: a new id each call. start_ns: since when the device is to be watched."""
        self.device = device
        self.covered_to_ns = start_ns
        """Up to when readings or closed gaps cover the device."""
        self._blocks = blocks
        self._gap_id = gap_id
        self._before = before
        self._begun = False
        self._device_outage: _Outage | None = None
        self._block_outages: dict[tuple[int, tuple[int, ...]], _Outage] = {}
        self._last_ns: dict[int, int] = {}
        self._skipped: dict[int, tuple[Cause, int]] = {}

    @property
    def watched(self) -> bool:
        """Whether the device as a whole gives readings."""
        return self._begun and self._device_outage is None

    def readings(self, batch: Batch) -> Sequence[Gap]:
        """The gaps to write before ``batch``."""
        block = id(batch.block)
        quiet = self._begun and self._device_outage is None
        if quiet and not self._block_outages and block not in self._skipped:
            gaps: Sequence[Gap] = ()
        else:
            gaps = list(self._closing(batch))
        self._last_ns[block] = self.covered_to_ns = batch.time_ns
        return gaps

    def _closing(self, batch: Batch) -> Iterator[Gap]:
        now_ns, block = batch.time_ns, id(batch.block)
        yield from self._begin(now_ns)
        if self._device_outage is not None:
            yield _closed(self._device_outage, now_ns)
            self._device_outage = None
        for key in [key for key in self._block_outages if _touches(key, batch)]:
            yield _closed(self._block_outages.pop(key), now_ns)
        cause, missed = self._skipped.pop(block, (Cause.POLL_OVERRUN, 0))
        if missed and block in self._last_ns:
            gap = self._gap(cause, self._last_ns[block], now_ns, missed)
            yield replace(gap, tags=tuple(tag.name for tag in batch.block.tags))

    def device_missing(self, cause: Cause, quality: Quality, now_ns: int) -> Sequence[Item]:
        """What to write when nothing comes from the device any more."""
        if self._device_outage is not None:
            return ()
        items: list[Item] = [*self._begin(now_ns)]
        items += (_closed(outage, now_ns) for outage in self._block_outages.values())
        self._block_outages.clear()
        items += (block.bad(quality, now_ns) for block in self._blocks)
        subscribed = [block for block in self._blocks if block.subscribed]
        since_ns = self.covered_to_ns - max(map(_unheard_ns, subscribed), default=0)
        gap = self._gap(cause, since_ns, None, None)
        counts = not subscribed
        skipped = self._skipped_readings()
        self._device_outage = _Outage(gap, skipped if counts else None, now_ns)
        return [*items, gap]

    def block_missing(
        self,
        block: Block[Any],
        rows: Sequence[int],
        cause: Cause,
        quality: Quality,
        now_ns: int,
    ) -> Sequence[Item]:
        """What to write when ``rows`` of ``block`` give nothing, while others do."""
        key = id(block), tuple(rows)
        if key in self._block_outages:
            return ()
        items: list[Item] = [*self._begin(now_ns)]
        if self._device_outage is not None:
            items.append(_closed(self._device_outage, now_ns))
            self._device_outage = None
        bad = block.bad(quality, now_ns)
        items.append(bad if len(rows) == len(block.tags) else bad.select(rows))
        since_ns = self._last_ns.get(id(block), self.covered_to_ns)
        tags = tuple(block.tags[row].name for row in rows)
        gap = replace(self._gap(cause, since_ns, None, None), tags=tags)
        self._block_outages[key] = _Outage(gap, None if block.subscribed else 0, now_ns)
        return [*items, gap]

    def changes_lost(
        self, block: Block[Any], rows: Sequence[int], cause: Cause, now_ns: int
    ) -> Sequence[Gap]:
        """The gap for changes of ``rows`` that nobody will get; the newest value follows."""
        since_ns = self._last_ns.get(id(block))
        if since_ns is None:
            return ()
        tags = tuple(block.tags[row].name for row in rows)
        gap = self._gap(cause, since_ns - _unheard_ns(block), now_ns, None)
        return (replace(gap, tags=tags),)

    def polls_missed(
        self, block: Block[Any], rows: Sequence[int], cause: Cause, polls: int
    ) -> None:
        """Count polls of ``rows`` of ``block`` that were due and gave nothing."""
        readings = polls * len(rows)
        outage = self._device_outage or self._block_outages.get((id(block), tuple(rows)))
        if outage is not None:
            outage.count = None if outage.count is None else outage.count + readings
        else:
            first, count = self._skipped.get(id(block), (cause, 0))
            self._skipped[id(block)] = first, count + readings

    def announce(self, now_ns: int) -> Sequence[Gap]:
        """The open gaps that are due to be announced again."""
        due = []
        for outage in (self._device_outage, *self._block_outages.values()):
            if outage is not None and now_ns - outage.announced_ns >= ANNOUNCE_S * 1e9:
                outage.announced_ns = now_ns
                due.append(outage.gap)
        return due

    def _begin(self, now_ns: int) -> Iterator[Gap]:
        """The first words of the stream in this incarnation."""
        if self._begun:
            return
        self._begun = True
        before = self._before
        if before is None:
            self.covered_to_ns = now_ns
            return
        if before.torn is not None:
            yield before.torn
        cause = Cause.NOT_RUNNING_CLEAN if before.clean else Cause.NOT_RUNNING_UNCLEAN
        since_ns = now_ns if before.covered_to_ns is None else before.covered_to_ns
        gap = self._gap(
            cause, min(since_ns, now_ns), now_ns, self._due_between(since_ns, now_ns)
        )
        yield replace(gap, exact=False, after=(before.incarnation, before.seq))
        self.covered_to_ns = now_ns

    def _due_between(self, from_ns: int, to_ns: int) -> int:
        seconds = max(0, to_ns - from_ns) / 1e9
        return sum(len(b.tags) * (1 + int(seconds / b.interval_s)) for b in self._blocks)

    def _skipped_readings(self) -> int:
        count = sum(readings for _, readings in self._skipped.values())
        self._skipped.clear()
        return count

    def _gap(self, cause: Cause, from_ns: int, to_ns: int | None, count: int | None) -> Gap:
        return Gap(self._gap_id(), cause, from_ns, to_ns, count=count)


def _unheard_ns(block: Block[Any]) -> int:
    """How long before the last word of a subscribed block a change may have gone unheard.

    The server looks at a value once in an interval, and its word takes time to arrive.
    """
    return int(2 * block.interval_s * 1e9)


def _closed(outage: _Outage, now_ns: int) -> Gap:
    return replace(outage.gap, to_ns=now_ns, count=outage.count)


def _touches(key: tuple[int, tuple[int, ...]], batch: Batch) -> bool:
    block, rows = key
    if block != id(batch.block):
        return False
    return batch.index is None or not set(rows).isdisjoint(batch.index)
