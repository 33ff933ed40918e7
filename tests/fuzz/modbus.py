"""What a Modbus device may send: from its bytes to values, or to no answer.

An input chooses a block and how the bytes are cut, then says the bytes. The connection that
receives them is the real one; only its socket is not.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import cache
from typing import Any, Final

from pymodbus.transport import CommParams, CommType

from drivers.modbus import DRIVER
from drivers.modbus.transport import Connection, _Wire
from gateway.clock import Clock
from gateway.errors import DeviceError, LinkError
from gateway.model import Batch, Block
from tests.fuzz.feed import Feed
from tests.modbus.site import truth, written

_LOOP: Final = asyncio.new_event_loop()
_CLOCK: Final = Clock()
TYPES = ("int16", "uint32", "float32", "float64", "int64", "bcd16", "bcd32")


class _Device:
    """A transport that answers each request at once, with what the input says, and hangs up."""

    def __init__(self, wire: _Wire, pieces: list[bytes]) -> None:
        self._wire = wire
        self._pieces = pieces

    def write(self, request: bytes) -> None:
        for piece in self._pieces:
            if not self._wire.stray:
                self._wire.data_received(piece)
        self._wire.connection_lost(None)

    def close(self) -> None:
        pass

    abort = close


@cache
def _blocks() -> tuple[Any, list[Block[Any]]]:
    kinds = [{"name": t, "address": f"holding/{8 * i}", "type": t} for i, t in enumerate(TYPES)]
    text = {"name": "s", "address": "input/1", "type": "string", "length": 9}
    bit = {"name": "m", "address": "input/0", "type": "bool", "bit": 3}
    coils = [{"name": f"c{i}", "address": f"coil/{i}", "type": "bool"} for i in (0, 5, 11)]
    tags = [*kinds, text, bit, *coils, {"name": "d", "address": "discrete/1", "type": "bool"}]
    link, planned = written({"name": "plc", "unit": 1, "tags": tags})
    return link, list(DRIVER(link, _CLOCK).plan(planned))


def modbus(data: bytes) -> None:
    """Read one block: values that the answer holds, or an error of the contract."""
    with suppress(DeviceError, LinkError):
        batch = _LOOP.run_until_complete(_read(Feed(data)))
        assert len(batch.values) == len(batch.block.tags)


async def _read(feed: Feed) -> Batch:
    link, blocks = _blocks()
    block, piece = feed.one_of(blocks), feed.number() or 1
    received = feed.rest()
    driver = DRIVER(link, _CLOCK)
    connection = Connection("127.0.0.1", 1, _CLOCK)
    params = CommParams(comm_type=CommType.TCP, host="127.0.0.1", port=1)
    wire = _Wire(params, _CLOCK, 1.0)
    cuts = range(0, len(received), piece)
    wire.transport = _Device(wire, [received[at : at + piece] for at in cuts])  # type: ignore[assignment]
    connection._wire = wire
    driver._connection = connection
    return await driver.read(block)


def seeds() -> list[bytes]:
    """The right answer to each block, whole and byte by byte, and an exception."""
    found = []
    for number, block in enumerate(_blocks()[1]):
        request = block.request
        asked = b"\0\1\0\0\0\6" + bytes((request.unit, request.table))
        asked += request.offset.to_bytes(2, "big") + request.count.to_bytes(2, "big")
        refused = asked[:4] + b"\0\3" + bytes((request.unit, request.table | 0x80, 2))
        head = bytes((number, 255))
        found += [head + truth(asked), bytes((number, 1)) + truth(asked), head + refused]
    return found
