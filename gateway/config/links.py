"""What a person writes about links, devices and tags; a driver adds its own keys.

A key that an outer level and an inner level both have (``interval``, ``timeout`` …)
passes inwards unless the inner level sets it; `OWN` lists the keys that never pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import BeforeValidator, Field, PrivateAttr, StrictBool, StrictInt
from pydantic_core import PydanticCustomError

from gateway.model import DataType, TagClass
from gateway.notation import (
    Address,
    Clash,
    Class,
    Deadband,
    Duration,
    Interval,
    Model,
    Name,
    Number,
    Pair,
    wrong,
)

OWN: Final = frozenset(
    {"name", "label", "unit", "driver", "url", "devices", "tags", "template", "parameters"}
)
"""Keys that belong to one level alone, even where another level has the same word."""

_LIMITS: Final = ("low_low", "low", "high", "high_high")


def _number_as_factor(written: object) -> object:
    plain = isinstance(written, int | float) and not isinstance(written, bool)
    return {"factor": written} if plain else written


class ScaleConfig(Model):
    """``{factor, offset}``, or two points of a line: ``raw`` as read, ``span`` in the unit."""

    factor: Number | None = None
    """value = raw × factor + offset"""
    offset: Number = 0.0
    """Added after the factor, in the unit of the tag."""
    raw: Pair | None = None
    """Two raw values, e.g. those of 4 and 20 mA."""
    span: Pair | None = None
    """The values in the tag's unit that belong to `raw`."""
    ne43: StrictBool = False
    """Judge the sensor signal by NAMUR NE 43; `raw` are the values of 4 and 20 mA."""

    def _one_form(self) -> Iterator[PydanticCustomError]:
        has_raw, has_span = self.has("raw"), self.has("span")
        if self.has("factor") == (has_raw or has_span):
            yield wrong("scale_form")
        elif has_raw != has_span:
            yield wrong("scale_half", key="raw" if has_span else "span")

    def _offset_of_a_factor(self) -> Iterator[PydanticCustomError]:
        if self.has("raw") and not self.has("factor") and self.offset:
            yield wrong("scale_form", "offset")

    def _two_raw_values(self) -> Iterator[PydanticCustomError]:
        if self.raw is not None and self.raw[0] == self.raw[1]:
            yield wrong("scale_raw_equal", "raw", value=list(self.raw))

    def _signal_of_two_points(self) -> Iterator[PydanticCustomError]:
        if self.has("factor") and not self.has("raw") and self.ne43:
            yield wrong("scale_ne43", "ne43")

    def _factor_not_zero(self) -> Iterator[PydanticCustomError]:
        if self.factor == 0:
            yield wrong("scale_zero", "factor")

    def _two_span_values(self) -> Iterator[PydanticCustomError]:
        if self.span is not None and self.span[0] == self.span[1]:
            yield wrong("scale_zero", "span")

    clashes = (
        _one_form,
        _offset_of_a_factor,
        _two_raw_values,
        _signal_of_two_points,
        _factor_not_zero,
        _two_span_values,
    )


class AlarmsConfig(Model):
    """Limits of a tag in its unit; each that is set is an alarm of its own."""

    high_high: Number | None = None
    """Danger from here on up."""
    high: Number | None = None
    """Warning from here on up."""
    low: Number | None = None
    """Warning from here on down."""
    low_low: Number | None = None
    """Danger from here on down."""
    deadband: Annotated[float, Field(strict=True, ge=0)] = 0.0
    """The alarm clears when the value has come back by more than this."""
    on_delay: Duration = 0.0
    """How long the value must be beyond the limit; class `safety` does not wait."""
    off_delay: Duration = 0.0
    """How long it must be back; class `safety` does not wait."""
    priority: Annotated[int, Field(strict=True, ge=1, le=4)] | None = None
    """1 emergency, 2 high, 3 medium, 4 diagnostic; else the outer limits 2, the inner 3."""

    def _not_empty(self) -> Iterator[PydanticCustomError]:
        if not any(self.has(key) for key in _LIMITS):
            yield wrong("alarms_empty")

    def _in_order(self) -> Iterator[PydanticCustomError]:
        for (below, low), (above, high) in _neighbours(self):
            if low >= high:
                yield wrong("alarms_order", above, lower=below, low=low, upper=above, high=high)

    def _further_apart_than_the_dead_band(self) -> Iterator[PydanticCustomError]:
        for (below, low), (above, high) in _neighbours(self):
            if 0 < high - low <= self.deadband:
                yield wrong("alarms_deadband", "deadband", lower=below, upper=above)
                return

    clashes = (_not_empty, _in_order, _further_apart_than_the_dead_band)


def _neighbours(alarms: AlarmsConfig) -> Iterator[tuple[tuple[str, float], tuple[str, float]]]:
    """Each limit that is set and the next above it, with their words."""
    known = [key for key in _LIMITS if alarms.knows(key) and alarms.has(key)]
    return pairwise([(key, getattr(alarms, key)) for key in known])


