"""The real agent under a clock that the test sets (libfaketime), and a platform."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import UNSET

from gateway.clock import Clock
from gateway.dialects import wire
from gateway.simulation.broker import Broker
from tests.conftest import require_program

S = 10**9
PATIENCE_S = 60.0
INTERVAL_S = 0.1
SITE = """
version: 1
gateway: {{id: gw}}
defaults: {{interval: 100ms}}
links:
  - name: bench
    driver: sim
    devices:
      - {{name: pump, tags: [{{name: flow, address: sine/60, range: [0, 12], unit: m3/h}}]}}
mqtt: {{urls: ["{url}"], root: park{tls}}}
journal: {{path: {path}, size: 64MiB, commit: 20ms}}
"""


def true_offset_ns() -> int:
    """What has to be added to the monotonic clock to have UTC, by the clock nobody fakes."""
    looks = [_look() for _ in range(50)]
    return min(looks)[1]


def _look() -> tuple[int, int]:
    """How far apart both clocks were read, and their difference."""
    before_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    utc_ns, after_ns = time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return after_ns - before_ns, utc_ns - after_ns


class Platform:
    """Every record that arrives, in the order of arrival, once each."""

    def __init__(self, broker: Broker) -> None:
        self._records: dict[tuple[str, str, int], tuple[wire.LaneMessage, wire.Record]] = {}
        self._changed = asyncio.Event()
        broker.listen("park/gw/+/+", self._receive)

    def _receive(self, topic: str, payload: bytes) -> None:
        message = wire.parse(topic, payload)
        if isinstance(message, wire.LaneMessage):
            for record in message.records:
                key = (message.incarnation, message.lane, record.seq)
                self._records.setdefault(key, (message, record))
        self._changed.set()

    def of(self, lane: str, incarnation: str | None = None) -> list[wire.Record]:
        return [
            record
            for message, record in self._records.values()
            if message.lane == lane and incarnation in (None, message.incarnation)
        ]

    @property
    def incarnations(self) -> list[str]:
        return list(dict.fromkeys(m.incarnation for m, _ in self._records.values()))

    def polls(self) -> list[wire.Record]:
        return [r for r in self.of("data") if r.values is not UNSET]

    def gaps(self) -> list[wire.Gap]:
        return [record.gap for record in self.of("data") if record.gap is not UNSET]

    def events(self, kind: str) -> list[dict[str, Any]]:
        events = [record.event for record in self.of("meta")]
        return [e for e in events if e is not UNSET and e["kind"] == kind]

    async def until(self, fact: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not fact():
                self._changed.clear()
                await self._changed.wait()

    async def more(self, count: int) -> None:
        """Return when so many more polls have arrived."""
        goal = len(self.polls()) + count
        await self.until(lambda: len(self.polls()) >= goal)


class FakedAgent:
    """``tidegate run`` whose wall clock, and what is said of it, the test owns."""

    def __init__(self, folder: Path, broker: Broker, *, tls: str = "", **env: str) -> None:
        require_program("faketime")
        (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
        self._folder, self._process = folder, None
        self.offset = folder / "offset"
        self.state = folder / "state.json"
        self.log = folder / "agent.log"
        self._env = os.environ | {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "TIDEGATE_CLOCK_STATE": str(self.state),
            **env,
        }
        text = SITE.format(url=broker.url, path=folder / "journal", tls=tls)
        (folder / "gateway.yaml").write_text(text)

    _process: subprocess.Popen[bytes] | None

    def set_clock(self, ahead_s: float, rate: str = "") -> None:
        """From now on the wall clock is ahead of the true one by so much."""
        draft = self.offset.with_suffix(".new")
        draft.write_text(f"{ahead_s:+.6f}{rate}\n")
        draft.rename(self.offset)

    def vouch(self, bound_ms: int, ahead_s: float = 0.0) -> None:
        """Say what ``tidegate-clock`` would say of a clock that is synchronised."""
        mono_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        utc_ns = mono_ns + true_offset_ns() + int(ahead_s * S)
        when = {"v": 2, "boot": Clock.boot_id(), "mono_ns": mono_ns, "utc_ns": utc_ns}
        draft = self.state.with_suffix(".new")
        draft.write_text(json.dumps({**when, "state": "synced", "bound_ms": bound_ms}))
        draft.rename(self.state)

    def start(self) -> None:
        command = [str(Path(sys.executable).parent / "tidegate"), "run", "-c", "gateway.yaml"]
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=self._env, stdout=sink, stderr=sink
            )

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def synchronise(self, platform: Platform, bound_ms: int) -> None:
        """Vouch for the clock as it is until the agent's readings say so."""
        async with asyncio.timeout(PATIENCE_S):
            while not platform.polls() or platform.polls()[-1].clock != "synced":
                self.vouch(bound_ms)
                await asyncio.sleep(0.2)

    async def says(self, words: str) -> None:
        """Return when its log has these words."""
        async with asyncio.timeout(PATIENCE_S):
            while words not in self.log.read_text():
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """In order."""
        assert self._process is not None
        self._process.terminate()
        assert await asyncio.to_thread(self._process.wait, PATIENCE_S) == 0, (
            self.log.read_text()
        )

    def close(self) -> None:
        """Leave nothing behind."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def offset_ns(record: wire.Record) -> int:
    """What ``record`` says the wall clock was ahead of the monotonic one."""
    assert record.mono is not UNSET
    return time_ns(record.time) - record.mono[1]


def time_ns(text: str) -> int:
    """A time of the wire as Unix time."""
    since = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1) * 1000
