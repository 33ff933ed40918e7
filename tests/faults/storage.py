"""Acts against the disk: system calls that fail or kill, bits that flip, a full pool."""

from __future__ import annotations

import random
import time
from collections import Counter
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


def kill_at_every_call(stage: Stage, _rng: random.Random, seconds: float) -> None:
    """Kill at the first, second, … occurrence of each call that touches the journal.

    strace counts the calls of each thread, so a run without harm tells first which
    numbers of which call are about the journal.
    """
    deadline = time.monotonic() + seconds
    stage.kill()
    points = sorted(_calls_at_the_journal(stage))
    done = 0
    for call, number in points:
        if time.monotonic() > deadline:
            break
        stage.start(f"{call}:signal=SIGKILL:when={number}")
        if not stage.until_dead(3.0):
            stage.kill()
        done += 1
    stage.facts.seen.append(f"{done} of {len(points)} points")
    if done < len(points) or not points:
        stage.facts.notes.append(f"only {done} of {len(points)} points were reached in time")
    stage.start()
    stage.wait(1.0)


def _calls_at_the_journal(stage: Stage) -> set[tuple[str, int]]:
    """Each call and its number in its thread, from the log of a start and three seconds."""
    log = stage.directory / "calls.log"
    stage.start(trace=(KILL_AT, log))
    stage.until_started()
    stage.wait(3.0)
    stage.kill()
    counts: Counter[tuple[str, str]] = Counter()
    points: set[tuple[str, int]] = set()
    for line in log.read_text(errors="replace").splitlines():
        thread, _, rest = line.partition(" ")
        call = rest.strip().partition("(")[0]
        if call in KILL_AT:
            counts[thread, call] += 1
            if str(stage.journal) in rest:
                points.add((call, counts[thread, call]))
    return points


def sync_fails_once(stage: Stage, _rng: random.Random, seconds: float) -> None:
    _again_with(stage, "fdatasync:error=EIO:when=12", seconds)


def sync_fails_for_ever(stage: Stage, _rng: random.Random, seconds: float) -> None:
    stage.facts.disk_failed = True
    _again_with(stage, "fdatasync:error=EIO:when=12+", seconds)
    stage.kill()
    stage.start()


def write_fails(stage: Stage, _rng: random.Random, seconds: float) -> None:
    _again_with(stage, "pwrite64:error=ENOSPC:when=40..44", seconds)


def write_is_short(stage: Stage, _rng: random.Random, seconds: float) -> None:
    _again_with(stage, "pwrite64:retval=10:when=40..44", seconds)


def stuck_disk(stage: Stage, _rng: random.Random, seconds: float) -> None:
    _again_with(stage, "fdatasync:delay_enter=30000000:when=12", seconds)


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


def deleted_older_segment(stage: Stage, rng: random.Random, seconds: float) -> None:
    """The same, with a younger segment beside it that says what is missing."""
    deleted_segment(stage, rng, seconds)
    if not any(map(placed_frames, (stage.journal / "data").glob("seg-*"))):
        stage.facts.notes.append(f"after {seconds:.0f} s there was no younger segment")


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
