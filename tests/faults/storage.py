"""Acts against the disk: system calls that fail or kill, bits that flip, a full pool."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tests.faults.child import StageError
from tests.faults.journaldump import placed_frames
from tests.faults.stage import Stage

Damage = Callable[[Path, list[tuple[int, int]]], object]
_PADDING = 7
"""At most so many bytes at the end of a frame mean nothing."""
KILL_AT = ("fdatasync", "pwrite64", "openat", "rename", "unlink")
"""System calls at which the agent is killed (S2)."""


def kill_at_calls(stage: Stage, rng: random.Random, seconds: float) -> None:
    """Kill at a random occurrence of each call in turn, and start again each time."""
    stage.kill()
    for call in KILL_AT[: max(1, int(seconds / 2))]:
        stage.start(f"{call}:signal=SIGKILL:when={rng.randrange(1, 20)}")
        if not stage.until_dead(4.0):
            stage.kill()
    stage.start()
    stage.wait(1.0)


def sync_fails_once(stage: Stage, _rng: random.Random, seconds: float) -> None:
    _again_with(stage, "fdatasync:error=EIO:when=12", seconds)


def sync_fails_for_ever(stage: Stage, _rng: random.Random, seconds: float) -> None:
    stage.facts.disk_failed = True
    _again_with(stage, "fdatasync:error=EIO:when=12+", seconds)
    stage.kill()
    stage.start()


def write_fails(stage: Stage, _rng: random.Random, seconds: float) -> None:
    _again_with(stage, "pwrite64:error=ENOSPC:when=40..44", seconds)


def slow_disk(stage: Stage, _rng: random.Random, seconds: float) -> None:
    _again_with(stage, "fdatasync:delay_exit=700000:when=8..20", seconds)


def _again_with(stage: Stage, inject: str, seconds: float) -> None:
    stage.terminate()
    stage.start(inject)
    stage.wait(seconds)


def flipped_bits(stage: Stage, rng: random.Random, seconds: float) -> None:
    """Bits flip in records that were settled or not, while the agent is down."""
    _damaged(stage, seconds, lambda path, frames: _flip(path, rng.choice(frames), rng))


def deleted_segment(stage: Stage, _rng: random.Random, seconds: float) -> None:
    """The oldest data segment with unsettled records disappears."""
    _damaged(stage, seconds, lambda path, _: path.unlink())


def _damaged(stage: Stage, seconds: float, damage: Damage) -> None:
    stage.wait(1.0)
    stage.cut()
    stage.wait(seconds)
    stage.kill()
    path, frames = _oldest(stage.journal / "data")
    # The first half may be settled. Damage at the very end cannot be told from a torn write.
    damage(path, frames[len(frames) * 6 // 10 : len(frames) * 8 // 10])
    stage.start()
    stage.wait(1.0)
    stage.restore()


def _oldest(lane: Path) -> tuple[Path, list[tuple[int, int]]]:
    """The first segment that holds records, and where each of them lies."""
    for path in sorted(lane.glob("seg-*")):
        frames = placed_frames(path)
        if frames:
            return path, frames
    raise StageError(f"no records under {lane}")


def _flip(path: Path, frame: tuple[int, int], rng: random.Random) -> None:
    begin, end = frame
    at = rng.randrange(begin, end - _PADDING)
    with path.open("r+b") as segment:
        segment.seek(at)
        (byte,) = segment.read(1)
        segment.seek(at)
        segment.write(bytes([byte ^ 1 << rng.randrange(8)]))


def full_pool(stage: Stage, _rng: random.Random, seconds: float) -> None:
    """The broker is away for longer than the journal can hold."""
    stage.wait(1.0)
    stage.cut()
    stage.wait(seconds)
    stage.restore()
