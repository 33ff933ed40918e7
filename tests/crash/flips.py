"""One bit flips somewhere in a closed journal, and it is started.

Whatever the bit was part of, no record may come back changed, at most the one record whose
frame was hit may be missing, and a gap must name it and nothing else.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from gateway.journal import Damage, Journal
from gateway.journal.format import FRAME_BYTES, HEADER_BYTES, unpack_header
from gateway.model import Lane
from tests.crash.ledger import Ledger
from tests.crash.writer import script, settings
from tests.faults.journaldump import frames
from tests.journal.fake_disk import FakeDisk, Node
from tests.journal.rig import ROOT, StillClock, close, open_journal, read

START_LIMIT_S = 10.0
Key = tuple[Lane, str, str, int]
"""Lane, incarnation, stream, seq."""


@dataclass(frozen=True)
class Spot:
    """A part of a file in which a bit may flip."""

    kind: str
    path: Path
    begin: int
    end: int
    records: frozenset[Key] = frozenset()
    """What may be lost by it."""


@dataclass
class Contents:
    """What one start found."""

    records: dict[Key, tuple[object, ...]] = field(default_factory=dict)
    named: Counter[Key] = field(default_factory=Counter)
    """How often a gap names a record."""
    start_s: float = 0.0


@dataclass
class Flips:
    """What became of many flips."""

    by_kind: Counter[str] = field(default_factory=Counter)
    cost: Counter[str] = field(default_factory=Counter)
    """Flips that cost a record, by the part they hit."""
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    proves_nothing = False

    def text(self) -> str:
        kinds = ", ".join(f"{n} in a {kind}" for kind, n in sorted(self.by_kind.items()))
        return (
            f"{self.by_kind.total()} flips ({kinds}): {self.cost.total()} cost one record each,"
            f" {len(self.failures)} undetected, wider or unnamed,"
            f" slowest start {self.slowest_s:.2f} s"
        )


@cache
def closed_journal() -> dict[Path, bytes]:
    """The files of a journal with some past, closed in order."""
    disk = FakeDisk()
    script(settings(ROOT), Ledger(Path(os.devnull)), 0, disk)
    close(open_journal(settings(ROOT), StillClock(), disk))
    return {path: bytes(node.seen) for path, node in disk.names_seen.items()}


def disk_of(files: dict[Path, bytes]) -> FakeDisk:
    disk = FakeDisk()
    disk.names_seen = {p: Node(bytearray(c), bytearray(c)) for p, c in files.items()}
    disk.names_durable = dict(disk.names_seen)
    return disk


def contents(disk: FakeDisk) -> Contents:
    """Start, and read everything."""
    began = time.monotonic()
    journal = open_journal(settings(ROOT), StillClock(), disk)
    found = Contents(start_s=time.monotonic() - began)
    for lane in Lane:
        for item in read(journal, lane):
            if isinstance(item, Damage):
                found.named.update(_named(lane, item))
            else:
                key = (lane, item.incarnation, item.stream, item.seq)
                assert key not in found.records, f"{key} twice"
                found.records[key] = item[4:]
    found.named.update(_torn(journal))
    close(journal)
    return found


def _named(lane: Lane, gap: Damage) -> Iterator[Key]:
    for seq in range(gap.first_seq, gap.last_seq + 1):
        yield lane, gap.incarnation, gap.stream, seq


def _torn(journal: Journal) -> Iterator[Key]:
    last = journal.recovered.previous or ""
    for (lane, stream), torn in journal.recovered.torn.items():
        for seq in range(torn.first_seq, torn.last_seq + 1):
            yield lane, last, stream, seq


def spots(files: dict[Path, bytes]) -> dict[str, list[Spot]]:
    """Every part of every file, by kind."""
    found: dict[str, list[Spot]] = {}
    for path, content in sorted(files.items()):
        for spot in _spots(path, content):
            found.setdefault(spot.kind, []).append(spot)
    return found


def _spots(path: Path, content: bytes) -> Iterator[Spot]:
    if not content:
        return
    if path.parent.name not in set(Lane):
        kind = path.parent.name if path.parent != ROOT else path.name
        yield Spot("pool" if path.parent.parent.name == "pool" else kind, path, 0, len(content))
        return
    lane, header = Lane(path.parent.name), unpack_header(content)
    assert header is not None
    yield Spot("header", path, 0, HEADER_BYTES)
    end = HEADER_BYTES
    for frame in frames(content):
        key = (lane, frame.incarnation.hex(), frame.name.decode(), frame.seq)
        records = frozenset({key}) if frame.name else frozenset[Key]()
        split = frame.at + FRAME_BYTES + len(frame.name)
        yield Spot("frame" if frame.name else "mark or seal", path, frame.at, split, records)
        if split < frame.end:
            yield Spot(
                "payload" if frame.name else "mark or seal", path, split, frame.end, records
            )
        end = max(end, frame.end)
    if end < len(content):
        yield Spot("rest", path, end, len(content))


def flip(count: int, seed: int) -> Flips:
    """``count`` flips, as many in each kind of place."""
    chance, files = random.Random(seed), closed_journal()
    places, whole, done = spots(files), contents(disk_of(files)), Flips()
    kinds = sorted(places)
    for n in range(count):
        spot = chance.choice(places[kinds[n % len(kinds)]])
        at, bit = chance.randrange(spot.begin, spot.end), 1 << chance.randrange(8)
        done.by_kind[spot.kind] += 1
        _judge(spot, f"{spot.kind} {spot.path} byte {at} bit {bit}", whole,
               contents(_flipped(files, spot.path, at, bit)), done)  # fmt: skip
    return done


def _flipped(files: dict[Path, bytes], path: Path, at: int, bit: int) -> FakeDisk:
    disk = disk_of(files)
    node = disk.names_seen[path]
    node.seen[at] ^= bit
    node.durable[at] ^= bit
    return disk


def _judge(spot: Spot, where: str, whole: Contents, found: Contents, done: Flips) -> None:
    done.slowest_s = max(done.slowest_s, found.start_s)
    lost = whole.records.keys() - found.records.keys()
    done.cost[spot.kind] += bool(lost)
    changed = [k for k, r in found.records.items() if whole.records.get(k, r) != r]
    for text, keys in (
        ("came back changed", changed),
        ("lost beside the frame", lost - spot.records),
        ("lost and not named", [key for key in lost if not found.named[key]]),
        ("named though it is there", found.named.keys() & found.records.keys()),
        ("no longer named", whole.named.keys() - found.named.keys() - found.records.keys()),
    ):
        if keys:
            done.failures.append(f"{where}: {len(keys)} {text}, such as {next(iter(keys))}")
    if found.start_s > START_LIMIT_S:
        done.failures.append(f"{where}: start took {found.start_s:.1f} s")
