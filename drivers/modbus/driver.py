"""The Modbus TCP driver: plan, ask, admit, decode, normalise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from drivers.modbus import settings
from drivers.modbus.address import Address
from drivers.modbus.admission import ExceptionReply
from drivers.modbus.plan import ModbusBlock, Request, Shape, plan
from drivers.modbus.settings import ModbusLink
from gateway import model
from gateway.clock import Clock
from gateway.config import DeviceConfig, LinkConfig, TagConfig
from gateway.driver import Driver, Simulation, ValueOf
from gateway.errors import DeviceError, LinkError
from gateway.model import Batch, Block, Cause, Quality

if TYPE_CHECKING:
    from drivers.modbus.transport import Connection

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not respond",
}
"""Source: MODBUS Application Protocol V1.1b3, 7."""
TOLD = frozenset({1, 2, 3, 4, 6, 10, 11})
"""Those that the catalogue explains."""
REFUSED = frozenset({1, 2, 3})
"""The device does not serve this request, now or later."""
DIVISIBLE = frozenset({2, 3})
"""The refusal may concern only part of the range."""
UNREACHABLE = frozenset({5, 6, 10, 11})
"""The device, or what stands before it, cannot answer at the moment."""
NOT_THERE = frozenset({10, 11})
"""A gateway answers in the place of a device that does not."""


class ModbusDriver(Driver[Request]):
    """One TCP connection and the devices behind it.

    After a `DeviceSilentError` the connection is closed, and `connect` must follow.
    """

    Link = ModbusLink
    Device = settings.ModbusDevice
    Tag = settings.ModbusTag
    can_adopt = True

    @classmethod
    def address(cls, tag: TagConfig, device: DeviceConfig, link: LinkConfig) -> Address:
        """Where ``tag`` lies; see `settings.address`."""
        return settings.address(
            cast(settings.ModbusTag, tag),
            cast(settings.ModbusDevice, device),
            cast(ModbusLink, link),
        )

    @classmethod
    async def simulate(
        cls, link: LinkConfig, tags: Sequence[model.Tag], value_of: ValueOf, port: int
    ) -> Simulation:
        """The devices of ``link`` on loopback; see `simulator.serve`.

        Raises:
            ConnectError: The port cannot be used.
        """
        from drivers.modbus.simulator import Faults, serve

        return await serve(cast(ModbusLink, link), tags, value_of, Faults(), port=port)

    def __init__(self, link: LinkConfig, clock: Clock) -> None:
        self._link = cast(ModbusLink, link)
        self._clock = clock
        self._shapes = _shapes(self._link)
        self._connection: Connection | None = None

    def adopt(self, link: LinkConfig) -> None:
        """Other devices behind the same socket; a request carries all it needs."""
        self._link = cast(ModbusLink, link)
        self._shapes = _shapes(self._link)

    @property
    def unsolicited(self) -> int:
        """Connections closed because bytes came that nobody had asked for."""
        return self._connection.unsolicited if self._connection else 0

    def plan(self, tags: Sequence[model.Tag]) -> Sequence[Block[Request]]:
        """The fewest requests that read ``tags``; see `plan`."""
        return plan(tags, self._shapes)

    async def connect(self) -> None:
        """Open the connection.

        Raises:
            ConnectError: Naming url and reason.
        """
        # pymodbus is loaded when a link opens: `tidegate check` does without.
        from drivers.modbus.transport import Connection

        if self._connection is None:
            host, port = settings.host_and_port(self._link.url)
            self._connection = Connection(host, port, self._clock)
        await self._connection.open(self._link.timeout)

    async def read(self, block: ModbusBlock) -> Batch:
        """Read one block with one request.

        Raises:
            DeviceError: The device answered with an exception.
            DeviceSilentError: No provable answer; the connection is closed.
            LinkError: Not connected, or the device has closed the connection.
        """
        if self._connection is None:
            raise LinkError(f"{self._link.url}: not connected").in_words(
                "link_closed", peer=self._link.url
            )
        request = block.request
        self.pause_s = request.gap_s
        answer = await self._connection.ask(
            unit=request.unit,
            function=request.table,
            offset=request.offset,
            count=request.count,
            timeout_s=request.timeout_s,
        )
        if isinstance(answer.content, ExceptionReply):
            raise refusal(block, answer.content.code)
        values, quality = request.normaliser.apply(request.decode(answer.content))
        return Batch(block, answer.time_ns, values, quality, mono_ns=answer.mono_ns)

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()


def _shapes(link: ModbusLink) -> dict[str, Shape]:
    return {device.name: settings.shape(device, link) for device in link.devices}


def refusal(block: ModbusBlock, code: int) -> DeviceError:
    """The error for a Modbus exception, by what it means for the block."""
    words = EXCEPTIONS.get(code, "unknown exception")
    message = f"{block.device} {block.request}: exception {code} ({words})"
    return _error(message, code).in_words(
        f"modbus_exception_{code}" if code in TOLD else "modbus_exception", exception=code
    )


def _error(message: str, code: int) -> DeviceError:
    if code in REFUSED:
        return DeviceError(
            message,
            Quality.BAD_CONFIGURATION,
            Cause.DEVICE_REFUSED,
            divisible=code in DIVISIBLE,
        )
    unreachable = code in UNREACHABLE
    quality = Quality.BAD_NO_COMMUNICATION if unreachable else Quality.BAD_DEVICE_FAILURE
    return DeviceError(message, quality, Cause.DEVICE_EXCEPTION, silent=code in NOT_THERE)
