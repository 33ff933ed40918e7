"""What a plan costs: time on the bus, bytes in the journal, wear of the flash. Pure.

Bus time is an estimate from `Assumptions`; a plan that does not fit even so cannot work.
Bytes are those of real records: a batch of each block goes through the encoder and into
the frame that the agent uses.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.journal import Settings
from gateway.journal.format import Row, frame_bytes, pack_rows
from gateway.model import Batch, Block, ClockState, DataType, Lane, Scalar, Stamp, Tag
from gateway.planning import PlannedLink
from gateway.record import Encoder, layout_of

DAY_S: Final = 86_400
YEAR_DAYS: Final = 365
FULL: Final = 0.8
"""Share of the bus time a link may plan with; the rest is for slow answers."""
MAX_CONNECTIONS: Final = 16
FRAME_BYTES: Final = 200
"""Bytes on the wire of a request and an answer that carry nothing, with TCP and Ethernet."""
PAGE_BYTES: Final = 4096
"""A commit writes whole pages, and the next one writes its last page again."""
MARK_S: Final = 10.0
"""How often the journal notes how far each stream was watched."""
_STRING_BYTES: Final = 16
_STAMP: Final = Stamp(1_800_000_000_000_000_000, ClockState.SYNCED, 3)
_WIDTH: Final = {
    DataType.BOOL: 1,
    DataType.INT16: 2,
    DataType.UINT16: 2,
    DataType.BCD16: 2,
    DataType.INT64: 8,
    DataType.UINT64: 8,
    DataType.FLOAT64: 8,
    DataType.STRING: _STRING_BYTES,
}
"""Bytes of a value in the device; 4 for the others."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What nobody can know before the link is open."""

    round_trip_s: float = 0.005
    """From request to answer, the device's own work included."""
    bytes_per_s: float = 1_000_000.0


@dataclass(frozen=True, slots=True)
class RequestForecast:
    """One request of a link, and what its answers cost."""

    device: str
    what: str
    """As the driver prints it; empty when the driver has no word for it."""
    tags: int
    registers: int | None
    """Registers or bits asked for; None when the driver does not count."""
    interval_s: float
    time_s: float
    """Bus time of one poll, with the pause the device wants."""
    record_bytes: int
    """A record with every tag of the block, as it lies in the journal."""
    bytes_per_day: float
    """When every poll is reported."""
    quiet_bytes_per_day: float
    """When no value changes."""

    @property
    def load(self) -> float:
        """Seconds of bus time needed each second."""
        return self.time_s / self.interval_s


@dataclass(frozen=True, slots=True)
class LinkForecast:
    """One link: its requests, and whether they fit."""

    name: str
    connections: int
    requests: tuple[RequestForecast, ...]
    slowest: str
    """The device with the longest timeout."""
    timeout_s: float
    """How long that device can hold a connection by not answering."""

    @property
    def load(self) -> float:
        """Seconds of bus time needed each second, over all connections."""
        return sum(request.load for request in self.requests)

    @property
    def usable(self) -> int:
        """Connections that can be busy at once: never more than there are requests."""
        return min(self.connections, len(self.requests))

    @property
    def utilisation(self) -> float:
        """Share of the bus time that is needed; above 1 the plan cannot work."""
        return self.load / self.usable

    @property
    def pass_s(self) -> float:
        """Time to ask everything once."""
        return sum(request.time_s for request in self.requests) / self.usable

    @property
    def shortest_s(self) -> float:
        """The shortest interval."""
        return min(request.interval_s for request in self.requests)

    @property
    def worst_wait_s(self) -> float:
        """How long a poll can be late while one device is silent."""
        return self.timeout_s + self.pass_s

    @property
    def too_slow(self) -> list[RequestForecast]:
        """The requests that take longer than their own interval; connections do not help."""
        return [request for request in self.requests if request.load > 1]

    @property
    def works(self) -> bool:
        """Whether every poll can be made when it is due."""
        return self.utilisation <= 1 and not self.too_slow

    @property
    def stretch(self) -> float:
        """How many times as long the intervals have to be for the plan to fit well."""
        return math.ceil(max(1.0, self.utilisation / FULL) * 10) / 10

    @property
    def connections_needed(self) -> int | None:
        """Connections with which the plan fits well; None when no number does."""
        needed = math.ceil(self.load / FULL)
        possible = needed <= min(MAX_CONNECTIONS, len(self.requests)) and not self.too_slow
        return needed if possible else None


@dataclass(frozen=True, slots=True)
class JournalForecast:
    """What the journal takes in, how long it lasts, and what the flash has to bear."""

    records_per_s: float
    bytes_per_day: float
    quiet_bytes_per_day: float
    size: int
    data_bytes: int
    """The share of ``size`` that readings may fill."""
    commits_per_s: float
    """Requests of one interval come in one burst, which shares a commit where it can."""
    mark_bytes_per_day: float
    """What says how far each stream was watched."""

    @property
    def hours(self) -> float | None:
        """Hours without a broker until the oldest readings go; None: nothing comes in."""
        return _hours(self.data_bytes, self.bytes_per_day)

    @property
    def quiet_hours(self) -> float | None:
        """The same when no value changes."""
        return _hours(self.data_bytes, self.quiet_bytes_per_day)

    @property
    def flash_bytes_per_year(self) -> float:
        """Bytes handed to the medium in a year; its own amplification comes on top."""
        pages = (self.commits_per_s + 1 / MARK_S) * DAY_S * PAGE_BYTES
        return (self.bytes_per_day + self.mark_bytes_per_day + pages) * YEAR_DAYS

    @property
    def overwrites_per_year(self) -> float:
        """How often a year writes the whole journal."""
        return self.flash_bytes_per_year / self.size


