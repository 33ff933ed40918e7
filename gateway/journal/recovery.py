"""Derives every state of the journal from what is on disk. It is the normal open.

load     headers and seals of every lane; unsealed segments are walked
states   where each stream ended, from seals, frames and marks
gather   unsealed tails go into one sealed segment; only then are they recycled
survey   what a reader must find next, as of the settled position
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog

from gateway.errors import JournalError
from gateway.journal.files import Files
from gateway.journal.format import (
    FULL,
    HEADER_BYTES,
    Draft,
    Frame,
    Header,
    Kind,
    NewerFormatError,
    Row,
    first_of,
    pack_rows,
    unpack_header,
    unpack_rows,
)
from gateway.journal.gather import Gathering, LaneFound, restate, seal_rows
from gateway.journal.pool import Pool
from gateway.journal.scan import read_seal, walk
from gateway.journal.segment import DELIVERED, Segment, Tally, place
from gateway.journal.settling import Key, Settling
from gateway.journal.words import ENDED, Recovered, StreamState, TornStream
from gateway.model import Cause, Lane

log = structlog.get_logger()
StreamKey = tuple[Lane, str]


class Recovery:
    """One recovery; `run` it once."""

    def __init__(
        self,
        files: Files,
        path: Path,
        pools: Mapping[Lane, Pool],
        state: dict[str, Any] | None,
        cursor: dict[str, Any] | None,
        now_ns: int,
    ) -> None:
        self._files = files
        self._path = path
        self._pools = pools
        self._state = state
        self._cursor = cursor or {}
        self._now_ns = now_ns
        self._quarantined: list[str] = []
        self.lanes = {lane: LaneFound(lane, path / lane.value) for lane in Lane}
        self.covered: dict[StreamKey, Row] = {}
        """Where every stream that was ever heard of ended."""
        self._gone: dict[StreamKey, TornStream] = {}
        """Streams of which a mark tells, and no record is left."""

    def check_formats(self) -> set[int]:
        """Look at every segment header before anything is touched; their generations.

        Raises:
            JournalError: A segment has a newer format.
        """
        headers = (self._headers(found.folder) for found in self.lanes.values())
        return {h.generation for folder in headers for h in folder.values() if h is not None}

    def set_aside(self, twins: Iterable[Path]) -> None:
        """Keep second names of segments from ever being used.

        Raises:
            OSError: The disk failed.
        """
        for path in twins:
            self._set_aside(path, f"pool-{path.name}")

    def run(self) -> Recovered:
        """Derive everything; afterwards ``lanes`` hold sealed segments where the disk allows.

        Raises:
            OSError: The disk cannot be read.
        """
        for found in self.lanes.values():
            self._load(found, self._headers(found.folder))
        last = self._last_incarnation()
        for found in self.lanes.values():
            self._states(found, last)
        self._apply_marks()
        self._gather_all()
        is_known = self._state is not None and self._state["incarnation"] == last
        return Recovered(
            clean=bool(is_known and self._state and self._state["clean"]),
            first_start=last is None,
            previous=last,
            streams={key: _state(row) for key, row in self.covered.items()},
            torn={**self._gone, **dict(self._torn())},
            quarantined=tuple(self._quarantined),
        )

    # -- load ----------------------------------------------------------------------

    def _headers(self, folder: Path) -> dict[str, Header | None]:
        """Each segment file of ``folder`` and its header, if that is intact."""
        found = {}
        for name in self._files.names(folder):
            file = self._files.open(folder / name)
            try:
                found[name] = unpack_header(file.read(HEADER_BYTES, 0))
            except NewerFormatError as error:
                raise JournalError(
                    f"{folder / name}: format {error} is newer than this program; "
                    "nothing was touched: install the version that wrote it"
                ).in_words("journal_newer", path=folder / name, format=str(error)) from error
            finally:
                file.close()
        return found

    def _load(self, found: LaneFound, headers: Mapping[str, Header | None]) -> None:
        numbers: set[int] = set()
        tombs = [header for header in headers.values() if header and header.evicts]
        for name, header in headers.items():
            if header is not None and _is_superseded(header, tombs):
                found.discarded.append(self._original(found, name, header))
                continue
            if header is None or header.number in numbers or header.lane != found.lane.value:
                self._quarantine(found, name)
                continue
            numbers.add(header.number)
            found.segments.append(self._segment(found, name, header))
        found.segments.sort(key=lambda segment: segment.number)
        self._pools[found.lane].lent += len(found.segments) + len(found.discarded)
        self._load_cursor(found)
        _drop_rewritten(found)

    def _original(self, found: LaneFound, name: str, header: Header) -> Segment:
        file = self._files.open(found.folder / name)
        try:
            return Segment(header, found.folder / name, file.size())
        finally:
            file.close()

    def _segment(self, found: LaneFound, name: str, header: Header) -> Segment:
        path = found.folder / name
        file = self._files.open(path)
        try:
            segment = Segment(header, path, file.size())
            seal = read_seal(file, header.generation, segment.size)
            if seal is None:
                frames, is_damaged = walk(file, segment.generation, segment.size)
                found.frames[header.number] = frames
                if is_damaged:
                    found.unreadable.add(header.incarnation)
            else:
                segment.describe(seal)
                segment.sealed, segment.rows = True, seal.rows
        finally:
            file.close()
        return segment

    def _load_cursor(self, found: LaneFound) -> None:
        number, generation, offset = self._cursor.get(found.lane.value, (0, 0, 0))
        last = found.segments[-1].number if found.segments else 0
        found.last_number = max(last, number)
        if number > last:
            return  # it speaks of segments that are not there: believing it could skip records
        here = (s for s in found.segments if s.number == number)
        is_same = all(segment.generation == generation for segment in here)
        found.settled = place(number, offset if is_same else HEADER_BYTES)

    def _quarantine(self, found: LaneFound, name: str) -> None:
        self._set_aside(found.folder / name, f"{found.lane.value}-{name}")

    def _set_aside(self, path: Path, target: str) -> None:
        folder = self._path / "quarantine"
        taken = self._files.names(folder)
        while target in taken:
            target += "+"
        self._files.rename(path, folder / target)
        self._quarantined.append(target)

    def _last_incarnation(self) -> str | None:
        headers = [s.header for found in self.lanes.values() for s in found.segments]
        known = str(self._state["incarnation"]) if self._state is not None else None
        if known is None:
            newest = max(headers, key=lambda header: header.time_ns, default=None)
            return newest.incarnation if newest else None
        heirs = (h.incarnation for h in headers if h.previous == known)
        return next(heirs, known)  # an heir: the newer slot of the state file was damaged

    # -- states --------------------------------------------------------------------

    def _states(self, found: LaneFound, last: str | None) -> None:
        for segment in found.segments:
            if segment.number in found.frames:
                self._sort_torn(found, segment.number, bytes.fromhex(last or ""))
                tally = Tally.of(found.frames[segment.number], found.lane.value)
                segment.describe(tally.seal(_end(found.frames[segment.number])))
                segment.rows = tuple(tally.rows.values())
            for row in segment.rows or ():
                _join(found.states, row)
                found.heads[row.incarnation, row.name] = row.last_seq
            if segment.sealed and not segment.is_tomb:
                segment.rows = None  # the seal on disk says it; memory is for the backlog

    def _sort_torn(self, found: LaneFound, number: int, last: bytes) -> None:
        """Set aside frames of ``last`` that were being written when it died."""
        torn: dict[Key, list[Frame]] = {}
        for frame in found.frames[number]:
            key = (frame.incarnation, frame.name)
            if frame.kind != Kind.RECORD:
                continue
            if frame.payload is None and frame.incarnation == last:
                torn.setdefault(key, []).append(frame)
            else:
                torn.pop(key, None)
                found.torn.pop(key, None)
        aside = {frame.at for frames in torn.values() for frame in frames}
        found.frames[number] = [f for f in found.frames[number] if f.at not in aside]
        for key, frames in torn.items():
            found.torn.setdefault(key, []).extend(frames)

    def _torn(self) -> Iterator[tuple[StreamKey, TornStream]]:
        for found in self.lanes.values():
            for (_, name), frames in found.torn.items():
                readings = sum({frame.seq: frame.readings for frame in frames}.values())
                first, last = frames[0], frames[-1]
                yield (
                    (found.lane, name.decode()),
                    TornStream(first.seq, last.seq, first.time_ns, last.time_ns, readings),
                )

    def _apply_marks(self) -> None:
        """Join what frames say with what marks say."""
        for lane, found in self.lanes.items():
            for name, row in found.states.items():
                self.covered[lane, name.decode()] = row
        for mark in self._marks():
            self._apply(mark)

    def _apply(self, mark: Row) -> None:
        """Let ``mark`` say how far its stream was watched, and what of it is missing."""
        found, key = self.lanes[mark.lane], (mark.lane, mark.name.decode())
        known = self.covered.setdefault(key, mark)
        if mark.name not in found.states:
            # Its frames were let go, or are lost: marks alone tell of it, the last one most.
            if mark.incarnation.hex() in found.unreadable or _should_hold(found, mark):
                self._gone[key] = self._lost(mark)
            if known.incarnation != mark.incarnation or known.last_seq < mark.last_seq:
                self.covered[key] = mark
        if known.incarnation != mark.incarnation:
            return
        if mark.last_seq == known.last_seq and mark.covered_ns is not None:
            self.covered[key] = known._replace(covered_ns=mark.covered_ns)
        elif mark.last_seq < known.last_seq and mark.covered_ns != ENDED:
            self.covered[key] = known._replace(covered_ns=_further(known, mark))

    def _lost(self, mark: Row) -> TornStream:
        """All that ``mark`` counted: nothing of it is there."""
        to_ns = self._now_ns if mark.covered_ns in (None, ENDED) else mark.covered_ns
        from_ns = min(self._began_ns(mark.incarnation.hex()), to_ns)
        return TornStream(1, mark.last_seq, from_ns, to_ns, None, Cause.JOURNAL_CORRUPT)

    def _marks(self) -> list[Row]:
        """Rows of marks, oldest first, from the last mark that names every stream on."""
        found, rows = self.lanes[Lane.META], list[Row]()
        for segment in reversed(found.segments):
            frames = self._frames(found, segment)
            marks = [f for f in frames if f.kind == Kind.MARK and f.payload is not None]
            rows[:0] = [row for f in marks for row in unpack_rows(f.payload or b"")]
            if any(f.flags & FULL for f in marks):
                break
        return [row for row in rows if row.last_seq]

    def _frames(self, found: LaneFound, segment: Segment) -> list[Frame]:
        if segment.number in found.frames:
            return found.frames[segment.number]
        file = self._files.open(segment.path)
        try:
            return walk(file, segment.generation, segment.size)[0]
        finally:
            file.close()

    # -- gather and survey ---------------------------------------------------------

    def _gather_all(self) -> None:
        """Meta first: its table keeps the states of records the other lanes may drop."""
        try:
            for lane in (Lane.META, Lane.ALARM, Lane.DATA):
                table = self._table() if lane is Lane.META else []
                Gathering(self.lanes[lane], self._files, self._pools[lane], table).run()
        except OSError as error:
            log.warning("journal tails not gathered", error=str(error))

    def _table(self) -> list[Draft]:
        """The mark that names every stream there is."""
        rows = pack_rows(self.covered.values())
        return [Draft(Kind.MARK, FULL, bytes(16), b"", 0, 0, 0, 0, rows)] if rows else []

    def settling(self, lane: Lane) -> Settling:
        """What a reader of ``lane`` must find next, as of the settled position.

        Raises:
            OSError: The disk cannot be read.
        """
        found = self.lanes[lane]
        settling, seen = Settling(found.settled, {}), set[Key]()
        for segment in found.segments:
            if segment.number < found.settled >> 32:
                for row in seal_rows(self._files, segment):
                    settling.expected[row.incarnation, row.name] = (
                        row.last_seq + 1,
                        row.last_ns,
                    )
            elif segment.number == found.settled >> 32:
                self._survey(found, segment, settling)
            self._expect_from_one(found, segment, settling, seen)
        return settling

    def _expect_from_one(
        self, found: LaneFound, segment: Segment, settling: Settling, seen: set[Key]
    ) -> None:
        """What stood before ``segment`` in its incarnation and is not there is lost.

        seen: streams that stand before it; those of ``segment`` are added.
        """
        rows = {(row.incarnation, row.name): row for row in seal_rows(self._files, segment)}
        if found.is_all_there(segment.header):
            began_ns = self._began_ns(segment.header.incarnation)
            for key in rows.keys() - seen:
                if key[0].hex() == segment.header.incarnation:
                    due = (1, min(began_ns, rows[key].first_ns))
                    settling.expected.setdefault(key, due)
        seen.update(rows)

    def _began_ns(self, incarnation: str) -> int:
        """When ``incarnation`` began, or else took its first segment that is still there."""
        if self._state is not None and self._state["incarnation"] == incarnation:
            return int(self._state.get("began_ns", 0))
        headers = (s.header for found in self.lanes.values() for s in found.segments)
        return min((h.time_ns for h in headers if h.incarnation == incarnation), default=0)

    def _survey(self, found: LaneFound, segment: Segment, settling: Settling) -> None:
        for n, row in enumerate(seal_rows(self._files, segment), start=1):
            if segment.header.gathered:
                restate(settling.expected, row)
            if segment.is_tomb and place(segment.number, segment.size + n) <= settling.position:
                settling.expected[row.incarnation, row.name] = (row.last_seq + 1, row.last_ns)
        for frame in self._frames(found, segment):
            if place(segment.number, frame.end) > settling.position:
                return
            if frame.kind in DELIVERED:
                key = (frame.incarnation, frame.name)
                settling.expected[key] = (frame.seq + 1, frame.time_ns)
                settling.records += 1
                settling.readings += frame.readings
                settling.paid[key] = settling.paid.get(key, 0) + frame.readings

    def discard(self) -> None:
        """Give the originals of what was gathered back to the pool."""
        for lane, found in self.lanes.items():
            pool = self._pools[lane]
            for segment in found.discarded:
                if segment.size == pool.segment_bytes:
                    pool.give(segment.path)
                else:
                    pool.lost()
                    self._files.remove(segment.path)

    def schemas(self) -> set[int]:
        """Every schema a stored record was written with."""
        segments = (s for found in self.lanes.values() for s in found.segments)
        return {key for segment in segments for key in segment.schemas}

    def cursor(self) -> dict[str, tuple[int, int, int]]:
        """What the cursor file must say now that tails were gathered."""
        generations = {
            (lane, s.number): s.generation
            for lane, found in self.lanes.items()
            for s in found.segments
        }
        return {
            lane.value: (
                found.settled >> 32,
                generations.get((lane, found.settled >> 32), 0),
                found.settled & 0xFFFFFFFF,
            )
            for lane, found in self.lanes.items()
        }


def _should_hold(found: LaneFound, mark: Row) -> bool:
    """The records ``mark`` counted were never let go: they must be in the lane."""
    if not found.segments:
        return True  # the newest segment is never let go
    newest = found.segments[-1].header
    return newest.incarnation == mark.incarnation.hex() and found.is_all_there(newest)


def _is_superseded(header: Header, tombs: Iterable[Header]) -> bool:
    """A tomb that stands for ``header`` and more was durable before the crash."""
    return any(
        tomb is not header and tomb.evicts <= header.number <= tomb.number for tomb in tombs
    )


def _drop_rewritten(found: LaneFound) -> None:
    """Where a flush failed the records stand again, whole, in a later segment: those count."""
    first: dict[Key, int] = {}
    for segment in reversed(found.segments):
        frames = found.frames.get(segment.number)
        if frames is None:
            begins = {(row.incarnation, row.name): row.first_seq for row in segment.rows or ()}
        else:
            frames = [f for f in frames if f.seq < first.get(f[2:4], f.seq + 1)]
            found.frames[segment.number] = frames
            begins = {f[2:4]: first_of(f)[0] for f in reversed(frames) if f.kind in DELIVERED}
        for key, seq in begins.items():
            first[key] = min(seq, first.get(key, seq))


def _join(states: dict[bytes, Row], row: Row) -> None:
    """Let ``row``, which stands later in the lane, speak for its stream."""
    former = states.pop(row.name, None)
    if former is not None and former.incarnation == row.incarnation:
        row = row._replace(
            last_seq=max(row.last_seq, former.last_seq),
            covered_ns=former.covered_ns if row.covered_ns is None else row.covered_ns,
        )
    states[row.name] = row


def _end(frames: list[Frame]) -> int:
    return frames[-1].end if frames else HEADER_BYTES


def _further(one: Row, other: Row) -> int | None:
    known = [row.covered_ns for row in (one, other) if row.covered_ns is not None]
    return max(known, default=None)


def _state(row: Row) -> StreamState:
    return StreamState(row.incarnation.hex(), row.last_seq, row.covered_ns)
