"""How messages enter the tests: held against the schema and the table of the wire format."""

from __future__ import annotations

import json
from typing import Any

from gateway.dialects import wire
from tests.wire_form import form_errors


def checked(topic: str, payload: bytes) -> Any:
    """The message as plain JSON, valid by schema and by the table of the wire format."""
    message = json.loads(payload, parse_constant=_no_constant)
    errors = form_errors(wire.kind_of(topic).__name__, message)
    assert not errors, f"{topic}: {errors}"
    wire.parse(topic, payload)
    return message


def parsed(topic: str, payload: bytes) -> wire.Message:
    """The same as a struct."""
    checked(topic, payload)
    return wire.parse(topic, payload)


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")
