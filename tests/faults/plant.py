"""A Modbus TCP server that tells the truth, or lies on request, and writes down which.

It shares no code with the drivers it judges: the standard library alone, the
protocol written out here (MODBUS Messaging on TCP/IP V1.0b, 3.1.3). Any number of
unit ids, functions 1 to 4; values as in `tests.faults.encoding`.

    python -m tests.faults.plant --log wire.bin [--port N] [--period SECONDS]

Commands (see `tests.faults.control`), each ``{"do": …}``:

    fault   kind, and optionally units, addresses [first, last], delay_s, code
    heal    no fault any more
    close   stop listening and cut all connections;  listen  open the same port again
    freeze  the tick stands still;  thaw
"""

from __future__ import annotations

import argparse
import asyncio
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.faults.control import Command, obey, say
from tests.faults.encoding import Function, payload
from tests.faults.wirelog import What, Wire, WireLog

_MBAP = struct.Struct(">HHHB")
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS = 1, 2


@dataclass(frozen=True)
class Ask:
    """One request as it came in."""

    tid: int
    unit: int
    function: int
    address: int
    quantity: int

    def frame(self, pdu: bytes) -> bytes:
        """``pdu`` as an answer to this request."""
        return _MBAP.pack(self.tid, 0, len(pdu) + 1, self.unit) + pdu


@dataclass(frozen=True)
class Fault:
    """What to do instead of answering."""

    kind: str
    units: frozenset[int] | None = None
    """None: every unit."""
    addresses: tuple[int, int] | None = None
    """Requests that touch one of these addresses, first and last; None: all."""
    delay_s: float = 0.0
    code: int = 4

    def concerns(self, ask: Ask) -> bool:
        """Whether this request is to be mistreated."""
        if self.units is not None and ask.unit not in self.units:
            return False
        if self.addresses is None:
            return True
        first, last = self.addresses
        return ask.address <= last and first < ask.address + ask.quantity


def truth(ask: Ask, tick: int) -> bytes:
    """The right PDU for ``ask``."""
    data = payload(ask.unit, ask.function, ask.address, ask.quantity, tick)
    return bytes([ask.function, len(data)]) + data


def _resized(ask: Ask, tick: int, count: int) -> bytes:
    return ask.frame(truth(replace(ask, quantity=count), tick))


def _empty(ask: Ask, _tick: int) -> bytes:
    return ask.frame(bytes([ask.function, 0]))


def _odd(ask: Ask, tick: int) -> bytes:
    data = truth(ask, tick)[2:-1]
    return ask.frame(bytes([ask.function, len(data)]) + data)


def _echo(ask: Ask, _tick: int) -> bytes:
    return ask.frame(struct.pack(">BHH", ask.function, ask.address, ask.quantity))


def _foreign_exception(ask: Ask, _tick: int) -> bytes:
    return ask.frame(bytes([0x80 | (ask.function % 4 + 1), ILLEGAL_ADDRESS]))


def _foreign_function(ask: Ask, tick: int) -> bytes:
    pdu = truth(ask, tick)
    return ask.frame(bytes([ask.function % 4 + 1]) + pdu[1:])


def _another_protocol(ask: Ask, tick: int) -> bytes:
    pdu = truth(ask, tick)
    return _MBAP.pack(ask.tid, 7, len(pdu) + 1, ask.unit) + pdu


HOSTILE: dict[str, Callable[[Ask, int], bytes]] = {
    "wrong_tid": lambda a, t: replace(a, tid=(a.tid + 1) % 0x10000).frame(truth(a, t)),
    "wrong_unit": lambda a, t: replace(a, unit=a.unit % 247 + 1).frame(truth(a, t)),
    "wrong_function": _foreign_function,
    "wrong_protocol": _another_protocol,
    "foreign_exception": _foreign_exception,
    "echo": _echo,
    "short": lambda a, t: _resized(a, t, max(1, a.quantity - 1)),
    "long": lambda a, t: _resized(a, t, a.quantity + 1),
    "odd": _odd,
    "empty": _empty,
}
"""Answers that no reader may accept, by name."""


