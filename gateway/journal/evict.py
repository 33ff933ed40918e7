"""What a full lane gives up, and the tomb that names it in its place.

A *tomb* is a segment without frames. Its seal has a row per stream: which seqs went, when
they were taken, how many readings they held; the seal stands in it twice, so that one bad
bit takes nothing of what it names. It has the number of the last segment it
stands for, so it is read, delivered and settled where those records would have been.

    seg-4  seg-5  seg-6 …      →      gone-4  seg-5  seg-6 …      →      gone-5  seg-6 …

The tomb is durable before the file of what it stands for goes back to the pool. The next
eviction writes a new tomb that holds the rows of the former one too, so that they take one
file however long the broker is away. A crash in between leaves both; recovery keeps the
one that stands for more.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from gateway.journal.files import Files
from gateway.journal.format import Header, Row, row_bytes, seal_bytes
from gateway.journal.gather import seal_rows
from gateway.journal.pool import Pool
from gateway.journal.scan import walk
from gateway.journal.segment import Segment, Tally, capacity, write_whole
from gateway.journal.settling import Key, Settling

UNKNOWN_READINGS = (1 << 64) - 1
"""In the row of a tomb: nobody knows how many readings went."""


def rows_to_bury(files: Files, victim: Segment, tomb: Segment | None) -> tuple[Row, ...]:
    """The streams in ``victim``, without the records that ``tomb`` names already.

    A crash in a gathering can leave records twice; then, and where no seal can be read,
    the frames are counted. None when the disk cannot read: the next record of each stream
    then shows the jump in its seq, and readers name it.
    """
    named = {(r.incarnation, r.name): r.last_seq for r in (tomb.rows or () if tomb else ())}
    try:
        rows = seal_rows(files, victim)
        if rows and all(r.first_seq > named.get((r.incarnation, r.name), 0) for r in rows):
            return rows
        file = files.open(victim.path)
        try:
            frames = walk(file, victim.generation, victim.size)[0]
        finally:
            file.close()
    except OSError:
        return ()
    news = [frame for frame in frames if frame.seq > named.get(frame[2:4], 0)]
    return tuple(Tally.of(news, victim.header.lane).rows.values())


def unsettled(segment: Segment, rows: Iterable[Row], settling: Settling) -> list[Row]:
    """What of ``rows`` of ``segment`` is not settled, with the readings that makes."""
    if segment.number < settling.position >> 32 and not segment.is_tomb:
        return []
    found = []
    for row in rows:
        if row.first_seq > row.last_seq:
            continue
        key = (row.incarnation, row.name)
        due_seq, due_ns = settling.expected.get(key, (row.first_seq, row.first_ns))
        if due_seq > row.last_seq:
            continue
        if due_seq > row.first_seq:
            gone = settled_readings(segment, key, settling)
            row = row._replace(first_seq=due_seq, readings=fewer(row.readings, gone))
        if due_seq == row.first_seq:
            # The gap begins where the record before it ended: the first reading was asked
            # for before its own time.
            row = row._replace(first_ns=due_ns)
        found.append(row)
    return found


def settled_readings(segment: Segment, key: Key, settling: Settling) -> int:
    """Readings of ``key`` that ``segment`` stands for, or holds, and that are settled."""
    if segment.is_tomb:
        return settling.paid.get(key, 0) - segment.paid_before.get(key, 0)
    return settling.paid_here(key) if segment.number == settling.position >> 32 else 0


def fewer(readings: int, gone: int) -> int:
    """``readings`` less ``gone``; unknown stays unknown."""
    return readings if readings == UNKNOWN_READINGS else max(0, readings - gone)


def joined(older: Iterable[Row], younger: Iterable[Row]) -> list[Row]:
    """One row per stream; what is between two that do not touch is counted by nobody."""
    rows = {(row.incarnation, row.name): row for row in older}
    for row in younger:
        key = (row.incarnation, row.name)
        former = rows.get(key)
        rows[key] = row if former is None else _join(former, row)
    return list(rows.values())


def _join(former: Row, row: Row) -> Row:
    touches = former.last_seq + 1 == row.first_seq
    is_known = touches and UNKNOWN_READINGS not in (former.readings, row.readings)
    covered = [c for c in (former.covered_ns, row.covered_ns) if c is not None]
    return row._replace(
        first_seq=former.first_seq,
        last_seq=max(former.last_seq, row.last_seq),
        first_ns=former.first_ns,
        readings=former.readings + row.readings if is_known else UNKNOWN_READINGS,
        covered_ns=max(covered, default=None),
    )


def fits(rows: Iterable[Row], segment_bytes: int) -> bool:
    """A tomb of ``segment_bytes`` can hold ``rows``."""
    total = sum(row_bytes(row.name) for row in rows)
    return seal_bytes(total, 0) <= capacity(segment_bytes)


def bury(
    files: Files, pool: Pool, folder: Path, victim: Segment, evicts: int, rows: list[Row]
) -> Segment:
    """A durable tomb of ``rows`` that stands for segments ``evicts`` to ``victim``.

    Raises:
        OSError: There is no room, or the disk failed; nothing changed.
    """
    header: Header = victim.header._replace(
        generation=int.from_bytes(os.urandom(8)), evicts=evicts, gathered=False
    )
    tally = Tally(rows[0].lane)
    for row in rows:
        tally.bury(row, pool.segment_bytes)
    tomb = write_whole(files, pool, folder, header, (), tally)
    tomb.rows = tuple(rows)
    return tomb
