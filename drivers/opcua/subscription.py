"""One subscription: what the server says by itself, acknowledged after the disk.

    Publish ──▶ answer ──▶ in order? ──▶ emit ──▶ durable ──▶ acknowledged with a later Publish
      ▲                      │ no: Republish, else the changes are lost
      └── always `PUBLISHES` on their way

A server keeps a notification until it is acknowledged, so an acknowledgement before the
journal's commit could lose it for good. asyncua's own loop acknowledges whatever comes,
also when our side failed; so none of it is used here.

A subscription outlives its connection: `run` again after the session was resumed, and the
server goes on with what we have not acknowledged. What was under way in the cut shows as
missing numbers, and is asked for again.

Nothing heard for `KEEP_ALIVES` keep-alive times: the server is gone, whatever the socket
says.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaStatusCodeError

from drivers.opcua.codec import (
    DecodeError,
    Notification,
    Published,
    decode_publish,
    decode_republish,
)
from drivers.opcua.notifications import Came, Freshness, Item, Sequence32, news, unchanged
from drivers.opcua.plan import OpcuaBlock, parts
from drivers.opcua.quality import quality_of
from drivers.opcua.session import FAILURES, Session, linked, reason
from gateway.clock import Clock
from gateway.driver import Missing, News
from gateway.errors import LinkError, LinkTimeoutError, SubscriptionLostError
from gateway.model import Cause

PUBLISHES: Final = 3
"""Publish requests on their way, so that the commit of one notification delays no other."""
KEEP_ALIVE_S: Final = 3.0
KEEP_ALIVES: Final = 3
LIFE_KEEP_ALIVES: Final = 20
MIND_S: Final = 10.0
"""How often the secure channel is looked at."""
RETRY_S: Final = 60.0
"""How often refused nodes are tried again, and the namespaces looked at."""
MOST_REPUBLISHED: Final = 100
_ENDED: Final = frozenset({StatusCodes.BadNoSubscription, StatusCodes.BadSubscriptionIdInvalid})
Emit: TypeAlias = Callable[[News], Awaitable[None]]


class Subscription:
    """Every subscribed block of a link, in one subscription of one session."""

    def __init__(
        self, session: Session, blocks: Sequence[OpcuaBlock], emit: Emit, clock: Clock
    ) -> None:
        self.session = session
        self._emit = emit
        self._clock = clock
        items = [
            Item(block, row, judge)
            for block in blocks
            for row, judge in enumerate(block.request.judges)
        ]
        self._items = dict(enumerate(items, start=1))
        self._refused: set[int] = set()
        self._heard: dict[OpcuaBlock, None] = {}
        self._id = 0
        self._silence_s = 0.0
        self._width = PUBLISHES
        self._sequence = Sequence32()
        self._waiting: deque[tuple[int, Awaitable[None]]] = deque()
        self._has_waiting = asyncio.Event()
        self._durable: list[int] = []
        self._is_whole = False
        self._freshness = Freshness()
        self._told_to_ns: int | None = None
        """Up to when all was told; None before the first notification with none behind it."""

    @property
    def can_resume(self) -> bool:
        """Whether all that was received was handed over, so that the next word may follow."""
        return self._is_whole

    @contextmanager
    def _undivided(self) -> Iterator[None]:
        """What is half done when it ends here cannot be taken up again."""
        self._is_whole = False
        yield
        self._is_whole = True

    async def run(self) -> None:
        """Subscribe, or go on, and hand over what comes until the link fails.

        Raises:
            SubscriptionLostError: Changes are lost.
            LinkError: The session is gone.
        """
        if not self._id:
            with linked("subscribe"), self._undivided():
                await self._create()
                self._emit(await self._add(list(self._items)))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(tasks))
                tasks.create_task(self._await_disk())
                tasks.create_task(self._mind())
        except BaseExceptionGroup as group:
            failed, rest = group.split(LinkError)
            if failed is None or rest is not None:
                raise
            raise failed.exceptions[0] from group

    # --- making it ---

    async def _create(self) -> None:
        places = [item.block.request.places[item.row] for item in self._items.values()]
        intervals = [item.block.interval_s for item in self._items.values()]
        fastest_s = min(p.sampling_s or i for p, i in zip(places, intervals, strict=True))
        interval_ms = 1000 * min(fastest_s, KEEP_ALIVE_S)
        count = max(1, round(1000 * KEEP_ALIVE_S / interval_ms))
        request = ua.CreateSubscriptionRequest()
        request.Parameters.RequestedPublishingInterval = ua.Double(interval_ms)
        request.Parameters.RequestedMaxKeepAliveCount = ua.UInt32(count)
        request.Parameters.RequestedLifetimeCount = ua.UInt32(count * LIFE_KEEP_ALIVES)
        request.Parameters.MaxNotificationsPerPublish = ua.UInt32(0)
        request.Parameters.PublishingEnabled = True
        made = (await self.session.make(request)).Parameters
        self._id = made.SubscriptionId
        keep_alive_s = made.RevisedPublishingInterval * made.RevisedMaxKeepAliveCount / 1000
        self._silence_s = KEEP_ALIVES * max(keep_alive_s, KEEP_ALIVE_S)

    async def _add(self, handles: Sequence[int]) -> list[Missing]:
        """Monitor the nodes of ``handles``; those the server refused, each by itself."""
        missing: list[Missing] = []
        known = [(h, self._node_id(h)) for h in handles]
        for handle, node_id in known:
            if node_id is None:
                missing += self._refuse(handle, StatusCodes.BadNodeIdUnknown)
        asked = [(handle, node_id) for handle, node_id in known if node_id is not None]
        for part in parts(asked, self.session.per_call):
            request = ua.CreateMonitoredItemsRequest()
            request.Parameters.SubscriptionId = ua.IntegerId(self._id)
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            request.Parameters.ItemsToCreate = [self._wish(*each) for each in part]
            results = (await self.session.make(request)).Results
            for (handle, _), result in zip(part, results, strict=True):
                if result.StatusCode.is_bad():
                    missing += self._refuse(handle, result.StatusCode.value)
                else:
                    self._refused.discard(handle)
        return missing

    def _node_id(self, handle: int) -> ua.NodeId | None:
        item = self._items[handle]
        return self.session.node_id(item.block.request.nodes[item.row])

    def _refuse(self, handle: int, status: int) -> list[Missing]:
        """That nothing comes from this tag, unless it is known already."""
        if handle in self._refused:
            return []
        self._refused.add(handle)
        item = self._items[handle]
        quality = quality_of(status)
        return [Missing(item.block, (item.row,), Cause.DEVICE_REFUSED, quality)]

    def _wish(self, handle: int, node_id: ua.NodeId) -> ua.MonitoredItemCreateRequest:
        item = self._items[handle]
        place = item.block.request.places[item.row]
        wish = ua.MonitoredItemCreateRequest(MonitoringMode=ua.MonitoringMode.Reporting)
        wish.ItemToMonitor = ua.ReadValueId(
            NodeId=node_id, AttributeId=ua.IntegerId(AttributeIds.Value)
        )
        wish.RequestedParameters = ua.MonitoringParameters(
            ClientHandle=ua.IntegerId(handle),
            SamplingInterval=ua.Duration(1000 * (place.sampling_s or item.block.interval_s)),
            QueueSize=ua.Counter(place.queue),
            DiscardOldest=True,
        )
        return wish

    # --- hearing ---

    async def _listen(self, tasks: asyncio.TaskGroup) -> None:
        """Keep Publish requests on their way, and take their answers in order."""
        flight: deque[asyncio.Task[bytes]] = deque()
        while True:
            while len(flight) < self._width:
                flight.append(tasks.create_task(self._publish()))
            try:
                async with asyncio.timeout(self._silence_s):
                    body = await asyncio.shield(flight[0])
            except TimeoutError as error:
                raise LinkTimeoutError(f"nothing heard for {self._silence_s:.0f} s") from error
            flight.popleft()
            if body:
                with self._undivided():
                    await self._take(body)

    async def _publish(self) -> bytes:
        """One Publish request with what may be acknowledged; empty: it came to nothing."""
        request = ua.PublishRequest()
        acknowledged, self._durable = self._durable, []
        request.Parameters.SubscriptionAcknowledgements = [
            ua.SubscriptionAcknowledgement(ua.IntegerId(self._id), ua.Counter(sequence))
            for sequence in acknowledged
        ]
        try:
            return await self.session.ask(request, None)
        except UaStatusCodeError as error:
            if error.code == StatusCodes.BadTooManyPublishRequests and self._width > 1:
                self._width -= 1
                return b""
            if error.code == StatusCodes.BadTimeout:
                return b""
            if error.code in _ENDED:
                raise SubscriptionLostError(reason(error), Cause.SUB_RECREATED) from error
            raise LinkError(f"publish: {reason(error)}") from error
        except FAILURES as error:
            raise LinkError(f"publish: {reason(error)}") from error

    async def _take(self, body: bytes) -> None:
        came = Came(self._clock.now_ns(), self._clock.monotonic_ns())
        with linked("publish"):
            published = decode_publish(body)
            if published.subscription != self._id:
                return  # one of an earlier session that the server has not forgotten yet
            notification = published.notification
            missing = self._sequence.missing(notification)
        for sequence in missing:
            await self._again(sequence, len(missing), came)
        self._hand_over(notification, came, more=published.more)
        if not published.more:
            self._say_unchanged(published, came)

    async def _again(self, sequence: int, missing: int, came: Came) -> None:
        """Ask once more for a notification that did not come.

        Raises:
            SubscriptionLostError: The server has it no more.
        """
        request = ua.RepublishRequest()
        request.Parameters.SubscriptionId = ua.IntegerId(self._id)
        request.Parameters.RetransmitSequenceNumber = ua.Counter(sequence)
        try:
            if missing > MOST_REPUBLISHED:
                raise DecodeError(f"{missing} notifications are missing")
            notification = decode_republish(await self.session.ask(request))
        except FAILURES as error:
            raise SubscriptionLostError(
                f"notification {sequence} is lost: {reason(error)}", Cause.SUB_GAP
            ) from error
        self._hand_over(notification, came, more=True)

    def _hand_over(self, notification: Notification, came: Came, *, more: bool) -> None:
        """Emit what is in ``notification``; it is acknowledged when that is durable."""
        with linked("publish"):
            known_to_ns = self._known_to(notification, came, more=more)
            said = news(notification.samples, self._items, came, known_to_ns)
        self._heard.update(dict.fromkeys(item.block for item in said))
        if not notification.is_keep_alive:
            self._waiting.append((notification.sequence, self._emit(said)))
            self._has_waiting.set()
        if notification.status:
            status = ua.StatusCode(ua.UInt32(notification.status))
            raise SubscriptionLostError(str(status.name), Cause.SUB_RECREATED)

    def _say_unchanged(self, published: Published, came: Came) -> None:
        changed = {self._items[s.handle].block for s in published.notification.samples}
        quiet = [block for block in self._heard if block not in changed]
        if quiet:
            self._emit(unchanged(quiet, came, self._told_to_ns))

    def _known_to(self, notification: Notification, came: Came, *, more: bool) -> int:
        """Up to when all is told with ``notification``; older than our patience none can be.

        While more wait in the server, the changes of one moment are told in part only.
        """
        age_ns = self._freshness.age_ns(notification, came.mono_ns)
        oldest_ns = int(self._silence_s * 1e9)
        sent_ns = came.time_ns - (oldest_ns if age_ns is None else min(age_ns, oldest_ns))
        if not more:
            self._told_to_ns = sent_ns
        return sent_ns if self._told_to_ns is None else min(sent_ns, self._told_to_ns)

    async def _await_disk(self) -> None:
        """Let each notification be acknowledged once the disk has it, in order."""
        while True:
            while not self._waiting:
                self._has_waiting.clear()
                await self._has_waiting.wait()
            sequence, on_disk = self._waiting[0]
            await on_disk
            self._waiting.popleft()
            self._durable.append(sequence)

    # --- minding ---

    async def _mind(self) -> None:
        """Renew the channel, and look after what the server refused.

        Raises:
            SubscriptionLostError: The namespaces have moved under our node ids.
        """
        retry_at = self._clock.monotonic() + RETRY_S
        while True:
            await self._clock.sleep_until(self._clock.monotonic() + MIND_S)
            with linked("session"):
                await self.session.renew()
            if self._clock.monotonic() < retry_at:
                continue
            retry_at += RETRY_S
            self._freshness.turn()
            if await self.session.has_moved():
                raise SubscriptionLostError("the namespaces have changed", Cause.SUB_RECREATED)
            if self._refused:
                with linked("subscribe"), self._undivided():
                    self._emit(await self._add(sorted(self._refused)))
