"""Processes of a stage: each in its own group, each ended whatever happens."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ANSWER_S = 10.0
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class StageError(Exception):
    """The stage itself failed; this says nothing about the agent."""


class Child:
    """One process, the leader of its group; its stderr goes to a file."""

    def __init__(
        self,
        argv: Sequence[str],
        errors: Path,
        *,
        talks: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """talks: it follows `tests.faults.control` over its pipes; env: added to ours."""
        self._errors = errors
        self._said_from = errors.stat().st_size if errors.exists() else 0
        self._buffer = b""
        pipe = subprocess.PIPE if talks else subprocess.DEVNULL
        with errors.open("ab") as sink:
            self._process = subprocess.Popen(
                argv,
                stdin=pipe,
                stdout=pipe if talks else sink,
                stderr=sink,
                cwd=ROOT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
                preexec_fn=_die_with_the_stage,
            )

    @property
    def pid(self) -> int:
        """Its process id, and that of its group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def answer(self) -> dict[str, Any]:
        """The next line it says.

        Raises:
            StageError: It said nothing in time, or ended.
        """
        assert self._process.stdout is not None
        deadline = time.monotonic() + ANSWER_S
        while b"\n" not in self._buffer:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([self._process.stdout], [], [], left_s)[0]:
                raise StageError(f"no answer: {self.tail()}")
            chunk = os.read(self._process.stdout.fileno(), 65536)
            if not chunk:
                raise StageError(f"ended: {self.tail()}")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        return said

    def command(self, **fields: Any) -> int:
        """Have it do something; the monotonic time in ns at which it was done."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(fields).encode() + b"\n")
        self._process.stdin.flush()
        return int(self.answer()["mono_ns"])

    def kill(self) -> None:
        """SIGKILL to its whole group."""
        if self.running:
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def ends_within(self, limit_s: float) -> int | None:
        """Its exit status if it ends by itself in time; None while it runs on."""
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None

    def terminate(self, patience_s: float) -> int | None:
        """SIGTERM, then wait; its exit status, or None if it had to be killed."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def close(self) -> None:
        """End it, kindly if it follows its stdin, and let go of the pipes."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self.terminate(3.0)

    def said(self) -> str:
        """All that this process, and none before it, wrote to stderr."""
        return self._errors.read_bytes()[self._said_from :].decode(errors="replace")

    def tail(self, lines: int = 25) -> str:
        """The end of what it wrote to stderr."""
        text = self._errors.read_text(errors="replace") if self._errors.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def _die_with_the_stage() -> None:
    """In the child: be killed when the stage is, so that nothing is left behind (prctl(2))."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def module(name: str, *options: object) -> list[str]:
    """The command line of one of the modules beside this one."""
    return [sys.executable, "-m", f"tests.faults.{name}", *map(str, options)]
