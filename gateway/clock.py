"""The only place that reads the time, so tests can own it.

The clock state is never guessed: it comes from ``adjtimex`` where the sandbox
allows the call, else from the file that ``tidegate-clock`` writes (`clock_state`), else the
clock is ``unsynced``.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import json
import os
import time
import uuid
from pathlib import Path

from gateway.model import ClockState, Stamp

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
STATE_FILE = Path("/run/tidegate-clock/state.json")
STATE_MAX_AGE_S = 10.0
"""What was written longer ago says nothing: whoever writes it has stopped."""
_STA_UNSYNC = 0x0040
_TIME_ERROR = 5
_STATE_AGE_S = 1.0
_WALL_DRIFT_PPM = 500
"""Fastest drift the kernel allows a disciplined clock (adjtimex(2), ``tick``)."""


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


def told_clock_error_us(file: Path, boot: str, now_ns: int) -> int | None:
    """The same as ``file`` tells it, grown by what the clock may have drifted since.

    None too when there is no such file, or it is not fresh or not of this ``boot``.
    now_ns: the monotonic clock.
    """
    try:
        told = json.loads(file.read_text())
        age_s = (now_ns - told["mono_ns"]) / 1e9
        if told["boot"] != boot or not 0 <= age_s <= STATE_MAX_AGE_S:
            return None
        error_us = told["error_us"]
        return None if error_us is None else int(error_us + age_s * _WALL_DRIFT_PPM)
    except (OSError, ValueError, TypeError, KeyError):
        return None  # nobody said anything that can be understood


class Clock:
    """Wall time for timestamps, monotonic time for schedules."""

    def __init__(self, state_file: Path = STATE_FILE) -> None:
        """state_file: what tells the clock's state where ``adjtimex`` is forbidden."""
        self._state_file = state_file
        self._boot = ""
        self._looked_at = float("-inf")
        self._state = ClockState.UNSYNCED
        self._bound_ms: int | None = None
        self._synced_at: float | None = None

    def now_ns(self) -> int:
        """Unix time in nanoseconds; may jump when NTP steps the clock."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Seconds that never go back; for intervals and timeouts only."""
        return time.monotonic()

    def monotonic_ns(self) -> int:
        """`monotonic` in nanoseconds, comparable only within one boot."""
        return time.monotonic_ns()

    async def sleep_until(self, deadline: float) -> None:
        """Sleep until ``monotonic()`` reaches ``deadline``."""
        await asyncio.sleep(max(0.0, deadline - self.monotonic()))

    def stamp(self) -> Stamp:
        """The time now, and how far it can be trusted; the state is a second old at most."""
        now = self.monotonic()
        if now - self._looked_at >= _STATE_AGE_S:
            self._looked_at = now
            self._look(now)
        return Stamp(self.now_ns(), self._state, self._bound_ms)

    def _look(self, now: float) -> None:
        error_us = self._error_us()
        if error_us is not None:
            self._state, self._bound_ms = ClockState.SYNCED, -(-error_us // 1000)
            self._synced_at, self._error_ms = now, self._bound_ms
        elif self._synced_at is not None:
            drift_ms = (now - self._synced_at) * _WALL_DRIFT_PPM / 1000
            self._state = ClockState.HOLDOVER
            self._bound_ms = self._error_ms + 1 + int(drift_ms)

    def _error_us(self) -> int | None:
        try:
            return kernel_clock_error_us()
        except PermissionError:
            self._boot = self._boot or self.boot_id()
            return told_clock_error_us(self._state_file, self._boot, self.monotonic_ns())

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