class Plant:
    """The server, its faults and its log."""

    def __init__(self, log: WireLog, period_s: float) -> None:
        self._log = log
        self._period_ns = int(period_s * 1e9)
        self._epoch_ns = time.monotonic_ns()
        self._frozen: int | None = None
        self._faults: list[Fault] = []
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def listen(self) -> None:
        """Open the port: a free one the first time, the same one ever after."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def perform(self, command: Command) -> None:
        """Carry out one command of the stage."""
        do = command["do"]
        if do == "fault":
            self._faults.append(_fault(command))
        elif do == "heal":
            self._faults.clear()
        elif do == "freeze":
            self._frozen = self.tick()
        elif do == "thaw":
            self._frozen = None
        else:
            await {"close": self.close, "listen": self.listen}[do]()

    def tick(self) -> int:
        """How many periods have passed since the start."""
        if self._frozen is not None:
            return self._frozen
        return (time.monotonic_ns() - self._epoch_ns) // self._period_ns

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                await self._answer_one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer_one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        tid, _protocol, length, unit = _MBAP.unpack(await reader.readexactly(7))
        pdu = await reader.readexactly(length - 1)
        if len(pdu) != 5 or not 1 <= pdu[0] <= 4:
            self._note(Ask(tid, unit, pdu[0], 0, 0), 0, What.FORBIDDEN)
            return
        ask = Ask(tid, unit, *struct.unpack(">BHH", pdu))
        fault = next((fault for fault in self._faults if fault.concerns(ask)), None)
        if fault is None:
            self._send(writer, ask, self.tick(), What.REPLY)
        else:
            self._mistreat(writer, ask, fault)

    def _mistreat(self, writer: asyncio.StreamWriter, ask: Ask, fault: Fault) -> None:
        tick = self.tick()
        if fault.kind == "silent":
            self._note(ask, tick, What.SILENT)
        elif fault.kind in ("late", "late_tid_0", "slow"):
            what = What.REPLY if fault.kind == "slow" else What.LATE
            sent = replace(ask, tid=0) if fault.kind == "late_tid_0" else ask
            loop = asyncio.get_running_loop()
            loop.call_later(fault.delay_s, self._send, writer, sent, tick, what)
        elif fault.kind == "exception":
            self._note(ask, tick, What.EXCEPTION)
            writer.write(ask.frame(bytes([0x80 | ask.function, fault.code])))
        else:
            self._note(ask, tick, What.HOSTILE)
            writer.write(HOSTILE[fault.kind](ask, tick))

    def _send(self, writer: asyncio.StreamWriter, ask: Ask, tick: int, what: What) -> None:
        if not writer.is_closing():
            self._note(ask, tick, what)
            writer.write(ask.frame(truth(ask, tick)))

    def _note(self, ask: Ask, tick: int, what: What) -> None:
        now_ns = time.monotonic_ns()
        self._log.append(
            Wire(now_ns, ask.unit, ask.function, ask.address, ask.quantity, tick, what)
        )


def _fault(command: Command) -> Fault:
    units, addresses = command.get("units"), command.get("addresses")
    return Fault(
        command["kind"],
        None if units is None else frozenset(units),
        None if addresses is None else (addresses[0], addresses[1]),
        command.get("delay_s", 0.0),
        command.get("code", 4),
    )


async def main() -> None:
    """Serve until stdin closes."""
    parser = argparse.ArgumentParser(prog="tests.faults.plant")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--period", type=float, default=0.1)
    options = parser.parse_args()
    plant = Plant(WireLog(options.log), options.period)
    plant.port = options.port
    await plant.listen()
    say(port=plant.port, function_codes=[int(f) for f in Function])
    await obey(plant.perform)
    await plant.close()


if __name__ == "__main__":
    asyncio.run(main())
