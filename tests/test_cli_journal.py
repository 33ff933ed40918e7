"""``tidegate journal``: a look at a journal that is in use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.journal import Journal
from gateway.model import Batch, Lane
from gateway.record import Encoder, encode_schema, layout_of
from tests.delivery.plant import BOOT, START_NS, block, stamp
from tests.journal.rig import StillClock, close, commit, open_journal, small

BLOCK = block("tk101")


@pytest.fixture
def live(tmp_path: Path) -> Journal:
    """A journal that is open and holds 200 records, the oldest evicted."""
    schema = encode_schema([layout_of(BLOCK)])
    journal = open_journal(small(tmp_path / "j", size=1), StillClock(), schema=schema)
    encoder = Encoder(BOOT, [BLOCK], [layout_of(BLOCK)])
    for n in range(400):
        batch = Batch(BLOCK, START_NS + n * 10**9, (n, 1, 2, 3))
        journal.append(Lane.DATA, "tk101", encoder.batch(batch, stamp()),
                       time_ns=batch.time_ns, readings=4, covers=True)  # fmt: skip
        assert commit(journal)
    return journal


def run(journal: Journal, verb: str, *more: str) -> Result:
    path = str(journal._settings.path)
    return CliRunner().invoke(main, ["journal", verb, "--path", path, "--lang", "en", *more])


def test_stat_says_what_is_kept_and_what_was_given_up(live: Journal) -> None:
    done = run(live, "stat")
    evicted = live.stats().lanes[Lane.DATA].evicted_records
    assert done.exit_code == 0
    assert f"{400 - evicted} records" in done.output
    assert f"{evicted} evicted" in done.output
    close(live)


def test_stat_says_what_is_kept_although_it_is_delivered(live: Journal) -> None:
    held = live.stats().lanes[Lane.DATA].unsettled_records
    found = live.read(Lane.DATA, live.settled(Lane.DATA), max_bytes=1 << 20, max_records=21)
    live.settle(Lane.DATA, found[-1].position)
    live._save_cursor()
    done = run(live, "stat")
    assert f"{held - 20} not delivered, 20 delivered and kept" in done.output
    close(live)


def test_a_journal_in_use_is_found_whole_and_is_not_touched(live: Journal) -> None:
    root = live._settings.path
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in root.rglob("*")}
    done = run(live, "verify")
    assert done.exit_code == 0, done.output
    assert {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in root.rglob("*")} == before
    close(live)


def test_verify_names_the_damaged_segment_and_exits_1(live: Journal) -> None:
    victim = min((live._settings.path / "data").glob("seg-*"))
    content = bytearray(victim.read_bytes())
    content[4096 + 100] ^= 1
    victim.write_bytes(content)
    done = run(live, "verify")
    assert done.exit_code == 1
    assert str(victim) in done.output
    close(live)


def test_export_prints_decoded_records_within_the_bounds(live: Journal) -> None:
    done = run(live, "export", "--since", "2026-11-22T03:10:00Z", "--device", "tk101")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 0, done.output
    assert rows[-1]["values"] == {"t000": 399, "t001": 1, "t002": 2, "t003": 3}
    assert [row["seq"] for row in rows] == list(range(rows[0]["seq"], 401))
    assert rows[0]["time"].startswith("2026-11-22T03:10:0")
    assert run(live, "export", "--lane", "alarm").stdout == ""
    assert run(live, "export", "--device", "other").stdout == ""
    close(live)


def test_no_journal_is_said_in_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        main, ["journal", "stat", "--path", str(tmp_path), "--lang", "en"]
    )
    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 1
