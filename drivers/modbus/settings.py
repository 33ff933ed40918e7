"""What a person writes for a Modbus link, and what the driver takes from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from drivers.modbus.address import REGISTERS, Address, Order, Table, counted, numbered
from drivers.modbus.plan import MAX_BITS, MAX_REGISTERS, Shape
from gateway.config import Clash, DeviceConfig, Duration, LinkConfig, TagConfig, wrong
from gateway.errors import Mistake
from gateway.model import DataType

PORT = 502
SCHEMES_TO_COME = ("tls", "udp", "rtu+tcp", "rtu", "ascii", "ascii+tcp")

Addressing: TypeAlias = Literal["zero_based", "modicon"]
Registers: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=MAX_REGISTERS)]
Bits: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=MAX_BITS)]
UnusedRegisters: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=MAX_REGISTERS)]


def host_and_port(url: str) -> tuple[str, int]:
    """``tcp://10.10.1.20:502`` as host and port; the port is 502 unless given.

    Raises:
        ValueError: It is not such a url.
    """
    parts = urlsplit(url)
    plain = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
    if parts.scheme != "tcp" or not parts.hostname or parts.port == 0 or not plain:
        raise ValueError(url)
    return parts.hostname, parts.port or PORT


def _url(written: str) -> str:
    if written.partition(":")[0] in SCHEMES_TO_COME:
        raise wrong("modbus_url_scheme", value=written)
    try:
        host_and_port(written)
    except ValueError as error:
        raise wrong("modbus_url", value=written) from error
    return written


class ModbusTag(TagConfig):
    """One value in a Modbus device."""

    type: DataType
    """How the value is laid out in the device; a guess could be a wrong value."""
    order: Order | None = None
    """How its bytes lie in the registers; A is the most significant."""
    length: Annotated[int, Field(strict=True, ge=1, le=2 * MAX_REGISTERS)] | None = None
    """Characters of a string, two in each register."""
    bit: Annotated[int, Field(strict=True, ge=0, le=15)] | None = None
    """Which bit of a register a bool is; 0 is the least significant."""

    def _length_of_a_string(self) -> Iterator[PydanticCustomError]:
        if self.type is DataType.STRING and not self.has("length"):
            yield wrong("modbus_length_missing", "type")
        if self.type is not DataType.STRING and self.has("length"):
            yield wrong("modbus_length_unused", "length", type=self.type.value)

    def _bit_of_a_bool(self) -> Iterator[PydanticCustomError]:
        if self.has("bit") and self.type is not DataType.BOOL:
            yield wrong("modbus_bit_unused", "bit", type=self.type.value)

    clashes: ClassVar[tuple[Clash, ...]] = (
        *TagConfig.clashes,
        _length_of_a_string,
        _bit_of_a_bool,
    )


class ModbusDevice(DeviceConfig):
    """A station on a Modbus link."""

    unit: Annotated[int, Field(strict=True, ge=0, le=255)]
    """Its unit id."""
    gap: Duration | None = None
    """Pause before the next request."""
    addressing: Addressing | None = None
    """`modicon`: addresses like 40001, which count from 1, are understood."""
    order: Order | None = None
    """How the bytes of a value lie in the registers; A is the most significant."""
    max_registers: Registers | None = None
    """Registers one request may ask for."""
    max_gap: UnusedRegisters | None = None
    """Unused registers one request may read over; by cost unless set."""
    max_bits: Bits | None = None
    """Coils or discrete inputs one request may ask for."""
    tags: tuple[ModbusTag, ...] = ()
    """Its values."""


class ModbusLink(LinkConfig):
    """One Modbus TCP connection and the devices behind it."""

    driver: Literal["modbus"]
    """The protocol."""
    url: Annotated[str, AfterValidator(_url)]
    """`tcp://host:port`; the port is 502 unless given."""
    gap: Duration = 0.0
    """Pause before the next request."""
    addressing: Addressing = "zero_based"
    """`modicon`: addresses like 40001, which count from 1, are understood."""
    order: Order = Order.ABCD
    """How the bytes of a value lie in the registers; A is the most significant."""
    max_registers: Registers = MAX_REGISTERS
    """Registers one request may ask for."""
    max_gap: UnusedRegisters | None = None
    """Unused registers one request may read over; by cost unless set."""
    max_bits: Bits = MAX_BITS
    """Coils or discrete inputs one request may ask for."""
    devices: tuple[ModbusDevice, ...] = ()
    """The stations on this link."""


def shape(device: ModbusDevice, link: ModbusLink) -> Shape:
    """How requests to ``device`` may look; what it does not say, the link says."""
    return Shape(
        device.max_registers or link.max_registers,
        device.max_bits or link.max_bits,
        link.max_gap if device.max_gap is None else device.max_gap,
        device.timeout or link.timeout,
        link.gap if device.gap is None else device.gap,
    )


def address(tag: ModbusTag, device: ModbusDevice, link: ModbusLink) -> Address:
    """Where ``tag`` lies.

    Raises:
        Mistake: No such place, or its type cannot lie there.
    """
    place = numbered(tag.address)
    if place is None:
        modicon = (device.addressing or link.addressing) == "modicon"
        place = counted(tag.address, modicon=modicon)
    table, offset = place
    _check_type(tag, table)
    _check_width(tag, table, offset, device.max_registers or link.max_registers)
    return Address(
        device.unit,
        table,
        offset,
        tag.type,
        tag.order or device.order or link.order,
        tag.length or 0,
        -1 if tag.bit is None else tag.bit,
    )


def _check_type(tag: ModbusTag, table: Table) -> None:
    if table.holds_bits and tag.type is not DataType.BOOL:
        raise Mistake("modbus_bit_table", path=("type",), table=table.word, type=tag.type.value)
    if tag.type is not DataType.BOOL or tag.has("bit") is not table.holds_bits:
        return
    if table.holds_bits:
        raise Mistake("modbus_bit_of_bit", path=("bit",), table=table.word)
    raise Mistake("modbus_bit_missing", path=("type",), address=tag.address)


def _check_width(tag: ModbusTag, table: Table, offset: int, max_registers: int) -> None:
    place = Address(0, table, offset, tag.type, length=tag.length or 0)
    if place.end > 0x10000:
        raise Mistake("modbus_address_range", path=("address",), address=tag.address)
    if not table.holds_bits and place.width > max_registers:
        raise Mistake(
            "modbus_too_wide",
            path=("length",) if tag.type not in REGISTERS else ("type",),
            registers=place.width,
            max_registers=max_registers,
        )
