"""A process killed at random moments, on real files."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from gateway.clock import Clock
from gateway.model import Lane
from tests.journal.rig import close, entries, open_journal, small

ROUNDS = 8
CHILD = """
import asyncio, sys
from pathlib import Path
from gateway.clock import Clock
from gateway.model import Lane
from tests.journal.rig import open_journal, small

async def main():
    journal = open_journal(small(Path(sys.argv[1]), size=8 << 20), Clock())
    journal.start(lambda lane: None)
    while True:
        for _ in range(50):
            seq = journal.append(Lane.DATA, "s", bytes(200), time_ns=1, readings=1, covers=True)
        alarm = journal.append(Lane.ALARM, "s", b"a", time_ns=1, readings=1, covers=True)
        await journal.durable(Lane.ALARM)
        print(journal.incarnation, "alarm", alarm, flush=True)
        if alarm % 10 == 0:
            await journal.durable(Lane.DATA)
            print(journal.incarnation, "data", seq, flush=True)

asyncio.run(main())
"""


def test_what_was_durable_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    chance = random.Random(7)
    accepted: dict[tuple[str, str], int] = {}
    for _ in range(ROUNDS):
        for incarnation, lane, seq in run_and_kill(path, chance.uniform(0.02, 0.5)):
            accepted[incarnation, lane] = int(seq)
    journal = open_journal(small(path, size=8 << 20), Clock())
    assert len({incarnation for incarnation, _ in accepted}) > ROUNDS // 2
    for lane in (Lane.DATA, Lane.ALARM):
        found = {(e.incarnation, e.seq) for e in entries(journal, lane)}
        for (incarnation, name), last in accepted.items():
            if name == lane.value:
                assert {(incarnation, seq) for seq in range(1, last + 1)} <= found
    close(journal)


def run_and_kill(path: Path, after_s: float) -> list[list[str]]:
    """What the child said was durable, killed ``after_s`` after its first word."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert child.stdout is not None
    first = child.stdout.readline()
    time.sleep(after_s)
    child.send_signal(signal.SIGKILL)
    rest, _ = child.communicate(timeout=10)
    lines = (first + rest).splitlines()
    return [line.split() for line in lines if len(line.split()) == 3]
