"""How a person writes single values: durations, sizes, names, numbers, dead bands.

Each is a pydantic type with its own error, told by a code of the catalogue, and its own
JSON Schema for editors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Final, Self, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gateway.model import TagClass

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)(B|KiB|MiB|GiB|TiB)")
_SIZE_BYTES: Final = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_PERCENT: Final = re.compile(r"(\d+(?:\.\d+)?)%")


def wrong(code: str, *at: str | int, **fields: object) -> PydanticCustomError:
    """The error a validator raises: a code of the catalogue and its fields.

    at: leads from the validated object to the key at fault; empty means the object itself.
    """
    return PydanticCustomError(code, "see `gateway.messages`", {**fields, "at": at})


def seconds(written: object) -> float:
    """``250ms`` as 0.25; a bare number is refused: nobody can tell its unit. 0 is fine."""
    if written == 0 and not isinstance(written, bool):
        return 0.0
    match = _DURATION.fullmatch(written) if isinstance(written, str) else None
    if match is None:
        raise wrong("not_a_duration", value=written)
    return float(match[1]) * _DURATION_S[match[2]]


def size_bytes(written: object) -> int:
    """``64KiB`` as 65536."""
    match = _SIZE.fullmatch(written) if isinstance(written, str) else None
    if match is None:
        raise wrong("not_a_size", value=written)
    return int(float(match[1]) * _SIZE_BYTES[match[2]])


def duration(seconds: float) -> str:
    """Seconds as a person writes them, in the largest unit without a fraction."""
    for unit, each in reversed(_DURATION_S.items()):
        count = round(seconds / each)
        if count and abs(count * each - seconds) < 1e-9:
            return f"{count}{unit}"
    return f"{seconds:g}s" if seconds else "0"


def size(count: int) -> str:
    """Bytes as a person writes them, in the largest unit without a fraction."""
    unit = next(unit for unit, each in reversed(_SIZE_BYTES.items()) if count % each == 0)
    return f"{count // _SIZE_BYTES[unit]}{unit}"


def limit_as_written(written: object, limit: float) -> object:
    """``limit`` as a person writes it who wrote a size or a duration; else the number."""
    if not isinstance(written, str):
        return limit
    return size(int(limit)) if _SIZE.fullmatch(written) else duration(limit)


def _name(written: object) -> object:
    if isinstance(written, str) and not NAME.fullmatch(written):
        raise wrong("not_a_name", value=written)
    return written


def _tag_class(written: object) -> TagClass:
    words = [level.name.lower() for level in TagClass]
    if written not in words:
        raise wrong("not_one_of", value=written, allowed=words)
    return TagClass[str(written).upper()]


def _deadband(written: object) -> object:
    if isinstance(written, str) and not _PERCENT.fullmatch(written):
        raise wrong("not_a_deadband", value=written)
    return written


def _address(written: object) -> object:
    """Addresses are text; ``40101`` needs no quotes."""
    return str(written) if type(written) is int else written


_PAIR: Final = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
DURATION_PATTERN: Final = f"^{_DURATION.pattern}$"
SIZE_PATTERN: Final = f"^{_SIZE.pattern}$"
_DURATION_SCHEMA: Final = {
    "anyOf": [
        {"type": "string", "pattern": DURATION_PATTERN, "examples": ["250ms", "10m"]},
        {"const": 0},
    ]
}
_SIZE_SCHEMA: Final = {
    "type": "string",
    "pattern": SIZE_PATTERN,
    "examples": ["64KiB", "4GiB"],
}

Duration: TypeAlias = Annotated[
    float, BeforeValidator(seconds), WithJsonSchema(_DURATION_SCHEMA)
]
"""Seconds, written ``250ms``, ``1s``, ``10m``, ``24h``."""
Interval: TypeAlias = Annotated[
    float, BeforeValidator(seconds), Field(gt=0), WithJsonSchema(_DURATION_SCHEMA["anyOf"][0])
]
"""A `Duration` above zero."""
Size: TypeAlias = Annotated[int, BeforeValidator(size_bytes), WithJsonSchema(_SIZE_SCHEMA)]
"""Bytes, written ``64KiB``, ``4GiB``."""
Number: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Pair: TypeAlias = Annotated[tuple[Number, Number], WithJsonSchema(_PAIR)]
Name: TypeAlias = Annotated[
    str,
    BeforeValidator(_name),
    WithJsonSchema({"type": "string", "pattern": f"^{NAME.pattern}$"}),
]
"""The name of a gateway, link or device; free text goes into ``label``."""
Class: TypeAlias = Annotated[
    TagClass,
    BeforeValidator(_tag_class),
    WithJsonSchema({"enum": [level.name.lower() for level in TagClass]}),
]
Deadband: TypeAlias = Annotated[
    Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)] | str,
    BeforeValidator(_deadband),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": f"^{_PERCENT.pattern}$"},
            ]
        }
    ),
]
"""A number in the tag's unit, or ``1%`` of the range; 0 reports every change."""
Address: TypeAlias = Annotated[
    str, BeforeValidator(_address), WithJsonSchema({"type": ["string", "integer"]})
]


Clash: TypeAlias = Callable[[Any], Iterator[PydanticCustomError]]
"""What keys of one object, right one by one, say wrongly together; a method of its model.

In a file with mistakes the loader asks it of an object that is only partly right: reading a
key that is wrong ends it there. So it asks `Model.has` where it matters only whether a key is
written, and each clash that needs other keys is one of its own.
"""


class Model(BaseModel):
    """Frozen, no key beyond those declared, and no clash between them."""

    clashes: ClassVar[tuple[Clash, ...]] = ()
    """What must not be said together."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    def has(self, key: str) -> bool:
        """Whether ``key`` has a value, be it right or wrong."""
        return getattr(self, key) is not None

    def knows(self, key: str) -> bool:
        """Whether the value of ``key`` can be read; in an object that is right, always."""
        return hasattr(self, key)

    def each(self, key: str) -> Iterator[tuple[int, Any]]:
        """Position and value of every item under ``key`` that is right."""
        return enumerate(getattr(self, key))

    @model_validator(mode="after")
    def _without_clash(self) -> Self:
        for clash in self.clashes:
            for fault in clash(self):
                raise fault
        return self
