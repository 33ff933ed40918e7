"""The words of the gateway: tags, the blocks they are read in, batches of readings.

    Tag ──many per──▶ Block ──one per poll──▶ Batch ──row view──▶ Reading

A block is a schema, made once from the configuration. A batch is one poll of a
block: parallel columns in the block's tag order. The hot path handles batches
only; ``Reading`` is for people (CLI, tests, logs).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

Scalar: TypeAlias = bool | int | float | str | None
RequestT = TypeVar("RequestT")


class Quality(IntEnum):
    """How far a value can be trusted, in one byte.

    The top two bits are the severity, as in an OPC UA StatusCode:
    ``0x00`` good, ``0x40`` uncertain, ``0x80`` bad (OPC 10000-4, StatusCode).
    """

    GOOD = 0x00
    UNCERTAIN = 0x40
    UNCERTAIN_LAST_USABLE = 0x41
    UNCERTAIN_OUT_OF_RANGE = 0x42
    UNCERTAIN_SENSOR = 0x43
    """The sensor signal is at its limits, e.g. 3.6 to 3.8 mA (NAMUR NE 43)."""
    BAD = 0x80
    BAD_NO_COMMUNICATION = 0x81
    BAD_DEVICE_FAILURE = 0x82
    BAD_CONFIGURATION = 0x83
    BAD_OUT_OF_SERVICE = 0x84
    BAD_NOT_FINITE = 0x85
    BAD_SENSOR = 0x86
    """The value stands for a broken sensor: a sentinel, or outside 3.6 to 21 mA."""

    @property
    def word(self) -> str:
        """As written on the wire: ``good``, ``uncertain.out_of_range``, ``bad.sensor`` …"""
        severity, _, reason = self.name.lower().partition("_")
        return f"{severity}.{reason}" if reason else severity


class ClockState(StrEnum):
    """Whether the wall clock could be trusted when a record was made."""

    SYNCED = "synced"
    HOLDOVER = "holdover"
    UNSYNCED = "unsynced"


class Stamp(NamedTuple):
    """One look at the clock."""

    time_ns: int
    """Unix time."""
    state: ClockState
    bound_ms: int | None
    """How far ``time_ns`` may be from UTC; None when nobody can say."""
    mono_ns: int | None = None
    """The same instant on the monotonic clock; None where nobody asked it."""


class Lane(StrEnum):
    """A path from the journal to the broker, with its own order and disk share."""

    ALARM = "alarm"
    DATA = "data"
    META = "meta"


class TagClass(IntEnum):
    """How important a tag is; the smaller number is polled first."""

    SAFETY = 0
    NORMAL = 1
    BACKGROUND = 2


class AlarmLevel(StrEnum):
    """Which limit of a tag an alarm stands for."""

    HIGH_HIGH = "high_high"
    HIGH = "high"
    LOW = "low"
    LOW_LOW = "low_low"

    @property
    def is_high(self) -> bool:
        """Whether the alarm lies above its limit."""
        return self in (AlarmLevel.HIGH_HIGH, AlarmLevel.HIGH)


class AlarmState(StrEnum):
    """State of an alarm, as far as the gateway evaluates it (ISA-18.2)."""

    ACTIVE = "active"
    CLEARED = "cleared"


class Priority(IntEnum):
    """How urgent an alarm is; the smaller number is the more urgent (ISA-18.2)."""

    EMERGENCY = 1
    HIGH = 2
    MEDIUM = 3
    DIAGNOSTIC = 4

    @property
    def word(self) -> str:
        """As written on the wire."""
        return self.name.lower()


class DataType(StrEnum):
    """How a value is laid out in the device."""

    BOOL = "bool"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    STRING = "string"
    BCD16 = "bcd16"
    BCD32 = "bcd32"


class Cause(StrEnum):
    """Why readings are missing; the closed list of the delivery contract."""

    DEVICE_TIMEOUT = "device_timeout"
    DEVICE_EXCEPTION = "device_exception"
    DEVICE_REFUSED = "device_refused"
    PROTOCOL_VIOLATION = "protocol_violation"
    LATE_REPLY_DISCARDED = "late_reply_discarded"
    POLL_OVERRUN = "poll_overrun"
    SUB_GAP = "sub_gap"
    SUB_OVERFLOW = "sub_overflow"
    SUB_RECREATED = "sub_recreated"
    DECODE_ERROR = "decode_error"
    VALUE_NOT_FINITE = "value_not_finite"
    NOT_RUNNING_CLEAN = "not_running_clean"
    NOT_RUNNING_UNCLEAN = "not_running_unclean"
    UNCOMMITTED_WINDOW = "uncommitted_window"
    JOURNAL_EVICTED = "journal_evicted"
    JOURNAL_CORRUPT = "journal_corrupt"
    STORAGE_FAILED = "storage_failed"
    QUARANTINED = "quarantined"
    CONFIG_REMOVED = "config_removed"
    CLOCK_UNSYNCED = "clock_unsynced"


@dataclass(frozen=True, slots=True)
class Scale:
    """``value = (raw * numerator + offset) / denominator``, exact for integers.

    The three are integers so that a raw integer gives the double nearest to the
    true quotient: 3 at a factor of 0.1 is 0.3, not 0.30000000000000004.
    """

    numerator: int
    offset: int
    denominator: int
    raw: tuple[float, float] | None = None
    """Raw values at 4 and 20 mA when NAMUR NE 43 limits apply, else None."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What turns a raw value into the value of a tag, in this order; shared by equal tags.

    sentinels → invert → enum → scale → range or clamp.
    """

    scale: Scale | None = None
    range: tuple[float, float] | None = None
    """Lowest and highest credible value, in the tag's unit."""
    clamp: bool = False
    """Cut to ``range`` instead of marking the value uncertain."""
    invert: bool = False
    enum: Mapping[int, str] | None = None
    sentinels: frozenset[float] = frozenset()
    """Raw values that mean "no measurement"."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One named value a device offers."""

    name: str
    device: str
    address: Any
    """Where the value lives; parsed and understood by the driver alone."""
    type: DataType = DataType.FLOAT64
    """As it lies in the device; a scaled tag is published as a float."""
    unit: str = ""
    """Engineering unit of the published value, UCUM code (``Cel``, ``kW``, ``bar``)."""
    interval_s: float = 1.0
    """Seconds between two readings."""
    max_silence_s: float = 60.0
    """A full image goes out at least this often."""
    deadband: float | None = None
    """Change of value that is reported; None: every poll, 0: every change."""
    tag_class: TagClass = TagClass.NORMAL
    label: str = ""
    conversion: Conversion | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Block(Generic[RequestT]):
    """Tags one request reads together: the schema of all their batches."""

    device: str
    tags: tuple[Tag, ...]
    interval_s: float
    request: RequestT
    """What the driver sends; the gateway never looks inside."""
    subscribed: bool = False
    """The device speaks up by itself when a value changes; nobody polls it."""

    @property
    def tag_class(self) -> TagClass:
        """The most important class among the tags."""
        return min(tag.tag_class for tag in self.tags)

    def bad(self, quality: Quality, time_ns: int) -> Batch:
        """A batch in which no tag has a value, all for the same reason."""
        n = len(self.tags)
        return Batch(self, time_ns, (None,) * n, bytes([quality]) * n)


