"""The JSON dialect: records of the journal → topics and payloads of the wire format.

A record is encoded once, when it is read from the journal, but for its last brace:
whether it is ``late`` is known only when it is published. A message is then no more
than a head and the parts joined. `wire` is the table this has to follow.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import isfinite
from time import gmtime, strftime
from typing import Any, Final

import msgspec

from gateway.dialects import Origin, wire
from gateway.model import Alarm, ClockState, Event, Gap, Quality, Scalar, Tag
from gateway.record import Record, Values

_encode: Final = msgspec.json.Encoder().encode
_floats: Final = msgspec.json.Decoder(list[float]).decode
_WORD: Final = {int(quality): quality.word for quality in Quality}
_BAD: Final = int(Quality.BAD)
_FLOATS: Final = frozenset("fd")
_FLOAT32: Final = struct.Struct("<f")
_UNIX: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATE, _ON_TIME = b',"late":true}', b"}"


class JsonDialect:
    """Topics and payloads of one gateway under one root."""

    overhead_bytes = len(_LATE) + 1
    head_bytes = 512
    """Names of 64 characters, numbers of 20 digits."""

    def __init__(self, root: str, gateway: str) -> None:
        self._prefix = f"{root}/{gateway}/"
        self._start = f'{{"v":1,"gateway":"{gateway}","incarnation":"'
        self._gateway = gateway

    def topic(self, kind: str, device: str | None = None) -> str:
        """``{root}/{gateway}/{kind}``, and ``/{device}`` where the topic is about one."""
        return self._prefix + (kind if device is None else f"{kind}/{device}")

    def record(self, seq: int, record: Record) -> bytes:
        """One record without its last brace; `message` closes it."""
        return encode_record(seq, record)

    def message(
        self,
        origin: Origin,
        parts: Sequence[bytes],
        late: Sequence[bool],
        *,
        volatile: bool = False,
    ) -> bytes:
        """The payload of consecutive records of one stream.

        parts: what `record` gave, in seq order; late: for each, whether it is now more
        than 10 s after the time of the record. volatile: no disk holds them yet.
        """
        mark = '"volatile":true,' if volatile else ""
        boot = "null" if origin.boot is None else f'"{origin.boot}"'
        head = (
            f'{self._start}{origin.incarnation}","boot":{boot},"device":"{origin.device}",'
            f'"lane":"{origin.lane}","prev":{origin.first - 1},"first":{origin.first},'
            f'"last":{origin.last},{mark}"records":['
        )
        closed = [
            part + (_LATE if is_late else _ON_TIME)
            for part, is_late in zip(parts, late, strict=True)
        ]
        again = "" if origin.replay is None else f',"replay":"{origin.replay}"'
        return head.encode() + b",".join(closed) + f"]{again}}}".encode()

    def status(
        self,
        *,
        state: str,
        incarnation: str,
        connection: int,
        time_ns: int,
        version: str,
        config: str,
        reasons: Sequence[str],
    ) -> bytes:
        """Payload of the ``status`` topic, and of the will."""
        return _encode(
            {
                "v": wire.VERSION,
                "gateway": self._gateway,
                "state": state,
                "incarnation": incarnation,
                "connection": connection,
                "time": rfc3339(time_ns),
                "version": version,
                "config": config,
                "reasons": reasons,
            }
        )

    def heads(
        self,
        *,
        incarnation: str,
        time_ns: int,
        clock: ClockState,
        config: str,
        journal: tuple[int, int, float | None],
        streams: Mapping[str, tuple[int, int, int | None]],
    ) -> bytes:
        """Payload of the ``heads`` topic.

        journal: bytes used, size in bytes, hours until it is full (None: nobody knows).
        streams: ``lane/device`` → head, settled, and time in ns it is watched up to.
        """
        used, size, hours_left = journal
        return _encode(
            {
                "v": wire.VERSION,
                "incarnation": incarnation,
                "time": rfc3339(time_ns),
                "clock": clock,
                "config": config,
                "journal": {"bytes": used, "size": size, "hours_left": hours_left},
                "streams": {
                    stream: {
                        "head": head,
                        "settled": settled,
                        "covered_to": None if covered is None else rfc3339(covered),
                    }
                    for stream, (head, settled, covered) in streams.items()
                },
            }
        )

    def schema(
        self,
        *,
        device: str,
        label: str,
        config: str,
        tags: Sequence[Tag],
        limits: Mapping[str, Mapping[str, float]],
    ) -> bytes:
        """Payload of the ``schema/{device}`` topic; ``limits``: tag name → level → value."""
        return _encode(
            {
                "v": wire.VERSION,
                "device": device,
                "label": label,
                "config": config,
                "tags": {tag.name: _tag_schema(tag, limits.get(tag.name, {})) for tag in tags},
            }
        )

    def latest(
        self, *, device: str, time_ns: int, values: Mapping[str, tuple[Scalar, int]]
    ) -> bytes:
        """Payload of the ``latest/{device}`` topic; ``values``: tag name → value, quality."""
        message: dict[str, Any] = {
            "v": wire.VERSION,
            "gateway": self._gateway,
            "device": device,
            "time": rfc3339(time_ns),
            "values": {n: None if q >= _BAD else v for n, (v, q) in values.items()},
        }
        quality = {name: _WORD[q] for name, (_, q) in values.items() if q}
        return _encode(message | {"quality": quality} if quality else message)


def rfc3339(time_ns: int) -> str:
    """``2026-11-22T03:04:05.123456Z``: UTC in microseconds, cut, never rounded up."""
    return f"{_second(time_ns // 1_000_000_000)}.{time_ns // 1000 % 1_000_000:06d}Z"


@lru_cache(maxsize=1024)
def _second(time_s: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(time_s))


def encode_record(seq: int, record: Record) -> bytes:
    """``record`` as JSON, without the last brace."""
    bound = "null" if record.bound_ms is None else record.bound_ms
    mono = ""
    if record.mono_ns is not None:
        mono = f'"mono":[{record.mono_ns[0]},{record.mono_ns[1]}],'
    head = (
        f'{{"seq":{seq},"time":"{rfc3339(record.time_ns)}",{mono}'
        f'"clock":"{record.state.value}","bound_ms":{bound},'
    )
    body = record.body
    if isinstance(body, Values):
        return head.encode() + _values(body)
    if isinstance(body, Gap):
        return head.encode() + b'"gap":' + _encode(_gap(body))
    if isinstance(body, Alarm):
        return head.encode() + b'"alarm":' + _encode(_alarm(body))
    return head.encode() + b'"event":' + _encode(_event(body))


def _values(body: Values) -> bytes:
    layout, quality, values = body.layout, body.quality, body.values
    names: Sequence[str] = layout.names
    columns = layout.columns
    if body.index is not None:
        names = [names[i] for i in body.index]
        columns = "".join([columns[i] for i in body.index])
    if quality is not None or None in values or not _is_finite(values, columns):
        values, quality = _usable(values, quality)
    if "f" in columns:
        values = _short_columns(values, columns)
    text = b'"values":' + _encode(dict(zip(names, values, strict=True)))
    if quality is not None:
        words = {name: _WORD[q] for name, q in zip(names, quality, strict=True) if q}
        text += b',"quality":' + _encode(words)
    text += _times(b',"source_time":', names, body.source_time_ns)
    return text + _times(b',"server_time":', names, body.server_time_ns)


def _times(key: bytes, names: Sequence[str], times_ns: Sequence[int | None] | None) -> bytes:
    """Time by tag, behind ``key``; nothing where no tag has one."""
    if times_ns is None:
        return b""
    known = {n: rfc3339(t) for n, t in zip(names, times_ns, strict=True) if t is not None}
    return key + _encode(known) if known else b""


def _is_finite(values: Sequence[Scalar], columns: str) -> bool:
    # One NaN or infinity makes the sum so; a finite column whose sum overflows
    # merely takes the slower way.
    if _FLOATS.isdisjoint(columns):
        return "*" not in columns
    return "*" not in columns and isfinite(sum(values))  # type: ignore[arg-type]


def _usable(
    values: Sequence[Scalar], quality: bytes | None
) -> tuple[list[Scalar], bytes | None]:
    """The columns with null for what cannot be used, and the reason beside it."""
    marks = bytearray(quality or bytes(len(values)))
    out: list[Scalar] = list(values)
    for row, value in enumerate(values):
        if value is None:
            marks[row] = max(marks[row], _BAD)
        elif isinstance(value, float) and not isfinite(value):
            out[row], marks[row] = None, int(Quality.BAD_NOT_FINITE)
        elif marks[row] >= _BAD:
            out[row] = None
    return out, bytes(marks) if any(marks) else None


def _short_columns(values: Sequence[Scalar], columns: str) -> Sequence[Scalar]:
    """``values`` with the float32 among them shortened, the rest as they are."""
    if columns == "f" * len(columns) and None not in values:
        return shortest(values)  # type: ignore[arg-type]
    rows = [
        row
        for row, (v, c) in enumerate(zip(values, columns, strict=True))
        if c == "f" and v is not None
    ]
    out = list(values)
    short = shortest([values[row] for row in rows])  # type: ignore[misc]
    for row, value in zip(rows, short, strict=True):
        out[row] = value
    return out


@lru_cache(maxsize=1024)
def _formats(width: int, digits: int) -> tuple[str, struct.Struct]:
    return "[" + ",".join([f"%.{digits}g"] * width) + "]", struct.Struct(f"<{width}f")


def shortest(column: Sequence[float]) -> list[float]:
    """The doubles whose shortest texts are the shortest that read back to each float32.

    column: finite values that a float32 holds exactly.
    """
    if not column:
        return []
    short = _with_digits(column, 7)
    sizes = list(map(abs, column))
    # Only outside can float32 be coarser than seven digits, so that fewer may do.
    if min(sizes) < 1e-3 or max(sizes) >= 1e7:
        for row, value in enumerate(column):
            if not 1e-3 <= abs(value) < 1e7:
                short[row] = _fewer_digits(value, short[row]) if value else value
    return short


def _with_digits(column: Sequence[float], digits: int) -> list[float]:
    """``column`` in ``digits`` digits, in more where these do not read back."""
    form, packing = _formats(len(column), digits)
    short = _floats(form % tuple(column))
    if digits == _ALWAYS_ENOUGH:
        return short
    back = packing.unpack(packing.pack(*short))
    if back != tuple(column):
        rows = [row for row, (b, v) in enumerate(zip(back, column, strict=True)) if b != v]
        longer = _with_digits([column[row] for row in rows], digits + 1)
        for row, value in zip(rows, longer, strict=True):
            short[row] = value
    return short


def _fewer_digits(value: float, short: float) -> float:
    """``value`` in at most six digits if these read back, else ``short``."""
    want = _FLOAT32.pack(value)
    if not _reads_back(float(f"{value:.6g}"), want):
        return short
    texts = (float(f"{value:.{digits}g}") for digits in range(1, 7))
    return next(text for text in texts if _reads_back(text, want))


def _reads_back(text: float, want: bytes) -> bool:
    return abs(text) < _FLOAT32_OVERFLOW and _FLOAT32.pack(text) == want


_ALWAYS_ENOUGH: Final = 9
"""Digits that name every float32 (IEEE 754-2019, 5.12.2)."""
_FLOAT32_OVERFLOW: Final = 3.4028235677973366e38
"""From here on a double rounds to infinity as a float32 (2**128 - 2**103)."""


def _gap(gap: Gap) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": gap.id,
        "cause": gap.cause,
        "tags": "*" if gap.tags is None else gap.tags,
        "from": rfc3339(gap.from_ns),
        "to": None if gap.to_ns is None else rfc3339(gap.to_ns),
        "count": gap.count,
        "count_is": "exact" if gap.exact and gap.count is not None else "at_most",
    }
    if gap.seqs is not None:
        fields["seqs"] = gap.seqs
    if gap.after is not None:
        fields["after"] = {"incarnation": gap.after[0], "seq": gap.after[1]}
    return fields


def _alarm(alarm: Alarm) -> dict[str, Any]:
    cleared_ns = alarm.cleared_ns
    return {
        "id": alarm.id,
        "tag": alarm.tag,
        "level": alarm.level,
        "state": alarm.state,
        "priority": alarm.priority.word,
        "value": alarm.value,
        "limit": alarm.limit,
        "unit": alarm.unit,
        "quality": alarm.quality.word,
        "raised": rfc3339(alarm.raised_ns),
        "cleared": None if cleared_ns is None else rfc3339(cleared_ns),
        "snapshot": alarm.snapshot,
    }


def _event(event: Event) -> dict[str, Any]:
    return {"kind": event.kind, **{key: _field(value) for key, value in event.fields.items()}}


def _field(value: Any) -> Any:
    """A field of an event; a moment is written like every time on the wire."""
    return rfc3339(_unix_ns(value)) if isinstance(value, datetime) else value


def _unix_ns(moment: datetime) -> int:
    return (moment - _UNIX) // timedelta(microseconds=1) * 1000


def _tag_schema(tag: Tag, limits: Mapping[str, float]) -> dict[str, Any]:
    return {
        "type": tag.type,
        "unit": tag.unit,
        "label": tag.label,
        "range": None if tag.conversion is None else tag.conversion.range,
        "limits": limits,
        "interval_s": tag.interval_s,
        "max_silence_s": tag.max_silence_s,
        "class": wire.CLASS_WORDS[tag.tag_class],
    }
