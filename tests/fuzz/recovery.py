"""A journal that was written, then damaged, then opened as always.

An input is a list of damages of eight bytes: what is done, to which file, where, how
much, and with which other file.
Whatever they are, the journal opens, gives back nothing that was not put in, and takes more.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeAlias

from gateway.errors import JournalError
from gateway.journal import Entry, Journal
from gateway.model import Lane
from tests.fuzz.feed import Feed
from tests.journal.fake_disk import FakeDisk, Node
from tests.journal.rig import StillClock, commit, open_journal, read, small

MOST_DAMAGES = 16
Key: TypeAlias = tuple[str, str, int]
"""Incarnation, stream, seq."""


def recovery(data: bytes) -> None:
    """Open it twice; a record that comes back is one that was put in."""
    files, written = _written()
    disk, put_in = FakeDisk(), dict(written)
    disk.names_seen = {path: Node(seen=bytearray(content)) for path, content in files}
    _damage(disk, Feed(data))
    clock = StillClock()
    with suppress(JournalError):
        for _ in range(2):
            _use(open_journal(small(), clock, disk), put_in)


def _use(journal: Journal, put_in: dict[Key, bytes]) -> None:
    found = _entries(journal)
    assert all(put_in.get(key) == payload for key, payload in found.items())
    journal.append(Lane.DATA, "s", b"more", time_ns=2000, readings=1, covers=True)
    put_in[journal.incarnation, "s", 1] = b"more"
    assert commit(journal)
    assert (journal.incarnation, "s", 1) in _entries(journal)


def _entries(journal: Journal) -> dict[Key, bytes]:
    items = [item for lane in Lane for item in read(journal, lane)]
    return {(e.incarnation, e.stream, e.seq): e.payload for e in items if isinstance(e, Entry)}


@cache
def _written() -> tuple[list[tuple[Path, bytes]], dict[Key, bytes]]:
    """Every file of a journal whose power went, and the records that were put in."""
    disk, clock, put_in = FakeDisk(), StillClock(), dict[Key, bytes]()
    for turn in range(2):
        journal = open_journal(small(), clock, disk)
        for n in range(24):
            lane, stream = (Lane.ALARM, "a") if n % 8 == 0 else (Lane.DATA, "st"[n % 2])
            payload = bytes((turn, n)) * 300
            journal.append(lane, stream, payload, time_ns=1000 + n, readings=4, covers=True)
            if n % 6 == 5:
                journal.mark({(Lane.DATA, "s"): 1000 + n})
                commit(journal)
        put_in |= _entries(journal)
        clock.pass_s(60)
    return [(path, bytes(node.seen)) for path, node in sorted(disk.names_seen.items())], put_in


def _damage(disk: FakeDisk, feed: Feed) -> None:
    done = 0
    while feed and disk.names_seen and done < MOST_DAMAGES:
        kind, path = feed.number(), feed.one_of(sorted(disk.names_seen))
        at, much = feed.number(3), feed.number(2)
        _change(disk, kind % 7, path, at, much, feed.one_of(sorted(disk.names_seen)))
        done += 1


def _change(disk: FakeDisk, kind: int, path: Path, at: int, much: int, other: Path) -> None:
    names = disk.names_seen
    content = names[path].seen
    at %= len(content) or 1
    match kind:
        case 0 if content:
            content[at] ^= 1 << much % 8
        case 1:
            content[at : at + much] = bytes(len(content[at : at + much]))
        case 2:
            del content[at:]
        case 3:
            del names[path]
        case 4:
            names[path], names[other] = names[other], names[path]
        case 5:
            names[other] = Node(seen=bytearray(content))
        case 6:
            names[path.parent / f"seg-{much:010d}"] = Node(seen=bytearray(content))
        case _:
            pass


def seeds() -> list[bytes]:
    """One damage of each kind, and none."""
    return [b"", *(bytes((kind, 7 * kind, 40, 17, 0, 3, 1)) for kind in range(7))]
