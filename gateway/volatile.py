"""What a lane publishes while the disk takes nothing: live records, marked ``volatile``.

    memory of the journal ──▶ messages ──▶ window ──▶ broker        settles nothing

A record goes out once per connection that acknowledged it, oldest first, with the key it
will have on disk. Once the disk works the same record is delivered like any other, and the
platform knows it by its key. What memory could not hold before it was passed on is a gap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from gateway.dialects import Dialect, Origin
from gateway.dialects.wire import MAX_RECORDS
from gateway.feed import Backlog, Feed
from gateway.journal import Damage, Entry
from gateway.model import Lane
from gateway.record import Record

CHUNK: Final = 256
"""Records looked at together; those of one stream share a message."""


class VolatileMessage(NamedTuple):
    """One message, and what it stands for."""

    key: int
    """Counted since start."""
    device: str
    payload: bytes
    number: int
    """Of the oldest record in it, counted since start."""


class Volatile:
    """What of one lane was passed on without the disk. Sends nothing itself."""

    def __init__(self, lane: Lane, journal: Backlog, feed: Feed, dialect: Dialect) -> None:
        self._lane = lane
        self._journal = journal
        self._feed = feed
        self._dialect = dialect
        self._passed = 0
        """Number of the last record that was made a message."""
        self._ready: deque[VolatileMessage] = deque()
        self._flight: dict[int, int] = {}
        """Key of each message in flight → number of its oldest record."""
        self._key = 0

    def next(self, max_bytes: int) -> VolatileMessage | None:
        """The next message, in flight from now on; None: there is no need, or no news."""
        if self._journal.trouble(self._lane) is None:
            self._ready.clear()  # they will be delivered as what they are
            return None
        if not self._ready:
            self._ready += self._messages(max_bytes)
        if not self._ready:
            return None
        message = self._ready.popleft()
        self._flight[message.key] = message.number
        return message

    def answered(self, key: int) -> None:
        """The broker answered; what it refuses it will be asked again when it is on disk."""
        self._flight.pop(key, None)

    def closed(self) -> None:
        """The connection is gone: what was in flight is news again."""
        numbers = (*self._flight.values(), *(message.number for message in self._ready))
        self._passed = min((number - 1 for number in numbers), default=self._passed)
        self._flight.clear()
        self._ready.clear()

    def _messages(self, max_bytes: int) -> Iterator[VolatileMessage]:
        """The next records, each stream's in messages of its own."""
        found = self._journal.unsaved(self._lane, self._passed, CHUNK)
        runs: dict[tuple[str, str], list[tuple[int, Entry | Damage]]] = {}
        for number, item in found:
            self._passed = number
            runs.setdefault((item.incarnation, item.stream), []).append((number, item))
        for run in runs.values():
            yield from self._split(run, max_bytes)

    def _split(
        self, run: list[tuple[int, Entry | Damage]], max_bytes: int
    ) -> Iterator[VolatileMessage]:
        records = [self._feed.record(item) for _, item in run]
        boot = next((record.boot for record in records if record.boot), None)
        parts: list[bytes] = []
        start = size = 0
        for at, (_, item) in enumerate(run):
            part = self._dialect.record(_last(item), records[at])
            if parts and (size + len(part) > max_bytes or len(parts) == MAX_RECORDS):
                yield self._message(run[start:at], records[start:at], parts, boot)
                parts, start, size = [], at, 0
            parts.append(part)
            size += len(part) + self._dialect.overhead_bytes
        yield self._message(run[start:], records[start:], parts, boot)

    def _message(
        self,
        run: list[tuple[int, Entry | Damage]],
        records: list[Record],
        parts: list[bytes],
        boot: str | None,
    ) -> VolatileMessage:
        number, oldest = run[0]
        first = oldest.first_seq if isinstance(oldest, Damage) else oldest.seq
        stream, last = oldest.stream, _last(run[-1][1])
        origin = Origin(oldest.incarnation, boot, stream, self._lane, first, last)
        late = self._feed.late(record.made for record in records)
        payload = self._dialect.message(origin, parts, late, volatile=True)
        self._key += 1
        return VolatileMessage(self._key, stream, payload, number)


def _last(item: Entry | Damage) -> int:
    return item.last_seq if isinstance(item, Damage) else item.seq
