"""What a person writes, as models: the one table of keys, defaults and limits.

The schema for editors, the reference in ``config/README.md`` and the loader all read
these models. A driver extends `LinkConfig`, `DeviceConfig` and `TagConfig` with its own
keys. Nothing here knows YAML, files or positions.

A key that an outer level and an inner level both have (``interval``, ``timeout`` …)
passes inwards unless the inner level sets it; `OWN` lists the keys that never pass.
"""

from __future__ import annotations

import ipaddress
import os
import re
import zoneinfo
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    StrictBool,
    StrictInt,
)
from pydantic_core import PydanticCustomError

from gateway.errors import ConfigError
from gateway.model import DataType, TagClass
from gateway.notation import (
    NAME,
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
    Size,
    wrong,
)

__all__ = [
    "NAME",
    "OWN",
    "AlarmsConfig",
    "Clash",
    "Config",
    "Defaults",
    "DeviceConfig",
    "DropIn",
    "Duration",
    "GatewayConfig",
    "Interval",
    "JournalConfig",
    "LinkConfig",
    "LogConfig",
    "Model",
    "MqttConfig",
    "Name",
    "Number",
    "Pair",
    "ScaleConfig",
    "Secret",
    "SecretRef",
    "Size",
    "TagConfig",
    "TlsConfig",
    "broker",
    "is_loopback",
    "passed_down",
    "wrong",
]

OWN: Final = frozenset(
    {"name", "label", "unit", "driver", "url", "devices", "tags", "template", "parameters"}
)
"""Keys that belong to one level alone, even where another level has the same word."""

_LIMITS: Final = ("low_low", "low", "high", "high_high")
_TOPIC: Final = re.compile(r"[^/+#\s$][^/+#\s]*(?:/[^/+#\s]+)*")


def _number_as_factor(written: object) -> object:
    plain = isinstance(written, int | float) and not isinstance(written, bool)
    return {"factor": written} if plain else written


def _no_inline_secret(written: object) -> object:
    if not isinstance(written, Mapping | Secret):
        raise wrong("secret_inline")
    return written


def _timezone(written: object) -> object:
    if isinstance(written, str) and written != "UTC" and zoneinfo.TZPATH:
        known = any(Path(folder, written).is_file() for folder in zoneinfo.TZPATH)
        if not known and any(Path(folder).is_dir() for folder in zoneinfo.TZPATH):
            raise wrong("unknown_timezone", value=written)
    return written


def _or_number(schema: dict[str, Any]) -> None:
    schema["anyOf"].insert(0, {"type": "number"})


class Secret(Model):
    """Where a secret lies; the secret itself is never in the configuration."""

    credential: Name | None = None
    """Name of a systemd credential (`LoadCredential=`)."""
    file: str | None = None
    """Path of a file that holds the secret."""

    def _one_source(self) -> Iterator[PydanticCustomError]:
        if self.has("credential") == self.has("file"):
            yield wrong("secret_source")

    clashes = (_one_source,)

    def path(self) -> Path:
        """The file to read.

        Raises:
            ConfigError: A credential is named, and systemd handed in none.
        """
        if self.file is not None:
            return Path(self.file)
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise ConfigError(f"credential {self.credential}: CREDENTIALS_DIRECTORY is not set")
        return Path(folder, self.credential or "")

    def read(self) -> str:
        """The secret, without the line end an editor leaves behind.

        Raises:
            ConfigError: It cannot be read; the message names the path.
        """
        path = self.path()
        try:
            return path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"secret {path}: {error}") from error


SecretRef: TypeAlias = Annotated[Secret, BeforeValidator(_no_inline_secret)]


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


class DropIn(Model):
    """A file in ``conf.d``: more links for the main file."""

    version: Literal[1]
    """Version of this format."""
    links: tuple[LinkConfig, ...] = ()
    """Sockets and serial lines."""


class GatewayConfig(Model):
    """Who this gateway is."""

    id: Name
    """Unique in the park; first level of every topic after the root."""
    label: str = ""
    """Free text for people, any language."""
    timezone: Annotated[str, BeforeValidator(_timezone)] = "UTC"
    """For display only; records are always in UTC."""


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


class TlsConfig(Model):
    """Certificates towards the broker; without `ca` the system's own are used."""

    ca: str | None = None
    """File of the certificate authority that signed the broker's certificate."""
    certificate: str | None = None
    """File of the gateway's own certificate."""
    key: SecretRef | None = None
    """Where the private key of that certificate lies."""

    def _both_or_none(self) -> Iterator[PydanticCustomError]:
        if self.has("certificate") != self.has("key"):
            yield wrong("tls_pair", missing="certificate" if self.has("key") else "key")

    clashes = (_both_or_none,)


def _broker_url(written: str) -> str:
    parts = broker(written)
    if parts is None:
        raise wrong("not_a_broker_url")
    if parts.password is not None:
        raise wrong("secret_in_url")
    return written


