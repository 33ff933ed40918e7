"""Tags → blocks: those of one device and interval that are obtained in one way. Pure.

A block has so few tags that a record of all of them, with the times of device and server,
fits a message: a record cannot be divided.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TypeAlias, TypeVar

from drivers.opcua.address import NodeAddress, Place
from drivers.opcua.codec import NOT_SCALAR, Content, Sample
from drivers.opcua.quality import quality_of
from gateway.model import Block, DataType, Quality, Scalar, Tag
from gateway.normalise import convert

_T = TypeVar("_T")
TAGS_PER_BLOCK = 250
_BAD = int(Quality.BAD)
_MISFIT = None, int(Quality.BAD_CONFIGURATION)
_INTEGERS = {
    DataType.INT16: (-(2**15), 2**15),
    DataType.UINT16: (0, 2**16),
    DataType.INT32: (-(2**31), 2**31),
    DataType.UINT32: (0, 2**32),
    DataType.INT64: (-(2**63), 2**63),
    DataType.UINT64: (0, 2**64),
}
_FLOAT32_OVERFLOW = 3.4028235677973366e38
Judge: TypeAlias = Callable[[Sample], tuple[Scalar, int]]
"""A sample → the value in the tag's unit, None where it is not usable, and the quality."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the driver asks for one block."""

    nodes: tuple[NodeAddress, ...]
    places: tuple[Place, ...]
    judges: tuple[Judge, ...]

    def __str__(self) -> str:
        return f"{len(self.nodes)} nodes"


OpcuaBlock: TypeAlias = Block[Request]


def plan(tags: Sequence[Tag]) -> list[OpcuaBlock]:
    """The blocks of ``tags``, in the order of their first tags."""
    groups: dict[tuple[str, float, bool], list[Tag]] = defaultdict(list)
    for tag in tags:
        groups[tag.device, tag.interval_s, tag.address.subscribed].append(tag)
    return [
        Block(device, tuple(part), interval_s, _request(part), subscribed)
        for (device, interval_s, subscribed), group in groups.items()
        for part in parts(group, TAGS_PER_BLOCK)
    ]


def parts(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """``items`` in runs of at most ``size``."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _request(tags: Sequence[Tag]) -> Request:
    places = tuple(tag.address for tag in tags)
    return Request(tuple(place.node for place in places), places, tuple(map(judge, tags)))


def judge(tag: Tag) -> Judge:
    """What makes a reading of a sample of ``tag``: its status, its type, its conversion."""
    fit = fitting(tag.type)
    conversion = tag.conversion
    is_float = tag.type in (DataType.FLOAT32, DataType.FLOAT64)

    def apply(sample: Sample) -> tuple[Scalar, int]:
        quality = int(quality_of(sample.status)) if sample.status else 0
        if quality >= _BAD:
            return None, quality
        if sample.value is None:
            return None, _BAD
        value = fit(sample.value)
        if value is None:
            return _MISFIT
        if conversion is not None:
            value, judged = convert(value, conversion, is_float=is_float)
            return value, max(quality, judged)
        if is_float and not isfinite(value):  # type: ignore[arg-type]
            return None, int(Quality.BAD_NOT_FINITE)
        return value, quality

    return apply


def fitting(kind: DataType) -> Callable[[Content], Scalar]:
    """What makes a value of ``kind`` of what the server sent; None where that changes it."""
    if kind is DataType.BOOL:
        return lambda value: value if isinstance(value, bool) else _bit(value)
    if kind is DataType.STRING:
        return lambda value: value if isinstance(value, str) else None
    if kind in _INTEGERS:
        low, end = _INTEGERS[kind]
        return lambda value: _whole(value, low, end)
    limit = _FLOAT32_OVERFLOW if kind is DataType.FLOAT32 else float("inf")
    return lambda value: _float(value, limit)


def _bit(value: Content) -> bool | None:
    return bool(value) if value in (0, 1) and not isinstance(value, str) else None


def _whole(value: Content, low: int, end: int) -> int | None:
    if value is NOT_SCALAR or not isinstance(value, int | float) or value != value // 1:
        return None
    return int(value) if low <= value < end else None


def _float(value: Content, limit: float) -> float | None:
    if not isinstance(value, int | float):
        return None
    number = float(value)
    if isinstance(value, int) and int(number) != value:
        return None
    return None if limit < abs(number) < float("inf") else number
