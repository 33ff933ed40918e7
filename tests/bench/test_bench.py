"""The parts of the bench that could count wrong."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from gateway.agent import Agent
from gateway.clock import Clock
from gateway.journal import Entry
from gateway.loader import from_text
from gateway.model import Lane
from gateway.planning import plan_site
from gateway.record import Values, decode, decode_schema
from tests.bench.fill import fill
from tests.bench.plant import Noise, Still
from tests.bench.site import PER_BLOCK, Site
from tests.bench.subscriber import Tally, take


def publish(topic: bytes, payload: bytes) -> bytes:
    body = struct.pack(">H", len(topic)) + topic + payload
    assert 128 <= len(body) < 16_384
    return bytes((0x30, len(body) & 0x7F | 0x80, len(body) >> 7)) + body


def record(reply_ns: int) -> bytes:
    values = b",".join(b'"n%05d.pv":%d' % (n, n) for n in range(20))
    return b'{"seq":1,"mono":[1,%d],"values":{%s}}' % (reply_ns, values)


def test_every_reading_and_every_age_is_counted_however_the_stream_is_cut() -> None:
    stream = publish(b"bench/bench/data/d1", record(1_000_000) + record(2_000_000)) * 3
    buffer, tally = bytearray(), Tally()
    for byte in stream:
        buffer.append(byte)
        take(buffer, tally, now_ns=3_000_000)
    assert (tally.messages, tally.readings, len(buffer)) == (3, 120, 0)
    assert sorted(tally.ages_ns) == [1_000_000] * 3 + [2_000_000] * 3


def test_alarms_and_newest_values_are_no_readings() -> None:
    stream = publish(b"bench/bench/alarm/d1", record(1_000_000))
    stream += publish(b"bench/bench/latest/d1", record(1_000_000))
    tally = Tally()
    take(bytearray(stream), tally, now_ns=4_000_000)
    assert (tally.readings, tally.alarm_ages_ns, tally.latest) == (0, [3_000_000], 1)


def test_only_messages_of_the_data_lane_are_counted() -> None:
    tally = Tally()
    take(bytearray(publish(b"bench/bench/schema/d1", record(1))), tally, now_ns=2)
    assert tally.messages == 0


@pytest.mark.parametrize("kind", ["int16", "float32"])
def test_a_site_is_read_in_whole_requests(kind: str) -> None:
    text = Site(10_000, kind).yaml(plant_port=1, broker_port=2, journal=Path("/nowhere"))
    blocks = [b for link in plan_site(from_text(text), Clock()) for b in link.blocks]
    assert sum(len(block.tags) for block in blocks) == 10_000
    assert max(len(block.tags) for block in blocks) == PER_BLOCK[kind]


def test_a_unit_with_a_limit_has_it_on_its_first_tag_and_is_read_as_before() -> None:
    site = Site(1000, registers=100, high=20_000)
    text = site.yaml(plant_port=1, broker_port=2, journal=Path("/nowhere"))
    links = plan_site(from_text(text), Clock())
    assert [len(block.tags) for link in links for block in link.blocks] == [100] * 10
    limited = [name for link in from_text(text).links for name in link.alarms]
    assert limited == [(f"d{number}", "n00001.pv") for number in range(1, 11)]


async def test_a_filled_journal_holds_what_its_agent_would_have_written(tmp_path: Path) -> None:
    site = Site(1000, registers=100, high=20_000, journal="64MiB")
    filled = await fill(site, tmp_path / "journal", 20_000)
    assert (filled.readings, filled.records, filled.unsettled) == (20_000, 200, 200)
    text = site.yaml(plant_port=1, broker_port=1, journal=tmp_path / "journal")
    agent = Agent(from_text(text), Clock())
    journal = agent._open_journal()
    entries = journal.read(Lane.DATA, 0, max_bytes=1 << 20, max_records=1000)
    first, *_, last = entries
    assert isinstance(first, Entry)
    assert isinstance(last, Entry)
    assert (first.stream, first.seq, last.stream, last.seq) == ("d1", 1, "d10", 20)
    body = decode(last.payload, decode_schema(journal.schema(last.schema))).body
    assert isinstance(body, Values)
    assert len(body.values) == 100
    await journal.close(clean=True)


def test_one_percent_changes_and_the_rest_stands_still() -> None:
    plant = Still(">h", 0.01)
    before = struct.unpack(">10000h", plant.read(1, 0, 10_000))
    plant.turn()
    after = struct.unpack(">10000h", plant.read(1, 0, 10_000))
    assert 90 <= sum(a != b for a, b in zip(before, after, strict=True)) <= 100


def test_with_noise_nearly_all_values_change(monkeypatch: pytest.MonkeyPatch) -> None:
    plant, seconds = Noise(">h"), iter([5.0, 6.0])
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    before = struct.unpack(">125h", plant.read(1, 0, 125))
    after = struct.unpack(">125h", plant.read(1, 0, 125))
    assert sum(a != b for a, b in zip(before, after, strict=True)) > 120