@dataclass(frozen=True, slots=True)
class Batch:
    """The readings one poll of a block gave, as parallel columns.

    A column left ``None`` is constant: every tag in block order, every value
    good, every value taken at ``time_ns``. Drivers fill only what differs.
    Without rows it says of a subscribed block that nothing changed up to ``time_ns``.
    """

    block: Block[Any]
    time_ns: int
    """When the response arrived, Unix time in nanoseconds."""
    values: Sequence[Scalar]
    """One value per reading, scaled to the tag's unit; None where quality is bad."""
    quality: bytes | None = None
    """One `Quality` per reading."""
    index: Sequence[int] | None = None
    """Positions in ``block.tags``, when only some tags are present."""
    source_time_ns: Sequence[int | None] | None = None
    """The device's own timestamps, when it has a clock (OPC UA); None where it gave none."""
    mono_ns: tuple[int, int] | None = None
    """Request sent and reply received, nanoseconds of the monotonic clock."""
    server_time_ns: Sequence[int | None] | None = None
    """When a server between us and the device took each value from it."""
    known_to_ns: int | None = None
    """Of a subscribed block: up to when all of its changes are known, where the words of the
    server were long on their way; None: up to ``time_ns``."""

    def __post_init__(self) -> None:
        want = len(self.block.tags if self.index is None else self.index)
        times = self.source_time_ns, self.server_time_ns
        for column in (self.values, self.quality, *times):
            if column is not None and len(column) != want:
                raise ValueError(f"column of {len(column)} in a batch of {want}")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def elapsed_ns(self) -> int:
        """When it came, on a clock that is never set where the driver has asked one."""
        return self.time_ns if self.mono_ns is None else self.mono_ns[1]

    def select(self, rows: Sequence[int]) -> Batch:
        """The batch holding only ``rows``, e.g. those a dead band let through."""
        index = self.index
        return Batch(
            self.block,
            self.time_ns,
            [self.values[r] for r in rows],
            self.quality and bytes(self.quality[r] for r in rows),
            rows if index is None else [index[r] for r in rows],
            self.source_time_ns and [self.source_time_ns[r] for r in rows],
            self.mono_ns,
            self.server_time_ns and [self.server_time_ns[r] for r in rows],
            self.known_to_ns,
        )

    def readings(self) -> Iterator[Reading]:
        """The same content row by row; not for the hot path."""
        tags = self.block.tags
        for row, value in enumerate(self.values):
            yield Reading(
                tags[row if self.index is None else self.index[row]],
                value,
                Quality.GOOD if self.quality is None else Quality(self.quality[row]),
                (self.source_time_ns and self.source_time_ns[row]) or self.time_ns,
            )


