"""Tags → the fewest requests that read them. Pure.

Tags are grouped by device, table and interval and sorted by offset. A request then takes
every value that still fits; a value is never split, so its words cannot tear. Leftmost-first
is optimal here: whatever does not fit starts the next request, and all that follows lies
further right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from drivers.modbus.address import Address, Table
from drivers.modbus.codec import Decode, decoder
from gateway.model import Block, Tag
from gateway.normalise import Normaliser

MAX_REGISTERS = 125
MAX_BITS = 2000
"""Most one request may ask for. Source: V1.1b3, 6.1 to 6.4."""

REQUEST_BYTES = 200
"""What one more request costs on the wire even if it carries nothing.

Two TCP segments of 90 bytes (preamble, Ethernet, IP, TCP with timestamps), 12 bytes of
request and 9 of reply. So reading 100 unused registers is as cheap as asking again.
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """How requests to one device may look."""

    max_registers: int = MAX_REGISTERS
    max_bits: int = MAX_BITS
    max_gap: int | None = None
    """Unused registers (16 bits each) a request may read over; None: while it is cheaper."""
    timeout_s: float = 1.0
    gap_s: float = 0.0

    def limit(self, table: Table) -> int:
        """Registers or bits one request may ask for."""
        return self.max_bits if table.holds_bits else self.max_registers

    def gap(self, table: Table) -> int:
        """Unused registers or bits one request may read over."""
        registers = REQUEST_BYTES // 2 if self.max_gap is None else self.max_gap
        return registers * 16 if table.holds_bits else registers


@dataclass(frozen=True, slots=True)
class Request:
    """One read of one table, and what turns its answer into values."""

    unit: int
    table: Table
    offset: int
    count: int
    timeout_s: float
    gap_s: float
    """Pause the device wants after this request, in seconds."""
    decode: Decode = field(repr=False, compare=False)
    normaliser: Normaliser = field(repr=False, compare=False)

    def __str__(self) -> str:
        last = self.offset + self.count - 1
        return f"unit {self.unit} {self.table.word}/{self.offset}..{last}"


ModbusBlock: TypeAlias = Block[Request]


def plan(tags: Sequence[Tag], shapes: Mapping[str, Shape]) -> list[ModbusBlock]:
    """The blocks that read ``tags``; ``shapes`` is by device.

    A block reads one table of one device at one interval. A value wider than the device's
    ``max_registers`` has a block of its own.
    """
    groups: dict[tuple[str, float, int, Table], list[Tag]] = defaultdict(list)
    for tag in tags:
        address: Address = tag.address
        groups[tag.device, tag.interval_s, address.unit, address.table].append(tag)
    return [
        _block(run, shapes[device])
        for (device, _, _, table), group in groups.items()
        for run in _runs(group, shapes[device].limit(table), shapes[device].gap(table))
    ]


def _runs(tags: list[Tag], limit: int, gap: int) -> Iterator[list[Tag]]:
    """``tags`` by offset, cut where the next value does not fit or is too far away."""
    run: list[Tag] = []
    start = end = 0
    for tag in sorted(tags, key=lambda tag: tag.address.offset):
        address: Address = tag.address
        if run and (address.end - start > limit or address.offset - end > gap):
            yield run
            run = []
        if not run:
            start, end = address.offset, address.end
        run.append(tag)
        end = max(end, address.end)
    yield run


def _block(tags: list[Tag], shape: Shape) -> ModbusBlock:
    addresses: list[Address] = [tag.address for tag in tags]
    first, offset = addresses[0], addresses[0].offset
    request = Request(
        first.unit,
        first.table,
        offset,
        max(address.end for address in addresses) - offset,
        shape.timeout_s,
        shape.gap_s,
        decoder(addresses, offset),
        Normaliser(tags),
    )
    return Block(tags[0].device, tuple(tags), tags[0].interval_s, request)
