"""From raw values to values in a tag's unit, with their quality.

Drivers call this inside ``read``, because only they know which raw value belongs
to which tag. Order: sentinels → NE 43 → invert → enum → scale → range or clamp.
A value that is not usable is None and its quality says why; nothing else is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from gateway.model import Conversion, DataType, Quality, Scalar, Scale, Tag

_FLOATS = (DataType.FLOAT32, DataType.FLOAT64)
_IDENTITY = Conversion()
_GOOD, _BAD = int(Quality.GOOD), int(Quality.BAD)


class Normaliser:
    """The conversions of one block, compiled once.

    Blocks without conversions, or with scales alone, are converted by column; only
    rows that need more (and blocks in which a value is unusable) go row by row.
    """

    def __init__(self, tags: Sequence[Tag]) -> None:
        self._tags = tags
        self._involved = [row for row, tag in enumerate(tags) if not _is_plain(tag.conversion)]
        self._scales = _columns(tags) if any(map(_is_scaled, tags)) else None
        self._checks_finite = any(tag.type in _FLOATS for tag in tags)
        self._by_row = len(self._involved) * 2 > len(tags) or any(
            tag.type is DataType.STRING for tag in tags
        )

    def apply(self, raw: Sequence[Scalar]) -> tuple[Sequence[Scalar], bytes | None]:
        """Values and qualities of one poll.

        raw: one value per tag in block order; None where it could not be decoded.
        The quality column is None when every value is good.
        """
        if self._by_row or None in raw:
            return self._convert_rows(raw)
        values: Sequence[Scalar] = raw
        if self._scales is not None:
            values = [
                v if s is None else (v * s[0] + s[1]) / s[2]  # type: ignore[operator]
                for v, s in zip(raw, self._scales, strict=True)
            ]
        if self._checks_finite and not _is_finite(values):
            return self._convert_rows(raw)
        return self._convert_involved(raw, values) if self._involved else (values, None)

    def _convert_involved(
        self, raw: Sequence[Scalar], values: Sequence[Scalar]
    ) -> tuple[Sequence[Scalar], bytes | None]:
        out, quality = list(values), bytearray(len(raw))
        for row in self._involved:
            out[row], quality[row] = _converted(self._tags[row], raw[row])
        return out, bytes(quality) if any(quality) else None

    def _convert_rows(self, raw: Sequence[Scalar]) -> tuple[Sequence[Scalar], bytes | None]:
        pairs = [_converted(tag, value) for tag, value in zip(self._tags, raw, strict=True)]
        quality = bytes(q for _, q in pairs)
        return [value for value, _ in pairs], quality if any(quality) else None


def _is_finite(values: Sequence[Scalar]) -> bool:
    # One NaN or infinity makes the sum so; a finite column whose sum overflows merely
    # takes the slower way.
    return isfinite(sum(values))  # type: ignore[arg-type]


def _converted(tag: Tag, raw: Scalar) -> tuple[Scalar, int]:
    return convert(raw, tag.conversion or _IDENTITY, is_float=tag.type in _FLOATS)


def _is_scaled(tag: Tag) -> bool:
    return tag.conversion is not None and tag.conversion.scale is not None


def convert(raw: Scalar, conversion: Conversion, *, is_float: bool) -> tuple[Scalar, int]:
    """One value and its quality; the reference that the column ways must equal."""
    if raw is None:
        return None, _BAD
    if is_float and not isfinite(raw):  # type: ignore[arg-type]
        return None, int(Quality.BAD_NOT_FINITE)
    if raw in conversion.sentinels:
        return None, int(Quality.BAD_SENSOR)
    quality = _current_loop(raw, conversion.scale)
    if quality >= _BAD:
        return None, quality
    if conversion.enum is not None:
        word = conversion.enum.get(raw)  # type: ignore[arg-type]
        return word, (_GOOD if word is not None else int(Quality.BAD_CONFIGURATION))
    if conversion.invert:
        return not raw, quality
    value = raw
    if conversion.scale is not None:
        scale = conversion.scale
        value = (raw * scale.numerator + scale.offset) / scale.denominator  # type: ignore[operator]
        if not isfinite(value):
            return None, int(Quality.BAD_NOT_FINITE)
    return _within(value, conversion, quality)


def raw_of(tag: Tag, value: Scalar) -> Scalar:
    """The raw value that converts to ``value``, or the nearest integer one; for simulators."""
    conversion = tag.conversion or _IDENTITY
    if value is None or isinstance(value, str):
        return _code_of(value, conversion)
    if conversion.invert:
        return not value
    if conversion.scale is not None:
        scale = conversion.scale
        value = (value * scale.denominator - scale.offset) / scale.numerator
    return value if tag.type in (*_FLOATS, DataType.BOOL) else round(value)


def _code_of(value: str | None, conversion: Conversion) -> Scalar:
    """The enum code of ``value``; the value itself where there is no enum."""
    for code, word in (conversion.enum or {}).items():
        if word == value:
            return code
    return value


def _is_plain(conversion: Conversion | None) -> bool:
    """Whether a column operation does all that ``conversion`` asks for."""
    return conversion is None or conversion == Conversion(
        scale=conversion.scale if conversion.scale and not conversion.scale.raw else None
    )


def _columns(tags: Sequence[Tag]) -> list[tuple[int, int, int] | None]:
    scales = [tag.conversion.scale if tag.conversion else None for tag in tags]
    return [None if s is None else (s.numerator, s.offset, s.denominator) for s in scales]


def _current_loop(raw: Scalar, scale: Scale | None) -> int:
    """Quality of a 4–20 mA signal by NAMUR NE 43; good where no such limits apply."""
    if scale is None or scale.raw is None:
        return _GOOD
    at_4, at_20 = scale.raw
    current = 4 + 16 * (raw - at_4) / (at_20 - at_4)  # type: ignore[operator]
    if not 3.6 <= current <= 21.0:
        return int(Quality.BAD_SENSOR)
    return _GOOD if 3.8 <= current <= 20.5 else int(Quality.UNCERTAIN_SENSOR)


def _within(value: Scalar, conversion: Conversion, quality: int) -> tuple[Scalar, int]:
    if conversion.range is None:
        return value, quality
    low, high = conversion.range
    if low <= value <= high:  # type: ignore[operator]
        return value, quality
    if conversion.clamp:
        return (low if value < low else high), quality  # type: ignore[operator]
    return value, int(Quality.UNCERTAIN_OUT_OF_RANGE)
