"""What the journal makes a disk of its own do: sectors and flushes, as the device counts them.

The disk is an ext4 file system in a file behind a loop device, used by nothing else, so
that every sector and every flush is the journal's doing, or the file system's on its behalf.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gateway.clock import Clock
from gateway.journal import Journal, Settings
from gateway.journal.format import frame_bytes
from gateway.model import Lane
from tests.bench.disk import READINGS, RECORD_BYTES, grown_up
from tests.faults import rigs

COMMIT_BYTES = 24 << 10
PAUSE_S = 0.25
_GATHER_S = 0.05
_SIZE_MIB = 96
_SECTOR = 512
_STREAM = "tk101"
_RECORDS = COMMIT_BYTES // frame_bytes(_STREAM.encode(), bytes(RECORD_BYTES))


class Counted(NamedTuple):
    """What a device has done so far (Documentation/block/stat.rst)."""

    sectors: int
    flushes: int


@dataclass(frozen=True)
class OnDevice:
    """Commits of 24 KiB, four a second."""

    block_bytes: int
    """Of the file system: the least it writes."""
    commits: int
    amplification: float
    """Bytes the device wrote for each byte of a frame."""
    flushes_per_commit: float


def measure(block_bytes: int, commits: int) -> OnDevice:
    """So many commits on a fresh disk.

    Raises:
        RigError: This machine mounts no images.
    """
    with _disk(block_bytes) as (place, stat):
        before, after = asyncio.run(_commit(place / "journal", commits, stat))
    return OnDevice(
        block_bytes,
        commits,
        (after.sectors - before.sectors) * _SECTOR / (commits * _commit_bytes()),
        (after.flushes - before.flushes) / commits,
    )


def _commit_bytes() -> int:
    return _RECORDS * frame_bytes(_STREAM.encode(), bytes(RECORD_BYTES))


@contextmanager
def _disk(block_bytes: int) -> Iterator[tuple[Path, Path]]:
    """Where a new file system is mounted, and where its device counts."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        image, place = Path(name) / "disk.img", Path(name) / "disk"
        place.mkdir()
        rigs.make_image(image, "ext4", _SIZE_MIB, "-b", block_bytes)
        rigs.run(*rigs.mount_words(image), place)
        try:
            yield place, rigs.loop_stat(image)
        finally:
            rigs.run("umount", place)


async def _commit(path: Path, commits: int, stat: Path) -> tuple[Counted, Counted]:
    clock = Clock()
    settings = Settings(path, 32 << 20, commit_s=_GATHER_S)
    journal = Journal.open(
        settings, gateway="bench", schema=b"bench", clock=clock, boot=clock.boot_id(),
        config="0" * 16,
    )  # fmt: skip
    journal.start(lambda lane: None)
    await grown_up(journal)
    os.sync()
    before = _counted(stat)
    for _ in range(commits):
        await _one(journal, clock)
    after = _counted(stat)
    await journal.close(clean=True)
    return before, after


async def _one(journal: Journal, clock: Clock) -> None:
    """One commit, and the pause after it."""
    due = clock.monotonic() + PAUSE_S
    for _ in range(_RECORDS):
        journal.append(
            Lane.DATA, _STREAM, os.urandom(RECORD_BYTES), time_ns=clock.now_ns(),
            readings=READINGS, covers=True,
        )  # fmt: skip
    await journal.durable(Lane.DATA)
    await clock.sleep_until(due)


def _counted(stat: Path) -> Counted:
    fields = stat.read_text().split()
    return Counted(int(fields[6]), int(fields[15]))
