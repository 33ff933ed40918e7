"""The devices of a configuration, served over Modbus TCP on loopback, with faults on demand.

Registers hold the raw encoding of what ``value_of`` says a tag is worth at the moment, in
the tag's own type and order. It answers function codes 1 to 4 only, and counts the rest.
It is independent of the driver's transport and admission; it shares the codec.

A device's table reads 0 at unconfigured addresses between its first and its last value and
refuses (exception 2) beyond. A unit that is not configured does not answer.
"""

from __future__ import annotations

import asyncio
import struct
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias

from drivers.modbus.address import Address, Table
from drivers.modbus.image import Image, image, span
from drivers.modbus.plan import MAX_BITS, MAX_REGISTERS
from drivers.modbus.settings import ModbusLink
from gateway.clock import Clock
from gateway.driver import ValueOf
from gateway.errors import ConnectError
from gateway.model import Tag

TICK_S = 0.05
"""All values read in one such period are those of its beginning, so that a frozen or a
repeated answer can be told from a fresh one, and encoding is done once."""
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE = 1, 2, 3, 4
_HEADER = struct.Struct(">HHHB")
_READ = struct.Struct(">BHH")

OnReply: TypeAlias = Callable[[int, int, int, int, bytes, int], None]
"""Told after each answer: unit, function, address, count, data bytes, monotonic ns."""


@dataclass(frozen=True, slots=True)
class Fault:
    """How one unit misbehaves; the fields combine. The default is no fault."""

    silent: bool = False
    """Never answers."""
    delay_s: float = 0.0
    """Answers so much later."""
    transaction: int | None = None
    """Answers with this transaction id; 0 is what some devices do."""
    transaction_shift: int = 0
    """Answers with an id so much higher."""
    exception: int | None = None
    """Answers every request with this exception code."""
    frozen: bool = False
    """Values stand still from the first request after this was set."""
    unit: int | None = None
    """Answers in the name of this unit."""
    function: int | None = None
    """Answers with this function code."""
    resize: int = 0
    """So many data bytes more or fewer than asked for, with a byte count to match."""
    empty: bool = False
    """Answers with a byte count of 0."""
    refused: frozenset[int] = frozenset()
    """Offsets that answer exception 2, in every table."""


class Faults:
    """The faults of every unit; change them at any time."""

    def __init__(self) -> None:
        self._by_unit: dict[int, Fault] = {}

    def __getitem__(self, unit: int) -> Fault:
        return self._by_unit.get(unit, _NONE)

    def __setitem__(self, unit: int, fault: Fault) -> None:
        self._by_unit[unit] = fault

    def heal(self, unit: int | None = None) -> None:
        """No fault any more, on one unit or on all."""
        for healed in list(self._by_unit) if unit is None else [unit]:
            self._by_unit.pop(healed, None)


_NONE = Fault()


def _fault(word: str | None, timeout_s: float) -> Fault:
    """The fault a person asks for by ``word``; ``timeout_s`` is that of the device."""
    if word is None:
        return _NONE
    return {
        "timeout": Fault(silent=True),
        "late": Fault(delay_s=1.5 * timeout_s),
        "exception": Fault(exception=DEVICE_FAILURE),
        "frozen": Fault(frozen=True),
    }[word]


class _Ask(NamedTuple):
    """One request as it came in."""

    transaction: int
    unit: int
    function: int
    offset: int
    quantity: int

    def frame(self, pdu: bytes) -> bytes:
        return _HEADER.pack(self.transaction, 0, len(pdu) + 1, self.unit) + pdu


@dataclass(slots=True)
class _Page:
    """The answer to one range of one table, encoded at most once per tick."""

    image: Image
    tick: float = -1.0
    content: bytes = b""


