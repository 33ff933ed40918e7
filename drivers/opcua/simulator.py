"""The devices of one link as a real OPC UA server on loopback; for demonstrations and tests.

Every node of the configuration is there, in its namespace, and shows what ``value_of``
says. What a device behind a server can do wrong is seen in the status of its nodes.
"""

from __future__ import annotations

import asyncio
import datetime
import random
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from asyncua import ua
from asyncua.server.server import Server
from asyncua.ua.status_codes import StatusCodes

from drivers.opcua.address import NodeAddress
from drivers.opcua.settings import OpcuaLink
from gateway.clock import Clock
from gateway.driver import ValueOf
from gateway.errors import ConnectError
from gateway.model import DataType, Scalar, Tag
from gateway.normalise import raw_of

LATE_S: Final = 5.0
_STATUS: Final = {
    "timeout": StatusCodes.BadNoCommunication,
    "exception": StatusCodes.BadDeviceFailure,
}
_TYPES: Final = {
    DataType.BOOL: ua.VariantType.Boolean,
    DataType.INT16: ua.VariantType.Int16,
    DataType.UINT16: ua.VariantType.UInt16,
    DataType.INT32: ua.VariantType.Int32,
    DataType.UINT32: ua.VariantType.UInt32,
    DataType.INT64: ua.VariantType.Int64,
    DataType.UINT64: ua.VariantType.UInt64,
    DataType.FLOAT32: ua.VariantType.Float,
    DataType.FLOAT64: ua.VariantType.Double,
    DataType.STRING: ua.VariantType.String,
}


class OpcuaSimulator:
    """A server with one node for each tag (a `driver.Simulation`)."""

    def __init__(
        self, server: Server, link: OpcuaLink, tags: Sequence[Tag], value_of: ValueOf
    ) -> None:
        self._server = server
        self._link = link
        self._tags = tags
        self._value_of = value_of
        self._clock = Clock()
        self._faults: dict[str, str] = {}
        self._nodes: dict[NodeAddress, ua.NodeId] = {}
        self._stopping = asyncio.Event()
        self._ticking: asyncio.Task[None] | None = None
        self.url = ""

    async def start(self) -> None:
        """Make the nodes, listen, and let the values change."""
        for tag in self._tags:
            node: NodeAddress = tag.address.node
            if node not in self._nodes:
                self._nodes[node] = await self._make(node, tag)
        await self._server.start()
        self.url = self._server.endpoint.geturl()
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    def fail(self, device: str, fault: str | None) -> None:
        """Let ``device`` show one of `driver.FAULTS`; None: none."""
        self._faults.pop(device, None)
        if fault is not None:
            self._faults[device] = fault

    async def stop(self) -> None:
        """Close the port and every connection."""
        self._stopping.set()
        if self._ticking is not None:
            await self._ticking
        await self._server.stop()

    async def _make(self, node: NodeAddress, tag: Tag) -> ua.NodeId:
        index = await self._server.register_namespace(node.uri) if node.uri else 0
        identifier: Any = node.identifier
        node_id = ua.NodeId(identifier, ua.Int16(index))
        name = ua.QualifiedName(f"{tag.device}.{tag.name}", ua.UInt16(index))
        value = self._shown(tag, self._clock.now_ns() / 1e9)
        await self._server.nodes.objects.add_variable(
            node_id, name, value, varianttype=_TYPES[tag.type]
        )
        return node_id

    def _shown(self, tag: Tag, at_s: float) -> Scalar:
        return raw_of(tag, self._value_of(tag, at_s))

    async def _tick(self) -> None:
        pause_s = min((tag.interval_s for tag in self._tags), default=1.0)
        while not self._stopping.is_set():
            now_s = self._clock.now_ns() / 1e9
            for tag in self._tags:
                await self._show(tag, now_s)
            try:
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
            except TimeoutError:
                pass

    async def _show(self, tag: Tag, now_s: float) -> None:
        fault = self._faults.get(tag.device)
        if fault == "frozen":
            return
        seen_s = now_s - LATE_S if fault == "late" else now_s
        status = ua.StatusCode(ua.UInt32(_STATUS.get(fault or "", 0)))
        seen = datetime.datetime.fromtimestamp(seen_s, datetime.UTC)
        value = None if status.is_bad() else self._shown(tag, seen_s)
        kind = ua.VariantType.Null if value is None else _TYPES[tag.type]
        data = ua.DataValue(ua.Variant(value, kind), status, _date_time(seen))
        await self._server.write_attribute_value(self._nodes[tag.address.node], data)


async def serve(
    link: OpcuaLink, tags: Sequence[Tag], value_of: ValueOf, *, port: int
) -> OpcuaSimulator:
    """The devices of ``link``, listening on 127.0.0.1; port 0 takes a free one.

    Raises:
        ConnectError: The port cannot be used.
    """
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port or _free_port()}")
    server.set_server_name("tidegate simulation")
    simulator = OpcuaSimulator(server, link, tags, value_of)
    try:
        await simulator.start()
    except OSError as error:
        raise ConnectError(f"127.0.0.1:{port}: {error}").in_words(
            "port_unusable", peer=f"127.0.0.1:{port}", reason=error
        ) from error
    return simulator


def _free_port() -> int:
    """Asyncua does not say which port it was given, so one is chosen before.

    It is below those that Linux gives to outgoing connections, or one of them might take
    it before the server listens.
    """
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _date_time(time: datetime.datetime) -> ua.DateTime:
    return ua.DateTime.fromtimestamp(time.timestamp(), datetime.UTC)
