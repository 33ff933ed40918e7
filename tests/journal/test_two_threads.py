"""A thread reads a lane while another writes it: what one does in the midst of the other."""

from __future__ import annotations

import pytest

from gateway.journal.format import Frame
from gateway.journal.scan import Scan
from gateway.model import Lane
from tests.journal.fake_disk import FakeDisk
from tests.journal.rig import StillClock, close, commit, entries, open_journal, small
from tests.journal.test_journal import put


def test_records_of_a_segment_sealed_while_it_is_read_are_not_taken_for_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = open_journal(small(), StillClock(), FakeDisk())
    put(journal, count=3)
    commit(journal, Lane.DATA)
    look, later = Scan.next, [20]

    def next_frame(scan: Scan) -> Frame | None:
        frame = look(scan)
        if frame is None and later:
            put(journal, count=later.pop(), payload=bytes(1000))
            commit(journal, Lane.DATA)
        return frame

    monkeypatch.setattr(Scan, "next", next_frame)
    found = entries(journal, Lane.DATA)
    found += entries(journal, Lane.DATA, found[-1].position)
    assert [entry.seq for entry in found] == list(range(1, 24))
    assert journal.stats().lanes[Lane.DATA].segments > 1
    close(journal)