@dataclass(slots=True)
class _Area:
    """One table of one unit: its tags by offset, and the ranges asked for so far."""

    tags: list[Tag]
    span: range
    widest: int
    pages: dict[tuple[int, int], _Page] = field(default_factory=dict)

    def page(self, offset: int, count: int) -> _Page | None:
        """The range, or None when it is not all inside the table."""
        if not self.span.start <= offset <= offset + count <= self.span.stop:
            return None
        if (offset, count) not in self.pages:
            first = bisect_left(self.tags, offset - self.widest, key=_offset)
            end = bisect_left(self.tags, offset + count, key=_offset)
            self.pages[offset, count] = _Page(image(self.tags[first:end], offset, count))
        return self.pages[offset, count]


def _areas(tags: Sequence[Tag]) -> dict[tuple[int, int], _Area]:
    groups: dict[tuple[int, int], list[Tag]] = defaultdict(list)
    for tag in tags:
        groups[tag.address.unit, tag.address.table].append(tag)
    return {
        key: _Area(
            sorted(group, key=_offset), span(group), max(tag.address.width for tag in group)
        )
        for key, group in groups.items()
    }


def _offset(tag: Tag) -> int:
    address: Address = tag.address
    return address.offset


class Server:
    """The simulated devices; use as ``async with``."""

    def __init__(
        self,
        link: ModbusLink,
        tags: Sequence[Tag],
        value_of: ValueOf,
        faults: Faults,
        *,
        host: str,
        port: int,
        clock: Clock,
        on_reply: OnReply | None,
    ) -> None:
        self._areas = _areas(tags)
        self._link = link
        self._units = frozenset(device.unit for device in link.devices)
        self._value_of = value_of
        self.faults = faults
        self._host = host
        self.port = port
        """The port it listens on, once started."""
        self.url = f"tcp://{host}:{port}"
        """What a link's ``url`` must be to reach it, once started."""
        self._clock = clock
        self._on_reply = on_reply
        self._frozen_at: dict[int, float] = {}
        self._server: asyncio.Server | None = None
        self.connections: set[_Connection] = set()
        """The clients connected at the moment."""
        self.requests = 0
        """Requests received, answered or not."""
        self.writes_seen = 0
        """Requests with a function code other than 1 to 4."""

    async def start(self) -> None:
        """Listen; the same port again after `stop`. Does nothing while it listens.

        Raises:
            ConnectError: The port cannot be used.
        """
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Connection(self), self._host, self.port
            )
        except OSError as error:
            raise ConnectError(f"{self.url}: {error.strerror}").in_words(
                "port_unusable", peer=self.url, reason=error
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"tcp://{self._host}:{self.port}"

    async def stop(self) -> None:
        """Close the port and cut every connection; safe at any time."""
        if self._server is not None:
            self._server.close()
            self.cut()
            await self._server.wait_closed()
            self._server = None

    def fail(self, device: str, fault: str | None) -> None:
        """Let ``device`` show one of `gateway.driver.FAULTS`; None: none."""
        for settings in self._link.devices:
            if settings.name == device:
                timeout_s = settings.timeout or self._link.timeout
                self.faults[settings.unit] = _fault(fault, timeout_s)

    def cut(self) -> None:
        """Cut every connection and go on listening."""
        for connection in list(self.connections):
            connection.abort()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def received(self, frame: bytes, connection: _Connection) -> None:
        """Answer one frame, as the fault of its unit has it."""
        self.requests += 1
        transaction, _, _, unit = _HEADER.unpack_from(frame)
        pdu = frame[_HEADER.size :]
        self.writes_seen += not 1 <= pdu[0] <= 4
        fault = self.faults[unit]
        if unit not in self._units or fault.silent:
            return
        if len(pdu) != _READ.size or not 1 <= pdu[0] <= 4:
            refused = bytes((pdu[0] | 0x80, ILLEGAL_FUNCTION))
            connection.write(_Ask(transaction, unit, 0, 0, 0).frame(refused))
            return
        ask = _Ask(transaction, unit, *_READ.unpack(pdu))
        if fault.delay_s:
            loop = asyncio.get_running_loop()
            loop.call_later(fault.delay_s, self._reply, ask, fault, connection)
        else:
            self._reply(ask, fault, connection)

    def _reply(self, ask: _Ask, fault: Fault, connection: _Connection) -> None:
        content = self._content(ask, fault)
        if isinstance(content, int):
            connection.write(_disguised(ask, fault).frame(_exception(ask, fault, content)))
            return
        content = _resized(content, fault)
        pdu = bytes((fault.function or ask.function, len(content) & 0xFF)) + content
        connection.write(_disguised(ask, fault).frame(pdu))
        if self._on_reply is not None:
            now_ns = self._clock.monotonic_ns()
            self._on_reply(ask.unit, ask.function, ask.offset, ask.quantity, content, now_ns)

    def _content(self, ask: _Ask, fault: Fault) -> bytes | int:
        """The data bytes, or the code of an exception."""
        if fault.exception is not None:
            return fault.exception
        limit = MAX_BITS if Table(ask.function).holds_bits else MAX_REGISTERS
        if not 1 <= ask.quantity <= limit:
            return ILLEGAL_VALUE
        area = self._areas.get((ask.unit, ask.function))
        page = area.page(ask.offset, ask.quantity) if area else None
        touched = range(ask.offset, ask.offset + ask.quantity)
        if page is None or not fault.refused.isdisjoint(touched):
            return ILLEGAL_ADDRESS
        return self._encoded(page, self._time_of(ask.unit, fault))

    def _time_of(self, unit: int, fault: Fault) -> float:
        now = self._clock.monotonic()
        tick = now - now % TICK_S
        if fault.frozen:
            return self._frozen_at.setdefault(unit, tick)
        self._frozen_at.pop(unit, None)
        return tick

    def _encoded(self, page: _Page, at: float) -> bytes:
        if page.tick != at:
            page.content = page.image(lambda tag: self._value_of(tag, at))
            page.tick = at
        return page.content


def _exception(ask: _Ask, fault: Fault, code: int) -> bytes:
    return bytes(((fault.function or ask.function) | 0x80, code))


def _resized(content: bytes, fault: Fault) -> bytes:
    if fault.empty:
        return b""
    return content[: len(content) + fault.resize].ljust(len(content) + fault.resize, b"\0")


def _disguised(ask: _Ask, fault: Fault) -> _Ask:
    number = ask.transaction if fault.transaction is None else fault.transaction
    return ask._replace(
        transaction=(number + fault.transaction_shift) & 0xFFFF,
        unit=ask.unit if fault.unit is None else fault.unit,
    )


class _Connection(asyncio.Protocol):
    """One client: frames in, answers out."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # TCP gives a full transport
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= _HEADER.size + 1:
            end = 6 + int.from_bytes(self._received[4:6], "big")
            if len(self._received) < end or end <= _HEADER.size:
                return
            frame, self._received = self._received[:end], self._received[end:]
            self._server.received(frame, self)

    def write(self, frame: bytes) -> None:
        """Send, unless the client has gone meanwhile."""
        if self._transport is not None:
            self._transport.write(frame)

    def abort(self) -> None:
        """Cut the connection at once."""
        if self._transport is not None:
            self._transport.abort()


async def serve(
    link: ModbusLink,
    tags: Sequence[Tag],
    value_of: ValueOf,
    faults: Faults,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: Clock | None = None,
    on_reply: OnReply | None = None,
) -> Server:
    """The devices of ``link`` with their ``tags``, listening; ``stop`` ends it.

    tags: of any number of links; those of devices on other links are left out.
    value_of: at a monotonic time in seconds; None reads as 0.

    Raises:
        ConnectError: The port cannot be used.
    """
    devices = {device.name for device in link.devices}
    own = [tag for tag in tags if tag.device in devices]
    server = Server(
        link,
        own,
        value_of,
        faults,
        host=host,
        port=port,
        clock=clock or Clock(),
        on_reply=on_reply,
    )
    await server.start()
    return server
