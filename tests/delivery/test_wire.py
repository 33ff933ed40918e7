"""The table of the wire format is strict, and the checked-in schema is made from it."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from jsonschema_rs import ValidationError, meta

from gateway.dialects import terms, wire
from gateway.model import Cause, Quality
from tests.delivery.schema import checked
from tests.wire_form import SCHEMA_FILE, validator

EXAMPLE: dict[str, Any] = {
    "v": 1, "gateway": "huangma-cr1", "incarnation": "9f2c" * 8, "boot": "4be1" * 8,
    "device": "tk101", "lane": "data", "prev": 1041, "first": 1042, "last": 1044,
    "records": [
        {"seq": 1042, "time": "2026-11-22T03:04:05.123456Z",
         "mono": [81230112233, 81230118901], "clock": "synced", "bound_ms": 3,
         "values": {"level": 7.31, "pressure": 0.82}},
        {"seq": 1043, "time": "2026-11-22T03:04:06.123460Z",
         "mono": [81231112240, 81231912250], "clock": "synced", "bound_ms": 3,
         "values": {"level": None, "pressure": None},
         "quality": {"level": "bad.no_communication", "pressure": "bad.no_communication"}},
        {"seq": 1044, "time": "2026-11-22T03:05:06.123999Z", "clock": "synced", "bound_ms": 3,
         "gap": {"id": "g-77", "cause": "device_timeout", "tags": "*",
                 "from": "2026-11-22T03:04:06.123460Z", "to": "2026-11-22T03:05:05.900000Z",
                 "count": 120, "count_is": "exact"}},
    ],
}  # fmt: skip
TOPIC = "park/v1/huangma-cr1/data/tk101"


def changed(path: str, value: object) -> bytes:
    """The example with one key set; ``path`` like ``records.0.time``."""
    message = json.loads(json.dumps(EXAMPLE))
    at, keys = message, path.split(".")
    for key in keys[:-1]:
        at = at[int(key)] if key.isdigit() else at[key]
    at[keys[-1]] = value
    return json.dumps(message).encode()


def test_checked_in_schema_is_the_one_the_table_gives() -> None:
    assert SCHEMA_FILE.read_text() == wire.schema_text(), (
        "run: python -m gateway.dialects.wire > config/wire.schema.json"
    )


def test_schema_is_valid_json_schema() -> None:
    meta.validate(json.loads(SCHEMA_FILE.read_text()))


def test_example_of_the_wire_format_is_valid() -> None:
    checked(TOPIC, json.dumps(EXAMPLE).encode())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("extra", 1),
        ("v", 2),
        ("lane", "bulk"),
        ("device", "Ünit"),
        ("incarnation", "9F2C" * 8),
        ("records", []),
        ("records.0.time", "2026-11-22T03:04:05Z"),
        ("records.0.time", "2026-11-22T03:04:05.123456+08:00"),
        ("records.0.clock", "ntp"),
        ("records.0.seq", 0),
        ("records.0.late", 1),
        ("records.0.quality", {"level": "good"}),
        ("records.0.quality", {"level": "bad.luck"}),
        ("records.0.event", {"kind": "start"}),
        ("records.1.values", {"level": [1]}),
        ("records.2.gap.cause", "cosmic_rays"),
        ("records.2.gap.count", -1),
        ("records.2.gap.count_is", "about"),
        ("records.2.gap.tags", "level"),
    ],
)
def test_anything_outside_the_table_is_refused_by_schema_and_by_parse(
    path: str, value: object
) -> None:
    payload = changed(path, value)
    with pytest.raises(ValidationError):
        validator("LaneMessage").validate(json.loads(payload))
    with pytest.raises(ValueError, match=TOPIC):
        wire.parse(TOPIC, payload)


def with_event(event: dict[str, Any]) -> bytes:
    """A message whose one record is ``event``."""
    record = EXAMPLE["records"][0] | {"event": event}
    del record["values"]
    return json.dumps(EXAMPLE | {"last": 1042, "records": [record]}).encode()


DEGRADED = {"kind": "storage_degraded", "error": "disk full", "volatile": True}


def test_event_says_what_its_kind_says() -> None:
    checked(TOPIC, with_event(DEGRADED))


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"kind": "started"},
        {"kind": ["stop"]},
        {"kind": "stop", "why": "told to"},
        {"kind": "storage_degraded", "volatile": True},
        DEGRADED | {"volatile": False},
        DEGRADED | {"since": 1},
        {"kind": "replay_refused", "topic": "r/gw/replay", "reason": "tired", "count": 1},
        {"kind": "refusal", "reasons": []},
    ],
)
def test_event_of_another_kind_or_with_other_fields_is_refused(event: dict[str, Any]) -> None:
    payload = with_event(event)
    with pytest.raises(ValidationError):
        validator("LaneMessage").validate(json.loads(payload))
    with pytest.raises(ValueError, match=TOPIC):
        wire.parse(TOPIC, payload)


def test_message_whose_prev_is_not_before_its_first_is_refused() -> None:
    with pytest.raises(ValueError, match="prev"):
        wire.parse(TOPIC, changed("prev", 1040))


def test_every_quality_word_but_good_is_in_the_table() -> None:
    words = [quality.word for quality in Quality if quality is not Quality.GOOD]
    assert list(get_args(terms.NotGood)) == words


def test_every_cause_is_in_the_schema() -> None:
    causes = json.loads(SCHEMA_FILE.read_text())["$defs"]["Cause"]["enum"]
    assert set(causes) == set(Cause)


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("r/gw/data/tk101", wire.LaneMessage),
        ("r/gw/alarm/status", wire.LaneMessage),
        ("r/gw/meta/_gateway", wire.LaneMessage),
        ("r/gw/status", wire.Status),
        ("a/b/gw/heads", wire.Heads),
        ("r/gw/schema/tk101", wire.Schema),
        ("r/gw/latest/tk101", wire.Latest),
        ("r/gw/receipt/data/tk101", wire.Receipt),
        ("r/gw/replay", wire.Replay),
    ],
)
def test_topic_names_the_kind_of_message(topic: str, kind: type) -> None:
    assert wire.kind_of(topic) is kind


def test_foreign_topic_is_refused() -> None:
    with pytest.raises(ValueError, match="not a topic"):
        wire.parse("r/gw/other/tk101", b"{}")
