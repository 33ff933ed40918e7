"""The JSON Schema of the wire format: the one door by which messages enter the tests.

Compiled once for each kind of message, so that every message of every run is held against
it in full. Nothing here is taken from the gateway's code.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator

SCHEMA_FILE = Path(__file__).parents[1] / "config" / "wire.schema.json"


@cache
def validator(definition: str) -> Draft202012Validator:
    """A validator of one definition of the schema."""
    schema = json.loads(SCHEMA_FILE.read_text())
    return Draft202012Validator(
        {"$ref": f"#/$defs/{definition}", "$defs": schema["$defs"]}, mask="…"
    )


def form_errors(definition: str, content: Any) -> list[str]:
    """What is wrong with the form of a message; empty if nothing is."""
    form = validator(definition)
    if form.is_valid(content):
        return []
    return [f"{_path(e.instance_path)}: {e.message[:300]}" for e in form.iter_errors(content)]


def _path(keys: list[str | int]) -> str:
    return "$" + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
