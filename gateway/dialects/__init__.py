"""Dialects: how records of the journal become topics and payloads, at delivery time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gateway.record import Record


class Origin(NamedTuple):
    """What the records of one message share."""

    incarnation: str
    boot: str | None
    """None when no record of the message could be read any more."""
    device: str
    lane: str
    first: int
    last: int
    replay: str | None = None
    """Of what is published again, out of order: why."""


class Dialect(Protocol):
    """A way to write records for the platform."""

    overhead_bytes: int
    """What a message adds to each encoded record at most."""
    head_bytes: int
    """What a message adds to all its records together at most."""

    def topic(self, kind: str, device: str | None = None) -> str:
        """Where messages of one kind (a lane, ``status`` …) go."""

    def record(self, seq: int, record: Record) -> bytes:
        """One record, encoded once, when it is read from the journal."""

    def message(
        self,
        origin: Origin,
        parts: Sequence[bytes],
        late: Sequence[bool],
        *,
        volatile: bool = False,
    ) -> bytes:
        """The payload of consecutive records of one stream.

        parts: what `record` gave, in seq order; late: for each, whether it is published
        more than 10 s after its time. volatile: no disk holds them yet.
        """
