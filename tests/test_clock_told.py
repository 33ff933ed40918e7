"""Epochs, anchors and ages, from the record to the line that a person reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.cli.listening import record_line
from gateway.dialects import Origin, wire
from gateway.dialects.json import JsonDialect
from gateway.epochs import Anchor, Epoch
from gateway.model import (
    Batch,
    Block,
    Cause,
    ClockState,
    DataType,
    Event,
    Gap,
    Quality,
    Stamp,
    Tag,
)
from gateway.record import Encoder, Made, Record, decode, layout_of
from gateway.rules import ImageRule
from tests.delivery import schema
from tests.wire_form import form_errors

BOOT = "4b" * 16
S = 10**9
DIALECT = JsonDialect("park", "gw")
EPOCH = Epoch(BOOT, 7 * S, 100, 100 - 3600 * S, ClockState.SYNCED, ClockState.UNSYNCED, None)
ANCHOR = Anchor(BOOT, 9 * S, 1_795_392_000 * S, 5)
STAMP = Stamp(1_795_392_000 * S, ClockState.UNSYNCED, None, 8 * S)
BLOCK = Block("pump", (Tag("flow", "pump", 0, DataType.INT16),), 1.0, None)
ENCODER = Encoder(BOOT, [BLOCK], [layout_of(BLOCK)])


def message_of(payload: bytes) -> tuple[str, bytes]:
    """Topic and payload of a message with one record."""
    part = DIALECT.record(1, decode(payload, [layout_of(BLOCK)]))
    origin = Origin("1a" * 16, BOOT, "_gateway", "meta", 1, 1)
    return DIALECT.topic("meta", "_gateway"), DIALECT.message(origin, [part], [False])


def parsed(event: Event) -> wire.LaneMessage:
    """As the platform gets it, held against the table and the JSON Schema."""
    topic, payload = message_of(ENCODER.event(event, STAMP))
    message = schema.parsed(topic, payload)
    assert isinstance(message, wire.LaneMessage)
    return message


def test_an_epoch_says_both_offsets_and_what_the_clock_was_and_is() -> None:
    (record,) = parsed(EPOCH.event()).records
    assert record.event == {
        "kind": "clock_epoch",
        "boot": BOOT,
        "mono": 7 * S,
        "old_offset_ns": 100,
        "new_offset_ns": 100 - 3600 * S,
        "step_ms": -3_600_000,
        "before": "synced",
        "after": "unsynced",
        "bound_ms": None,
    }


def test_an_anchor_says_utc_at_one_instant_like_every_time_on_the_wire() -> None:
    (record,) = parsed(ANCHOR.event()).records
    assert record.event == {
        "kind": "clock_anchor",
        "boot": BOOT,
        "mono": 9 * S,
        "utc": "2026-11-23T00:00:00.000000Z",
        "bound_ms": 5,
    }


@pytest.mark.parametrize("missing", ["boot", "mono", "bound_ms"])
def test_a_clock_event_that_lacks_a_field_is_not_of_the_format(missing: str) -> None:
    fields = {k: v for k, v in ANCHOR.event().fields.items() if k != missing}
    topic, payload = message_of(ENCODER.event(Event("clock_anchor", fields), STAMP))
    with pytest.raises(ValueError, match=missing):
        wire.parse(topic, payload)
    assert form_errors("LaneMessage", json.loads(payload))


@pytest.mark.parametrize(
    ("event", "lang", "words"),
    [
        (EPOCH.event(), "en", "the clock was set by -3600.0 s: synced until here, unsynced"),
        (EPOCH.event(), "zh", "时钟被调整了 -3600.0 秒"),
        (ANCHOR.event(), "en", "the clock is known: 2026-11-23T00:00:00.000000Z, within 5 ms"),
        (ANCHOR.event(), "zh", "误差不超过 5 毫秒"),
    ],
)
def test_a_person_reads_what_happened_to_the_clock(event: Event, lang: str, words: str) -> None:
    message = parsed(event)
    assert words in record_line(message, message.records[0], lang)


@pytest.mark.parametrize(
    "payload",
    [
        ENCODER.gap(Gap("g-1", Cause.DEVICE_TIMEOUT, 1, None), STAMP),
        ENCODER.event(Event("start", {}), STAMP),
        ENCODER.batch(BLOCK.bad(Quality.BAD_NO_COMMUNICATION, 5), STAMP),
    ],
    ids=["gap", "event", "bad image"],
)
def test_what_nobody_polled_carries_the_instant_it_was_written(payload: bytes) -> None:
    assert decode(payload, [layout_of(BLOCK)]).mono_ns == (8 * S, 8 * S)


def test_a_poll_carries_its_own_instants() -> None:
    payload = ENCODER.batch(Batch(BLOCK, 5, [1], mono_ns=(3, 4)), STAMP)
    record: Record = decode(payload, [layout_of(BLOCK)])
    assert record.mono_ns == (3, 4)
    assert record.made == Made(5, 4, BOOT)


@pytest.mark.parametrize("step_s", [-3600, 3600, 10**9])
def test_a_record_grows_no_older_or_younger_when_the_clock_is_set(step_s: int) -> None:
    made = Made(1000 * S, 50 * S, BOOT)
    now = Stamp((1003 + step_s) * S, ClockState.UNSYNCED, None, 53 * S)
    assert made.age_ns(BOOT, now) == 3 * S


def test_of_a_record_of_another_boot_only_the_wall_clock_tells_the_age() -> None:
    made = Made(1000 * S, 50 * S, "00" * 16)
    now = Stamp(1003 * S, ClockState.SYNCED, 1, 7 * S)
    assert made.age_ns(BOOT, now) == 3 * S


@pytest.mark.parametrize("step_s", [-3600, -3, 3600])
def test_a_step_neither_hastens_nor_delays_the_full_image(step_s: int) -> None:
    tag = Tag("flow", "pump", 0, DataType.INT16, deadband=0, max_silence_s=5.0)
    block = Block("pump", (tag,), 1.0, None)
    rule = ImageRule(block)

    def poll(at_s: int) -> Any:
        ahead_s = 1000 + (step_s if at_s > 2 else 0)
        mono_ns = (at_s * S, at_s * S)
        return rule.report(Batch(block, (at_s + ahead_s) * S, [1], mono_ns=mono_ns))

    assert [at_s for at_s in range(11) if poll(at_s)] == [0, 5, 10]
