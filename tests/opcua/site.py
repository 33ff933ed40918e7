"""An OPC UA link and its tags, a server with values that tests set, and a scripted session."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from asyncua import ua
from asyncua.server.server import Server
from asyncua.server.subscription_service import SubscriptionService
from asyncua.ua.ua_binary import struct_to_binary

from drivers.opcua.address import NodeAddress
from drivers.opcua.driver import OpcuaDriver
from drivers.opcua.plan import OpcuaBlock
from gateway.clock import Clock
from gateway.driver import Missing, News
from gateway.loader import LinkSite, from_text
from gateway.model import Batch, Scalar

HEAD = """
version: 1
gateway: {id: bench}
mqtt: {urls: ["mqtt://127.0.0.1"]}
journal: {path: /nowhere}
links:
"""
PLANT = "urn:plant:dcs"


def link_of(text: str) -> LinkSite:
    """The one link written in ``text``."""
    (link,) = from_text(HEAD + text).links
    return link


def link_to(url: str, *tags: str, more: str = "") -> LinkSite:
    """A link with one device ``r201``; a tag is ``name`` or ``name, type: int32`` …"""
    lines = [
        f"          - {{name: {tag.partition(',')[0]},"
        f' address: "nsu={PLANT};s={tag.partition(",")[0]}"{"".join(tag.partition(",")[1:])}}}'
        for tag in tags
    ]
    head = f"""
  - name: dcs
    driver: opcua
    url: {url}
    interval: 50ms
    {more}
    devices:
      - name: r201
        tags:
