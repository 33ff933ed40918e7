"""One MQTT connection over paho, used as a dumb pipe, and what has to be known to open it.

A new client for each connection, a clean start, no limit of its own on what is in flight
(`window` keeps it), and whatever was unacknowledged is forgotten when the connection ends.
paho blocks while it connects: that is for a worker thread; from `attach` on its socket is
served by whoever awaits `Pipe.serve`. Callbacks only note what they heard, so an exception
can neither vanish in paho nor leave a dead connection that looks alive.

The only importer of paho.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from paho.mqtt import MQTTException
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.errors import BrokerDownError
from gateway.publisher import (
    Acknowledged,
    Connected,
    Lost,
    PublisherEvent,
    Received,
    Subscribed,
)

KEEPALIVE_S: Final = 30
CONNECT_TIMEOUT_S: Final = 10.0
USER_TIMEOUT_MS: Final = 30_000
"""Unacknowledged TCP data kill the connection after this long (tcp(7), TCP_USER_TIMEOUT)."""
_HOUSEKEEPING_S: Final = 1.0
_NO_LIMIT: Final = 65_535
_NO_PACKET: Final = (MQTTException, struct.error, LookupError, ValueError)
"""What paho 2.2 raises at bytes that are no packet, beside closing the socket."""
_DEFAULT_PORT: Final = {"mqtt": 1883, "mqtts": 8883}


class Credentials(NamedTuple):
    """A user of the broker."""

    username: str
    password: str | None


class _TlsContext(ssl.SSLContext):
    """Remembers the socket it made: paho forgets to close it when the handshake fails."""

    made: ssl.SSLSocket | None = None

    def wrap_socket(self, *arguments: Any, **settings: Any) -> ssl.SSLSocket:
        self.made = super().wrap_socket(*arguments, **settings)
        return self.made


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files; read anew for each connection, so that a renewed certificate is used."""

    ca: Path | None = None
    """Who may sign the broker's certificate; None: whom the system trusts."""
    certificate: Path | None = None
    key: Callable[[], Path] | None = None
    """Where the key lies now; may raise `ConfigError`."""

    def context(self) -> _TlsContext:
        """TLS 1.2 or newer, certificate and host name checked.

        Raises:
            OSError: A file cannot be read, or is no certificate or key.
            ConfigError: Nobody says where the key lies.
        """
        # Of this protocol, certificate and host name are checked by default.
        context = _TlsContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(self.ca)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key and self.key())
        return context


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """How to reach the brokers."""

    urls: Sequence[str]
    """``mqtt://host:port`` or ``mqtts://host:port``, in order of preference."""
    client_id: str
    version: int = 5
    """5, or 4 for MQTT 3.1.1."""
    tls: TlsFiles = TlsFiles()
    keepalive_s: int = KEEPALIVE_S
    subscriptions: Sequence[str] = ()
    """Topic filters asked for, QoS 1, on each connection."""
    max_incoming_bytes: int = 64 * 1024
    """Largest packet a broker may send us (MQTT 5); it withholds what is longer."""


class _Client(Client):
    """paho's client, which takes in no packet larger than it was told to."""

    largest: int

    def _sock_recv(self, bufsize: int) -> bytes:
        # paho asks for all that a header announces, up to 256 MiB, and keeps what comes.
        if bufsize > self.largest:
            raise MQTTException(f"a packet of {bufsize} bytes where {self.largest} are agreed")
        return super()._sock_recv(bufsize)


