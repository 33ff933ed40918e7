"""The processes of a measurement, and what the kernel says about them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.loopback import free_port, mosquitto, opens

ROOT = Path(__file__).parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")
_BROKER = """\
listener {port} 127.0.0.1
allow_anonymous true
user root
persistence false
max_queued_messages 0
max_queued_bytes 0
max_inflight_messages 0
log_type error
"""


class BenchError(Exception):
    """The bench itself failed; this says nothing about the gateway."""


class Child:
    """One process in a group of its own. If it talks, each line asked gets one line of JSON."""

    def __init__(
        self,
        argv: Sequence[str],
        errors: Path,
        *,
        talks: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """env: added to the environment."""
        pipe = subprocess.PIPE if talks else subprocess.DEVNULL
        self._errors = errors
        with errors.open("wb") as sink:
            self._process = subprocess.Popen(
                argv, stdin=pipe, stdout=pipe, stderr=sink, cwd=ROOT, start_new_session=True,
                env={**os.environ, **(env or {})},
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    def answer(self) -> dict[str, Any]:
        """The next line it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"a process ended: {self.tail()}")
        said: dict[str, Any] = json.loads(line)
        return said

    def ask(self, word: str = "") -> dict[str, Any]:
        """Its answer to ``word``."""
        assert self._process.stdin is not None
        self._process.stdin.write(word.encode() + b"\n")
        self._process.stdin.flush()
        return self.answer()

    def cpu_s(self) -> float:
        """utime + stime of all its threads since it began."""
        stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / _TICKS

    def resident_mb(self) -> tuple[float, float]:
        """Resident memory now and at its highest, in MB of 10^6 bytes."""
        status = _fields(f"/proc/{self.pid}/status")
        return status["VmRSS"] * 1.024e-3, status["VmHWM"] * 1.024e-3

    def freeze(self) -> None:
        """SIGSTOP: it keeps its connections and does nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on."""
        os.kill(self.pid, signal.SIGCONT)

    def check(self) -> None:
        """Raise when it has ended."""
        if self._process.poll() is not None:
            raise BenchError(f"ended with {self._process.returncode}: {self.tail()}")

    def tail(self) -> str:
        """The end of what it wrote to stderr."""
        return "\n".join(self._errors.read_text(errors="replace").splitlines()[-15:])

    def close(self) -> None:
        """SIGTERM, a few seconds, then SIGKILL to its group."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(6.0)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _fields(file: str) -> dict[str, int]:
    rows = (line.split(":", 1) for line in Path(file).read_text().splitlines())
    return {name: int(n[0]) for name, rest in rows if (n := rest.split()) and n[0].isdigit()}


def module(name: object, *options: object) -> list[str]:
    """The command line of a module beside this one."""
    return [sys.executable, "-m", f"tests.bench.{name}", *map(str, options)]


@contextmanager
def running(
    argv: Sequence[str],
    errors: Path,
    *,
    talks: bool = True,
    env: Mapping[str, str] | None = None,
) -> Iterator[Child]:
    """A process for the length of a ``with``."""
    child = Child(argv, errors, talks=talks, env=env)
    try:
        yield child
    finally:
        child.close()


class Broker(NamedTuple):
    """A broker that runs, on a port of 127.0.0.1."""

    port: int
    child: Child


@contextmanager
def broker(folder: Path) -> Iterator[Broker]:
    """A mosquitto of our own or, without one, the simulated broker."""
    port = free_port()
    program = mosquitto()
    config = folder / "mosquitto.conf"
    config.write_text(_BROKER.format(port=port))
    argv = [program, "-c", str(config)] if program else module("loopback", port)
    with running(argv, folder / "broker.err", talks=False) as child:
        deadline = time.monotonic() + 10.0
        while not opens(port):
            child.check()
            if time.monotonic() > deadline:
                raise BenchError(f"no broker: {child.tail()}")
            time.sleep(0.02)
        yield Broker(port, child)
