"""Towards the broker: what delivery may ask of a publisher, and what it hears back.

A publisher performs; it decides nothing. It keeps no queue of its own, resends
nothing and settles nothing: the journal is the session.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker accepted the connection, with these limits."""

    receive_maximum: int
    """Publishes that may be unacknowledged at once (MQTT 5, 3.2.2.3.3)."""
    maximum_packet_bytes: int | None
    """Largest packet the broker takes; None: no limit stated (MQTT 5, 3.2.2.3.6)."""
    can_refuse: bool
    """True for MQTT 5; an MQTT 3.1.1 acknowledgement says nothing about acceptance."""
    url: str = ""
    """Which of the configured brokers it is."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """PUBACK for ``token``. ``reason`` 0x00 is success, all else the broker's own words."""

    token: int
    reason: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is gone; whatever was in flight counts as not delivered."""

    reason: int | None
    """Reason code of CONNACK or DISCONNECT, if the broker gave one."""
    text: str
    """For logs."""
    error: Exception | None = None
    """What is told to people, where ``reason`` does not say it all."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message on a topic we subscribed to."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The broker answered a subscription; from 0x80 on ``reason`` is a refusal."""

    topic_filter: str
    reason: int

    @property
    def is_refused(self) -> bool:
        """Nothing will ever come on it."""
        return self.reason >= 0x80


PublisherEvent: TypeAlias = Connected | Acknowledged | Lost | Received | Subscribed


STEADY_S: Final = 10.0
"""A connection that lasted this long was a good one."""


class Publisher(Protocol):
    """One connection to a broker at a time, kept up by `run`."""

    async def run(self, tell: Callable[[PublisherEvent], None]) -> None:
        """Connect, back off, connect again, until cancelled; tell events in order.

        Every connection that ends, and every one that could not be opened, is told as
        one `Lost`; nothing published before it is acknowledged after it.
        """

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Hand one message to the socket; the token its `Acknowledged` will carry.

        None when there is no connection: nothing was sent and nothing is kept.
        """

    def reconnect(self, pause_s: float) -> None:
        """Drop the connection and open a new one not before ``pause_s`` from now."""

    def soon(self) -> None:
        """After the connection that ends, or the next that will, back off as after a first."""
