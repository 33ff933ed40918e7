"""A look at a journal that may be in use: read only, without its lock.

A segment that is recycled while it is looked at has another generation afterwards; what
was read of it then counts for nothing. The end of an unsealed segment may be in the making.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import JournalError
from gateway.journal.files import DiskFile, DiskFiles, File
from gateway.journal.format import HEADER_BYTES, Frame, Header, NewerFormatError, unpack_header
from gateway.journal.scan import read_seal, walk
from gateway.journal.schemas import Schemas
from gateway.journal.segment import DELIVERED, place
from gateway.journal.slots import STATE_KEYS, SlotFile
from gateway.model import Lane


class _ReadOnly(DiskFiles):
    """The real file system, which it cannot change."""

    def open(self, path: Path, *, create: bool = False) -> File:
        return DiskFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))


@dataclass(frozen=True, slots=True)
class Seen:
    """One segment, as it was looked at."""

    path: Path
    header: Header | None
    """None: neither copy is intact."""
    sealed: bool = False
    frames: tuple[Frame, ...] = ()
    """Records and the places of lost ones, in order."""
    evicted: int = 0
    """Of a tomb: records it stands for."""
    faults: tuple[str, ...] = field(default=())
    """What is damaged, as codes of the catalogue of messages."""


class Look:
    """One journal from the outside."""

    def __init__(self, path: Path) -> None:
        """Reads no record yet.

        Raises:
            JournalError: There is no journal, or it may not be read.
        """
        self.path = path
        self._files = _ReadOnly()
        self._schemas = Schemas(self._files, path / "schemas")
        try:
            self.state = SlotFile(self._files, path / "state", STATE_KEYS).read()
            cursor = SlotFile(self._files, path / "cursor").read()
        except OSError as error:
            raise JournalError(f"{path}: {error.strerror or error}").in_words(
                "journal_disk", path=path, reason=error
            ) from error
        if self.state is None:
            raise JournalError(f"{path}: there is no journal").in_words(
                "journal_none", path=path
            )
        self._cursor = cursor or {}

    def settled(self, lane: Lane) -> int:
        """Position up to which ``lane`` is settled, as the cursor file says."""
        number, _, offset = self._cursor.get(lane.value, (0, 0, 0))
        return place(number, offset)

    def schema(self, key: int) -> bytes:
        """The blob whose key stands in a frame.

        Raises:
            JournalError: It is missing or damaged.
        """
        return self._schemas.read(key)

    def quarantined(self) -> list[str]:
        """Names under ``quarantine/``."""
        return self._files.names(self.path / "quarantine")

    def paths(self, lane: Lane) -> list[Path]:
        """The segment files of ``lane``, oldest first."""
        folder = self.path / lane.value
        names = self._files.names(folder)
        return [folder / name for name in sorted(names, key=lambda n: n.rpartition("-")[2])]

    def segments(self, lane: Lane) -> Iterator[Seen]:
        """Each segment of ``lane`` that stays in its place while it is read."""
        for path in self.paths(lane):
            seen = self.segment(path)
            if seen is not None:
                yield seen

    def segment(self, path: Path) -> Seen | None:
        """The segment at ``path``; None when it went while it was read.

        Raises:
            JournalError: It was written by a newer version.
        """
        try:
            file = self._files.open(path)
        except FileNotFoundError:
            return None
        except OSError:
            return Seen(path, None, faults=("journal_unreadable",))
        try:
            seen = _read(path, file)
            again = unpack_header(file.read(HEADER_BYTES, 0))
        except OSError:
            return Seen(path, None, faults=("journal_unreadable",))
        except NewerFormatError as error:
            raise JournalError(f"{path}: format {error} is newer than this program").in_words(
                "journal_newer", path=path, format=str(error)
            ) from error
        finally:
            file.close()
        moved = not path.exists() or (again is not None and again != seen.header)
        return None if moved and seen.header is not None else seen


def _read(path: Path, file: File) -> Seen:
    header = unpack_header(file.read(HEADER_BYTES, 0))
    if header is None:
        return Seen(path, None, faults=("journal_bad_header",))
    seal = read_seal(file, header.generation, file.size())
    # Between the last frame and the seal there is free room: no damage.
    frames, skipped = walk(file, header.generation, seal.end if seal else file.size())
    records = tuple(frame for frame in frames if frame.kind in DELIVERED)
    if header.evicts:
        rows = seal.rows if seal else ()
        gone = sum(row.last_seq - row.first_seq + 1 for row in rows)
        return Seen(path, header, True, (), gone, () if seal else ("journal_bad_seal",))
    faults = []
    # The last frame of an unsealed segment may be in the making.
    checked = records if seal else records[:-1]
    if any(frame.payload is None for frame in checked):
        faults.append("journal_bad_payload")
    if seal and (skipped or len(records) < seal.records):
        faults.append("journal_bad_frame")
    return Seen(path, header, seal is not None, records, 0, tuple(faults))