class Reading(NamedTuple):
    """One row of a `Batch`."""

    tag: Tag
    value: Scalar
    quality: Quality
    time_ns: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A record that stands where readings should be."""

    id: str
    cause: Cause
    from_ns: int
    to_ns: int | None
    """None while the gap is open."""
    tags: tuple[str, ...] | None = None
    """None: every tag of the device."""
    count: int | None = None
    """Readings that were due and are missing; None while nobody knows."""
    exact: bool = True
    """False: ``count`` is an upper bound."""
    seqs: tuple[int, int] | None = None
    """First and last seq of stored records this gap stands for."""
    after: tuple[str, int] | None = None
    """Incarnation and last seq of the stream before this one."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One change of an alarm's state; it says all there is to know of the alarm then."""

    id: str
    """The same from raised to cleared, also across restarts; never used again."""
    tag: str
    level: AlarmLevel
    state: AlarmState
    priority: Priority
    value: Scalar
    """Of the reading that decided; None when the limit itself went away."""
    limit: float
    unit: str
    quality: Quality
    raised_ns: int
    """When the alarm became active, Unix time: the on-delay has passed then."""
    cleared_ns: int | None = None
    snapshot: bool = False
    """True in the repetition after a reconnect."""

    @property
    def time_ns(self) -> int:
        """When this change happened, Unix time."""
        return self.raised_ns if self.cleared_ns is None else self.cleared_ns


@dataclass(frozen=True, slots=True)
class Event:
    """Something about the gateway itself that the platform should know."""

    kind: str
    fields: Mapping[str, Any]