class TagConfig(Model):
    """One value, or a series of them (``p{01..32}``), before names are written out."""

    name: Annotated[str, Field(min_length=1)]
    """Unique in its device; a series like `p{01..32}.lel` stands for many tags."""
    label: str = ""
    """Free text for people, any language."""
    address: Address
    """Where the value lies, in the words of the driver."""
    type: DataType = DataType.FLOAT64
    """How the value is laid out in the device."""
    unit: str = ""
    """Unit of the published value, UCUM code (`Cel`, `kPa`, `mg/m3`)."""
    interval: Interval | None = None
    """Time between two readings."""
    max_silence: Interval | None = None
    """A full image at least this often."""
    deadband: Deadband | None = None
    """Smallest change that is reported: a number, or `1%` of the range; 0 = every change."""
    tag_class: Class = Field(default=TagClass.NORMAL, alias="class")
    """`safety` is polled first, never slowed, and its alarms go out without delay."""
    scale: Annotated[
        ScaleConfig | None,
        BeforeValidator(_number_as_factor),
    ] = Field(
        default=None, json_schema_extra={"anyOf": [{"type": "number"}, {"type": "object"}]}
    )
    """From the raw value to the unit."""
    range: Pair | None = None
    """Lowest and highest credible value, in the unit."""
    clamp: StrictBool = False
    """Cut to `range` instead of marking the value uncertain."""
    invert: StrictBool = False
    """Swap true and false."""
    enum: dict[StrictInt, str] | None = None
    """Words for raw numbers."""
    sentinels: tuple[Number, ...] = ()
    """Raw values that mean "no measurement"."""
    alarms: AlarmsConfig | None = None
    """Limits that raise alarms; the tag must be a number or a bool."""

    def _range_in_order(self) -> Iterator[PydanticCustomError]:
        if self.range is not None and self.range[0] >= self.range[1]:
            yield wrong("range_order", "range", low=self.range[0], high=self.range[1])

    def _range_to_clamp_to(self) -> Iterator[PydanticCustomError]:
        if self.clamp and not self.has("range"):
            yield wrong("clamp_needs_range", "clamp")

    def _numbers_to_alarm(self) -> Iterator[PydanticCustomError]:
        if self.has("alarms") and (self.has("enum") or self.type is DataType.STRING):
            yield wrong("alarms_need_numbers", "alarms")

    def _numbers_to_scale(self) -> Iterator[PydanticCustomError]:
        if self.has("scale") and self.type in (DataType.BOOL, DataType.STRING):
            yield wrong("scale_not_numeric", "scale", type=self.type.value)

    def _bool_to_invert(self) -> Iterator[PydanticCustomError]:
        if self.invert and self.type is not DataType.BOOL:
            yield wrong("invert_not_bool", "invert", type=self.type.value)

    clashes: ClassVar[tuple[Clash, ...]] = (
        _range_in_order,
        _range_to_clamp_to,
        _numbers_to_alarm,
        _numbers_to_scale,
        _bool_to_invert,
    )


class DeviceConfig(Model):
    """A station on a link."""

    name: Name
    """Unique in the gateway; a level of every topic."""
    label: str = ""
    """Free text for people, any language."""
    template: str | None = None
    """Name of a register map whose tags this device has."""
    parameters: dict[str, str | StrictInt | Number] = Field(default_factory=dict)
    """Values for the template's parameters."""
    interval: Interval | None = None
    """Time between two readings."""
    max_silence: Interval | None = None
    """A full image at least this often."""
    deadband: Deadband | None = None
    """Smallest change that is reported."""
    timeout: Interval | None = None
    """How long to wait for one answer."""
    tag_class: Class = Field(default=TagClass.NORMAL, alias="class")
    """For all its tags that do not say otherwise."""
    tags: tuple[TagConfig, ...] = ()
    """As written; the loader leaves this empty and hands over `gateway.model.Tag` instead."""


class LinkConfig(Model):
    """One socket or serial line and the devices on it."""

    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """Where the configuration lies."""
        return self._folder

    def lies_in(self, folder: Path) -> Self:
        """This link, of a configuration in ``folder``."""
        self._folder = folder
        return self

    name: Name
    """Unique in the gateway."""
    label: str = ""
    """Free text for people, any language."""
    driver: str
    """The protocol."""
    connections: Annotated[int, Field(strict=True, ge=1, le=16)] = 1
    """Sockets used side by side to the same url."""
    interval: Interval | None = None
    """Time between two readings."""
    max_silence: Interval | None = None
    """A full image at least this often."""
    deadband: Deadband | None = None
    """Smallest change that is reported."""
    timeout: Interval = 1.0
    """How long to wait for one answer."""
    devices: tuple[DeviceConfig, ...] = ()
    """The stations on this link."""


class Defaults(Model):
    """What holds wherever nothing nearer says otherwise."""

    interval: Interval = 1.0
    """Time between two readings."""
    max_silence: Interval = 60.0
    """A full image at least this often."""
    deadband: Deadband | None = None
    """Smallest change that is reported; none = every poll."""
    timeout: Interval = 1.0
    """How long to wait for one answer."""


def passed_down(outer: Model, inner: Model) -> dict[str, Any]:
    """What ``inner`` takes over from ``outer``: each shared key that only ``outer`` sets."""
    shared = (type(outer).model_fields.keys() & type(inner).model_fields.keys()) - OWN
    return {
        key: getattr(outer, key)
        for key in shared - inner.model_fields_set
        if key in outer.model_fields_set or getattr(inner, key) is None
    }
