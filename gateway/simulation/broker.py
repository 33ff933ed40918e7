"""A loopback MQTT broker for the demo and the tests, with faults on demand.

It speaks 3.1.1 and 5, QoS 0 and 1, retained messages, wills, persistent sessions and
take-over. It can refuse, drop, delay, double, invent and reorder acknowledgements, cut
connections, and stop and start on its port, which no real broker does when asked.
Everything is in memory: it is no broker to keep data in, and listens on loopback only.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, cast

from gateway.simulation import packets
from gateway.simulation.packets import Connect, MalformedError, Publication, Will

NO_SUBSCRIBERS, TAKEN_OVER, QUOTA_EXCEEDED, TOO_LARGE = 0x10, 0x8E, 0x93, 0x95
SHUTTING_DOWN: Final = 0x8B
_LARGEST_PACKET: Final = 4 * 1024 * 1024
_LOOPBACK: Final = "127.0.0.1"
_ACCEPT_TURNS: Final = 4
"""Of the event loop to accept a connection; asyncio leaks one that a close overtakes."""

Listener = Callable[[str, bytes], None]


@dataclass
class Faults:
    """What the broker does wrong from now on; change it at any time."""

    refuse: dict[str, int] = field(default_factory=dict)
    """Topic filter → reason of the PUBACK; the message goes nowhere."""
    connect_reason: int = 0
    """Reason of every CONNACK, 0 to accept."""
    deny: dict[str, int] = field(default_factory=dict)
    """Topic filter → reason of the SUBACK to whoever asks for it; it hears nothing."""
    drop_acks: int = 0
    """So many PUBACKs are never sent; the messages are delivered."""
    delay_s: float = 0.0
    """Every PUBACK is sent so much later."""
    double_acks: bool = False
    foreign_acks: bool = False
    """Each PUBACK is preceded by one for a packet nobody sent."""
    reverse_acks: int = 0
    """PUBACKs are gathered and so many at a time are sent in reverse order."""
    poison: dict[bytes, int] = field(default_factory=dict)
    """A payload that contains the key is answered with DISCONNECT and this reason."""
    spoil: dict[bytes, int] = field(default_factory=dict)
    """A payload that contains the key is answered with PUBACK and this reason."""
    hides_limits: bool = False
    """CONNACK states none of the limits; they hold all the same."""
    silent: bool = False
    """Nothing is answered at all, not even a PINGREQ."""


class _Session:
    """What outlives the connection of a persistent client."""

    def __init__(self) -> None:
        self.filters: dict[str, int] = {}
        self.unacknowledged: dict[int, Publication] = {}
        self.client: _Client | None = None
        self.persistent = False
        self._last_id = 0

    def deliver(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        """Send to the client, or keep for it when it is away."""
        packet_id = 0
        if qos:
            packet_id = self._last_id = self._last_id % 0xFFFF + 1
        message = Publication(topic, payload, qos, retain, False, packet_id)
        if qos:
            self.unacknowledged[packet_id] = message
        if self.client is not None:
            self.client.send(packets.publish(message, self.client.version))

    def resume(self, client: _Client) -> None:
        """Send again what the client has not acknowledged."""
        for message in self.unacknowledged.values():
            client.send(packets.publish(message._replace(dup=True), client.version))


class Broker:
    """One broker on a port of 127.0.0.1."""

    def __init__(
        self,
        port: int = 0,
        *,
        receive_maximum: int | None = None,
        maximum_packet_bytes: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Port 0 is any free one, kept when the broker is stopped and started again."""
        self.port = port
        self.receive_maximum = receive_maximum
        self.maximum_packet_bytes = maximum_packet_bytes
        self.faults = Faults()
        self.retained: dict[str, tuple[bytes, int]] = {}
        self.messages = 0
        """Publications received, refused ones too."""
        self.connections = 0
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._clients: set[_Client] = set()
        self._sessions: dict[str, _Session] = {}
        self._listeners: dict[str, list[Listener]] = {}

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"{'mqtts' if self._tls else 'mqtt'}://{_LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Client(self), _LOOPBACK, self.port, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cut every connection and stop listening; sessions and retained messages stay."""
        if self._server is None:
            return
        for _ in range(_ACCEPT_TURNS):
            await asyncio.sleep(0)
        self._server.close()
        self.cut()
        await asyncio.sleep(0)
        await self._server.wait_closed()
        self._server = None

    def listen(self, topic_filter: str, listener: Listener) -> None:
        """Subscribe inside this process; counts as a subscriber."""
        self._listeners.setdefault(topic_filter, []).append(listener)

    def cut(self) -> None:
        """Reset every connection without a word."""
        for client in tuple(self._clients):
            client.abort()

    def disconnect(self, reason: int = SHUTTING_DOWN) -> None:
        """End every connection with a DISCONNECT."""
        for client in tuple(self._clients):
            client.end(reason)

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> int:
        """Pass a message to all who subscribed; how many did."""
        if retain:
            self.retained[topic] = (payload, qos)
            if not payload:
                del self.retained[topic]
        listeners = [
            listener
            for topic_filter, found in self._listeners.items()
            if packets.matches(topic_filter, topic)
            for listener in found
        ]
        for listener in listeners:
            listener(topic, payload)
        return len(listeners) + sum(
            self._pass_on(session, topic, payload, qos) for session in self._sessions.values()
        )

    def session(self, connect: Connect, client: _Client) -> tuple[_Session, bool]:
        """The session of a client that connects, and whether it was there before."""
        session = self._sessions.get(connect.client_id)
        if session is not None and session.client is not None:
            session.client.end(TAKEN_OVER)
        was_there = session is not None and session.persistent and not connect.clean
        if session is None or not was_there:
            session = self._sessions[connect.client_id] = _Session()
        session.client, session.persistent = client, connect.persistent
        return session, was_there

    def retained_for(self, topic_filter: str) -> Iterator[tuple[str, bytes, int]]:
        """Retained messages a new subscriber gets."""
        for topic, (payload, qos) in self.retained.items():
            if packets.matches(topic_filter, topic):
                yield topic, payload, qos

    def joined(self, client: _Client) -> None:
        """A socket was accepted."""
        self._clients.add(client)

    def left(self, client: _Client, session: _Session | None, will: Will | None) -> None:
        """A connection has ended; its will is told unless it took its leave."""
        self._clients.discard(client)
        if session is not None and session.client is client:
            session.client = None
            if not session.persistent:
                self._sessions = {
                    name: kept for name, kept in self._sessions.items() if kept is not session
                }
        if will is not None:
            self.publish(will.topic, will.payload, qos=will.qos, retain=will.retain)

    @staticmethod
    def _pass_on(session: _Session, topic: str, payload: bytes, qos: int) -> bool:
        wanted = [
            maximum
            for topic_filter, maximum in session.filters.items()
            if packets.matches(topic_filter, topic)
        ]
        if wanted:
            session.deliver(topic, payload, min(qos, max(wanted)), retain=False)
        return bool(wanted)


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, broker: Broker) -> None:
        self.version = 5
        self._broker = broker
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._session: _Session | None = None
        self._will: Will | None = None
        self._unanswered = 0
        self._gathered: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._broker.joined(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._broker.left(self, self._session, self._will)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while self._transport is not None and self._take_packet():
                pass
        except MalformedError:
            self.abort()

    def send(self, data: bytes) -> None:
        """Write to the socket, if it is still there."""
        if self._transport is not None and not self._broker.faults.silent:
            self._transport.write(data)

    def abort(self) -> None:
        """Reset the connection."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def end(self, reason: int) -> None:
        """Close the connection, saying why where the protocol can."""
        if self._transport is not None:
            if self.version == 5 and self._session is not None:
                self.send(packets.disconnect(reason))
            self._transport.close()
            self._transport = None

    def _take_packet(self) -> bool:
        """Handle one packet from the buffer; False when it is not complete."""
        buffer, length, shift, at = self._buffer, 0, 0, 1
        while True:
            if at >= len(buffer):
                return False
            byte = buffer[at]
            length |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                break
            if shift > 21:
                raise MalformedError("remaining length")
        if length > _LARGEST_PACKET:
            raise MalformedError("packet too large")
        if len(buffer) < at + length:
            return False
        head, body = buffer[0], bytes(buffer[at : at + length])
        del buffer[: at + length]
        self._handle(head >> 4, head & 0x0F, body, at + length)
        return True

    def _handle(self, kind: int, flags: int, body: bytes, size: int) -> None:
        largest = self._broker.maximum_packet_bytes
        if kind == packets.CONNECT:
            self._connect(packets.read_connect(body))
        elif self._session is None:
            raise MalformedError("first packet is not CONNECT")
        elif kind == packets.PUBLISH:
            if largest is not None and size > largest:
                self.end(TOO_LARGE)
                return
            self._published(packets.read_publish(flags, body, self.version))
        elif kind == packets.PUBACK:
            self._session.unacknowledged.pop(packets.Reader(body).integer(2), None)
        elif kind == packets.PINGREQ:
            self.send(packets.packet(packets.PINGRESP, b""))
        elif kind == packets.DISCONNECT:
            self._leave(body)
        else:
            self._subscriptions(kind, body, self._session)

    def _subscriptions(self, kind: int, body: bytes, session: _Session) -> None:
        if kind == packets.SUBSCRIBE:
            packet_id, asked = packets.read_subscribe(body, self.version)
            deny = self._broker.faults.deny
            filters = [each for each in asked if each[0] not in deny]
            session.filters.update(filters)
            reasons = [deny.get(name, min(qos, 1)) for name, qos in asked]
            self.send(packets.suback(packet_id, reasons, self.version))
            for topic_filter, maximum in filters:
                for topic, payload, qos in self._broker.retained_for(topic_filter):
                    session.deliver(topic, payload, min(qos, maximum), retain=True)
        elif kind == packets.UNSUBSCRIBE:
            packet_id, names = packets.read_unsubscribe(body, self.version)
            for name in names:
                session.filters.pop(name, None)
            self.send(packets.unsuback(packet_id, len(names), self.version))
        else:
            raise MalformedError(f"packet of kind {kind}")

    def _connect(self, connect: Connect) -> None:
        broker, self.version = self._broker, connect.version
        reason = broker.faults.connect_reason
        if reason:
            self.send(packets.connack(self.version, reason, session=False, limits={}))
            self.end(reason)
            return
        broker.connections += 1
        self._session, was_there = broker.session(connect, self)
        self._will = connect.will
        limits = {
            packets.RECEIVE_MAXIMUM: broker.receive_maximum,
            packets.MAXIMUM_PACKET: broker.maximum_packet_bytes,
        }
        stated = {name: value for name, value in limits.items() if value is not None}
        if broker.faults.hides_limits:
            stated = {}
        self.send(packets.connack(self.version, 0, session=was_there, limits=stated))
        self._session.resume(self)

    def _leave(self, body: bytes) -> None:
        # 0x04 is "disconnect with will message" (MQTT 5, 3.14.2.1).
        if body[:1] != b"\x04":
            self._will = None
        if self._transport is not None:
            self._transport.close()

    def _published(self, message: Publication) -> None:
        broker, faults = self._broker, self._broker.faults
        broker.messages += 1
        for marker, reason in faults.poison.items():
            if marker in message.payload:
                self.end(reason)
                return
        reason = self._refusal(message)
        if not reason or self.version != 5:
            reached = 0 if reason else self._pass_on(message)
            reason = reason or (0 if reached else NO_SUBSCRIBERS)
        if message.qos:
            self._acknowledge(message.packet_id, reason)

    def _pass_on(self, message: Publication) -> int:
        return self._broker.publish(
            message.topic, message.payload, qos=message.qos, retain=message.retain
        )

    def _refusal(self, message: Publication) -> int:
        faults = self._broker.faults
        for topic_filter, reason in faults.refuse.items():
            if packets.matches(topic_filter, message.topic):
                return reason
        return next((code for mark, code in faults.spoil.items() if mark in message.payload), 0)

    def _acknowledge(self, packet_id: int, reason: int) -> None:
        faults = self._broker.faults
        self._unanswered += 1
        if self._broker.receive_maximum is not None and self._unanswered > (
            self._broker.receive_maximum
        ):
            self.end(QUOTA_EXCEEDED)
            return
        if faults.drop_acks:
            faults.drop_acks -= 1
            return
        answer = packets.puback(packet_id, reason, self.version)
        if faults.foreign_acks:
            answer = packets.puback(packet_id ^ 0x4000, 0, self.version) + answer
        if faults.double_acks:
            answer *= 2
        if faults.delay_s:
            asyncio.get_running_loop().call_later(faults.delay_s, self._answer, answer)
        elif faults.reverse_acks:
            self._gather(answer)
        else:
            self._answer(answer)

    def _gather(self, answer: bytes) -> None:
        self._gathered.append(answer)
        if len(self._gathered) >= self._broker.faults.reverse_acks:
            gathered, self._gathered = self._gathered, []
            for waiting in reversed(gathered):
                self._answer(waiting)

    def _answer(self, answer: bytes) -> None:
        self._unanswered -= 1
        self.send(answer)