def forecast_link(link: PlannedLink, assumed: Assumptions) -> LinkForecast:
    """What ``link`` costs; it has a block at least."""
    config = link.site.config
    devices = {device.name: device for device in config.devices}
    timeouts = {name: device.timeout or config.timeout for name, device in devices.items()}
    slowest = max({block.device: None for block in link.blocks}, key=timeouts.__getitem__)
    encoder = Encoder("00" * 16, link.blocks, [layout_of(block) for block in link.blocks])
    line_pause_s = link.drivers[0].pause_s
    requests = [
        # `gap` is a key of the drivers that pause between requests (config/README.md).
        _request(
            block,
            encoder,
            assumed,
            (getattr(devices[block.device], "gap", None) or 0.0) + line_pause_s,
        )
        for block in link.blocks
    ]
    return LinkForecast(
        config.name, config.connections, tuple(requests), slowest, timeouts[slowest]
    )


def forecast_journal(
    links: Sequence[LinkForecast], *, size: int, commit_s: float
) -> JournalForecast:
    """What a journal of ``size`` bytes has to bear for all ``links``."""
    settings = Settings(path=Path(), size=size, commit_s=commit_s)
    requests = [request for link in links for request in link.requests]
    records_per_s = sum(1 / request.interval_s for request in requests)
    return JournalForecast(
        records_per_s,
        sum(request.bytes_per_day for request in requests),
        sum(request.quiet_bytes_per_day for request in requests),
        size,
        settings.quota(Lane.DATA) * settings.segment_bytes(Lane.DATA),
        min(1 / commit_s, sum(_commits_per_s(link, commit_s) for link in links)),
        _mark_bytes({request.device for request in requests}) * DAY_S / MARK_S,
    )


def _request(
    block: Block[Any], encoder: Encoder, assumed: Assumptions, pause_s: float
) -> RequestForecast:
    size = FRAME_BYTES + sum(_WIDTH.get(tag.type, 4) for tag in block.tags)
    full, quiet = _record_bytes(block, encoder)
    polls = DAY_S / block.interval_s
    images = min(polls, DAY_S / min(tag.max_silence_s for tag in block.tags))
    return RequestForecast(
        block.device,
        described(block.request),
        len(block.tags),
        counted(block.request),
        block.interval_s,
        assumed.round_trip_s + size / assumed.bytes_per_s + pause_s,
        full,
        full * polls,
        full * images + quiet * (polls - images),
    )


def _record_bytes(block: Block[Any], encoder: Encoder) -> tuple[int, int]:
    """Bytes in the journal of a full image, and of the next poll when nothing changed."""
    name = block.device.encode()
    batch = Batch(block, _STAMP.time_ns, [_typical(tag) for tag in block.tags], mono_ns=(1, 2))
    full = frame_bytes(name, encoder.batch(batch, _STAMP))
    rows = [row for row, tag in enumerate(block.tags) if tag.deadband is None]
    if not rows or len(rows) == len(block.tags):
        return full, full if rows else 0
    return full, frame_bytes(name, encoder.batch(batch.select(rows), _STAMP))


def _typical(tag: Tag) -> Scalar:
    """A value as wide as most values of ``tag``."""
    conversion = tag.conversion
    if conversion is not None and conversion.enum:
        return max(conversion.enum.values(), key=len)
    if tag.type == DataType.STRING:
        return "x" * _STRING_BYTES
    if tag.type == DataType.BOOL:
        return True
    scaled = conversion is not None and conversion.scale is not None
    return 1.5 if scaled or tag.type in (DataType.FLOAT32, DataType.FLOAT64) else 1000


def _commits_per_s(link: LinkForecast, commit_s: float) -> float:
    bursts: dict[float, float] = {}
    for request in link.requests:
        burst_s = bursts.get(request.interval_s, 0.0)
        bursts[request.interval_s] = burst_s + request.time_s / link.usable
    return sum((1 + burst_s // commit_s) / interval_s for interval_s, burst_s in bursts.items())


def _mark_bytes(devices: Iterable[str]) -> int:
    rows = [
        Row(Lane.DATA, name.encode(), bytes(16), 1, 1, 0, 0, 0, 0)
        for name in (*devices, "_gateway")
    ]
    return frame_bytes(b"", pack_rows(rows))


def _hours(room: int, per_day: float) -> float | None:
    return room / per_day * 24 if per_day else None


def described(request: object) -> str:
    """``request`` as its driver prints it; empty when the driver has no word for it."""
    kind = type(request)
    is_silent = kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__
    return "" if is_silent or request is None else str(request)


def counted(request: object) -> int | None:
    """Registers or bits, when the request says so in ``count``."""
    count = getattr(request, "count", None)
    return count if isinstance(count, int) else None
