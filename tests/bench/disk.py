"""What the journal does to the disk, and how fast it takes records.

Write amplification is said three ways, each over the bytes of the records themselves:
as handed to ``pwrite``, as 4 KiB pages touched (what a file system has to send to the
medium), and as sectors the block device counted meanwhile (whole machine, so other
programs count too; it includes the file system's own journal).
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.clock import Clock
from gateway.journal import Journal, Settings
from gateway.journal.files import DiskFile, DiskFiles, File
from gateway.model import Lane
from tests.bench.loop_disk import LoopDisk, loop_disk

RECORD_BYTES = 312
"""A record of 125 int16: header and column."""
READINGS = 125
HEAD_BYTES = 48
"""Of a frame."""
_DISK_MIB = 96
_SOON_MS = 3
"""D while commits are measured: long enough for one burst, and no waiting beyond it."""
_PAGE = 4096
_SECTOR = 512


class _Meter:
    """What went to the disk."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Count from 0."""
        self.bytes = self.pages = self.flushes = 0

    def wrote(self, offset: int, size: int) -> None:
        self.bytes += size
        self.pages += (offset + size - 1) // _PAGE - offset // _PAGE + 1


class _MeteredFile(DiskFile):
    def __init__(self, fd: int, meter: _Meter) -> None:
        super().__init__(fd)
        self._meter = meter

    def write(self, data: bytes, offset: int) -> None:
        super().write(data, offset)
        self._meter.wrote(offset, len(data))

    def sync(self) -> None:
        super().sync()
        self._meter.flushes += 1


class _MeteredFiles(DiskFiles):
    def __init__(self) -> None:
        self.meter = _Meter()

    def open(self, path: Path, *, create: bool = False) -> File:
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
        # What is written while the pool is made is no record's doing.
        meter = _Meter() if create else self.meter
        return _MeteredFile(os.open(path, flags, 0o600), meter)


@dataclass(frozen=True)
class Writes:
    """One pace of appending."""

    commit_ms: int
    records_s: float
    commits_s: float
    commit_ms_taken: float
    """How long the last commit took."""
    pwrite: float
    pages: float
    device: float | None
    """Amplification, as above; None where the device is not known."""
    cpu_us: float
    """CPU per record, append and commit."""


@dataclass(frozen=True)
class Commits:
    """Commits of one size, one after the other: append, commit, append …"""

    commit_bytes: int
    """Frames and their heads."""
    record_bytes: int
    records_s: float
    commits_s: float
    flushes: float
    """`fdatasync` per commit."""
    pwrite: float
    """Bytes handed to the kernel, over those of the records."""
    device: float | None
    """Bytes the device was sent, over those of the commits; None: no disk of its own."""
    device_flushes: float | None
    """Per commit."""
    cpu_us: float
    """CPU per record, append and commit."""


