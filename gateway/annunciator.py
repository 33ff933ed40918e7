"""From a changed alarm to the alarm lane, so that none is lost and none is told as another.

    LimitRule ─► state file ─► journal, alarm lane ─► (delivery)
                 durable first  taken              └─► noted in the state file

A change is written to the state file before the journal sees it, with the alarm's id. It
leaves the file once the journal has committed its record and a later change of the same
alarm has taken its place, or the alarm is cleared. So whatever moment the power goes:

* An alarm whose record may have been delivered is in the file, and keeps its id.
* A change the journal had not committed is said again after the start, under that id.

When the state file cannot be written the alarm goes out all the same, and a restart
meanwhile raises it under a new id.
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
from gateway.journal import Journal
from gateway.model import Alarm, AlarmState, Batch, Block, Cause, Gap, Lane, Quality
from gateway.record import Encoder, Record, decode

log = structlog.get_logger()

TIDY_S = 1.0
"""How long after a commit the state file says so; also the pause before a refused record."""
ENTRY_BYTES = 512
"""Room in the state file for one alarm."""
MOST_RESERVED = 1 << 20


class Standing(NamedTuple):
    """An active alarm whose record is in the journal."""

    incarnation: str
    device: str
    seq: int
    record: Record


class _Kept(NamedTuple):
    """A line of the state file."""

    device: str
    payload: bytes
    incarnation: str | None
    """None while the journal has not committed the record."""
    seq: int


@dataclass(slots=True, eq=False)
class _Change:
    """One change of an alarm's state, until nobody needs it any more."""

    device: str
    alarm: Alarm
    payload: bytes
    incarnation: str | None = None
    seq: int = 0
    """Of its record; 0 while the journal has not taken it."""


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
        self._is_unsaved = False
        self._is_refused = False
        self._is_noted = True
        """The state file knows of every record that it is in the journal."""
        self._rules: dict[int, LimitRule] = {}
        self._blocks: dict[str, list[Block[Any]]] = {}
        self._begun: set[str] = set()
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
            self._saved = self._file.read()
            self._changes = [_restored(kept) for kept in _decode(self._saved)]
            count = sum(map(len, limits.values()))
            self._file.reserve(min(count * ENTRY_BYTES, MOST_RESERVED))
        except (OSError, ValueError) as error:
            log.error("alarm state not restored", error=str(error))
        self.use(blocks, limits)

    def use(
        self, blocks: Sequence[Block[Any]], limits: Mapping[tuple[str, str], Sequence[Limit]]
    ) -> None:
        """From now on watch ``limits``, by device and tag, in the batches of ``blocks``.

        Active alarms stay active until a reading says otherwise; those whose limit is
        gone are cleared.
        """
        self._rules.clear()
        self._blocks.clear()
        for block in blocks:
            names = enumerate((block.device, tag.name) for tag in block.tags)
            rows = {row: limits[name] for row, name in names if limits.get(name)}
            if rows:
                self._rules[id(block)] = LimitRule(block, rows, self._new_id)
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
        if device not in self._begun:
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
        """The devices whose alarm stream has begun."""
        return self._begun

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
            new = [change for change in self._changes if not change.seq]
            await self._save()
            waiting: set[str] = set()
            for change in new:
                if change.device in waiting or not self._append(change):
                    waiting.add(change.device)

    def _pause_s(self) -> float | None:
        """Seconds until there is something to do; None: only when woken."""
        dues = (rule.due_ns for rule in self._rules.values())
        pauses = [
            max(0, due - self._clock.monotonic_ns()) / 1e9 for due in dues if due is not None
        ]
        if self._is_unsaved or not self._is_noted:
            pauses.append(TIDY_S)
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
                level=alarm.level.value,
                value=alarm.value,
            )
        if alarms:
            self._woken.set()

    def _append(self, change: _Change) -> bool:
        """Hand ``change`` to the journal; what it refuses is tried again, in order."""
        if not self._begin(change.device):
            return False
        seq = self._accepted(
            change.device, change.payload, time_ns=change.alarm.time_ns, covers=True
        )
        change.incarnation, change.seq = self._journal.incarnation, seq
        return seq > 0

    def _begin(self, device: str) -> bool:
        """Open the stream with the time the gateway was not running; whether it is open."""
        if device in self._begun:
            return True
        gap = self._not_running(device)
        if gap is not None:
            payload = self._encoder.gap(gap, self._clock.stamp())
            if not self._accepted(device, payload, time_ns=gap.to_ns or 0, covers=False):
                return False
        self._begun.add(device)
        return True

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

    def _accepted(self, device: str, payload: bytes, *, time_ns: int, covers: bool) -> int:
        """The seq of ``payload`` in the alarm lane; 0 when the journal refuses it."""
        try:
            seq = self._journal.append(
                Lane.ALARM, device, payload, time_ns=time_ns, readings=0, covers=covers
            )
        except JournalError as error:
            if not self._is_refused:
                log.error("journal refuses alarms", error=str(error))
            self._is_refused = True
            return 0
        self._is_refused = False
        return seq

    # -- the state file --------------------------------------------------------------

    def _latest(self) -> list[_Change]:
        """The newest change of each alarm."""
        return list({change.alarm.id: change for change in self._changes}.values())

    def _is_committed(
        self, change: _Change, heads: Mapping[tuple[Lane, str], tuple[int, int]]
    ) -> bool:
        if change.incarnation != self._journal.incarnation:
            return change.incarnation is not None
        return change.seq <= heads.get((Lane.ALARM, change.device), (0, 0))[0]

    def _encoded(self) -> bytes:
        """The state file as it should be now; forgets what nobody needs any more."""
        heads = self._journal.heads()
        latest = {id(change) for change in self._latest()}
        lines, kept = [], []
        for change in self._changes:
            is_committed = self._is_committed(change, heads)
            is_over = change.alarm.state is AlarmState.CLEARED or id(change) not in latest
            if is_committed and is_over:
                continue
            kept.append(change)
            run = change.incarnation if is_committed else None
            lines.append(_Kept(change.device, change.payload, run, change.seq if run else 0))
        self._changes = kept
        self._is_noted = all(line.incarnation for line in lines)
        return msgspec.msgpack.encode(lines)

    async def _save(self) -> None:
        content = self._encoded()
        if content == self._saved:
            return
        try:
            await asyncio.to_thread(self._file.write, content)
        except OSError as error:
            if not self._is_unsaved:
                log.error("alarm state not saved", error=str(error))
            self._is_unsaved = True
            return
        self._saved, self._is_unsaved = content, False


def _decode(content: bytes | None) -> list[_Kept]:
    return [] if content is None else msgspec.msgpack.decode(content, type=list[_Kept])


def _restored(kept: _Kept) -> _Change:
    alarm = decode(kept.payload, ()).body
    if not isinstance(alarm, Alarm):
        raise ValueError("a line of the alarm state is no alarm")
    return _Change(kept.device, alarm, kept.payload, kept.incarnation, kept.seq)


def _withdrawn(alarm: Alarm, now_ns: int) -> Alarm:
    """``alarm``, cleared because its limit is not configured any more."""
    return replace(
        alarm,
        state=AlarmState.CLEARED,
        value=None,
        quality=Quality.BAD_CONFIGURATION,
        cleared_ns=now_ns,
    )
