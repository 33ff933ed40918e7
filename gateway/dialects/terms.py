"""What the messages of the wire format are made of: names, times, counts, closed lists."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

Name: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Device: TypeAlias = Annotated[
    str, Meta(pattern=r"^(_gateway|[A-Za-z0-9][A-Za-z0-9_.-]{0,63})$")
]
Time: TypeAlias = Annotated[
    str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$", description="RFC 3339, UTC")
]
Hex128: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
Fingerprint: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]
Word: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$")]
Seq: TypeAlias = Annotated[int, Meta(ge=1)]
ReplayId: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")]
"""Chosen by who asks."""
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Value: TypeAlias = bool | int | float | str | None
NotGood: TypeAlias = Literal[
    "uncertain",
    "uncertain.last_usable",
    "uncertain.out_of_range",
    "uncertain.sensor",
    "bad",
    "bad.no_communication",
    "bad.device_failure",
    "bad.configuration",
    "bad.out_of_service",
    "bad.not_finite",
    "bad.sensor",
]
"""The quality words of `model.Quality` but ``good``; a test holds the two together."""
AnyQuality: TypeAlias = Literal["good"] | NotGood


class Strict(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=False):
    """A part of a message that holds the keys named here and no others."""
