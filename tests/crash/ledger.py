"""What a writer said of its records, outside the disk under test, and how a start is judged.

A line says of one stream of one incarnation: everything up to this seq is accepted, or
may be settled from now on. It is written after the commit returned, or before the settling
began, so that no moment of death makes it untrue.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from gateway.clock import Clock
from gateway.journal import Damage, Settings
from gateway.model import Cause, Lane
from tests.journal.rig import close, open_journal, read

Key = tuple[str, str, str]
"""Incarnation, lane, stream."""


def payload(key: Key, seq: int) -> bytes:
    """What record ``seq`` of a stream holds, of a length that follows from its seq."""
    text = f"{'/'.join(key)}/{seq}/".encode()
    return text + bytes((seq + n) & 0xFF for n in range(seq * 37 % 400))


class Ledger:
    """The writing end: each line is one system call, and outlives its writer."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def accepted(self, key: Key, seq: int) -> None:
        self._say("accepted", key, seq)

    def settling(self, key: Key, seq: int) -> None:
        self._say("settling", key, seq)

    def _say(self, word: str, key: Key, seq: int) -> None:
        os.write(self._fd, f"{word} {' '.join(key)} {seq}\n".encode())


@dataclass
class Claims:
    """What the ledger promises: the highest seq accepted, and the highest perhaps settled."""

    accepted: dict[Key, int] = field(default_factory=dict)
    settled: dict[Key, int] = field(default_factory=dict)

    def take(self, path: Path) -> None:
        """Add what stands in a ledger, and remove the file."""
        for line in path.read_text().splitlines() if path.exists() else ():
            word, incarnation, lane, stream, seq = line.split()
            said = self.accepted if word == "accepted" else self.settled
            key = (incarnation, lane, stream)
            said[key] = max(said.get(key, 0), int(seq))
        path.unlink(missing_ok=True)

    @property
    def records(self) -> int:
        """How many records were accepted."""
        return sum(self.accepted.values())

    def owed(self, key: Key) -> range:
        """The seqs that must be found again."""
        return range(self.settled.get(key, 0) + 1, self.accepted[key] + 1)


@dataclass
class Verdict:
    """What one recovery came to."""

    found: int = 0
    evicted: int = 0
    lost: list[str] = field(default_factory=list)
    """Accepted, not settled, not found, and no gap for a full lane says why."""
    wrong: list[str] = field(default_factory=list)
    """Found twice, or not what was written."""
    start_s: float = 0.0


def judge(settings: Settings, claims: Claims, *, clean: bool = True) -> Verdict:
    """Open the journal as a start does, read all of it, and compare; it is closed again."""
    verdict, seqs, gone = (
        Verdict(),
        defaultdict[Key, set[int]](set),
        defaultdict[Key, set[int]](set),
    )
    began = time.monotonic()
    journal = open_journal(settings, Clock())
    verdict.start_s = time.monotonic() - began
    for lane in Lane:
        for item in read(journal, lane):
            key = (item.incarnation, lane.value, item.stream)
            if isinstance(item, Damage):
                if item.cause is Cause.JOURNAL_EVICTED:
                    gone[key].update(range(item.first_seq, item.last_seq + 1))
            elif item.seq in seqs[key] or item.payload != payload(key, item.seq):
                verdict.wrong.append(f"{key} {item.seq}")
            else:
                seqs[key].add(item.seq)
    for key in claims.accepted:
        lost = set(claims.owed(key)) - seqs[key] - gone[key]
        verdict.lost += [f"{key} {seq}" for seq in sorted(lost)]
    for (lane, stream), state in journal.recovered.streams.items():
        key = (state.incarnation, lane.value, stream)
        if state.seq < claims.accepted.get(key, 0):
            verdict.lost.append(f"{key} ends at {state.seq}, not {claims.accepted[key]}")
    verdict.found = sum(map(len, seqs.values()))
    verdict.evicted = sum(map(len, gone.values()))
    close(journal, clean=clean)
    return verdict
