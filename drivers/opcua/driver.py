"""The OPC UA driver: plan, listen or ask, judge."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, cast

from drivers.opcua import settings
from drivers.opcua.address import Place
from drivers.opcua.plan import OpcuaBlock, Request, plan
from drivers.opcua.settings import OpcuaLink
from gateway import model
from gateway.clock import Clock
from gateway.config import DeviceConfig, LinkConfig, TagConfig
from gateway.driver import Driver, News, Simulation, ValueOf
from gateway.errors import DeviceSilentError, LinkError, LinkTimeoutError, SubscriptionLostError
from gateway.model import Batch, Cause, Quality

if TYPE_CHECKING:
    from drivers.opcua.session import Session
    from drivers.opcua.subscription import Subscription


class OpcuaDriver(Driver[Request]):
    """One session with a server (a `driver.Subscribing`)."""

    Link = OpcuaLink
    Device = settings.OpcuaDevice
    Tag = settings.OpcuaTag

    @classmethod
    def address(cls, tag: TagConfig, device: DeviceConfig, link: LinkConfig) -> Place:
        """Where ``tag`` lives; see `settings.address`."""
        return settings.address(
            cast(settings.OpcuaTag, tag),
            cast(settings.OpcuaDevice, device),
            cast(OpcuaLink, link),
        )

    @classmethod
    async def simulate(
        cls, link: LinkConfig, tags: Sequence[model.Tag], value_of: ValueOf, port: int
    ) -> Simulation:
        """The devices of ``link`` on loopback; see `simulator.serve`.

        Raises:
            ConnectError: The port cannot be used.
        """
        from drivers.opcua.simulator import serve

        return await serve(cast(OpcuaLink, link), tags, value_of, port=port)

    def __init__(self, link: LinkConfig, clock: Clock) -> None:
        self._link = cast(OpcuaLink, link)
        self._clock = clock
        self._session: Session | None = None
        self._cut: Subscription | None = None
        """Whose connection was lost; the server may still have it."""
        self._found: Subscription | None = None
        """Which the server still had at the last `connect`."""

    @property
    def resumed(self) -> bool:
        """Whether the server still had the subscription at the last `connect`."""
        return self._found is not None

    def plan(self, tags: Sequence[model.Tag]) -> Sequence[OpcuaBlock]:
        """Blocks of tags of one device and interval that are obtained in one way."""
        return plan(tags)

    async def connect(self) -> None:
        """Go on with the session whose connection was cut, once; otherwise open a new one.

        Raises:
            ConnectError: Naming url and reason.
        """
        # asyncua is loaded when a link opens: `tidegate check` does without.
        from drivers.opcua.session import Session

        await self.close()
        cut, self._cut = self._cut, None
        if cut is not None and await cut.session.resume():
            self._session, self._found = cut.session, cut
            return
        self._session = Session(self._link, self._clock)
        await self._session.open()

    async def read(self, block: OpcuaBlock) -> Batch:
        """Read every node of ``block``; a node that is refused is bad, the others are not.

        Raises:
            DeviceSilentError: No answer; the session is closed.
            LinkError: Not connected, or the answer is not one.
        """
        session = self._open_session()
        asked_ns = self._clock.monotonic_ns()
        try:
            samples = await session.read(block.request.nodes)
        except LinkTimeoutError as error:
            await self.close()
            raise DeviceSilentError(
                str(error), Quality.BAD_NO_COMMUNICATION, Cause.DEVICE_TIMEOUT
            ).in_words(error.code, **error.fields) from error
        mono_ns = asked_ns, self._clock.monotonic_ns()
        judged = [judge(s) for judge, s in zip(block.request.judges, samples, strict=True)]
        quality = bytes(q for _, q in judged)
        return Batch(
            block,
            self._clock.now_ns(),
            [value for value, _ in judged],
            quality if any(quality) else None,
            source_time_ns=[sample.source_ns for sample in samples],
            mono_ns=mono_ns,
            server_time_ns=[sample.server_ns for sample in samples],
        )

    async def subscribe(
        self, blocks: Sequence[OpcuaBlock], emit: Callable[[News], Awaitable[None]]
    ) -> None:
        """Hand over what the server says of ``blocks``; see `subscription`.

        Where `resumed` it goes on with the notification after the last.

        Raises:
            SubscriptionLostError: Changes are lost.
            LinkError: The session is gone.
        """
        from drivers.opcua.subscription import Subscription

        session = self._open_session()
        subscription = self._found or Subscription(session, blocks, emit, self._clock)
        self._found = None
        try:
            await subscription.run()
        except SubscriptionLostError:
            raise
        except (LinkError, asyncio.CancelledError) as error:
            is_cut = isinstance(error, LinkError) or not session.is_open
            if is_cut and subscription.can_resume:
                session.drop()
                self._session, self._cut = None, subscription
            raise

    async def close(self) -> None:
        """Close the session."""
        session, self._session, self._found = self._session, None, None
        if session is not None:
            await session.close()

    def _open_session(self) -> Session:
        if self._session is None or not self._session.is_open:
            raise LinkError(f"{self._link.url}: not connected").in_words(
                "link_closed", peer=self._link.url
            )
        return self._session
