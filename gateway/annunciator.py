"""From a changed alarm to the alarm lane, so that none is lost and none is told as another.

    LimitRule ─► state file ─► journal, alarm lane ─► (delivery)
                 durable first  taken, committed

A change is written to the state file before the journal sees it: with the alarm's id, and
with the seq its record will have, for nobody else writes to the alarm lane. It leaves the
file when its record is committed and the alarm is cleared, or has changed again. So
whatever moment the power goes:

* An alarm whose record may have been delivered is in the file, and keeps its id.
* A start compares the seqs with where the journal says each stream ended. A change that
  was not committed is said again under its id, and one that was is not.

When the state file cannot be written, or not in time, the alarm goes out all the same, and
a restart meanwhile raises it under a new id.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec
import structlog

from gateway.alarm_file import AlarmFile
from gateway.alarms import Limit, LimitRule
from gateway.clock import Clock
from gateway.errors import JournalError
from gateway.journal import Journal, TornStream
from gateway.model import Alarm, AlarmState, Batch, Block, Cause, Gap, Lane, Quality
from gateway.record import Encoder, Record, decode

log = structlog.get_logger()

RETRY_S = 1.0
"""Pause before what the disk or the journal refused is tried again."""
SAVE_S = 1.0
"""An alarm waits no longer for the state file: while the disk hangs nobody else tells it."""
ENTRY_BYTES = 512
"""Room in the state file for one alarm."""
MOST_RESERVED = 1 << 20


class Standing(NamedTuple):
    """An active alarm whose record is in the journal."""

    incarnation: str
    device: str
    seq: int
    record: Record


class _Line(NamedTuple):
    """One change in the state file."""

    device: str
    payload: bytes
    incarnation: str | None
    """None while nobody tried to hand the record to the journal."""
    seq: int


class _State(NamedTuple):
    """The state file."""

    incarnation: str
    """The one that wrote it; a line of an earlier one was committed then."""
    lines: list[_Line]


@dataclass(slots=True, eq=False)
class _Change:
    """One change of an alarm's state, until nobody needs it any more."""

    device: str
    alarm: Alarm
    payload: bytes
    incarnation: str | None = None
    seq: int = 0
    is_taken: bool = False
    """The journal has its record, in memory or on disk."""


