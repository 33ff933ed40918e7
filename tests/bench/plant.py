"""A cheap Modbus TCP plant in a process of its own: it looks answers up, it computes none.

    python -m tests.bench.plant --type int16 [--changing 0.01] [--delay-ms 10]

Every unit id answers on one port, any range. With all values changing an answer is a cut
out of a long stretch of noise, another one each second; otherwise each unit has an image
in which a share of the values is drawn anew each second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import struct
import sys
import time
from typing import Any

REGISTERS = 10_000
"""Per unit."""
_NOISE = 100_000
"""Values of noise; where a second begins in it is drawn per second."""
_REQUEST = struct.Struct(">HHHBBHH")
_HEAD = struct.Struct(">HHHBBB")


class Noise:
    """Every value is another one each second."""

    def __init__(self, code: str) -> None:
        self.width = struct.calcsize(code)
        self._bytes = values(code, _NOISE + REGISTERS)

    def read(self, unit: int, offset: int, count: int) -> bytes:
        second = int(time.monotonic())
        start = (second * 7919 + unit * 104_729) % _NOISE * self.width + 2 * offset
        return self._bytes[start : start + 2 * count]

    def turn(self) -> None:
        """Nothing to do: the time says what is read."""


class Still:
    """A share of the values is another one each second."""

    def __init__(self, code: str, share: float) -> None:
        self._code, self._share = code, share
        self.width = struct.calcsize(code)
        self._units: dict[int, bytearray] = {}

    def read(self, unit: int, offset: int, count: int) -> bytes:
        if unit not in self._units:
            self._units[unit] = bytearray(values(self._code, REGISTERS * 2 // self.width))
        return bytes(self._units[unit][2 * offset : 2 * (offset + count)])

    def turn(self) -> None:
        """Draw the share that changes; of neighbours too, as in a plant."""
        for image in self._units.values():
            tags = len(image) // self.width
            for tag in random.sample(range(tags), int(tags * self._share)):
                at = tag * self.width
                image[at : at + self.width] = values(self._code, 1)


def values(code: str, count: int) -> bytes:
    """``count`` values as a converter gives them: 0 to 27648, or 0 to 100."""
    if code == ">h":
        return struct.pack(f">{count}h", *(random.randrange(27_649) for _ in range(count)))
    return struct.pack(f">{count}f", *(random.uniform(0, 100) for _ in range(count)))


class Server(asyncio.Protocol):
    """One connection; a request per segment, as the drivers send it."""

    registers = 0
    """Served on all connections together."""

    def __init__(self, source: Noise | Still, delay_s: float) -> None:
        self._source, self._delay_s = source, delay_s
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        number, _, _, unit, function, offset, count = _REQUEST.unpack(data)
        head = _HEAD.pack(number, 0, 3 + 2 * count, unit, function, 2 * count)
        frame = head + self._source.read(unit, offset, count)
        Server.registers += count
        if self._delay_s:
            asyncio.get_running_loop().call_later(self._delay_s, self._transport.write, frame)
        else:
            self._transport.write(frame)


async def serve(options: argparse.Namespace) -> None:
    """Serve until stdin closes; each line read is answered with the registers served."""
    loop = asyncio.get_running_loop()
    code = {"int16": ">h", "float32": ">f"}[options.type]
    source = Noise(code) if options.changing == 1 else Still(code, options.changing)
    delay_s = options.delay_ms / 1000
    server = await loop.create_server(lambda: Server(source, delay_s), "127.0.0.1", 0)
    closed = asyncio.Event()

    def asked() -> None:
        if not sys.stdin.readline():
            closed.set()
            return
        print(json.dumps({"registers": Server.registers}), flush=True)

    loop.add_reader(sys.stdin, asked)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    while not closed.is_set():
        source.turn()
        try:
            await asyncio.wait_for(closed.wait(), 1.0)
        except TimeoutError:
            continue


def main() -> None:
    """Serve on uvloop where it is installed."""
    parser = argparse.ArgumentParser(prog="tests.bench.plant")
    parser.add_argument("--type", choices=("int16", "float32"), default="int16")
    parser.add_argument("--changing", type=float, default=1.0)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    options = parser.parse_args()
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(options))
    else:
        uvloop.run(serve(options))


if __name__ == "__main__":
    main()
