"""Which blocks are read in place of a block that a device refused as a whole.

    whole ──refused──▶ halves ──refused──▶ … ──▶ single tags, the refused ones at rest

A refused address must not blind its neighbours: a refused block is halved, and each
half planned again, until what is refused cannot be halved. When a refused piece answers
again, or when every piece is refused, the whole takes the place of its pieces: so a
device that refused everything for a while (a program download) is not left shattered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gateway.model import Batch, Block, Tag


class Division:
    """The pieces now in use of each divided block. Blocks are told apart by identity."""

    def __init__(self, plan: Callable[[Sequence[Tag]], Sequence[Block[Any]]]) -> None:
        """plan: the driver's, pure."""
        self._plan = plan
        self._places: dict[Block[Any], tuple[Block[Any], tuple[int, ...]]] = {}
        self._pieces: dict[Block[Any], set[Block[Any]]] = {}
        self.refused: set[Block[Any]] = set()
        """Blocks that were refused and cannot, or shall not, be halved."""
        self.samples: set[Block[Any]] = set()
        """Single tags of a refused whole, asked for once to see whether it lives again."""
        self._sampled: dict[Block[Any], int] = {}

    def whole(self, block: Block[Any]) -> Block[Any]:
        """The configured block that ``block`` is, or is a piece of."""
        return self._places[block][0] if block in self._places else block

    def place(self, block: Block[Any]) -> tuple[Block[Any], Sequence[int]]:
        """The whole of ``block``, and the rows of it that ``block`` reads."""
        return self._places.get(block) or (block, range(len(block.tags)))

    def is_current(self, block: Block[Any]) -> bool:
        """Whether ``block`` is still to be read: not replaced by halves, or by its whole."""
        whole = self.whole(block)
        return block in self._pieces.get(whole, (whole,)) or block in self.samples

    def in_whole(self, batch: Batch) -> Batch:
        """``batch`` with the whole as its block, so that its records keep their layout."""
        if batch.block not in self._places:
            return batch
        whole, rows = self._places[batch.block]
        index = rows if batch.index is None else [rows[i] for i in batch.index]
        return Batch(
            whole,
            batch.time_ns,
            batch.values,
            batch.quality,
            index,
            batch.source_time_ns,
            batch.mono_ns,
            batch.server_time_ns,
        )

    def halve(self, block: Block[Any]) -> list[Block[Any]]:
        """The blocks to read in place of ``block``, which has two tags or more."""
        whole, rows = self.place(block)
        row_of = {id(tag): row for tag, row in zip(block.tags, rows, strict=True)}
        middle = len(block.tags) // 2
        halves = [*self._plan(block.tags[:middle]), *self._plan(block.tags[middle:])]
        for half in halves:
            self._places[half] = whole, tuple(row_of[id(tag)] for tag in half.tags)
        pieces = self._pieces.setdefault(whole, set())
        pieces.discard(block)
        pieces.update(halves)
        self.refused.discard(block)
        return halves

    def refuse(self, block: Block[Any]) -> Block[Any] | None:
        """Note that ``block`` stays refused; the whole, when with it every piece is refused."""
        self.refused.add(block)
        whole = self.whole(block)
        pieces = self._pieces.get(whole)
        if pieces is None or not pieces <= self.refused:
            return None
        self.restore(block)
        self.refused.add(whole)
        return whole

    def restore(self, block: Block[Any]) -> Block[Any] | None:
        """Put the whole in place of its pieces; None when ``block`` is a whole in its place."""
        whole = self.whole(block)
        self.refused.discard(whole)
        pieces = self._pieces.pop(whole, None)
        self.refused.difference_update(pieces or ())
        return None if pieces is None else whole

    def sample(self, whole: Block[Any]) -> Block[Any]:
        """The next tag of a refused whole, as a block to be asked for once.

        One bad address keeps a whole refused for ever; a tag that answers shows that the
        others may be had again.
        """
        row = self._sampled.get(whole, 0) % len(whole.tags)
        self._sampled[whole] = row + 1
        (sample,) = self._plan([whole.tags[row]])
        self._places[sample] = whole, (row,)
        self.samples.add(sample)
        return sample

    def revive(self, sample: Block[Any]) -> None:
        """A sample answered: its whole may be halved when it is refused next."""
        self.samples.discard(sample)
        self.refused.discard(self.whole(sample))

    def retire(self, whole: Block[Any]) -> None:
        """From now on neither ``whole`` nor any piece of it is current."""
        self._pieces[whole] = set()
        self.refused.discard(whole)
        self.samples -= {sample for sample in self.samples if self.whole(sample) is whole}

    def drop(self, block: Block[Any]) -> None:
        """Forget a replaced piece for good; nothing is queued for it any more."""
        self._places.pop(block, None)
