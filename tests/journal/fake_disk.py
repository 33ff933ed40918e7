"""A disk that can lose power: unsynced sectors and names may or may not be there afterwards."""

from __future__ import annotations

import errno
import random
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from gateway.journal.files import File

SECTOR = 512


class PowerCutError(BaseException):
    """The power went in the middle of something; nothing after it happens."""


@dataclass
class Node:
    """One file: what is on the medium, what a reader sees, and writes in between."""

    durable: bytearray = field(default_factory=bytearray)
    seen: bytearray = field(default_factory=bytearray)
    writes: list[tuple[int, bytes]] = field(default_factory=list)
    failed_sync: bool = False


class FakeFile:
    def __init__(self, disk: FakeDisk, node: Node) -> None:
        self.disk = disk
        self.node = node

    def read(self, size: int, offset: int) -> bytes:
        return bytes(self.node.seen[offset : offset + size])

    def write(self, data: bytes, offset: int) -> None:
        self.disk.touch()
        _put(self.node.seen, offset, data)
        self.node.writes.append((offset, data))
        self.disk.written += len(data)

    def truncate(self, size: int) -> None:
        self.disk.touch()
        del self.node.seen[size:]

    def sync(self) -> None:
        assert not self.node.failed_sync, "synced again after a failed sync"
        try:
            self.disk.touch()
            self.disk.touch_sync()
        except OSError:
            self.node.failed_sync = True
            raise
        self.disk.syncs += 1
        self.disk.unnamed.discard(id(self.node))
        if self.disk.honours_sync:
            self.node.durable = bytearray(self.node.seen)
            self.node.writes.clear()

    def size(self) -> int:
        return len(self.node.seen)

    def close(self) -> None:
        pass


class FakeDisk:
    """`Files` in memory; `crash` keeps what was synced and any part of the rest."""

    def __init__(self, *, honours_sync: bool = True, is_fat: bool = False) -> None:
        self.honours_sync = honours_sync
        self.is_fat = is_fat
        """After a rename the new name holds nothing until the file is flushed."""
        self.unnamed: set[int] = set()
        self.failing = 0
        """So many of the next writes and syncs fail."""
        self.failing_syncs = 0
        """So many of the next syncs fail."""
        self.fuse: int | None = None
        """So many more changes until the power goes."""
        self.syncs = 0
        self.written = 0
        self.names_seen: dict[Path, Node] = {}
        self.names_durable: dict[Path, Node] = {}
        self._moves: list[tuple[Path | None, Path | None, Node]] = []

    def touch(self) -> None:
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                raise PowerCutError
        if self.failing:
            self.failing -= 1
            raise OSError(errno.EIO, "Input/output error")

    def touch_sync(self) -> None:
        if self.failing_syncs:
            self.failing_syncs -= 1
            raise OSError(errno.EIO, "Input/output error")

    def open(self, path: Path, *, create: bool = False) -> File:
        if path not in self.names_seen:
            if not create:
                raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
            self._move(None, path, Node())
        self.names_seen[path].failed_sync = False  # opened anew, it will be written anew
        return FakeFile(self, self.names_seen[path])

    def names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in self.names_seen if path.parent == folder)

    def make_folder(self, folder: Path) -> None:
        pass

    def rename(self, old: Path, new: Path) -> None:
        if self.is_fat:
            self.unnamed.add(id(self.names_seen[old]))
        self._move(old, new, self.names_seen[old])

    def remove(self, path: Path) -> None:
        self._move(path, None, self.names_seen[path])

    def sync_folder(self, folder: Path) -> None:
        """Metadata is ordered: what came before the last change in ``folder`` goes with it."""
        self.touch()
        touched = [n for n, (a, b, _) in enumerate(self._moves) if folder in _parents(a, b)]
        if touched and self.honours_sync:
            self._keep_names(touched[-1] + 1)

    def claim(self, folder: Path) -> File:
        return FakeFile(self, Node())

    def crash(self, chance: random.Random) -> None:
        """Lose power: any prefix of renames, and any sectors of unsynced writes, survive."""
        nodes = {id(n): n for n in (*self.names_seen.values(), *self.names_durable.values())}
        self._keep_names(chance.randint(0, len(self._moves)))
        self._moves.clear()
        for path, node in self.names_durable.items():
            if id(node) in self.unnamed:
                self.names_durable[path] = Node()
        self.names_seen = dict(self.names_durable)
        for node in nodes.values():
            _lose(node, chance)
        self.failing = 0
        self.fuse = None

    def flip(self, chance: random.Random, lane: str) -> bool:
        """Flip one bit somewhere in the segments of ``lane``, where there is anything."""
        paths = sorted(p for p in self.names_seen if p.parent.name == lane)
        if not paths:
            return False
        node = self.names_seen[chance.choice(paths)]
        used = [at for at in range(0, len(node.seen), 64) if any(node.seen[at : at + 64])]
        at = chance.choice(used) + chance.randrange(64)
        if at >= len(node.seen):
            return False
        bit = 1 << chance.randrange(8)
        node.seen[at] ^= bit
        node.durable[at] ^= bit
        return True

    def _move(self, old: Path | None, new: Path | None, node: Node) -> None:
        self.touch()
        _apply(self.names_seen, old, new, node)
        self._moves.append((old, new, node))

    def _keep_names(self, count: int) -> None:
        for old, new, node in self._moves[:count]:
            _apply(self.names_durable, old, new, node)
        del self._moves[:count]


def _apply(names: dict[Path, Node], old: Path | None, new: Path | None, node: Node) -> None:
    if old is not None:
        names.pop(old, None)
    if new is not None:
        names[new] = node


def _parents(*paths: Path | None) -> set[Path]:
    return {path.parent for path in paths if path is not None}


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _lose(node: Node, chance: random.Random) -> None:
    """Keep any sectors of the writes since the last sync: none, all, a prefix, or at random."""
    manner = chance.choice(("none", "all", "prefix", "any"))
    pieces = [
        (at, data[at - offset : at - offset + size])
        for offset, data in node.writes
        for at, size in _sectors(offset, len(data))
    ]
    if manner == "none":
        pieces = []
    elif manner == "prefix":
        pieces = pieces[: chance.randint(0, len(pieces))]
    elif manner == "any":
        pieces = [piece for piece in pieces if chance.random() < 0.5]
    for at, piece in pieces:
        _put(node.durable, at, piece)
    node.seen = bytearray(node.durable)
    node.writes.clear()


def _sectors(offset: int, size: int) -> list[tuple[int, int]]:
    end = offset + size
    cuts = [offset, *range((offset // SECTOR + 1) * SECTOR, end, SECTOR), end]
    return [(a, b - a) for a, b in pairwise(cuts)]
