"""From what a person wrote about a tag to the tags the gateway reads.

A series is validated once and written out here, straight into `gateway.model.Tag`. Tags
that are converted alike share one `Conversion`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, Final

from gateway import series
from gateway.config import ScaleConfig, TagConfig
from gateway.errors import Mistake
from gateway.loader.partly import Partly, Unknown
from gateway.model import Conversion, DataType, Scale, Tag

_NOT_NUMERIC: Final = frozenset({DataType.BOOL, DataType.STRING})


def written_out(
    config: TagConfig,
    device: str,
    address: Callable[[TagConfig], Any],
    conversions: dict[Any, Conversion | None],
) -> list[Tag]:
    """The tags ``config`` stands for, all on ``device``.

    config: effective, i.e. with everything that outer levels pass down.
    address: the driver's `Driver.address` for this device and link.
    conversions: what was made before; grows.

    Raises:
        Mistake: Something in it cannot be used; the path names the key.
    """
    common = _common(config, device, conversions)
    label = config.label
    texts = {"name": config.name}
    if isinstance(config.address, str):
        texts["address"] = config.address
    if "{" in label:
        texts["label"] = label
    keys = tuple(texts)
    tags = []
    for row in series.expand(texts):
        one = dict(zip(keys, row, strict=True))
        own = config if row[0] == config.name else config.model_copy(update=one)
        tags.append(Tag(row[0], address=address(own), label=one.get("label", label), **common))
    return tags


def _common(
    config: TagConfig, device: str, conversions: dict[Any, Conversion | None]
) -> dict[str, Any]:
    """What all tags of a series share."""
    return {
        "device": device,
        "type": config.type,
        "unit": config.unit,
        "interval_s": config.interval or 1.0,
        "max_silence_s": config.max_silence or 60.0,
        "deadband": _deadband(config),
        "tag_class": config.tag_class,
        "conversion": _shared_conversion(config, conversions),
    }


def mistakes(config: TagConfig | Partly, address: Callable[[Any], Any]) -> Iterator[Mistake]:
    """Everything for which `written_out` refuses ``config``, as far as that can be judged."""
    yield from _raised(lambda: _deadband(config))
    texts = {
        key: getattr(config, key) for key in ("name", "address", "label") if config.knows(key)
    }
    uneven = series.faults(texts)
    yield from uneven
    broken = {fault.path for fault in uneven}
    if isinstance(texts.get("address"), str) and ("address",) not in broken:
        yield from _raised(lambda: _addresses(config, texts["address"], address))


def _raised(judge: Callable[[], object]) -> Iterator[Mistake]:
    try:
        judge()
    except Mistake as mistake:
        yield mistake
    except Unknown:
        return


def _addresses(config: TagConfig | Partly, written: str, address: Callable[[Any], Any]) -> None:
    """Judge each address of a series; one with an open end is as long as its other texts."""
    try:
        rows = series.expand({"address": written})
    except Mistake:
        return
    for (text,) in rows:
        address(config.model_copy(update={"address": text}))


def _deadband(config: TagConfig | Partly) -> float | None:
    """In the tag's unit; for values without a size any change counts."""
    written = config.deadband
    if written is None:
        return None
    if config.type in _NOT_NUMERIC or config.enum is not None:
        return 0.0
    if isinstance(written, float):
        return written
    span = config.range or (config.scale.span if config.scale else None)
    if span is None:
        raise Mistake("deadband_needs_range", path=("deadband",), deadband=written)
    share = Fraction(written.rstrip("%")) / 100
    return float(share * (Fraction(str(span[1])) - Fraction(str(span[0]))))


def _shared_conversion(
    config: TagConfig, conversions: dict[Any, Conversion | None]
) -> Conversion | None:
    enum = None if config.enum is None else tuple(config.enum.items())
    key = (
        config.scale,
        config.range,
        config.clamp,
        config.invert,
        enum,
        config.sentinels,
    )
    if key not in conversions:
        conversions[key] = _conversion(config)
    return conversions[key]


def _conversion(config: TagConfig) -> Conversion | None:
    found = Conversion(
        scale=None if config.scale is None else exact(config.scale),
        range=config.range,
        clamp=config.clamp,
        invert=config.invert,
        enum=config.enum,
        sentinels=frozenset(config.sentinels),
    )
    return None if found == Conversion() else found


def exact(scale: ScaleConfig) -> Scale:
    """``scale`` over one denominator, from the decimal digits as written."""
    if scale.raw is not None and scale.span is not None:
        (a, b), (c, d) = map(_fractions, (scale.raw, scale.span))
        factor = (d - c) / (b - a)
        offset = c - a * factor
    else:
        factor, offset = _fractions((scale.factor or 0.0, scale.offset))
    denominator = math.lcm(factor.denominator, offset.denominator)
    return Scale(
        int(factor * denominator),
        int(offset * denominator),
        denominator,
        scale.raw if scale.ne43 else None,
    )


def _fractions(pair: tuple[float, float]) -> tuple[Fraction, Fraction]:
    return Fraction(str(pair[0])), Fraction(str(pair[1]))