def measure_commits(per_commit: int, record_bytes: int, seconds: float) -> Commits:
    """Commit ``per_commit`` records again and again; root may have a disk of its own for it."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        folder = Path(name)
        with loop_disk(folder, _DISK_MIB) as disk:
            place = folder if disk is None else disk.path
            return asyncio.run(_commits(place, disk, per_commit, record_bytes, seconds))


async def _commits(
    place: Path, disk: LoopDisk | None, per_commit: int, record_bytes: int, seconds: float
) -> Commits:
    async with _metered(place, commit_ms=_SOON_MS) as (journal, meter):
        payload, size = os.urandom(record_bytes), per_commit * (record_bytes + HEAD_BYTES)
        before = (0, 0) if disk is None else (disk.written(), disk.flushes())
        begun, used = time.monotonic(), time.process_time()
        bursts, commits = 0, journal.stats().commits
        while time.monotonic() - begun < seconds:
            _append_burst(journal, payload, per_commit)
            await journal.durable(Lane.DATA)
            bursts += 1
        took, used = time.monotonic() - begun, time.process_time() - used
        after = (0, 0) if disk is None else (disk.written(), disk.flushes())
        done, records = journal.stats().commits - commits, bursts * per_commit
        return Commits(
            round(bursts * size / done),
            record_bytes,
            records / took,
            done / took,
            meter.flushes / done,
            meter.bytes / (records * record_bytes),
            None if disk is None else (after[0] - before[0]) / (bursts * size),
            None if disk is None else (after[1] - before[1]) / done,
            used / records * 1e6,
        )


@asynccontextmanager
async def _metered(place: Path, *, commit_ms: int) -> AsyncIterator[tuple[Journal, _Meter]]:
    """A journal whose pool is written, and what it does to the disk from then on."""
    files, clock = _MeteredFiles(), Clock()
    settings = Settings(place / "journal", 32 << 20, commit_s=commit_ms / 1000)
    journal = Journal.open(
        settings, gateway="bench", schema=b"bench", clock=clock, boot=clock.boot_id(),
        config="0" * 16, files=files,
    )  # fmt: skip
    journal.start(lambda lane: _settle(journal, lane))
    await grown_up(journal)
    files.meter.start()
    yield journal, files.meter
    await journal.close(clean=True)


async def measure(commit_ms: int, seconds: float, pace: int | None) -> Writes:
    """Append ``pace`` records a second, in bursts each second; None: as fast as it goes."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        place = Path(name)
        async with _metered(place, commit_ms=commit_ms) as (journal, meter):
            begun, used = time.monotonic(), time.process_time()
            commits, sectors = journal.stats().commits, _sectors(place)
            records = await _append(journal, seconds, pace)
            await journal.durable(Lane.DATA)
            took, used = time.monotonic() - begun, time.process_time() - used
            stats, after = journal.stats(), _sectors(place)
            size = records * RECORD_BYTES
            sent = None if sectors is None or after is None else (after - sectors) * _SECTOR
            return Writes(
                commit_ms,
                records / took,
                (stats.commits - commits) / took,
                stats.lanes[Lane.DATA].last_commit_s * 1000,
                meter.bytes / size,
                meter.pages * _PAGE / size,
                None if sent is None else sent / size,
                used / records * 1e6,
            )


async def _append(journal: Journal, seconds: float, pace: int | None) -> int:
    """Records appended; without a pace, as long as the journal takes them at once."""
    payload, clock, records = os.urandom(RECORD_BYTES), Clock(), 0
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        due = time.monotonic() + 1.0
        _append_burst(journal, payload, pace or 200)
        records += pace or 200
        if pace is None:
            await journal.durable(Lane.DATA)
        else:
            await clock.sleep_until(due)
    return records


def _append_burst(journal: Journal, payload: bytes, count: int) -> None:
    for number in range(count):
        journal.append(
            Lane.DATA, f"d{number // 80 % 10}", payload, time_ns=time.time_ns(),
            readings=READINGS, covers=True,
        )  # fmt: skip


def _settle(journal: Journal, lane: Lane) -> None:
    """As delivery would, so that segments are recycled."""
    position = journal.settled(lane)
    while entries := journal.read(lane, position, max_bytes=1 << 16, max_records=1000):
        position = entries[-1].position
    journal.settle(lane, position)


async def grown_up(journal: Journal) -> None:
    """Return when the pool is written: for half a second it has not grown."""
    size = 0
    while (now := journal.stats().reserved_bytes) > size:
        size = now
        await asyncio.sleep(0.5)


def _sectors(folder: Path) -> int | None:
    """Sectors written so far to the device that holds ``folder``."""
    number = folder.stat().st_dev
    name = f"{os.major(number)}:{os.minor(number)}"
    for line in Path("/proc/diskstats").read_text().splitlines():
        fields = line.split()
        if f"{fields[0]}:{fields[1]}" == name:
            return int(fields[9])
    return None
