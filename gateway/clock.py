"""The only place that reads the time, so tests can own it.

The clock state is never guessed: it comes from ``adjtimex`` where the sandbox
allows the call, else from the file that ``tidegate-clock`` writes (`clock_state`), else the
clock is ``unsynced``. Where ``TIDEGATE_CLOCK_STATE`` names such a file, only that one counts.
What follows from it, and from the clock being set, is `epochs`'s to say.

The monotonic clock counts the time the machine was suspended (``CLOCK_BOOTTIME``): who was
asleep has missed polls, and what was read before maps to civil time as what was read after.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import json
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from gateway.epochs import Epochs, Look, Turn, Word, drift_ns, explained_ns
from gateway.model import ClockState, Stamp

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
STATE_FILE = Path("/run/tidegate-clock/state.json")
STATE_MAX_AGE_S = 10.0
"""What was written longer ago says nothing: whoever writes it has stopped."""
_STA_UNSYNC = 0x0040
_TIME_ERROR = 5
_CLOSE_NS = 100_000
"""Both clocks read within so long were read together."""
_TRIES = 5


class _Timex(ctypes.Structure):
    """The head of ``struct timex`` (adjtimex(2)); the rest is padding we do not read."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    ]


def kernel_clock_error_us() -> int | None:
    """Microseconds the kernel says its clock may be wrong; None when not synchronised.

    Raises:
        PermissionError: The call is forbidden (``ProtectClock=yes``).
    """
    timex = _Timex()
    libc = ctypes.CDLL(None, use_errno=True)
    state = int(libc.adjtimex(ctypes.byref(timex)))
    if state == -1 and ctypes.get_errno() in (errno.EPERM, errno.EACCES, errno.ENOSYS):
        raise PermissionError("adjtimex is forbidden here")
    if state in (-1, _TIME_ERROR) or timex.status & _STA_UNSYNC:
        return None
    return int(timex.maxerror)


def told(file: Path, boot: str, look: Look) -> Word | None:
    """What ``file`` says of the clock, grown by what it may have drifted since.

    None when there is no such file, it vouches for nothing, is not fresh, or speaks of
    another ``boot`` or of the clock as it stood before it was set.
    """
    try:
        said = json.loads(file.read_text())
        age_ns = look.mono_ns - said["mono_ns"]
        moved_ns = abs(said["utc_ns"] - said["mono_ns"] - look.offset_ns)
        state, bound_ms = ClockState(said["state"]), said["bound_ms"]
        is_ours = said["boot"] == boot and 0 <= age_ns <= STATE_MAX_AGE_S * 1e9
        if not is_ours or state is ClockState.UNSYNCED:
            return None
        error_ns = bound_ms * 1_000_000 + drift_ns(age_ns)
    except (OSError, ValueError, TypeError, KeyError):
        return None  # nobody said anything that can be understood
    if moved_ns > explained_ns(error_ns) + look.unsure_ns:
        return None
    return Word(state, -(-error_ns // 1000))


class Clock:
    """Wall time for timestamps, monotonic time for schedules."""

    def __init__(self, state_file: Path | None = STATE_FILE) -> None:
        """state_file: what tells the clock's state where ``adjtimex`` is forbidden."""
        given = os.environ.get("TIDEGATE_CLOCK_STATE")
        self._asks_kernel = not given
        self._state_file = Path(given) if given else state_file
        self.boot = self.boot_id()
        """This boot of the machine, to which monotonic times belong."""
        self._epochs = Epochs(self.boot)

    def now_ns(self) -> int:
        """Unix time in nanoseconds; jumps when somebody sets the clock."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Seconds that never go back, asleep or awake; for intervals and timeouts only."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def monotonic_ns(self) -> int:
        """`monotonic` in nanoseconds, comparable only within one boot."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    async def sleep_until(self, deadline: float) -> None:
        """Sleep until ``monotonic()`` reaches ``deadline``."""
        await asyncio.sleep(max(0.0, deadline - self.monotonic()))

    def stamp(self) -> Stamp:
        """The time now, and how far it can be trusted; sees at once that the clock was set."""
        look, epochs = self._look(), self._epochs
        if epochs.is_due(look):
            epochs.judge(look, self._word(look))
        return Stamp(look.utc_ns, epochs.state, epochs.bound_ms, look.mono_ns)

    def turns(self) -> Sequence[Turn]:
        """What the stamps since the last call saw happen to the clock, in order."""
        return self._epochs.turns()

    def _look(self) -> Look:
        """Both clocks, read together unless the machine is too busy."""
        look = Look(0, 0, _CLOSE_NS)
        for _ in range(_TRIES):
            asked_ns = self.monotonic_ns()
            utc_ns, mono_ns = self.now_ns(), self.monotonic_ns()
            look = Look(utc_ns, mono_ns, mono_ns - asked_ns)
            if look.unsure_ns < _CLOSE_NS:
                break
        return look

    def _word(self, look: Look) -> Word | None:
        if self._asks_kernel:
            try:
                error_us = kernel_clock_error_us()
            except PermissionError:
                pass
            else:
                return None if error_us is None else Word(ClockState.SYNCED, error_us)
        return None if self._state_file is None else told(self._state_file, self.boot, look)

    @staticmethod
    def boot_id() -> str:
        """32 hex digits that name this boot of the machine; monotonic times belong to it.

        systemd hands it in as ``TIDEGATE_BOOT_ID`` where the sandbox hides the file;
        without either it is random, so that no two boots can be taken for one.
        """
        given = os.environ.get("TIDEGATE_BOOT_ID", "")
        if not given and _BOOT_ID.exists():
            given = _BOOT_ID.read_text()
        return given.strip().replace("-", "") or uuid.uuid4().hex
