"""The bytes of Read, Publish and Republish answers → samples; pure, and within bounds.

A server may be broken or hostile, so nothing here believes a length: each count is held
against the bytes that are left before anything is built, nesting ends at `MAX_DEPTH`, and
what is no scalar is stepped over, never built. Anything else is a `DecodeError`, and the
connection that brought it is closed.

One compiled layout per shape of a value (its mask and type) reads most samples whole.

Source: OPC 10000-6, 5.2 (binary encoding); OPC 10000-4, 7.11 (DataValue), 5.14.5 (Publish).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final, NamedTuple, TypeAlias

from gateway.model import Scalar

MAX_DEPTH: Final = 16
PUBLISH, READ, REPUBLISH = 829, 634, 835
"""Binary encoding ids of the answers (OPC 10000-6, Annex A)."""
_DATA_CHANGE, _STATUS_CHANGE = 811, 820

_EPOCH: Final = 116_444_736_000_000_000
"""1970 in ticks of 100 ns since 1601 (5.2.2.5)."""
_END_NS: Final = 2**63
"""What a record holds of a time, in the year 2262; servers say 9999 for "never"."""
_END_S: Final = 253_402_300_800
"""The end of the year 9999."""
_FIXED: Final = {
    1: "?", 2: "b", 3: "B", 4: "h", 5: "H", 6: "i", 7: "I", 8: "q", 9: "Q", 10: "f", 11: "d",
    13: "q", 19: "I",
}  # fmt: skip
"""Built-in type → its `struct` character, where it has a fixed width (5.1.2)."""
_DATE_TIME: Final = 13
_TEXTS: Final = frozenset({12, 15, 16})
_STATUS, _SOURCE, _SERVER, _SOURCE_PS, _SERVER_PS = 0x02, 0x04, 0x08, 0x10, 0x20
_REST: Final = ((_STATUS, "I"), (_SOURCE, "q"), (_SOURCE_PS, "H"), (_SERVER, "q"))


class DecodeError(Exception):
    """The bytes are not what the service answers."""


class _NotScalar:
    """Stands for an array or a structure, which no tag can hold."""


NOT_SCALAR: Final = _NotScalar()
Content: TypeAlias = Scalar | _NotScalar


class Sample(NamedTuple):
    """One DataValue; times are Unix nanoseconds, None where the server gave none."""

    handle: int
    value: Content
    status: int
    source_ns: int | None
    server_ns: int | None


@dataclass(frozen=True, slots=True)
class Notification:
    """One NotificationMessage."""

    sequence: int
    """Its own number; of a keep-alive, that of the next one."""
    publish_ns: int | None
    """When the server sent it; some say so in the header of the answer only."""
    samples: list[Sample]
    is_keep_alive: bool
    status: int = 0
    """Bad when the server says that the subscription has ended."""


@dataclass(frozen=True, slots=True)
class Published:
    """The answer to a Publish request."""

    subscription: int
    more: bool
    """More notifications wait in the server."""
    available: tuple[int, ...]
    notification: Notification


class _Shape(NamedTuple):
    """How a sample of one mask and type lies in the bytes; each column's position or -1."""

    packing: struct.Struct
    status: int
    source: int
    server: int


@cache
def _shape(mask: int, kind: int, *, with_handle: bool) -> _Shape | None:
    """None when a sample of this shape has no fixed width."""
    if mask & 0xC0 or (mask & 1 and kind not in _FIXED) or kind == _DATE_TIME:
        return None
    text = ("<I" if with_handle else "<") + ("BB" + _FIXED[kind] if mask & 1 else "B")
    columns = {bit: -1 for bit, _ in _REST}
    for bit, code in _REST:
        if mask & bit:
            columns[bit] = len(text) - 1
            text += code
    if mask & _SERVER_PS:
        text += "H"
    packing = struct.Struct(text)
    return _Shape(packing, columns[_STATUS], columns[_SOURCE], columns[_SERVER])


def unix_ns(ticks: int) -> int | None:
    """Unix nanoseconds; None for "no time" (0) and for what no record can hold."""
    time_ns = (ticks - _EPOCH) * 100
    return time_ns if 0 < time_ns < _END_NS else None


