"""What no protocol owns: which readings of a poll are worth a record.

Report by exception. A tag without a dead band is reported at every poll. One with a
dead band is reported when its value has moved by more than that since it was last
reported, or its quality has changed. Everything is reported (a full image) after
`ImageRule.forget`, and at least every ``max_silence``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from operator import ne
from typing import Any, NamedTuple

from gateway.model import Batch, Block, Scalar


class ImageRule:
    """Report by exception for the batches of one block."""

    def __init__(self, block: Block[Any]) -> None:
        tags = block.tags
        self._reports_all = all(tag.deadband is None for tag in tags)
        self._bands = [tag.deadband for tag in tags]
        self._has_bands = all(tag.deadband is not None for tag in tags)
        self._max_silence_ns = int(min(tag.max_silence_s for tag in tags) * 1e9)
        self._values: list[Scalar] = [None] * len(tags)
        self._quality: bytearray = bytearray(len(tags))
        self._image_ns: int | None = None
        self._piece_image_ns: dict[tuple[int, ...], int] = {}

    def forget(self) -> None:
        """Report the next batch in full."""
        self._image_ns = None
        self._piece_image_ns.clear()

    def lose(self, bad: Batch) -> None:
        """From now on the tags of ``bad`` have no value; what comes next is news in full."""
        rows = range(len(self._bands)) if bad.index is None else bad.index
        self._keep_rows(bad, rows)
        self.forget()

    def unhear(self, rows: Sequence[int]) -> None:
        """Changes of ``rows`` are lost: what they show next is news, whatever it is."""
        self.forget()

    def latest(self) -> tuple[Sequence[Scalar], bytes]:
        """The newest value and quality of each tag; None for a tag never read."""
        return self._values, bytes(self._quality)

    def image(self, heard: Batch) -> Batch | None:
        """What to report beside ``heard`` though nobody read it; None: a poll brings it."""
        return None

    def report(self, batch: Batch) -> Batch | None:
        """The part of ``batch`` to record; None when nothing in it is news."""
        if batch.index is not None:
            return self._report_rows(batch, batch.index)
        if self._reports_all or self._is_due(self._image_ns, batch.elapsed_ns):
            return self._keep(batch)
        rows = self._rows_with_news(batch)
        if not rows:
            return None
        if len(rows) == len(batch.values):
            return self._keep(batch)
        return self._keep_rows(batch.select(rows), rows)

    def _rows_with_news(self, batch: Batch) -> list[int]:
        values, quality = batch.values, batch.quality
        candidates: Iterable[int] = range(len(values))
        if self._has_bands and quality is None and not any(self._quality):
            # Same quality everywhere: only values that differ at all can be news.
            candidates = compress(candidates, map(ne, values, self._values))
        return [
            row
            for row in candidates
            if self._is_news(row, values[row], 0 if quality is None else quality[row])
        ]

    def _report_rows(self, batch: Batch, index: Sequence[int]) -> Batch | None:
        """Like `report`, for a piece of a divided block: it has an image of its own."""
        piece = tuple(index)
        if self._is_due(self._piece_image_ns.get(piece), batch.elapsed_ns):
            self._piece_image_ns[piece] = batch.elapsed_ns
            return self._keep_rows(batch, index)
        quality = batch.quality
        rows = [
            at
            for at, row in enumerate(index)
            if self._is_news(row, batch.values[at], quality[at] if quality else 0)
        ]
        if not rows:
            return None
        return self._keep_rows(batch.select(rows), [index[at] for at in rows])

    def _is_due(self, image_ns: int | None, now_ns: int) -> bool:
        return image_ns is None or not 0 <= now_ns - image_ns < self._max_silence_ns

    def _is_news(self, row: int, value: Scalar, quality: int) -> bool:
        band, last = self._bands[row], self._values[row]
        if band is None or quality != self._quality[row]:
            return True
        if value == last:
            return False
        if not band or value is None or last is None or isinstance(value, str | bool):
            return True
        return abs(value - last) > band  # type: ignore[operator]

    def _keep(self, batch: Batch) -> Batch:
        self._values = list(batch.values)
        self._quality = bytearray(batch.quality or bytes(len(batch.values)))
        self._image_ns = batch.elapsed_ns
        return batch

    def _keep_rows(self, batch: Batch, rows: Sequence[int]) -> Batch:
        for at, row in enumerate(rows):
            self._values[row] = batch.values[at]
            self._quality[row] = 0 if batch.quality is None else batch.quality[at]
        return batch


class SubscribedRule(ImageRule):
    """Report by exception for a block whose device speaks only when a value changes.

    Its batches hold some of the tags, so the rule remembers the newest of every tag and
    gives the full image itself, as long as the device is heard.
    """

    def __init__(self, block: Block[Any]) -> None:
        super().__init__(block)
        count = len(block.tags)
        self._block = block
        self._heard = bytearray(count)
        self._newest: list[_Newest] = [_Newest()] * count

    def forget(self) -> None:
        """Give the full image of what is known with the next batch."""
        self._image_ns = -self._max_silence_ns if any(self._heard) else None

    def lose(self, bad: Batch) -> None:
        """From now on the tags of ``bad`` have no value; their next word is news."""
        rows = range(len(self._heard)) if bad.index is None else bad.index
        for at, row in enumerate(rows):
            self._newest[row], self._heard[row] = _newest(bad, at), 0
        self._keep_rows(bad, rows)

    def unhear(self, rows: Sequence[int]) -> None:
        """Changes of ``rows`` are lost: their next word is news, whatever it is."""
        for row in rows:
            self._heard[row] = 0

    def latest(self) -> tuple[Sequence[Scalar], bytes]:
        """The newest value and quality of each tag; None for a tag never heard."""
        return [n.value for n in self._newest], bytes(n.quality for n in self._newest)

    def report(self, batch: Batch) -> Batch | None:
        """The part of ``batch`` to record; None when nothing in it is news."""
        index = range(len(batch)) if batch.index is None else batch.index
        if self._image_ns is None and index:
            self._image_ns = batch.elapsed_ns
        rows = []
        for at, row in enumerate(index):
            newest = self._newest[row] = _newest(batch, at)
            if not self._heard[row] or self._is_news(row, newest.value, newest.quality):
                self._heard[row] = 1
                self._values[row], self._quality[row] = newest[:2]
                rows.append(at)
        if not rows:
            return None
        return batch if len(rows) == len(batch) else batch.select(rows)

    def image(self, heard: Batch) -> Batch | None:
        """The newest of every tag heard, at least every ``max_silence``."""
        if self._image_ns is None or not self._is_due(self._image_ns, heard.elapsed_ns):
            return None
        self._image_ns = heard.elapsed_ns
        rows = [row for row, heard in enumerate(self._heard) if heard]
        if not rows:
            return None
        newest = [self._newest[row] for row in rows]
        for row, (value, quality, *_) in zip(rows, newest, strict=True):
            self._values[row], self._quality[row] = value, quality
        return Batch(
            self._block,
            heard.time_ns,
            [n.value for n in newest],
            bytes(n.quality for n in newest),
            rows,
            [n.source_time_ns for n in newest],
            server_time_ns=[n.server_time_ns for n in newest],
        )


class _Newest(NamedTuple):
    """The last word of one tag."""

    value: Scalar = None
    quality: int = 0
    source_time_ns: int | None = None
    server_time_ns: int | None = None


def _newest(batch: Batch, at: int) -> _Newest:
    return _Newest(
        batch.values[at],
        0 if batch.quality is None else batch.quality[at],
        None if batch.source_time_ns is None else batch.source_time_ns[at],
        None if batch.server_time_ns is None else batch.server_time_ns[at],
    )
