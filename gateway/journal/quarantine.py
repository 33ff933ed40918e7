"""What the broker would not take: kept for a person, and the gaps owed for it.

``refused.jsonl``  one line per record, newest last; ``refused.old.jsonl`` the lines before.
                   Beyond two files the oldest lines go: what they were is in the gaps.
``owed-<lane>``    one row per stream whose topic takes nothing: the gap it is owed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from gateway.journal.files import Files
from gateway.journal.words import Damage
from gateway.model import Cause, Lane

FILE_BYTES = 1 << 20
"""Longest ``refused.jsonl``; there are never more than two."""


class Quarantine:
    """The folder ``quarantine/`` of one journal."""

    def __init__(self, files: Files, folder: Path) -> None:
        self._files = files
        self._folder = folder

    def keep(self, lines: Iterable[bytes]) -> None:
        """Keep ``lines``; on return they are on the medium.

        Raises:
            OSError: The disk refused.
        """
        for line in lines:
            self._append(line + b"\n")

    def _append(self, line: bytes) -> None:
        path = self._folder / "refused.jsonl"
        file = self._files.open(path, create=True)
        try:
            end = file.size()
            if end + len(line) <= FILE_BYTES or not end:
                file.write(line, end)
                file.sync()
                return
        finally:
            file.close()
        self._files.rename(path, self._folder / "refused.old.jsonl")
        self._append(line)

    def owed(self, lane: Lane) -> list[Damage]:
        """The gaps that are owed, one per stream; none where nobody can say.

        Raises:
            OSError: The disk cannot be read.
        """
        name = f"owed-{lane}"
        if name not in self._files.names(self._folder):
            return []
        file = self._files.open(self._folder / name)
        try:
            content = file.read(file.size(), 0)
        finally:
            file.close()
        return [Damage._make([*row, Cause.QUARANTINED]) for row in json.loads(content)]

    def owe(self, lane: Lane, gaps: Sequence[Damage]) -> None:
        """From now on exactly ``gaps`` are owed in ``lane``; on return that is durable.

        Raises:
            OSError: The disk refused; what was owed before still is.
        """
        draft = self._folder / f"owed-{lane}.new"
        content = json.dumps([gap[:-1] for gap in gaps]).encode()
        if draft.name in self._files.names(self._folder):
            self._files.remove(draft)
        file = self._files.open(draft, create=True)
        try:
            file.write(content, 0)
            file.sync()
            self._files.rename(draft, self._folder / f"owed-{lane}")
            file.sync()  # see `Files.rename`
        finally:
            file.close()
        self._files.sync_folder(self._folder)