"""
    return link_of(head + "\n".join(lines))


class Plant:
    """A server with double variables; remembers the acknowledgements it was sent."""

    def __init__(self, port: int, uris: Sequence[str], values: dict[str, Scalar]) -> None:
        self.port, self.uris, self.values = port, uris, values
        self.server = Server()
        self.nodes: dict[str, ua.NodeId] = {}

    async def start(self, *, initialised: bool = False) -> None:
        if not initialised:
            await self.server.init()
        self.server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}")
        indexes = {uri: await self.server.register_namespace(uri) for uri in self.uris}
        for name, value in self.values.items():
            node_id = ua.NodeId(ua.String(name), ua.Int16(indexes[PLANT]))
            await self.server.nodes.objects.add_variable(node_id, name, value)
            self.nodes[name] = node_id
        await self.server.start()

    async def set(self, name: str, value: Any, status: int = 0) -> None:
        """Let ``name`` show ``value``."""
        data = ua.DataValue(ua.Variant(value), ua.StatusCode(ua.UInt32(status)))
        data.SourceTimestamp = ua.DateTime.now(datetime.UTC)
        await self.server.write_attribute_value(self.nodes[name], data)

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"


@asynccontextmanager
async def plant(
    port: int, values: dict[str, Scalar], uris: Sequence[str] = (PLANT,)
) -> AsyncIterator[Plant]:
    """A `Plant`, listening."""
    running = Plant(port, uris, values)
    await running.start()
    try:
        yield running
    finally:
        await running.server.stop()


def spy_acknowledgements(monkeypatch: Any) -> list[int]:
    """The sequence numbers that servers of this process are sent from now on."""
    seen: list[int] = []
    publish = SubscriptionService.publish

    def noting(self: Any, acks: Any) -> Any:
        acks = list(acks)
        seen.extend(ack.SequenceNumber for ack in acks)
        return publish(self, acks)

    monkeypatch.setattr(SubscriptionService, "publish", noting)
    return seen


class Ear:
    """Remembers what a driver said; the disk has it when ``disk`` is set."""

    def __init__(self) -> None:
        self.said: list[Batch | Missing] = []
        self.disk = asyncio.Event()
        self.disk.set()
        self.heard = asyncio.Condition()

    def emit(self, news: News) -> Awaitable[None]:
        self.said += news
        asyncio.get_running_loop().call_soon(self._tell)
        return _Wait(self.disk)

    def _tell(self) -> None:
        for waiter in self._waiters:
            waiter.set()

    _waiters: list[asyncio.Event] = []  # noqa: RUF012

    async def until(self, is_true: Callable[[], bool], limit_s: float = 10.0) -> None:
        """Wait until something said makes ``is_true`` so."""
        again = asyncio.Event()
        self._waiters = [*self._waiters, again]
        async with asyncio.timeout(limit_s):
            while not is_true():
                again.clear()
                await again.wait()

    @property
    def batches(self) -> list[Batch]:
        """What was said, without empty batches."""
        return [item for item in self.said if isinstance(item, Batch) and len(item)]

    @property
    def missing(self) -> list[Missing]:
        return [item for item in self.said if isinstance(item, Missing)]

    def values(self, name: str) -> list[Scalar]:
        """What was said of a tag, in order."""
        return [r.value for b in self.batches for r in b.readings() if r.tag.name == name]


class _Wait:
    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    def __await__(self) -> Any:
        return self._event.wait().__await__()


def driver_for(link: LinkSite) -> tuple[OpcuaDriver, list[OpcuaBlock]]:
    """A driver and its plan."""
    driver = OpcuaDriver(link.config, Clock())
    return driver, list(driver.plan(link.tags))


@asynccontextmanager
async def listening(driver: OpcuaDriver, blocks: Sequence[OpcuaBlock], ear: Ear) -> Any:
    """The driver connected and subscribed; the task of `subscribe`."""
    await driver.connect()
    task = asyncio.create_task(driver.subscribe(blocks, ear.emit))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        await driver.close()


def notification(
    sequence: int, *samples: tuple[int, float], subscription: int = 7, more: bool = False
) -> bytes:
    """A Publish answer with (handle, value) samples; a keep-alive without any."""
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = ua.IntegerId(subscription)
    response.Parameters.MoreNotifications = more
    response.Parameters.NotificationMessage = message(sequence, *samples)
    return struct_to_binary(response)


def message(sequence: int, *samples: tuple[int, float]) -> ua.NotificationMessage:
    """The NotificationMessage of `notification`."""
    changes = [
        ua.MonitoredItemNotification(ua.IntegerId(handle), ua.DataValue(ua.Variant(value)))
        for handle, value in samples
    ]
    data: list[Any] = [ua.DataChangeNotification(changes)] if changes else []
    return ua.NotificationMessage(ua.Counter(sequence), ua.DateTime.now(datetime.UTC), data)


def republished(sequence: int, *samples: tuple[int, float]) -> bytes:
    """A Republish answer."""
    response = ua.RepublishResponse()
    response.NotificationMessage = message(sequence, *samples)
    return struct_to_binary(response)


class ScriptedSession:
    """A session whose server answers what the test says, one Publish at a time."""

    per_call = 1000

    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.republishes: dict[int, bytes] = {}
        self.acknowledged: list[int] = []
        self.asked_again: list[int] = []
        self.refused: set[str] = set()
        self.keep_alive_s = 3.0
        self.made = 0
        """Subscriptions."""

    def node_id(self, node: NodeAddress) -> ua.NodeId | None:
        return ua.NodeId(ua.String(str(node.identifier)), ua.Int16(2))

    async def make(self, request: Any) -> Any:
        if isinstance(request, ua.CreateSubscriptionRequest):
            self.made += 1
            made = ua.CreateSubscriptionResponse()
            made.Parameters.SubscriptionId = ua.IntegerId(7)
            made.Parameters.RevisedPublishingInterval = ua.Duration(1000 * self.keep_alive_s)
            made.Parameters.RevisedMaxKeepAliveCount = ua.Counter(1)
            return made
        results = ua.CreateMonitoredItemsResponse()
        results.Results = [self._made(wish) for wish in request.Parameters.ItemsToCreate]
        return results

    def _made(self, wish: ua.MonitoredItemCreateRequest) -> ua.MonitoredItemCreateResult:
        is_refused = wish.ItemToMonitor.NodeId.Identifier in self.refused
        return ua.MonitoredItemCreateResult(ua.StatusCode(ua.UInt32(0x80340000 * is_refused)))

    async def ask(self, request: Any, timeout_s: float | None = 0) -> bytes:
        if isinstance(request, ua.RepublishRequest):
            self.asked_again.append(request.Parameters.RetransmitSequenceNumber)
            return self.republishes.pop(self.asked_again[-1])
        acks = request.Parameters.SubscriptionAcknowledgements
        self.acknowledged += [ack.SequenceNumber for ack in acks]
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def renew(self) -> None:
        pass

    async def has_moved(self) -> bool:
        return False
