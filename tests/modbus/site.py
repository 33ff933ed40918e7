"""A Modbus link and its tags, written as a person would, and a device that says anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from drivers.modbus import DRIVER
from drivers.modbus.settings import ModbusLink
from gateway.clock import Clock
from gateway.model import Batch, Scalar, Tag

REQUEST_BYTES = 12


def written(*devices: dict[str, Any], **link: Any) -> tuple[ModbusLink, list[Tag]]:
    """The link model and the tags of ``devices``, as the loader hands them over."""
    model = DRIVER.Link.model_validate(
        {"name": "line", "driver": "modbus", "url": "tcp://127.0.0.1:1", "devices": devices}
        | link
    )
    tags = [
        Tag(
            tag.name,
            device.name,
            DRIVER.address(tag, device, model),
            tag.type,
            interval_s=tag.interval or 1.0,
        )
        for device in model.devices
        for tag in device.tags
    ]
    return model, tags


def registers(count: int, **tag: Any) -> list[dict[str, Any]]:
    """``count`` int16 tags side by side in the holding registers."""
    return [
        {"name": f"r{i}", "address": f"holding/{i}", "type": "int16"} | tag
        for i in range(count)
    ]


def driver_for(link: ModbusLink, port: int) -> Any:
    """A driver of ``link`` towards ``port`` on this machine."""
    return DRIVER(link.model_copy(update={"url": f"tcp://127.0.0.1:{port}"}), Clock())


def by_name(batch: Batch) -> dict[str, Scalar]:
    """The values of a batch by the names of their tags."""
    return {reading.tag.name: reading.value for reading in batch.readings()}


Reply = Callable[[bytes, asyncio.Transport], Any]


class _Client(asyncio.Protocol):
    """One connection of a device: whole requests go to ``reply``."""

    def __init__(self, reply: Reply, transports: set[asyncio.Transport]) -> None:
        self._reply = reply
        self._transports = transports
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)
        self._transports.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= REQUEST_BYTES:
            request = self._received[:REQUEST_BYTES]
            self._received = self._received[REQUEST_BYTES:]
            self._reply(request, self._transport)


@asynccontextmanager
async def device(reply: Reply) -> AsyncIterator[int]:
    """The port of a device that does ``reply(request, transport)`` for each request."""
    transports: set[asyncio.Transport] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Client(reply, transports), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for transport in list(transports):
            transport.abort()
        await server.wait_closed()


def truth(request: bytes) -> bytes:
    """The right answer: every byte of a register is the low byte of the request's offset."""
    function, count = request[7], int.from_bytes(request[10:12], "big")
    size = 2 * count if function > 2 else (count + 7) // 8
    pdu = bytes((function, size)) + bytes((request[9],)) * size
    return request[:4] + (len(pdu) + 1).to_bytes(2, "big") + request[6:7] + pdu
