"""The frames of one segment, as recovery and every reader walk them.

An input is what stands behind the header of a segment.
"""

from __future__ import annotations

from contextlib import suppress

from gateway.journal.format import (
    FOOTER_BYTES,
    HEADER_BYTES,
    Draft,
    Kind,
    NewerFormatError,
    find_frame,
    pack_frame,
    pack_rows,
    pack_seal,
    unpack_header,
)
from gateway.journal.scan import read_seal, walk
from gateway.journal.segment import Tally
from tests.journal.fake_disk import FakeDisk, FakeFile, Node

GENERATION = 0x1122334455667788


def frames(data: bytes) -> None:
    """Walk it, and look for a seal: what is found lies in order, inside, and whole."""
    with suppress(NewerFormatError):
        unpack_header(data)
    content = bytes(HEADER_BYTES) + data
    file = FakeFile(FakeDisk(), Node(seen=bytearray(content)))
    found, _ = walk(file, GENERATION, len(content))
    at = HEADER_BYTES
    for frame in found:
        assert at <= frame.at < frame.end <= len(content)
        assert frame.end % 8 == frame.at % 8 == 0
        assert find_frame(content, frame.at, GENERATION) == frame.at
        at = frame.end
    if len(data) > FOOTER_BYTES:
        read_seal(file, GENERATION, len(content))


def seeds() -> list[bytes]:
    """Frames of two streams and a mark: alone, and in a segment that is full and sealed."""
    drafts = [
        Draft(
            Kind.RECORD,
            n % 2,
            b"i" * 16,
            b"tk101"[: 4 + n % 2],
            n,
            5,
            10**18 + n,
            4,
            b"p" * 9 * n,
        )
        for n in range(1, 6)
    ]
    tally = Tally.of([], "data")
    written = b""
    for draft in drafts:
        written += pack_frame(draft, GENERATION)
        tally.add(draft, HEADER_BYTES + len(written))
    mark = Draft(Kind.MARK, 2, bytes(16), b"", 0, 0, 0, 0, pack_rows(tally.rows.values()))
    seal = tally.seal(HEADER_BYTES + len(written))
    tail = pack_seal(seal, GENERATION, HEADER_BYTES + 2048)
    sealed = written.ljust(2048 - len(tail), b"\0") + tail
    return [written, written + pack_frame(mark, GENERATION), sealed]
