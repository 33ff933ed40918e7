"""What simulated devices show: a wave for each tag, by its type and range.

Every tag has a phase of its own, taken from its name, so that two tags never look alike
and two runs always do.
"""

from __future__ import annotations

import math
from functools import cache
from zlib import crc32

from gateway.model import DataType, Scalar, Tag
from gateway.normalise import convert

PERIOD_S = 60.0
_WHOLE = frozenset(DataType) - {
    DataType.BOOL,
    DataType.STRING,
    DataType.FLOAT32,
    DataType.FLOAT64,
}
_RAW_SPAN = (0.0, 1000.0)
_PLAIN_SPAN = (0.0, 100.0)


def value_of(tag: Tag, time_s: float) -> Scalar:
    """What ``tag`` shows at ``time_s``, in its unit: a sine between the ends of its range.

    A bool is a square wave, an enum steps through its words, a string names the tag.
    """
    phase = (time_s / PERIOD_S + _shift(tag.name)) % 1.0
    conversion = tag.conversion
    if tag.type is DataType.BOOL:
        return phase < 0.5
    if tag.type is DataType.STRING:
        return tag.name
    if conversion is not None and conversion.enum:
        words = list(conversion.enum.values())
        return words[int(phase * len(words))]
    low, high = _span(tag)
    value = low + (high - low) * (0.5 + 0.5 * math.sin(math.tau * phase))
    is_scaled = conversion is not None and conversion.scale is not None
    return round(value) if tag.type in _WHOLE and not is_scaled else value


@cache
def _shift(name: str) -> float:
    return crc32(name.encode()) / 2**32


def _span(tag: Tag) -> tuple[float, float]:
    """The lowest and highest value to show."""
    conversion = tag.conversion
    if conversion is None:
        return _PLAIN_SPAN
    if conversion.range is not None:
        return conversion.range
    if conversion.scale is None:
        return _PLAIN_SPAN
    ends = conversion.scale.raw or _RAW_SPAN
    (low, _), (high, _) = (convert(end, conversion, is_float=False) for end in ends)
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return _PLAIN_SPAN
    return min(low, high), max(low, high)
