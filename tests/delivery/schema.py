"""The checked-in JSON Schema, as a validator of messages."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from gateway.dialects import wire

SCHEMA_FILE = Path(__file__).parents[2] / "config" / "wire.schema.json"


@cache
def validator(kind: str) -> Draft202012Validator:
    """A validator of one kind of message."""
    schema = json.loads(SCHEMA_FILE.read_text())
    return Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": schema["$defs"]})


def checked(topic: str, payload: bytes) -> Any:
    """The message as plain JSON, valid by schema and by the table of the wire format."""
    message = json.loads(payload, parse_constant=_no_constant)
    validator(wire.kind_of(topic).__name__).validate(message)
    wire.parse(topic, payload)
    return message


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")