def _not_empty(written: object) -> object:
    # Not by `min_length`: entries that are wrong themselves would count as missing.
    if isinstance(written, list | tuple) and not written:
        raise wrong("too_few", count=0, limit=1)
    return written


def _root(written: str) -> str:
    if not _TOPIC.fullmatch(written):
        raise wrong("not_a_topic", value=written)
    return written


def _delivery(written: str) -> str:
    if written == "receipt":
        raise wrong("receipts_to_come")
    return written


BrokerUrl: TypeAlias = Annotated[str, AfterValidator(_broker_url)]
"""``mqtts://host:8883``."""


class MqttConfig(Model):
    """Towards the broker."""

    urls: Annotated[
        tuple[BrokerUrl, ...],
        BeforeValidator(_not_empty),
        Field(json_schema_extra={"minItems": 1}),
    ]
    """Brokers in order of preference, `mqtts://host:8883`."""
    insecure: StrictBool = False
    """Must be true to use `mqtt://` to another machine: no encryption."""
    root: Annotated[str, AfterValidator(_root)] = "tidegate/v1"
    """First levels of every topic."""
    version: Literal[5, "3.1.1"] = 5
    """Version of MQTT."""
    client_id: Name | None = None
    """The gateway id unless set."""
    username: str | None = None
    """As the broker knows this gateway."""
    password: SecretRef | None = None
    """Where the password lies: `{credential: NAME}` or `{file: PATH}`."""
    tls: TlsConfig | None = None
    """Certificates; without it those of the system."""
    delivery: Annotated[Literal["puback", "receipt"], AfterValidator(_delivery)] = "puback"
    """Who acknowledges: the broker. `receipt` (the platform) is not in this version."""
    no_subscribers: Literal["hold", "accept"] = "hold"
    """When the broker says that nobody listens; `accept` is for the bench."""
    accept_v3_acknowledgements: StrictBool = False
    """Must be true to settle by an MQTT 3.1.1 acknowledgement."""
    window: Annotated[int, Field(strict=True, ge=1, le=65535)] = 64
    """Messages in flight."""
    catch_up: Annotated[float, Field(strict=True, ge=1)] = 3.0
    """Rate of the backlog, as a multiple of the live rate."""

    def _encrypted(self) -> Iterator[PydanticCustomError]:
        for position, url in self.each("urls"):
            parts = broker(url)
            is_open = parts and parts.scheme == "mqtt" and not is_loopback(parts.hostname or "")
            if is_open and not self.insecure:
                yield wrong("insecure_url", "urls", position, value=url)

    def _acknowledged_well(self) -> Iterator[PydanticCustomError]:
        if self.version != 5 and not self.accept_v3_acknowledgements:
            yield wrong("v3_not_accepted", "version")

    clashes = (_encrypted, _acknowledged_well)


class JournalConfig(Model):
    """The queue on disk."""

    path: str
    """Its directory."""
    size: Annotated[Size, Field(ge=16 * 2**20)] = 2 * 2**30
    """Disk it may use; when it is full the oldest data goes first, counted in a gap."""
    commit: Annotated[Interval, Field(le=60)] = 0.25
    """A reading is on disk after this time at the latest."""
    memory: Annotated[Size, Field(ge=2**20)] = 32 * 2**20
    """Readings kept in memory while the disk does not take them."""
    retain_settled: Duration = 86400.0
    """How long delivered data is still kept."""


class LogConfig(Model):
    """What the agent says about itself."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Smallest level that is written."""
    format: Literal["journal", "json", "console"] | None = None
    """By where stderr goes unless set."""


class Config(Model):
    """A whole configuration; every file begins with ``version: 1``."""

    version: Literal[1]
    """Version of this format."""
    gateway: GatewayConfig
    """Who this gateway is."""
    defaults: Defaults = Defaults()
    """For every link, device and tag."""
    links: tuple[LinkConfig, ...] = ()
    """Sockets and serial lines; files in `conf.d` may add more."""
    mqtt: MqttConfig
    """Towards the broker."""
    journal: JournalConfig
    """The queue on disk."""
    log: LogConfig = LogConfig()
    """What the agent says about itself."""
    status_page: Literal["off"] = "off"
    """No port is opened; a page comes with a later release."""
    metrics: Literal["off"] = "off"
    """No port is opened; metrics come with a later release."""


def broker(url: str) -> SplitResult | None:
    """The parts of ``mqtt[s]://host[:port]``; None when it is something else."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("mqtt", "mqtts") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if usable and parts.path in ("", "/") and not parts.query else None


def is_loopback(host: str) -> bool:
    """Whether ``host`` can only be this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def passed_down(outer: Model, inner: Model) -> dict[str, Any]:
    """What ``inner`` takes over from ``outer``: each shared key that only ``outer`` sets."""
    shared = (type(outer).model_fields.keys() & type(inner).model_fields.keys()) - OWN
    return {
        key: getattr(outer, key)
        for key in shared - inner.model_fields_set
        if key in outer.model_fields_set or getattr(inner, key) is None
    }
