"""From what the links say to the journal: alarms, coverage, rules, record bytes, append.

A plain synchronous path that only fills memory; the journal's writer makes it durable.
What the journal refuses is counted and becomes a ``storage_failed`` gap in the same
stream as soon as it takes records again; gap records themselves wait and are never dropped.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from gateway.annunciator import Annunciator
from gateway.clock import Clock
from gateway.coverage import Before, Coverage
from gateway.epochs import Anchor, Epoch, Turn
from gateway.errors import JournalError
from gateway.journal import ENDED, Journal
from gateway.model import Batch, Block, Cause, Event, Gap, Lane, Quality, Scalar
from gateway.record import Encoder
from gateway.rules import ImageRule, SubscribedRule

log = structlog.get_logger()

MOST_READINGS = (1 << 32) - 1
"""Of one record in the journal."""
GATEWAY_STREAM = "_gateway"
"""The device name under which records about the gateway itself go out."""


class _Stream:
    """What waits for the journal in one stream."""

    def __init__(self, lane: Lane, device: str) -> None:
        self.lane = lane
        self.device = device
        self.waiting: list[Gap] = []
        self.lost: Gap | None = None
        self.readings = 0
        """Handed to the journal since start, or lost on the way."""
        self.taken_to_ns: int | None = None
        """Time of the last readings that the journal took."""

    @property
    def is_whole(self) -> bool:
        """Whether the journal has taken everything so far."""
        return self.lost is None and not self.waiting

    def clock_set(self, step_ns: int) -> None:
        """What waits is told by the clock as it is now."""
        self.waiting = [_moved(gap, step_ns) for gap in self.waiting]
        self.lost = self.lost and _moved(self.lost, step_ns)
        if self.taken_to_ns is not None:
            self.taken_to_ns += step_ns


class _Device:
    """The coverage and rules of one device."""

    def __init__(
        self, coverage: Coverage, blocks: Sequence[Block[Any]], stream: _Stream
    ) -> None:
        self.coverage = coverage
        self.rules = {
            id(block): (SubscribedRule if block.subscribed else ImageRule)(block)
            for block in blocks
        }
        self.blocks = blocks
        self.stream = stream

    def forget(self) -> None:
        """Report every tag in full next time."""
        for rule in self.rules.values():
            rule.forget()


class Intake:
    """Everything the gateway learns goes through here into the journal (a `sink.Sink`)."""

    def __init__(
        self,
        journal: Journal,
        encoder: Encoder,
        clock: Clock,
        devices: Mapping[str, Sequence[Block[Any]]],
        alarms: Annunciator,
    ) -> None:
        """devices: the blocks of each device."""
        self._journal = journal
        self._encoder = encoder
        self._clock = clock
        self.alarms = alarms
        self._ids = itertools.count(1)
        self._streams: dict[str, _Stream] = {}
        """Of every device there was in this incarnation: a gap may wait after it has gone."""
        self._devices: dict[str, _Device] = {}
        self._started_ns = clock.now_ns()
        self._watch(devices, self._started_ns, {})
        self._meta = _Stream(Lane.META, GATEWAY_STREAM)
        self.refusing = False
        """Whether the journal refuses records at present."""
        self.readings_total = 0
        self.recorded_total = 0
        """Of them, those that were news and went to the journal."""
        self.bytes_total = 0
        self.gaps_total = 0
        self.lost_total = 0

    def start(self) -> None:
        """Say how long the gateway was not running, also of devices that went meanwhile."""
        now_ns = self._now_ns()
        for name, ended in list(self._went_meanwhile()):
            stream = self._streams[name] = _Stream(Lane.DATA, name)
            for gap in Coverage(name, (), self._gap_id, ended, now_ns).end(now_ns):
                self._write_gap(stream, gap)
        before = self._before(Lane.META, GATEWAY_STREAM)
        if before is None:
            return
        cause = Cause.NOT_RUNNING_CLEAN if before.clean else Cause.NOT_RUNNING_UNCLEAN
        since_ns = now_ns if before.covered_to_ns is None else before.covered_to_ns
        after = before.incarnation, before.seq
        gap = Gap(self._gap_id(), cause, min(since_ns, now_ns), now_ns, count=0, after=after)
        self._write_gap(self._meta, gap)
        if before.torn is not None:
            self._write_gap(self._meta, before.torn)

    def _went_meanwhile(self) -> Iterator[tuple[str, Before]]:
        """The devices that were watched before, and that nobody is to watch any more."""
        for lane, name in self._journal.recovered.streams:
            if lane is Lane.DATA and name not in self._devices:
                before = self._before(lane, name)
                if before is not None and before.covered_to_ns != ENDED:
                    yield name, before

    def account(self, unstored: Mapping[str, Gap]) -> None:
        """Answer for readings that a run in memory alone took just before this one.

        unstored: their gap, by device; it begins where that run did.
        """
        for name, gap in unstored.items():
            if name in self._devices:
                self._devices[name].coverage.account(replace(gap, id=self._gap_id()))

    def unstored(self) -> dict[str, Gap]:
        """A gap for all that was recorded of each device, if no disk holds any of it."""
        return {
            name: Gap("", Cause.STORAGE_FAILED, self._started_ns, None, count=stream.readings)
            for name, stream in self._streams.items()
        }

    def change(
        self,
        encoder: Encoder,
        gone: Collection[str],
        fresh: Mapping[str, Sequence[Block[Any]]],
    ) -> None:
        """Watch ``fresh`` in place of ``gone``; a device in both has changed.

        The links no longer speak of what is gone. encoder: knows every block there is now.
        """
        now_ns = self._now_ns()
        self._encoder = encoder
        covered: dict[str, int] = {}
        for name in gone:
            device = self._devices.pop(name)
            left = _tag_names(fresh.get(name, ()))
            removed = [tag for tag in _tag_names(device.blocks) if tag not in left]
            self._write(device, device.coverage.end(now_ns, removed if left else None))
            if left:
                covered[name] = device.coverage.covered_to_ns
        self._watch(fresh, now_ns, covered)

    def _watch(
        self,
        devices: Mapping[str, Sequence[Block[Any]]],
        now_ns: int,
        covered: Mapping[str, int],
    ) -> None:
        """Begin with ``devices``. covered: up to when those that changed were watched."""
        for name, blocks in devices.items():
            before = None if name in self._streams else self._before(Lane.DATA, name)
            stream = self._streams.setdefault(name, _Stream(Lane.DATA, name))
            coverage = Coverage(
                name,
                blocks,
                self._gap_id,
                before,
                covered.get(name, now_ns),
                changed=name in covered,
            )
            self._devices[name] = _Device(coverage, blocks, stream)

    def readings(self, batch: Batch) -> None:
        """A poll gave ``batch``."""
        self._now_ns()
        self.alarms.readings(batch)
        device = self._devices[batch.block.device]
        gaps = device.coverage.readings(batch)
        if gaps:
            device.forget()
            self._write(device, gaps)
        self.readings_total += len(batch)
        rule = device.rules[id(batch.block)]
        for news in (rule.report(batch), rule.image(batch)):
            if news is not None:
                self._write_batch(device, news, covers=True)

    def device_missing(self, device: str, cause: Cause, quality: Quality) -> None:
        """From now on nothing comes from ``device``; repeated calls are one outage."""
        self.alarms.device_missing(device)
        known = self._devices[device]
        self._write(known, known.coverage.device_missing(cause, quality, self._now_ns()))

    def block_missing(
        self, block: Block[Any], rows: Sequence[int], cause: Cause, quality: Quality
    ) -> None:
        """From now on ``rows`` of ``block`` give nothing; repeated calls are one outage."""
        self.alarms.block_missing(block, rows)
        device = self._devices[block.device]
        now_ns = self._now_ns()
        self._write(device, device.coverage.block_missing(block, rows, cause, quality, now_ns))

    def changes_lost(self, block: Block[Any], rows: Sequence[int], cause: Cause) -> None:
        """Changes of ``rows`` of ``block`` are lost; their newest values follow."""
        device = self._devices[block.device]
        now_ns = self._now_ns()
        self._write(device, device.coverage.changes_lost(block, rows, cause, now_ns))
        device.rules[id(block)].unhear(rows)

    async def durable(self) -> None:
        """Return when everything the links said so far is on disk.

        Raises:
            JournalError: The disk failed, or something was refused and is not declared yet.
        """
        streams = [device.stream for device in self._devices.values()]
        if any(stream.waiting or stream.lost for stream in streams):
            raise JournalError("not everything could be handed over")
        await self._journal.durable(Lane.DATA)

    def polls_missed(
        self, block: Block[Any], rows: Sequence[int], cause: Cause, polls: int
    ) -> None:
        """So many polls of ``rows`` of ``block`` were due and gave nothing."""
        self._devices[block.device].coverage.polls_missed(block, rows, cause, polls)

    def event(self, event: Event) -> None:
        """Record ``event`` on the meta lane."""
        stamp = self._clock.stamp()
        payload = self._encoder.event(event, stamp)
        self._append(self._meta, payload, stamp.time_ns, readings=0, covers=True)

    def announce(self) -> None:
        """Announce open gaps again that are due."""
        now_ns, now_s = self._now_ns(), self._clock.monotonic()
        for device in self._devices.values():
            for gap in device.coverage.announce(now_s):
                self._write_gap(device.stream, gap)
        for stream in (*self._streams.values(), self._meta):
            if not stream.is_whole:
                self._catch_up(stream, now_ns)

    def review(self) -> None:
        """Hold what subscribed devices said last against the limits there are now."""
        now_ns = self._now_ns()
        for device in self._devices.values():
            for block in device.blocks:
                if block.subscribed and device.coverage.watched:
                    values, quality = device.rules[id(block)].latest()
                    self.alarms.readings(Batch(block, now_ns, values, quality))

    def mark(self) -> None:
        """Keep in the journal how far each stream has been watched, and which have ended."""
        ended = {
            (Lane.DATA, name): ENDED
            for name, stream in self._streams.items()
            if name not in self._devices and stream.is_whole
        }
        self._journal.mark(self.covered() | ended)

    def finish(self) -> None:
        """Write what nobody will have another occasion to write; the links have ended."""
        now_ns = self._now_ns()
        for device in self._devices.values():
            self._write(device, device.coverage.finish(now_ns))
        for stream in (*self._streams.values(), self._meta):
            self._catch_up(stream, now_ns)

    def covered(self) -> dict[tuple[Lane, str], int]:
        """Up to when each stream that gives readings has been watched, Unix ns.

        A stream whose records the journal does not take is not covered, whatever was read.
        """
        covered = {
            (Lane.DATA, name): device.coverage.covered_to_ns
            for name, device in self._devices.items()
            if device.coverage.watched and device.stream.is_whole
        }
        for name in self.alarms.watched:
            if (Lane.DATA, name) in covered:
                covered[Lane.ALARM, name] = covered[Lane.DATA, name]
        covered[Lane.META, GATEWAY_STREAM] = self._clock.now_ns()
        return covered

    def latest(self, device: str) -> dict[str, tuple[Scalar, int]]:
        """Newest value and quality by tag name."""
        known = self._devices[device]
        newest: dict[str, tuple[Scalar, int]] = {}
        for block in known.blocks:
            values, quality = known.rules[id(block)].latest()
            names = (tag.name for tag in block.tags)
            newest.update(zip(names, zip(values, quality, strict=True), strict=True))
        return newest

    @property
    def streams(self) -> int:
        """How many streams of data have begun."""
        return sum(stream.readings > 0 for stream in self._streams.values())

    def unwatched(self) -> list[str]:
        """The devices that give no readings at present."""
        return [name for name, device in self._devices.items() if not device.coverage.watched]

    def _before(self, lane: Lane, device: str) -> Before | None:
        recovered = self._journal.recovered
        state = recovered.streams.get((lane, device))
        if state is None:
            return None
        torn = recovered.torn.get((lane, device))
        gap = torn and Gap(
            self._gap_id(),
            torn.cause,
            torn.from_ns,
            torn.to_ns,
            count=torn.readings,
            exact=torn.readings is not None,
        )
        return Before(state.incarnation, state.seq, state.covered_to_ns, recovered.clean, gap)

    def _now_ns(self) -> int:
        """Unix time; whatever happened to the clock until now has been told then."""
        now_ns = self._clock.stamp().time_ns
        for turn in self._clock.turns():
            self._take_turn(turn)
        return now_ns

    def _take_turn(self, turn: Turn) -> None:
        """Say what happened to the clock, and go on by what it shows now."""
        if isinstance(turn, Epoch):
            log.warning("clock set", step_s=turn.step_ns / 1e9, clock=turn.after.value)
            self._started_ns += turn.step_ns
            for device in self._devices.values():
                device.coverage.clock_set(turn.step_ns)
            for stream in (*self._streams.values(), self._meta):
                stream.clock_set(turn.step_ns)
        self.event(turn.event())
        if isinstance(turn, Anchor):
            log.info("clock trusted", bound_ms=turn.bound_ms)
            for device in self._devices.values():
                self._write(device, device.coverage.clock_trusted())

    def _gap_id(self) -> str:
        return f"g-{next(self._ids)}"

    def _write(self, device: _Device, items: Iterable[Batch | Gap]) -> None:
        for item in items:
            if isinstance(item, Gap):
                self._write_gap(device.stream, item)
            else:
                device.rules[id(item.block)].lose(item)
                self._write_batch(device, item, covers=False)

    def _write_batch(self, device: _Device, batch: Batch, *, covers: bool) -> None:
        payload = self._encoder.batch(batch, self._clock.stamp())
        # A batch that covers nothing says that readings are missing; their gap counts them.
        readings = len(batch) if covers else 0
        self._append(device.stream, payload, batch.time_ns, readings=readings, covers=covers)

    def _write_gap(self, stream: _Stream, gap: Gap) -> None:
        self.gaps_total += 1
        stream.waiting = [other for other in stream.waiting if other.id != gap.id]
        stream.waiting.append(gap)
        self._catch_up(stream)

    def _append(
        self, stream: _Stream, payload: bytes, time_ns: int, *, readings: int, covers: bool
    ) -> None:
        stream.readings += readings
        if not stream.is_whole and not self._catch_up(stream, time_ns):
            self._lose(stream, time_ns, readings)
            return
        self.bytes_total += len(payload)
        self.recorded_total += readings
        try:
            self._journal.append(
                stream.lane,
                stream.device,
                payload,
                time_ns=time_ns,
                readings=readings,
                covers=covers,
            )
            stream.taken_to_ns = time_ns
        except JournalError as error:
            self._refused(error)
            self._lose(stream, time_ns, readings)

    def _catch_up(self, stream: _Stream, now_ns: int | None = None) -> bool:
        """Append the gaps that wait; whether the stream is whole again."""
        stamp = self._clock.stamp()
        try:
            while stream.waiting:
                self._append_gap(stream, stream.waiting[0])
                del stream.waiting[0]
            if stream.lost is not None and now_ns is not None:
                self._append_gap(stream, _until(stream.lost, now_ns))
                stream.lost, stream.taken_to_ns = None, now_ns
                if stream.device in self._devices:
                    self._devices[stream.device].forget()
        except JournalError as error:
            self._refused(error)
            return False
        if self.refusing:
            self.refusing = False
            log.info("journal takes records again", time_ns=stamp.time_ns)
        return stream.lost is None

    def _append_gap(self, stream: _Stream, gap: Gap) -> None:
        stamp = self._clock.stamp()
        self._journal.append(
            stream.lane,
            stream.device,
            self._encoder.gap(gap, stamp),
            # Who stands for this record one day has to cover the time before the start too.
            time_ns=stamp.time_ns if gap.after is None else gap.from_ns,
            readings=_counted_here(gap),
            # Up to there lives before this one answer, also when this one never reads a value.
            covers=gap.after is not None and not stream.readings,
        )

    def _lose(self, stream: _Stream, time_ns: int, readings: int) -> None:
        self.lost_total += readings
        if stream.lost is None:
            since_ns = stream.taken_to_ns or time_ns
            stream.lost = Gap(self._gap_id(), Cause.STORAGE_FAILED, since_ns, None, count=0)
        count = (stream.lost.count or 0) + readings
        stream.lost = _counted(stream.lost, count)

    def _refused(self, error: JournalError) -> None:
        if not self.refusing:
            self.refusing = True
            log.error("journal refuses records", error=str(error))


def _tag_names(blocks: Iterable[Block[Any]]) -> dict[str, None]:
    return {tag.name: None for block in blocks for tag in block.tags}


def _counted_here(gap: Gap) -> int:
    """Readings that are missing as ``gap`` says; one that is open says it when it closes."""
    return 0 if gap.to_ns is None else min(gap.count or 0, MOST_READINGS)


def _counted(gap: Gap, count: int) -> Gap:
    return Gap(gap.id, gap.cause, gap.from_ns, gap.to_ns, count=count)


def _until(gap: Gap, to_ns: int) -> Gap:
    return Gap(gap.id, gap.cause, gap.from_ns, to_ns, count=gap.count)


def _moved(gap: Gap, step_ns: int) -> Gap:
    """``gap`` by a clock that was set forward by ``step_ns``."""
    to_ns = None if gap.to_ns is None else gap.to_ns + step_ns
    return replace(gap, from_ns=gap.from_ns + step_ns, to_ns=to_ns)