class Annunciator:
    """The alarms of one gateway."""

    def __init__(
        self, journal: Journal, encoder: Encoder, clock: Clock, file: AlarmFile
    ) -> None:
        self._journal = journal
        self._encoder = encoder
        self._clock = clock
        self._file = file
        self._saved: bytes | None = None
        self._saving: asyncio.Future[None] | None = None
        self._is_unsaved = False
        self._is_refused = False
        self._rules: dict[int, LimitRule] = {}
        self._blocks: dict[str, list[Block[Any]]] = {}
        self._seqs: dict[str, int] = {}
        """Device → last seq of its alarm stream, once that has begun."""
        torn = journal.recovered.torn.items()
        self._torn = {device: each for (lane, device), each in torn if lane is Lane.ALARM}
        """Records that were being written when the power went, until a gap says so."""
        self._changes: list[_Change] = []
        """Those of the state file, oldest first."""
        self._ids = itertools.count(1)
        self._woken = asyncio.Event()
        self._flushing = asyncio.Lock()

    def start(
        self, blocks: Sequence[Block[Any]], limits: Mapping[tuple[str, str], Sequence[Limit]]
    ) -> None:
        """Restore what stood when the gateway stopped, and watch ``limits``; see `use`."""
        try:
            content = self._file.read()
            if content is not None:
                state = msgspec.msgpack.decode(content, type=_State)
                self._changes = [self._restored(line, state) for line in state.lines]
        except (OSError, ValueError) as error:
            log.error("alarm state not restored", error=str(error))
        try:
            count = sum(map(len, limits.values()))
            self._file.reserve(min(count * ENTRY_BYTES, MOST_RESERVED))
            if self._changes:
                self._file.write(self._encoded())
                self._saved = self._encoded()
        except OSError as error:
            log.error("alarm state not saved", error=str(error))
        self.use(blocks, limits)

    def _restored(self, line: _Line, state: _State) -> _Change:
        alarm = decode(line.payload, ()).body
        if not isinstance(alarm, Alarm):
            raise ValueError("a line of the alarm state is no alarm")
        device, payload, incarnation, seq = line
        ended = self._journal.recovered.streams.get((Lane.ALARM, device))
        if incarnation is None or (
            incarnation == state.incarnation
            and (ended is None or ended.incarnation != incarnation or ended.seq < seq)
        ):
            return _Change(device, alarm, payload)
        return _Change(device, alarm, payload, incarnation, seq, is_taken=True)

    def use(
        self, blocks: Sequence[Block[Any]], limits: Mapping[tuple[str, str], Sequence[Limit]]
    ) -> None:
        """From now on watch ``limits``, by device and tag, in the batches of ``blocks``.

        Active alarms stay active until a reading says otherwise; those whose limit is
        gone are cleared.
        """
        before, self._rules = self._rules, {}
        self._blocks.clear()
        for block in blocks:
            names = enumerate((block.device, tag.name) for tag in block.tags)
            rows = {row: limits[name] for row, name in names if limits.get(name)}
            if rows:
                rule = self._rules[id(block)] = LimitRule(block, rows, self._new_id)
                if id(block) in before:
                    rule.follow(before[id(block)])
                self._blocks.setdefault(block.device, []).append(block)
        for change in self._latest():
            if change.alarm.state is AlarmState.ACTIVE and not self._watched(change):
                self._take(change.device, (_withdrawn(change.alarm, self._clock.now_ns()),))
        self._woken.set()

    def _watched(self, change: _Change) -> bool:
        blocks = self._blocks.get(change.device, ())
        return any(self._rules[id(block)].restore(change.alarm) for block in blocks)

    def _new_id(self) -> str:
        return f"{self._journal.incarnation[:16]}-{next(self._ids)}"

    # -- what the links say ----------------------------------------------------------

    def readings(self, batch: Batch) -> None:
        """A poll gave ``batch``."""
        rule = self._rules.get(id(batch.block))
        if rule is None:
            return
        device = batch.block.device
        if device not in self._seqs:
            self._begin(device)
        mono_ns = self._clock.monotonic_ns() if batch.mono_ns is None else batch.mono_ns[1]
        changes = rule.judge(batch, mono_ns)
        if changes:
            self._take(device, changes, batch.mono_ns)
        elif rule.has_delays:
            self._woken.set()

    def device_missing(self, device: str) -> None:
        """From now on nothing comes from ``device``."""
        for block in self._blocks.get(device, ()):
            self.block_missing(block, range(len(block.tags)))

    def block_missing(self, block: Block[Any], rows: Collection[int]) -> None:
        """From now on ``rows`` of ``block`` give nothing."""
        rule = self._rules.get(id(block))
        if rule is not None:
            now_ns, mono_ns = self._clock.now_ns(), self._clock.monotonic_ns()
            self._take(block.device, rule.freeze(rows, now_ns, mono_ns))

    # -- what the platform is told ---------------------------------------------------

    @property
    def watched(self) -> Collection[str]:
        """The devices whose alarm stream has begun; none while the journal refuses alarms."""
        return () if self._is_refused else self._seqs.keys()

    @property
    def refusing(self) -> bool:
        """Whether the disk or the journal refused the last change."""
        return self._is_unsaved or self._is_refused

    def standing(self) -> list[Standing]:
        """Every active alarm whose record is committed."""
        heads = self._journal.heads()
        found = []
        for change in self._latest():
            is_active = change.alarm.state is AlarmState.ACTIVE
            if is_active and change.incarnation and self._is_committed(change, heads):
                record = decode(change.payload, ())
                found.append(Standing(change.incarnation, change.device, change.seq, record))
        return found

    # -- from here to the journal ----------------------------------------------------

    async def run(self) -> None:
        """Write down what changes and end delays, until cancelled."""
        while True:
            self._woken.clear()
            self.tick()
            await self.flush()
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._woken.wait()
            except TimeoutError:
                continue

    def tick(self) -> None:
        """End the delays whose time has come, where no reading did."""
        time_ns, mono_ns = self._clock.now_ns(), self._clock.monotonic_ns()
        for device, blocks in self._blocks.items():
            for block in blocks:
                self._take(device, self._rules[id(block)].ripen(time_ns, mono_ns))

    async def flush(self) -> None:
        """Make every change known so far durable here, then hand it to the journal."""
        async with self._flushing:
            new = [change for change in self._changes if not change.is_taken]
            self._foresee(new)
            await self._save()
            waiting: set[str] = set()
            for change in new:
                if change.device in waiting or not self._append(change):
                    waiting.add(change.device)

    def _foresee(self, new: Sequence[_Change]) -> None:
        """Give each change the seq that its record will have."""
        seqs: dict[str, int] = {}
        for change in new:
            if self._begin(change.device):
                seq = seqs.get(change.device, self._seqs[change.device]) + 1
                seqs[change.device] = change.seq = seq
                change.incarnation = self._journal.incarnation

    def _pause_s(self) -> float | None:
        """Seconds until there is something to do; None: only when woken."""
        dues = (rule.due_ns for rule in self._rules.values())
        pauses = [
            max(0, due - self._clock.monotonic_ns()) / 1e9 for due in dues if due is not None
        ]
        if self._is_unsaved or not all(change.is_taken for change in self._changes):
            pauses.append(RETRY_S)
        return min(pauses, default=None)

    def _take(
        self, device: str, alarms: Sequence[Alarm], mono_ns: tuple[int, int] | None = None
    ) -> None:
        stamp = self._clock.stamp()
        for alarm in alarms:
            payload = self._encoder.alarm(alarm, stamp, mono_ns)
            self._changes.append(_Change(device, alarm, payload))
            log.info(
                "alarm",
                state=alarm.state.value,
                device=device,
                tag=alarm.tag,
                limit=alarm.level.value,
                value=alarm.value,
            )
        if alarms:
            self._woken.set()

    def _append(self, change: _Change) -> bool:
        """Hand ``change`` to the journal; what it refuses is tried again, in order."""
        if change.seq != self._seqs.get(change.device, change.seq) + 1:
            return False  # the state file says another seq: foreseen anew at the next try
        change.is_taken = self._accepts(
            change.device, change.payload, time_ns=change.alarm.time_ns, covers=True
        )
        return change.is_taken

    def _begin(self, device: str) -> bool:
        """Open the stream with the time the gateway was not running; whether it is open."""
        if device not in self._seqs:
            gap = self._not_running(device)
            if gap is None:
                self._seqs[device] = 0
            elif not self._accepts_gap(device, gap):
                return False
        torn = self._torn.get(device)
        if torn is not None:
            if not self._accepts_gap(device, _uncommitted(device, torn)):
                return False
            del self._torn[device]
        return True

    def _accepts_gap(self, device: str, gap: Gap) -> bool:
        payload = self._encoder.gap(gap, self._clock.stamp())
        return self._accepts(device, payload, time_ns=gap.to_ns or 0, covers=False)

    def _not_running(self, device: str) -> Gap | None:
        """What stands between the stream and its earlier incarnation, if there was one."""
        recovered, now_ns = self._journal.recovered, self._clock.now_ns()
        before = recovered.streams.get((Lane.ALARM, device))
        if before is None:
            return None
        cause = Cause.NOT_RUNNING_CLEAN if recovered.clean else Cause.NOT_RUNNING_UNCLEAN
        since_ns = now_ns if before.covered_to_ns is None else before.covered_to_ns
        return Gap(
            f"g-alarm-{device}",
            cause,
            min(since_ns, now_ns),
            now_ns,
            count=0,
            after=(before.incarnation, before.seq),
        )

    def _accepts(self, device: str, payload: bytes, *, time_ns: int, covers: bool) -> bool:
        """Hand a record to the journal; whether it took it."""
        try:
            self._seqs[device] = self._journal.append(
                Lane.ALARM, device, payload, time_ns=time_ns, readings=0, covers=covers
            )
        except JournalError as error:
            if not self._is_refused:
                log.error("journal refuses alarms", error=str(error))
            self._is_refused = True
            return False
        self._is_refused = False
        return True

    # -- the state file --------------------------------------------------------------

    def _latest(self) -> list[_Change]:
        """The newest change of each alarm."""
        return list({change.alarm.id: change for change in self._changes}.values())

    def _is_committed(
        self, change: _Change, heads: Mapping[tuple[Lane, str], tuple[int, int]]
    ) -> bool:
        if not change.is_taken or change.incarnation != self._journal.incarnation:
            return change.is_taken
        return change.seq <= heads.get((Lane.ALARM, change.device), (0, 0))[0]

    def _encoded(self) -> bytes:
        """The state file as it should be now; forgets what nobody needs any more."""
        heads = self._journal.heads()
        latest = {id(change) for change in self._latest()}
        self._changes = [
            change
            for change in self._changes
            if not self._is_committed(change, heads)
            or (change.alarm.state is AlarmState.ACTIVE and id(change) in latest)
        ]
        lines = [_Line(c.device, c.payload, c.incarnation, c.seq) for c in self._changes]
        return msgspec.msgpack.encode(_State(self._journal.incarnation, lines))

    def state(self) -> bytes:
        """What the state file has to say now, for whoever goes on after this."""
        return self._encoded()

    async def _save(self) -> None:
        content = self._encoded()
        if content == self._saved:
            return
        self._saved = None
        try:
            await self._write(content)
        except OSError as error:
            if not self._is_unsaved:
                log.error("alarm state not saved", error=str(error))
            self._is_unsaved = True
            return
        self._saved, self._is_unsaved = content, False

    async def _write(self, content: bytes) -> None:
        """Replace the state file; one write at a time, however long it takes.

        Raises:
            OSError: The disk refused, or has not answered yet.
        """
        if self._saving is not None and not self._saving.done():
            raise TimeoutError("the disk does not answer")
        loop = asyncio.get_running_loop()
        self._saving = loop.run_in_executor(None, self._file.write, content)
        async with asyncio.timeout(SAVE_S):
            await asyncio.shield(self._saving)


def _uncommitted(device: str, torn: TornStream) -> Gap:
    """The gap for records of changes that were not accepted; what stands is told anew."""
    return Gap(
        f"g-alarm-torn-{device}",
        Cause.UNCOMMITTED_WINDOW,
        torn.from_ns,
        torn.to_ns,
        count=torn.readings,
    )


def _withdrawn(alarm: Alarm, now_ns: int) -> Alarm:
    """``alarm``, cleared because its limit is not configured any more."""
    return replace(
        alarm,
        state=AlarmState.CLEARED,
        value=None,
        quality=Quality.BAD_CONFIGURATION,
        cleared_ns=now_ns,
    )
