"""One TCP connection to Modbus devices: a request out, the raw bytes of its answer back.

The only module that imports pymodbus, and the only one that owns a socket.

It stands on pymodbus' connection layer (`ModbusProtocol`), not on its client. The client
turns bytes into PDU objects before anyone can look at them; it takes answers of the wrong
length or function, and any transaction id 0. Here the bytes reach `admission` first, and no
value exists before it agrees. It is also cheaper: a read of 125 registers costs 75 µs of CPU
against 123 on asyncio and 45 against 79 on uvloop (one x86 machine, device in another process,
system calls included).

Laws: one request at a time · after a timeout, a cancelled read, an answer that is not
admissible or bytes that nobody asked for, the connection is closed, so that a late answer
has nowhere to arrive · transaction ids go on over connections and are never 0.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import struct
from typing import NamedTuple

from pymodbus.transport import CommParams, CommType, ModbusProtocol

from drivers.modbus.admission import ExceptionReply, Refusal, admit, missing, transaction
from gateway.clock import Clock
from gateway.errors import ConnectError, DeviceSilentError, LinkError
from gateway.model import Cause, Quality

READS = frozenset({1, 2, 3, 4})
"""Function codes that only read. Source: V1.1b3, 6.1 to 6.4."""
FUNCTION_AT = 7
"""Where the PDU begins in a frame on TCP (Messaging on TCP/IP V1.0b, 3.1.3)."""
RECENT = 1024
"""Requests back for which an answer is called late rather than foreign."""
_LAST_TRANSACTION = 0xFFFF
_READ = struct.Struct(">HHHBBHH")


class NotAReadError(RuntimeError):
    """Someone tried to send what is not a read: a fault of this program, never sent."""


class Arrival(NamedTuple):
    """The bytes that arrived after a request, and when the last of them did."""

    frame: bytes
    mono_ns: int
    time_ns: int


class Answer(NamedTuple):
    """What the device provably said to one request."""

    content: bytes | ExceptionReply
    mono_ns: tuple[int, int]
    """Request sent and answer received, monotonic clock."""
    time_ns: int
    """Answer received, Unix time."""


class Connection:
    """One TCP connection, one request at a time; can be opened again once it is closed."""

    def __init__(self, host: str, port: int, clock: Clock) -> None:
        self._host = host
        self._port = port
        self._clock = clock
        self._wire: _Wire | None = None
        self._transaction = 0
        self._asked = 0
        self.unsolicited = 0
        """Times that bytes came while nothing was asked, and the connection was closed."""

    async def open(self, timeout_s: float) -> None:
        """Connect; an open connection is closed first.

        Raises:
            ConnectError: With the reason: refused, timeout, unreachable, name not found.
        """
        await self.close()
        params = CommParams(comm_type=CommType.TCP, host=self._host, port=self._port)
        wire = _Wire(params, self._clock, max(1.0, timeout_s))
        try:
            async with asyncio.timeout(timeout_s):
                await wire.call_create()
        except (OSError, UnicodeError) as error:
            wire.close()
            raise _connect_error(str(self), error) from error
        self._wire = wire

    async def close(self) -> None:
        """Close the connection if there is one."""
        if self._wire is not None:
            self._drop(self._wire)

    async def ask(
        self, *, unit: int, function: int, offset: int, count: int, timeout_s: float
    ) -> Answer:
        """What the device answers to one read of ``count`` registers or bits.

        Raises:
            DeviceSilentError: No provable answer within ``timeout_s``; now closed.
            LinkError: The connection was already gone; nothing was asked.
        """
        wire = self._open_wire()
        number = self._next_transaction()
        request = _READ.pack(number, 0, 6, unit, function, offset, count)
        sent_ns = self._clock.monotonic_ns()
        try:
            arrival = await wire.exchange(request, timeout_s)
        except (TimeoutError, ConnectionError) as error:
            what = f"unit {unit}: no answer: {error}"
            silent = self._silent(wire, what, request, wire.received)
            raise silent.in_words("device_no_answer", unit=unit, reason=error) from error
        except asyncio.CancelledError:
            self._drop(wire)
            raise
        content = admit(request, arrival.frame)
        if isinstance(content, Refusal):
            what = f"unit {unit}: inadmissible answer: {content}"
            silent = self._silent(wire, what, request, arrival.frame)
            raise silent.in_words(f"modbus_refusal_{content.value}", unit=unit)
        return Answer(content, (sent_ns, arrival.mono_ns), arrival.time_ns)

    def _open_wire(self) -> _Wire:
        """The open connection.

        Raises:
            DeviceSilentError: It was closed because of bytes that nobody asked for.
            LinkError: It is gone.
        """
        wire = self._wire
        if wire is None:
            raise LinkError(f"{self}: not connected").in_words("link_closed", peer=self)
        if wire.stray:
            what = "an answer that nobody asked for"
            silent = self._silent(wire, what, b"", wire.received)
            raise silent.in_words("device_stray", peer=self)
        if wire.lost is not None:
            self._drop(wire)
            raise LinkError(f"{self}: {wire.lost}").in_words("link_lost", peer=self)
        return wire

    def _next_transaction(self) -> int:
        self._transaction = self._transaction % _LAST_TRANSACTION + 1
        self._asked += 1
        return self._transaction

    def _silent(
        self, wire: _Wire, what: str, request: bytes, received: bytes
    ) -> DeviceSilentError:
        """Close, and say why; ``request`` is empty when nothing was asked."""
        self._drop(wire)
        return DeviceSilentError(
            f"{self}: {what}", Quality.BAD_NO_COMMUNICATION, self._cause(request, received)
        )

    def _cause(self, request: bytes, received: bytes) -> Cause:
        if not received:
            return Cause.DEVICE_TIMEOUT
        if received[:2] == request[:2] or len(received) < 2:
            return Cause.PROTOCOL_VIOLATION
        age = (self._transaction - transaction(received)) % _LAST_TRANSACTION
        is_late = transaction(received) != 0 and age < min(self._asked, RECENT)
        return Cause.LATE_REPLY_DISCARDED if is_late else Cause.PROTOCOL_VIOLATION

    def _drop(self, wire: _Wire) -> None:
        self._wire = None
        self.unsolicited += wire.stray
        wire.close()

    def __str__(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"tcp://{host}:{self._port}"


class _Wire(ModbusProtocol):
    """One connection's life: made by `Connection.open`, never used again once lost."""

    def __init__(self, params: CommParams, clock: Clock, give_up_s: float) -> None:
        super().__init__(params, is_server=False)
        self._clock = clock
        self._give_up_s = give_up_s
        self._answer: asyncio.Future[Arrival] | None = None
        self.received = b""
        """What came since the last request, or since the last answer."""
        self.stray = False
        """Bytes came while nothing was asked; it was closed for that."""
        self.lost: str | None = None
        """Why the connection is gone; None while it stands."""

    async def exchange(self, request: bytes, timeout_s: float) -> Arrival:
        """Send one frame and wait for as many bytes as the answer announces.

        Raises:
            TimeoutError: They did not come in time.
            ConnectionError: The connection went away first.
        """
        if self._answer is not None:
            raise RuntimeError("two requests at once on one connection")
        answer: asyncio.Future[Arrival] = self.loop.create_future()
        self._answer = answer
        timer = self.loop.call_later(
            timeout_s, _fail, answer, TimeoutError(f"timeout, {timeout_s:g} s")
        )
        try:
            self.send(request)
            return await answer
        finally:
            timer.cancel()
            self._answer = None

    def send(self, data: bytes, addr: tuple[str, int] | None = None) -> None:
        """The last line before the socket: one frame, and only if it is a read.

        Raises:
            NotAReadError: It is not; nothing was sent.
        """
        if len(data) != _READ.size or data[FUNCTION_AT] not in READS:
            raise NotAReadError(f"not a Modbus read, not sent: {data.hex(' ')}")
        self.transport.write(data)  # type: ignore[attr-defined]  # typed as BaseTransport

    def data_received(self, data: bytes) -> None:
        """Collect; once complete it is one answer, and no more bytes are expected."""
        self.received += data
        answer = self._answer
        if answer is None or answer.done():
            self.stray = True
            self.lost = "closed after an answer that nobody asked for"
            self.close()
        elif not missing(self.received):
            arrival = Arrival(self.received, self._clock.monotonic_ns(), self._clock.now_ns())
            self.received = b""
            answer.set_result(arrival)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits is told at once, and does not wait out the timeout."""
        self.lost = self.lost or (
            reason(exc) if isinstance(exc, OSError) else "closed by the device"
        )
        if self._answer is not None:
            _fail(self._answer, ConnectionResetError(self.lost))
        super().connection_lost(exc)

    def callback_connected(self) -> None:
        """Send at once; let the kernel give up on a peer that acknowledges nothing."""
        sock: socket.socket = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            limit_ms = int(self._give_up_s * 1000)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit_ms)

    def callback_disconnected(self, exc: Exception | None) -> None:
        """Nothing to do: `connection_lost` has told."""

    def callback_data(self, data: bytes, addr: tuple[str, int] | None = None) -> int:
        """Never called: `data_received` takes the bytes first."""
        raise NotImplementedError

    def callback_new_connection(self) -> ModbusProtocol:
        """Never called: this is no server."""
        raise NotImplementedError


def _fail(answer: asyncio.Future[Arrival], error: OSError) -> None:
    if not answer.done():
        answer.set_exception(error)


_REASONS: dict[int | None, str] = {
    errno.ECONNREFUSED: "refused",
    errno.ETIMEDOUT: "timeout",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ECONNRESET: "reset by the device",
    errno.EPIPE: "reset by the device",
}


_CONNECT_CODES = {
    "refused": "connect_refused",
    "timeout": "connect_timeout",
    "unreachable": "connect_unreachable",
    "name not found": "connect_name",
}


def _connect_error(peer: str, error: OSError | UnicodeError) -> ConnectError:
    why = reason(error)
    code = _CONNECT_CODES.get(why, "connect_failed")
    return ConnectError(f"{peer}: {why}").in_words(code, peer=peer, reason=error)


def reason(error: OSError | UnicodeError) -> str:
    """Why there is no connection, in one or two words."""
    if isinstance(error, socket.gaierror | UnicodeError):
        return "name not found"
    if isinstance(error, TimeoutError):
        return "timeout"
    # Several addresses of one name give one error without a number; the first one decides.
    listed = re.search(r"\[Errno (\d+)\]", str(error))
    return _REASONS.get(error.errno or (int(listed[1]) if listed else None)) or str(error)
