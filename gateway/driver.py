"""What a driver must be. Adding a protocol means writing one subclass of `Driver`.

A driver talks; it decides nothing. The gateway owns when to poll, when to
reconnect, how long to wait, what to log and where readings go. So a driver has
no loop, no sleep, no retry and no logger.

Calls arrive in this order, never two at once:

    plan ── connect ── read … read ── close
              ▲                         │
              └── after a LinkError ────┘
                  or DeviceSilentError

``driver: NAME`` in the configuration loads ``drivers.NAME.DRIVER``, or the entry
point NAME of the group ``tidegate.drivers``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, runtime_checkable

from gateway import model
from gateway.clock import Clock
from gateway.config import DeviceConfig, LinkConfig, TagConfig
from gateway.errors import ConfigError
from gateway.model import Batch, Block, Cause, Quality, RequestT, Scalar

ValueOf: TypeAlias = Callable[[model.Tag, float], Scalar]
"""What a simulated tag shows, in its unit, at a time in seconds."""
FAULTS = ("timeout", "late", "exception", "frozen")
"""What a simulated device can be told to do: give no answer, answer after the timeout,
answer with an exception, show the same values for ever."""


class Simulation(Protocol):
    """The simulated devices of one link, listening."""

    url: str
    """What a link's ``url`` must be to reach them."""

    def fail(self, device: str, fault: str | None) -> None:
        """Let ``device`` show one of `FAULTS`; None: none."""

    async def stop(self) -> None:
        """Close the port and every connection."""


class Driver(ABC, Generic[RequestT]):
    """One connection of a link (a socket, a serial line) and the devices on it."""

    Link: ClassVar[type[LinkConfig]] = LinkConfig
    """What a person writes for a link of this driver."""
    Device: ClassVar[type[DeviceConfig]] = DeviceConfig
    Tag: ClassVar[type[TagConfig]] = TagConfig

    can_adopt: ClassVar[bool] = False
    """Whether devices can come and go while it is connected, by `adopt`.

    Without it a link is closed and opened again when one of its devices changes; so it is
    where devices are subscribed, for a subscription stands for all of them.
    """
    pause_s: float = 0.0
    """Seconds the line must rest after the last `read`; the link waits, not the driver."""

    @classmethod
    @abstractmethod
    def address(cls, tag: TagConfig, device: DeviceConfig, link: LinkConfig) -> Any:
        """Where ``tag`` lives, as the driver's own immutable value (`Tag.address`).

        Pure. ``tag.address`` is one address: series are already written out.

        Raises:
            Mistake: The address does not exist in this protocol.
        """

    @classmethod
    async def simulate(
        cls, link: LinkConfig, tags: Sequence[model.Tag], value_of: ValueOf, port: int
    ) -> Simulation:
        """Serve the devices of ``link`` over the real protocol, on loopback only.

        value_of: what each tag shows, in its unit. port: 0 takes a free one.

        Raises:
            ConnectError: The port cannot be used.
            NotImplementedError: This driver has no simulator.
        """
        raise NotImplementedError

    @abstractmethod
    def __init__(self, link: LinkConfig, clock: Clock) -> None:
        """Store; open nothing. ``link.devices`` holds the settings of each device."""

    def adopt(self, link: LinkConfig) -> None:
        """Go on with ``link``, which differs from before in its devices only.

        Called where `can_adopt`, at any time, also while a `read` is under way. From now on
        `plan` knows the new devices, and `read` takes their blocks and those of the devices
        that stayed, on the same connection.
        """
        raise NotImplementedError

    @abstractmethod
    def plan(self, tags: Sequence[model.Tag]) -> Sequence[Block[RequestT]]:
        """Group ``tags`` into as few requests as the protocol allows.

        Pure: no I/O. Every tag lands in exactly one block, and all tags of a
        block share a device and an interval. Called again with the tags of half
        a block when a device refused the whole.
        """

    @abstractmethod
    async def connect(self) -> None:
        """Open the link.

        Raises:
            ConnectError: It could not be opened.
        """

    @abstractmethod
    async def read(self, block: Block[RequestT]) -> Batch:
        """Read one block.

        Raises:
            DeviceError: The device refused this block; the link still works.
            DeviceSilentError: No provable answer; the connection is closed.
            LinkError: The link is gone; `close`, then `connect` follow.
        """

    @abstractmethod
    async def close(self) -> None:
        """Release the link. Safe at any time, any number of times."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Tags of a subscribed block that give nothing, or gave less than there was."""

    block: Block[Any]
    rows: Sequence[int]
    cause: Cause
    quality: Quality | None = None
    """Why nothing comes from now on; None: some changes are lost, and more follow."""


News: TypeAlias = Sequence[Batch | Missing]
"""What a device said at one time, in order."""


@runtime_checkable
class Subscribing(Protocol):
    """A driver whose devices speak up by themselves; it marks such blocks ``subscribed``."""

    @property
    def resumed(self) -> bool:
        """Whether `connect` found again what the last `subscribe` left when its link failed.

        Then the next one goes on where that ended, and nothing is lost. Tried once only.
        """

    async def subscribe(
        self, blocks: Sequence[Block[Any]], emit: Callable[[News], Awaitable[None]]
    ) -> None:
        """Hand over what the devices say until the link fails.

        The call ``emit(news)`` takes ``news`` over at once; awaiting what it returns ends
        when they are durable, so that an acknowledgement to the device can follow the
        disk. While the device has nothing to say but is heard, batches without rows say so.

        Raises:
            LinkError: The link is gone.
            SubscriptionLostError: Changes are lost; nothing more is told of ``blocks``.
        """


def check_plan(tags: Sequence[model.Tag], blocks: Sequence[Block[Any]]) -> None:
    """Hold a driver to the promises of `Driver.plan`.

    Raises:
        ConfigError: A tag is in no block, in two, or in one it does not fit.
    """
    planned = [tag for block in blocks for tag in block.tags]
    if len(planned) != len(tags) or set(map(id, planned)) != set(map(id, tags)):
        raise ConfigError(f"{len(tags)} tags configured, {len(planned)} planned").in_words(
            "plan_broken", tags=len(tags), planned=len(planned)
        )
    for block in blocks:
        for tag in block.tags:
            if (tag.device, tag.interval_s) != (block.device, block.interval_s):
                raise ConfigError(
                    f"{tag.device}/{tag.name} is in a block it does not fit"
                ).in_words("plan_misfit", device=tag.device, tag=tag.name)