class _Bytes:
    """Reads forward through one answer; `DecodeError` instead of a read beyond its end."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def take(self, code: str) -> int:
        packing = _scalar(code)
        (value,) = packing.unpack_from(self.content, self.at)
        self.at += packing.size
        return value  # type: ignore[no-any-return]

    def skip(self, count: int) -> None:
        if count < 0 or count > len(self.content) - self.at:
            raise DecodeError(f"{count} bytes at {self.at} of {len(self.content)}")
        self.at += count

    def count(self, least: int) -> int:
        """The length of an array whose elements have ``least`` bytes or more; -1 is none."""
        count = self.take("i")
        if count < -1 or count * least > len(self.content) - self.at:
            raise DecodeError(f"array of {count} at {self.at}")
        return max(count, 0)

    def blob(self) -> bytes | None:
        length = self.take("i")
        if length == -1:
            return None
        start = self.at
        self.skip(length)
        return self.content[start : self.at]


@cache
def _scalar(code: str) -> struct.Struct:
    return struct.Struct("<" + code)


def decode_read(body: bytes) -> list[Sample]:
    """The values of a Read answer, in the order asked; the handle of each is 0.

    Raises:
        DecodeError: It is something else.
    """
    with_bounds, _ = _answer(body, READ)
    try:
        return _samples(with_bounds, with_handle=False)
    except (struct.error, IndexError) as error:
        raise DecodeError(f"read answer ends early: {error}") from error


def decode_publish(body: bytes) -> Published:
    """A Publish answer.

    Raises:
        DecodeError: It is something else.
    """
    content, sent_ns = _answer(body, PUBLISH)
    try:
        subscription = content.take("I")
        available = tuple(content.take("I") for _ in range(content.count(4)))
        more = bool(content.take("B"))
        return Published(subscription, more, available, _notification(content, sent_ns))
    except (struct.error, IndexError) as error:
        raise DecodeError(f"publish answer ends early: {error}") from error


def decode_republish(body: bytes) -> Notification:
    """A Republish answer.

    Raises:
        DecodeError: It is something else.
    """
    content, _ = _answer(body, REPUBLISH)
    try:
        return _notification(content)
    except (struct.error, IndexError) as error:
        raise DecodeError(f"republish answer ends early: {error}") from error


def _answer(body: bytes, wanted: int) -> tuple[_Bytes, int | None]:
    """The content behind the response header, and when that was made."""
    content = _Bytes(body)
    try:
        kind = _type_id(content)
        sent_ns = unix_ns(content.take("q"))
        content.skip(8)  # handle, service result
        _skip_diagnostics(content, 0)
        for _ in range(content.count(4)):
            content.blob()
        _skip_extension(content)
    except (struct.error, IndexError) as error:
        raise DecodeError(f"answer ends early: {error}") from error
    if kind != wanted:
        raise DecodeError(f"answer of type {kind} where {wanted} was asked")
    return content, sent_ns


def _notification(content: _Bytes, sent_ns: int | None = None) -> Notification:
    sequence, published = content.take("I"), unix_ns(content.take("q")) or sent_ns
    samples: list[Sample] = []
    status, parts = 0, content.count(3)
    for _ in range(parts):
        kind, end = _extension(content)
        if kind == _DATA_CHANGE:
            samples += _samples(content, with_handle=True)
        elif kind == _STATUS_CHANGE:
            status = content.take("I")
        if content.at > end:
            raise DecodeError("notification longer than it says")
        content.at = end
    return Notification(sequence, published, samples, parts == 0, status)


def _samples(content: _Bytes, *, with_handle: bool) -> list[Sample]:
    """An array of DataValues, each behind its client handle or not."""
    count = content.count(5 if with_handle else 1)
    data, first = content.content, 4 if with_handle else 0
    out: list[Sample] = []
    for _ in range(count):
        at = content.at + first
        mask = data[at]
        shape = _shape(mask, data[at + 1] if mask & 1 else 0, with_handle=with_handle)
        if shape is None:
            out.append(_slow_sample(content, with_handle=with_handle))
            continue
        columns = shape.packing.unpack_from(data, content.at)
        content.at += shape.packing.size
        out.append(
            Sample(
                columns[0] if with_handle else 0,
                columns[2 + with_handle] if mask & 1 else None,
                0 if shape.status < 0 else columns[shape.status],
                None if shape.source < 0 else unix_ns(columns[shape.source]),
                None if shape.server < 0 else unix_ns(columns[shape.server]),
            )
        )
    return out


def _slow_sample(content: _Bytes, *, with_handle: bool) -> Sample:
    handle = content.take("I") if with_handle else 0
    value, status, source, server = _data_value(content, 0)
    return Sample(handle, value, status, source, server)


def _data_value(content: _Bytes, depth: int) -> tuple[Content, int, int | None, int | None]:
    mask = content.take("B")
    if mask & 0xC0:
        raise DecodeError(f"data value mask {mask:#x}")
    value = _variant(content, depth) if mask & 1 else None
    found = {bit: content.take(code) if mask & bit else None for bit, code in _REST}
    if mask & _SERVER_PS:
        content.skip(2)
    return value, found[_STATUS] or 0, _time(found[_SOURCE]), _time(found[_SERVER])


def _time(ticks: int | None) -> int | None:
    return None if ticks is None else unix_ns(ticks)


def _variant(content: _Bytes, depth: int) -> Content:
    if depth > MAX_DEPTH:
        raise DecodeError("nested too deep")
    mask = content.take("B")
    kind = mask & 0x3F
    # A null has no bytes, so that no length of an array of them could be believed.
    if kind > 25 or (mask & 0x80 and not kind):
        raise DecodeError(f"type {kind} of a value")
    if not mask & 0x80:
        return _one(content, kind, depth)
    width = _scalar(_FIXED[kind]).size if kind in _FIXED else 1
    count = content.count(width)
    if kind in _FIXED:
        content.skip(count * width)
    else:
        for _ in range(count):
            _one(content, kind, depth)
    if mask & 0x40:
        content.skip(4 * content.count(4))
    return NOT_SCALAR


def _one(content: _Bytes, kind: int, depth: int) -> Content:
    """One value of a built-in type: its scalar, or stepped over."""
    if kind in _FIXED:
        value = content.take(_FIXED[kind])
        return _date_time(value) if kind == _DATE_TIME else value
    if kind in _TEXTS:
        text = content.blob()
        # Surrogates would break every encoder behind us (a poison reading).
        return None if text is None else text.decode("utf-8", errors="replace")
    if kind == 0:
        return None
    _skip(content, kind, depth + 1)
    return NOT_SCALAR


def _date_time(ticks: int) -> str | None:
    time_s = (ticks - _EPOCH) // 10**7
    if not 0 < time_s < _END_S:
        return None
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _skip(content: _Bytes, kind: int, depth: int) -> None:
    """Step over a value that is no scalar."""
    if depth > MAX_DEPTH:
        raise DecodeError("nested too deep")
    if kind in _SKIPS:
        _SKIPS[kind](content)
    elif kind == 23:
        _data_value(content, depth)
    elif kind == 24:
        _variant(content, depth)
    else:
        _skip_diagnostics(content, depth)


def _type_id(content: _Bytes) -> int:
    """The number of a numeric node id; -1 for any other."""
    start = content.at
    form = content.content[start] & 0x3F
    _skip_node_id(content)
    if form == 0:
        return content.content[start + 1]
    if form == 1:
        return int.from_bytes(content.content[start + 2 : start + 4], "little")
    return int.from_bytes(content.content[start + 3 : start + 7], "little") if form == 2 else -1


def _skip_node_id(content: _Bytes) -> None:
    form = content.take("B")
    if form & 0x3F in (3, 5):
        content.skip(2)
        content.blob()
    else:
        widths = {0: 1, 1: 3, 2: 6, 4: 18}
        if form & 0x3F not in widths:
            raise DecodeError(f"node id of form {form:#x}")
        content.skip(widths[form & 0x3F])
    if form & 0x80:
        content.blob()
    if form & 0x40:
        content.skip(4)


def _extension(content: _Bytes) -> tuple[int, int]:
    """Type of an extension object and where it ends; the reader stands at its body."""
    kind, encoding = _type_id(content), content.take("B")
    if encoding not in (0, 1, 2):
        raise DecodeError(f"extension object of encoding {encoding}")
    length = content.take("i") if encoding else 0
    start = content.at
    content.skip(max(length, 0))
    end, content.at = content.at, start
    return kind if length > 0 else -1, end


def _skip_extension(content: _Bytes) -> None:
    content.at = _extension(content)[1]


def _skip_diagnostics(content: _Bytes, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise DecodeError("nested too deep")
    mask = content.take("B")
    for bit in (0x01, 0x02, 0x04, 0x08):
        if mask & bit:
            content.skip(4)
    if mask & 0x10:
        content.blob()
    if mask & 0x20:
        content.skip(4)
    if mask & 0x40:
        _skip_diagnostics(content, depth + 1)


def _skip_name(content: _Bytes) -> None:
    content.skip(2)
    content.blob()


def _skip_text(content: _Bytes) -> None:
    mask = content.take("B")
    for bit in (1, 2):
        if mask & bit:
            content.blob()


_SKIPS: Final[dict[int, Callable[[_Bytes], None]]] = {
    14: lambda content: content.skip(16),
    17: _skip_node_id,
    18: _skip_node_id,
    20: _skip_name,
    21: _skip_text,
    22: _skip_extension,
}
"""Built-in types without nesting that no tag can hold: Guid, node ids, names, structures."""
