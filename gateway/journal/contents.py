"""Which seqs of which streams lie on disk: from the seals, without reading a record."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.errors import JournalError
from gateway.journal.files import Files
from gateway.journal.format import Row
from gateway.journal.gather import seal_rows
from gateway.journal.log import Log
from gateway.journal.recovery import Recovery
from gateway.journal.segment import place
from gateway.journal.settling import Key
from gateway.model import Lane

ANY_SEQ = (1 << 64) - 1


class Contents:
    """What the lanes of one journal hold, settled or not."""

    def __init__(
        self, logs: Mapping[Lane, Log], recovery: Recovery, files: Files, incarnation: str
    ) -> None:
        self._logs = logs
        self._files = files
        self._incarnation = incarnation
        self._earlier = {lane: found.heads for lane, found in recovery.lanes.items()}
        """Of the incarnations before, which do not change any more."""

    def farthest(self, lane: Lane, stream: str, incarnation: str) -> int | None:
        """Highest seq the platform can hold of a stream; None: there is no such stream.

        What was passed on while the disk took nothing counts, too: of this incarnation all
        that was taken; of an earlier one nobody knows how much was never stored.
        """
        if incarnation == self._incarnation:
            return self._logs[lane].heads.get(stream)
        key = bytes.fromhex(incarnation), stream.encode()
        return ANY_SEQ if key in self._earlier[lane] else None

    def places(
        self, lane: Lane, stream: str, incarnation: str, first: int, last: int
    ) -> tuple[int, int] | None:
        """Read behind the one and up to the other to find seqs of a stream; None: nowhere.

        Blocks: not for the loop.

        Raises:
            JournalError: The disk cannot read.
        """
        key = (bytes.fromhex(incarnation), stream.encode())
        found = [
            number
            for number, rows in self._rows(lane)
            if rows is None or any(_has(row, key, first, last) for row in rows)
        ]
        return (place(found[0], 0), place(found[-1] + 1, 0)) if found else None

    def _rows(self, lane: Lane) -> list[tuple[int, tuple[Row, ...] | None]]:
        """Number and streams of each segment, in order; None: it is being written."""
        log = self._logs[lane]
        try:
            with log.files_lock:
                return [
                    (each.number, seal_rows(self._files, each) if each.sealed else each.rows)
                    for each in log.segments
                ]
        except OSError as error:
            raise JournalError(f"{lane}: cannot read: {error}") from error


def _has(row: Row, key: Key, first: int, last: int) -> bool:
    is_it = (row.incarnation, row.name) == key
    return is_it and row.first_seq <= last and first <= row.last_seq
