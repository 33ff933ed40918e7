"""The socket towards a server: its bounds, and the services that may be asked.

asyncua lets a server set the limits of its client (0 is "none"), and waits for as many
bytes as a header announces. Here our limits hold, whatever the server answers.

**No code path writes to a device.** `READ_SERVICES` names every request that may leave,
and it is checked at the last line before the socket. Write, Call, AddNodes and their kin
are not in it.
"""

from __future__ import annotations

from asyncio import Future
from typing import Any, Final

from asyncua import ua
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.common.connection import TransportLimits
from asyncua.ua.ua_binary import uatcp_to_binary

MAX_CHUNK_BYTES: Final = 65_536
MAX_MESSAGE_BYTES: Final = 4 * 2**20
MAX_CHUNKS: Final = 512
READ_SERVICES: Final = frozenset(
    {
        ua.GetEndpointsRequest,
        ua.OpenSecureChannelRequest,
        ua.CloseSecureChannelRequest,
        ua.CreateSessionRequest,
        ua.ActivateSessionRequest,
        ua.CloseSessionRequest,
        ua.ReadRequest,
        ua.BrowseRequest,
        ua.BrowseNextRequest,
        ua.CreateSubscriptionRequest,
        ua.DeleteSubscriptionsRequest,
        ua.TransferSubscriptionsRequest,
        ua.CreateMonitoredItemsRequest,
        ua.DeleteMonitoredItemsRequest,
        ua.PublishRequest,
        ua.RepublishRequest,
    }
)


_HELLO: Any = ua.MessageType.Hello


class ForbiddenServiceError(Exception):
    """A request that could change something in the plant; a mistake in our own code."""


class _Limits(TransportLimits):
    """Our limits, or the server's where it asks for less."""

    def update_client_limits(self, msg: ua.Acknowledge) -> None:
        """Take over what the server sends and receives, within our own bounds."""
        self.max_send_buffer = min(max(msg.ReceiveBufferSize, 8192), MAX_CHUNK_BYTES)


class ReadOnlyProtocol(UASocketProtocol):
    """One connection that asks `READ_SERVICES` only, and bounds what is received."""

    def data_received(self, data: bytes) -> None:
        """Take in ``data``; a chunk larger than agreed closes the connection."""
        super().data_received(data)
        if len(self.receive_buffer or b"") > MAX_CHUNK_BYTES:
            self.receive_buffer = None
            self.disconnect_socket()

    def _send_request(
        self,
        request: Any,
        timeout: float = 1,
        message_type: Any = ua.MessageType.SecureMessage,
    ) -> Future[Any]:
        if type(request) not in READ_SERVICES:
            raise ForbiddenServiceError(type(request).__name__)
        return super()._send_request(request, timeout, message_type)

    async def send_hello(
        self, url: str, max_messagesize: int = 0, max_chunkcount: int = 0
    ) -> ua.Acknowledge:
        """Greet the server with our limits."""
        hello = ua.Hello(
            ReceiveBufferSize=ua.UInt32(MAX_CHUNK_BYTES),
            SendBufferSize=ua.UInt32(MAX_CHUNK_BYTES),
            MaxMessageSize=ua.UInt32(max_messagesize),
            MaxChunkCount=ua.UInt32(max_chunkcount),
            EndpointUrl=ua.String(url),
        )
        answer: Future[ua.Acknowledge] = self._expect_acknowledge()
        if self.transport is not None:
            self.transport.write(uatcp_to_binary(_HELLO, hello))
        return await answer

    def _expect_acknowledge(self) -> Future[ua.Acknowledge]:
        answer: Future[ua.Acknowledge] = Future()
        self._callbackmap[0] = answer
        return answer


class Channel(UaClient):
    """asyncua's client on a `ReadOnlyProtocol`; the caller bounds every wait."""

    def _make_protocol(self) -> UASocketProtocol:
        limits = _Limits(MAX_CHUNK_BYTES, MAX_CHUNK_BYTES, MAX_CHUNKS, MAX_MESSAGE_BYTES)
        protocol = ReadOnlyProtocol(self._timeout, self.security_policy, limits)
        protocol.on_connection_lost = self._on_transport_lost
        protocol.is_session_closing = self._is_session_closing
        self.protocol = protocol
        return protocol

    async def ask(self, request: Any, timeout_s: float | None) -> bytes:
        """The body of the answer to ``request``, still to be decoded; None waits for ever.

        Raises:
            ua.UaStatusCodeError: The server refused it.
            ConnectionError: The connection is gone.
            TimeoutError: No answer in time.
        """
        answer = await self._send_request(request, timeout=timeout_s or 0)
        return answer.read(len(answer))

    @property
    def is_open(self) -> bool:
        """Whether the socket stands."""
        return self.protocol is not None and not self.protocol.is_closed
