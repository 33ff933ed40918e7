"""A 64 MiB journal on a file system that somebody else fills, with the broker away."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.clock import Clock
from gateway.errors import JournalError
from gateway.journal import Damage, Entry, Journal, Settings
from gateway.model import Cause, Lane

MIB = 1 << 20
DEVICES = [f"tk{n}" for n in range(101, 121)]
READINGS = 100


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 56 MiB: less than the journal may take."""
    where = tmp_path / "disk"
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=56m,mode=0700", "tidegate-test", str(where)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("not run: mounting a file system needs root")
    yield where
    subprocess.run(["umount", str(where)], check=True)


def open_at(path: Path) -> Journal:
    settings = Settings(path, size=64 * MIB, commit_s=0.01)
    return Journal.open(
        settings, gateway="g1", schema=b"layout", clock=Clock(), boot="b" * 32, config="c" * 16
    )


def fill(path: Path) -> None:
    """Take every byte there is left, as a runaway log would."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(MIB // 4))
        except OSError:
            return


async def put(journal: Journal, lane: Lane, device: str, size: int) -> None:
    """Append one record; wait for the disk when memory is full, as no link would."""
    time_ns = Clock().now_ns()
    while True:
        try:
            journal.append(
                lane, device, bytes(size), time_ns=time_ns, readings=READINGS, covers=True
            )
        except JournalError:
            await asyncio.sleep(0.01)
        else:
            return


def drained(journal: Journal, lane: Lane) -> list[Entry | Damage]:
    """Read and settle everything, as delivery does when the broker is back."""
    found: list[Entry | Damage] = []
    while items := journal.read(lane, journal.settled(lane), max_bytes=MIB, max_records=1000):
        found += items
        journal.settle(lane, items[-1].position)
    return found


async def test_on_a_full_disk_alarms_are_kept_gaps_are_exact_and_all_drains_in_order(
    disk: Path,
) -> None:
    journal = open_at(disk / "journal")
    journal.start(lambda lane: None)
    await put(journal, Lane.DATA, DEVICES[0], 100)
    await journal.durable(Lane.DATA)
    fill(disk / "somebody-elses-log")
    rounds, alarms = 6000, 0
    for number in range(rounds):
        for device in DEVICES:
            await put(journal, Lane.DATA, device, 900)
        if number % 10 == 0:
            await put(journal, Lane.ALARM, DEVICES[number % 20], 300)
            alarms += 1
        if number % 50 == 0:
            await asyncio.sleep(0.005)
    for lane in Lane:
        await journal.durable(lane)
    assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize < MIB
    await journal.close(clean=True)

    again = open_at(disk / "journal")
    assert again.recovered.clean
    kept = drained(again, Lane.ALARM)
    data = drained(again, Lane.DATA)
    assert again.stats().unsettled_records == 0
    await again.close(clean=True)
    assert len(kept) == alarms
    assert all(isinstance(item, Entry) for item in kept)
    gone = [item for item in data if isinstance(item, Damage)]
    assert {item.cause for item in gone} == {Cause.JOURNAL_EVICTED}
    assert all(g.readings == (g.last_seq - g.first_seq + 1) * READINGS for g in gone)
    for device in DEVICES:
        reached = 0
        for item in (item for item in data if item.stream == device):
            first = item.seq if isinstance(item, Entry) else item.first_seq
            assert first == reached + 1
            reached = item.seq if isinstance(item, Entry) else item.last_seq
        assert reached == rounds + (device == DEVICES[0])