class Pipe:
    """One paho client, from connect to close; what it hears is a list of events."""

    def __init__(self, settings: MqttSettings, url: str) -> None:
        self._url = url
        self._settings = settings
        self._is_v5 = settings.version == MQTTProtocolVersion.MQTTv5
        self._client = self._new_client()
        self._heard: list[PublisherEvent] = []
        self._tokens: dict[int, int] = {}
        self._asked: dict[int, str] = {}
        """Topic filters by the number of the packet that asked for them."""
        self._woken = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._socket: Any = None
        self._tls: _TlsContext | None = None
        self._housekeeping: asyncio.TimerHandle | None = None
        self._is_due = False
        self._ended = False
        self._is_abandoned = False

    def connect(self, credentials: Credentials | None, will: tuple[str, bytes] | None) -> None:
        """Resolve, open, shake hands, send CONNECT. Blocks: for a worker thread.

        Raises:
            BrokerDownError: Nobody answers there, or nobody we trust.
            ConfigError: Nobody says where the key lies.
        """
        client, url, stands = self._client, urlsplit(self._url), False
        try:
            if url.scheme == "mqtts":
                self._tls = self._settings.tls.context()
                client.tls_set_context(self._tls)
            if credentials is not None:
                client.username_pw_set(*credentials)
            if will is not None:
                client.will_set(will[0], will[1], qos=1, retain=True)
            port = url.port or _DEFAULT_PORT[url.scheme]
            self._dial(url.hostname or "", port)
            stands = not self._is_abandoned
        except (OSError, ValueError) as error:
            raise BrokerDownError(f"{self._url}: {error}").in_words(
                "broker_down", url=self._url, reason=error
            ) from error
        finally:
            if not stands:
                self._shut()

    def abandon(self) -> None:
        """Nobody waits for `connect` any more: close what it opened, or will open."""
        self._is_abandoned = True
        self._shut()

    def _shut(self) -> None:
        made = None if self._tls is None else self._tls.made
        for opened in (self._client.socket(), made):
            if opened is not None:
                opened.close()

    def attach(self) -> None:
        """Serve the socket from now on in the running loop."""
        self._socket = self._client.socket()
        if self._socket is None:
            self._end(None, "connection closed before CONNACK")
            return
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        self._loop.add_reader(self._socket, self._woken.set)
        self._client.on_socket_register_write = lambda *_: self._woken.set()
        self._client.on_socket_close = lambda *_: self._detach()
        self._keep_house()

    async def serve(self) -> list[PublisherEvent]:
        """Wait for the socket, move bytes both ways, and say what was heard."""
        await self._woken.wait()
        self._woken.clear()
        if not self._ended:
            self._move()
        heard, self._heard = self._heard, []
        return heard

    def publish(
        self, topic: str, payload: bytes, qos: int, token: int, *, retain: bool
    ) -> bool:
        """Queue one packet for the socket; False when the connection has ended."""
        if self._ended:
            return False
        info = self._client.publish(topic, payload, qos, retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._end(None, f"paho: {info.rc.name}")
            return False
        self._tokens[info.mid] = token
        self._woken.set()
        return True

    def give_up(self, text: str) -> None:
        """End the connection from our side, without a DISCONNECT: the will is told."""
        self._end(None, text)

    def close(self) -> None:
        """Forget everything and close the socket; a healthy connection says DISCONNECT."""
        if self._housekeeping is not None:
            self._housekeeping.cancel()
        self._client.drop_out_messages()
        if not self._ended and self._client.is_connected():
            self._client.disconnect()
            self._client.loop_write()
        self._detach()
        if self._socket is not None:
            self._socket.close()

    def _new_client(self) -> Client:
        settings = self._settings
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            clean_session=None if self._is_v5 else True,
            protocol=MQTTProtocolVersion(settings.version),
            reconnect_on_failure=False,
        )
        client.largest = settings.max_incoming_bytes
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(0)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = lambda *told: self._subscribed(told[2], told[3])
        client.on_message = self._on_message
        return client

    def _dial(self, host: str, port: int) -> None:
        keepalive = self._settings.keepalive_s
        if not self._is_v5:
            self._client.connect(host, port, keepalive)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0
        properties.MaximumPacketSize = self._settings.max_incoming_bytes
        self._client.connect(host, port, keepalive, clean_start=True, properties=properties)

    def _move(self) -> None:
        client = self._client
        self._read()
        # TLS may have decrypted more than paho read; no readable socket will say so.
        while (
            not self._ended
            and isinstance(self._socket, ssl.SSLSocket)
            and self._socket.pending()
        ):
            self._read()
        if client.want_write() and not self._ended:
            client.loop_write()
        if self._is_due and not self._ended:
            self._is_due = False
            client.loop_misc()
        if not self._ended:
            self._watch_writable()

    def _read(self) -> None:
        """Take in a packet; one that paho cannot read ends the connection."""
        try:
            self._client.loop_read()
        except _NO_PACKET as error:
            self._end(None, f"not understood: {type(error).__name__}: {error}")

    def _watch_writable(self) -> None:
        if self._client.want_write():
            self._loop.add_writer(self._socket, self._woken.set)
        else:
            self._loop.remove_writer(self._socket)

    def _keep_house(self) -> None:
        self._is_due = True
        self._woken.set()
        self._housekeeping = self._loop.call_later(_HOUSEKEEPING_S, self._keep_house)

    def _detach(self) -> None:
        if self._socket is not None and self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)

    def _end(self, reason: int | None, text: str, error: Exception | None = None) -> None:
        if not self._ended:
            self._ended = True
            self._heard.append(Lost(reason, f"{self._url}: {text}", error))
        self._woken.set()

    def _on_connect(
        self,
        client: Client,
        data: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        limits: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._end(reason.value, f"refused: {reason}")
            return
        receive_maximum = getattr(limits, "ReceiveMaximum", _NO_LIMIT)
        largest = getattr(limits, "MaximumPacketSize", None)
        self._heard.append(Connected(receive_maximum, largest, self._is_v5, self._url))
        for topic_filter in self._settings.subscriptions:
            number = client.subscribe(topic_filter, qos=1)[1]
            if number is not None:
                self._asked[number] = topic_filter

    def _on_disconnect(
        self,
        client: Client,
        data: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        limits: Properties | None,
    ) -> None:
        told = flags.is_disconnect_packet_from_server
        self._end(reason.value if told else None, str(reason) if told else "connection lost")

    def _on_publish(
        self,
        client: Client,
        data: object,
        mid: int,
        reason: ReasonCode,
        limits: Properties | None,
    ) -> None:
        token = self._tokens.pop(mid, None)
        if token is not None:
            self._heard.append(Acknowledged(token, reason.value))

    def _subscribed(self, number: int, reasons: Sequence[ReasonCode]) -> None:
        topic_filter = self._asked.pop(number, None)
        if topic_filter is not None:
            self._heard += [Subscribed(topic_filter, reason.value) for reason in reasons[:1]]

    def _on_message(self, client: Client, data: object, message: MQTTMessage) -> None:
        self._heard.append(Received(message.topic, bytes(message.payload)))
