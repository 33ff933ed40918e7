"""The disk queue: everything the gateway knows goes through it, online or offline.

It knows bytes, streams and lanes; what the bytes mean is not its business.

Goal
    A record is *accepted* once ``fdatasync`` returned for the commit that holds it.
    From then until it is *settled* it survives a kill, a crash of the system and a cut
    of power. What cannot be read back is named, exactly where that can be known.

Laws, each held by a test in ``tests/journal``, on real disks by ``tests/crash``
    * Nothing accepted is lost, whatever the power does (``test_model``). Without
      flushes the same test loses records: the control.
    * One flipped bit costs at most its own frame, and that is named.
    * Only committed records are read, in journal order, seq rising in each stream.
    * A file whose flush failed is never flushed again: its records go from memory
      into another segment.
    * An earlier incarnation's segment is never appended to.
    * A thousand empty restarts take no more room.
    * Alarms and marks have room when data has none; settled segments go oldest first.
    * What a full lane gives up unsettled is counted, and named where it stood, before its
      file is used again; alarms are never given up (``evict.py``).
    * A disk that somebody else filled is a smaller journal, not a failed one.
    * What memory cannot hold while the disk takes nothing is counted, in its place.
    * The event loop never waits for the disk: it takes no lock held over a system call.
    * A newer format is refused, and nothing is touched.
    * One write and one flush per lane and commit.

Files, mode 0600 in a directory of 0700
    ``lock``                     flock of the one owner
    ``state``  ``cursor``        two slots each, the newest intact one counts
    ``alarm/ data/ meta/``       ``seg-<number>`` in order; ``gone-<number>``: a tomb
    ``pool/large  pool/small``   pre-written files, so that the disk cannot fill under us
    ``schemas/<16 hex>``         layouts of records, by content, each kept twice
    ``quarantine/``              what could not be parsed, and second names of segments that
                                 a cut of power left on FAT; left for a person

Format (``format.py``)
    A segment is a header of 4096 bytes (two copies), frames, and when it is full a seal:
    a summary per stream, so that nobody has to read the segment to know what it holds.
    A frame names its incarnation, stream, seq, schema, time and count, and carries the
    generation of its segment: bytes of an earlier use of the file never parse, nor do
    bytes inside a payload that look like a frame. Header and payload have a CRC each.
    A position is ``number << 32 | offset`` of the end of a frame.

Commit (``log.py``, ``tail.py``, ``writer.py``)
    ``append`` fills memory. A writer thread takes what waits after D, or at 64 KiB
    (20 ms for alarms, which have a thread of their own), writes, flushes, and only then
    moves the committed position. The header of a segment is durable before the segment
    has its name, and the next one stands ready from half-way on. If the disk fails
    twice in a row the lane is *failed*: records stay in memory (``waiting.py``), the next
    try comes after 30 s, and beyond the lane's share of ``memory`` the oldest become one
    frame per stream that counts them. `unsaved` shows what waits. Without a disk at the
    start everything waits, for ever (``ground.nowhere``).

Reading and settling (``reader.py``, ``settling.py``)
    Reading is done in a thread. A reader knows which seq must come next in each stream; a
    jump, or a payload that does not match its CRC, is a `Damage` in its place.
    Acknowledgements settle a contiguous prefix; the cursor is written once a second,
    without a flush: losing it costs duplicates, which have the same key.

Recovery is the normal open (``recovery.py``, ``gather.py``)
    Headers, seals and cursor are read; segments without a seal are walked, stepping
    over bad frames. Torn records of the last incarnation are cut and reported. Then the
    unsealed tails are gathered into one sealed segment, settled records left out. It is
    flushed, renamed over the last of them, the cursor is written, and only then are the
    others recycled; a crash in between leaves duplicates, which readers skip.
    A segment says which was the oldest when it was born: if the first of an incarnation was
    still there, its streams begin at 1, and what is not there was deleted.
    Where each stream ended comes from seals, frames and marks. A mark counts only as
    far as the records it had seen are there. Each meta segment begins with a mark of
    every stream, so that states outlive recycled records.
"""

from gateway.journal.journal import Journal
from gateway.journal.words import (
    ENDED,
    Damage,
    Entry,
    LaneStats,
    Recovered,
    Settings,
    Stats,
    StreamState,
    TornStream,
    WriterState,
)

__all__ = [
    "ENDED",
    "Damage",
    "Entry",
    "Journal",
    "LaneStats",
    "Recovered",
    "Settings",
    "Stats",
    "StreamState",
    "TornStream",
    "WriterState",
]
