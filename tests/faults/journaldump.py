"""What stands in the journal's files, frame by frame, whatever its own reader believes.

Only the byte layout is taken from the gateway. Segments are read as files and walked
from end to end, so that a record which recovery or the reader forgets is still seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.journal.format import (
    HEADER_BYTES,
    Frame,
    Kind,
    find_frame,
    unpack_frame,
    unpack_header,
)
from tests.faults.checker import Key
from tests.faults.evidence import LANES, Stream

_DELIVERED = (Kind.RECORD, Kind.LOST)


def accepted_keys(journal: Path) -> set[Key]:
    """The key of every record in the segments of a journal; empty where there is none."""
    return {
        Key(Stream(frame.incarnation.hex(), lane, frame.name.decode()), frame.seq)
        for lane in LANES
        for path in sorted((journal / lane).glob("seg-*"))
        for frame in frames(path.read_bytes())
        if frame.kind in _DELIVERED
    }


def placed_frames(path: Path) -> list[tuple[int, int]]:
    """Where each record of a segment begins and ends in its file."""
    found = frames(path.read_bytes())
    return [(frame.at, frame.end) for frame in found if frame.kind in _DELIVERED]


def frames(segment: bytes) -> Iterator[Frame]:
    """Every intact frame of one segment; none where its header is not."""
    header = unpack_header(segment)
    at = -1 if header is None else HEADER_BYTES
    while header is not None and at >= 0:
        frame = unpack_frame(segment, at, header.generation)
        if frame is not None:
            yield frame
        at = find_frame(segment, at + 8 if frame is None else frame.end, header.generation)
