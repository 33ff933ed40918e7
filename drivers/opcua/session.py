"""One session with a server: open it, find the nodes, read them, go on after a cut.

The indexes of namespaces are read after every connect, and never outlive it.
"""

from __future__ import annotations

import asyncio
import datetime
import struct
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.utils import Buffer
from asyncua.crypto import security_policies
from asyncua.crypto.uacrypto import CertProperties
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.ua_binary import struct_from_binary
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from drivers.opcua.address import NodeAddress
from drivers.opcua.codec import DecodeError, Sample, decode_read
from drivers.opcua.plan import parts
from drivers.opcua.security import InvalidSignature, Pki
from drivers.opcua.settings import OpcuaLink
from drivers.opcua.transport import MAX_CHUNKS, MAX_MESSAGE_BYTES, Channel
from gateway.clock import Clock
from gateway.errors import ConfigError, ConnectError, LinkError, LinkTimeoutError

SESSION_S: Final = 60.0
CONNECT_TIMEOUTS: Final = 3
"""A connect takes some ten answers; this many times the time of one is enough for all."""
GOODBYE_S: Final = 0.5
PER_REQUEST: Final = 1000
"""Nodes in one request where the server names no limit."""
RENEW_AFTER: Final = 0.75
"""Part of its life after which a secure channel is renewed (OPC 10000-4, 5.5.2.1)."""
_UNKNOWN = StatusCodes.BadNodeIdUnknown
_NAMESPACES = NodeAddress("", ObjectIds.Server_NamespaceArray)
_MAX_READ = NodeAddress("", ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead)
_MAX_ITEMS = NodeAddress(
    "", ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall
)
FAILURES = (
    UaError, OSError, TimeoutError, InvalidSignature, struct.error, DecodeError,
    ValueError, LookupError, TypeError, AttributeError, RuntimeError,
)  # fmt: skip
"""How asyncua fails: it decodes what a server sent without checks, so that a strange answer
shows as any of these."""

_ANSWERS: Final = {
    ua.CreateSubscriptionRequest: ua.CreateSubscriptionResponse,
    ua.CreateMonitoredItemsRequest: ua.CreateMonitoredItemsResponse,
}


@contextmanager
def linked(what: str) -> Iterator[None]:
    """Let every failure of asyncua be a `LinkError` that begins with ``what``."""
    try:
        yield
    except TimeoutError as error:
        raise LinkTimeoutError(f"{what}: no answer").in_words(
            "opcua_no_answer", what=what
        ) from error
    except FAILURES as error:
        raise LinkError(f"{what}: {reason(error)}").in_words(
            "opcua_failed", what=what, reason=_worded(error)
        ) from error


def _worded(error: Exception) -> object:
    """What to tell people of ``error``: a StatusCode in words, if the catalogue has some."""
    if isinstance(error, OSError):
        return error
    words = reason(error)
    return LinkError(words).in_words(f"opcua_status_{words.lower()}")


def reason(error: BaseException) -> str:
    """``error`` in words; a StatusCode by its name."""
    if isinstance(error, UaStatusCodeError):
        return str(ua.StatusCode(error.code).name)
    return str(error) or type(error).__name__


class Session:
    """One connection, secure channel and session; open it once."""

    def __init__(self, link: OpcuaLink, clock: Clock) -> None:
        self._link = link
        self._clock = clock
        self._client = self._new_client()
        self._channel: Channel = self._client.uaclient  # type: ignore[assignment]
        self._renew_at = float("inf")
        self._namespaces: dict[str, int] = {"": 0}
        self._per_read = PER_REQUEST
        self.per_call = PER_REQUEST
        """Monitored items the server makes with one request."""

    async def open(self) -> None:
        """Connect, agree on security, open the session, learn namespaces and limits.

        Raises:
            ConnectError: Naming url and reason.
        """
        async with self._connecting():
            await self._open()

    async def resume(self) -> bool:
        """Go on over a new socket; False: the server has forgotten this session.

        Raises:
            ConnectError: The server cannot be reached.
        """
        async with self._connecting():
            await self._open_channel()
        self._channel.session.rebind_authentication_token()
        try:
            async with asyncio.timeout(self._link.timeout):
                await self._activate()
        except FAILURES:
            self.drop()
            return False
        return True

    @asynccontextmanager
    async def _connecting(self) -> AsyncIterator[None]:
        """Bound the time, and let every failure be a `ConnectError` that names the url."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUTS * self._link.timeout):
                yield
        except TimeoutError as error:
            raise ConnectError(f"{self._link.url}: no answer").in_words(
                "opcua_no_answer", what=self._link.url
            ) from error
        except (LinkError, ConfigError) as error:
            raise ConnectError(f"{self._link.url}: {error}").in_words(
                "opcua_failed", what=self._link.url, reason=error
            ) from error
        except FAILURES as error:
            raise ConnectError(f"{self._link.url}: {reason(error)}").in_words(
                "opcua_failed", what=self._link.url, reason=_worded(error)
            ) from error

    def drop(self) -> None:
        """Close the socket without a goodbye: the server keeps the session for a while."""
        self._channel.disconnect_socket()

    async def close(self) -> None:
        """Say goodbye where somebody listens, and close the socket."""
        channel = self._channel
        if channel.is_open and channel.session.has_session:
            request = ua.CloseSessionRequest(DeleteSubscriptions=True)
            try:
                async with asyncio.timeout(GOODBYE_S):
                    await channel.ask(request, None)
            except FAILURES:
                pass  # it ends the session by itself when we stay away
        self.drop()

    @property
    def is_open(self) -> bool:
        """Whether the socket stands."""
        return self._channel.is_open

    def node_id(self, node: NodeAddress) -> ua.NodeId | None:
        """The server's id of ``node`` in this session; None when its namespace is not there."""
        index = self._namespaces.get(node.uri)
        return None if index is None else _node_id(node.identifier, index)

    async def ask(self, request: Any, timeout_s: float | None = 0) -> bytes:
        """The body of the answer; 0 waits as long as the link says, None for ever.

        Raises:
            UaStatusCodeError, OSError, TimeoutError: As asyncua has it; see `FAILURES`.
        """
        if timeout_s is None:
            return await self._channel.ask(request, None)
        async with asyncio.timeout(timeout_s or self._link.timeout):
            return await self._channel.ask(request, None)

    async def make(self, request: Any) -> Any:
        """The answer to a request that makes something, decoded by asyncua.

        Raises:
            UaError, OSError, TimeoutError: As asyncua has it; see `FAILURES`.
        """
        body = await self.ask(request)
        answer: Any = struct_from_binary(_ANSWERS[type(request)], Buffer(body))
        answer.ResponseHeader.ServiceResult.check()
        return answer

    async def read(self, nodes: Sequence[NodeAddress]) -> list[Sample]:
        """The value of each node; that of a node without namespace is BadNodeIdUnknown.

        Raises:
            LinkTimeoutError: No answer.
            LinkError: The session is gone, or the answer is not one.
        """
        with linked(self._link.url):
            await self.renew()
            found = [self.node_id(node) for node in nodes]
            asked = [node_id for node_id in found if node_id is not None]
            answers = iter(await self._read(asked))
        unknown = Sample(0, None, _UNKNOWN, None, None)
        return [unknown if node_id is None else next(answers) for node_id in found]

    async def renew(self) -> None:
        """Renew the secure channel when that is due.

        Raises:
            UaError, OSError, TimeoutError: As asyncua has it.
        """
        if self._clock.monotonic() >= self._renew_at:
            async with asyncio.timeout(self._link.timeout):
                await self._client.open_secure_channel(renew=True)
            self._renewed()

    async def has_moved(self) -> bool:
        """Whether the server has other namespaces than at the connect.

        Raises:
            LinkError: It did not answer.
        """
        with linked(self._link.url):
            return await self._read_namespaces() != self._namespaces

    # --- opening ---

    def _new_client(self) -> Client:
        client = Client(self._link.url, timeout=self._link.timeout)
        client.uaclient = Channel(self._link.timeout)
        client.name = client.description = "tidegate"
        client.product_uri = "urn:tidegate"
        client.session_timeout = int(SESSION_S * 1000)
        client.max_messagesize, client.max_chunkcount = MAX_MESSAGE_BYTES, MAX_CHUNKS
        return client

    async def _open(self) -> None:
        if self._link.security.policy != "None":
            await self._secure()
        await self._identify()
        await self._open_channel()
        await self._client.create_session()
        await self._activate()
        self._namespaces = await self._read_namespaces()
        await self._read_limits()

    async def _open_channel(self) -> None:
        await self._client.connect_socket()
        await self._client.send_hello()
        await self._client.open_secure_channel()
        self._renewed()

    async def _activate(self) -> None:
        """Say who we are; it also moves a session to the channel that is open now."""
        user = self._link.user
        password = user.password.read() if user and user.password else None
        name = user.name if user else None
        await self._client.activate_session(name, password, self._client.user_certificate)

    async def _secure(self) -> None:
        """Agree on a policy with a server whose certificate a person trusted.

        Raises:
            ConnectError: The server does not offer the policy, or is not trusted.
        """
        wanted = self._link.security
        pki = Pki(self._link.folder / "pki")
        client = self._client
        client.application_uri = await asyncio.to_thread(pki.application_uri)
        endpoints = await self._endpoints()
        policy = getattr(security_policies, f"SecurityPolicy{wanted.policy}")
        mode = getattr(ua.MessageSecurityMode, wanted.mode)
        offered = {(e.SecurityPolicyUri, e.SecurityMode): e for e in endpoints}
        endpoint = offered.get((policy.URI, mode))
        if endpoint is None:
            raise _not_offered(f"{wanted.policy}/{wanted.mode}", offered)
        now = datetime.datetime.fromtimestamp(self._clock.now_ns() / 1e9, datetime.UTC)
        der = _first_certificate(endpoint.ServerCertificate or b"")
        pki.check(der, endpoint.Server.ApplicationUri, now)
        await client.set_security(
            policy,
            CertProperties(pki.certificate, "der"),
            CertProperties(pki.key, "pem"),
            server_certificate=CertProperties(der, "der"),
            mode=mode,
        )

    async def _endpoints(self) -> list[ua.EndpointDescription]:
        """What the server offers; nothing of it is believed yet."""
        asking = self._new_client()
        try:
            await asking.connect_sessionless()
            return await asking.get_endpoints()
        finally:
            asking.disconnect_socket()

    async def _identify(self) -> None:
        user = self._link.user
        if user is not None and user.certificate is not None and user.key is not None:
            await self._client.load_client_certificate(user.certificate)
            await self._client.load_private_key(Path(user.key.path()))

    def _renewed(self) -> None:
        life_s = self._client.secure_channel_timeout / 1000
        self._renew_at = self._clock.monotonic() + RENEW_AFTER * life_s

    async def _read_namespaces(self) -> dict[str, int]:
        request = _read_request([_node_id(_NAMESPACES.identifier)])
        async with asyncio.timeout(self._link.timeout):
            answer = await self._channel.session.read(request.Parameters)
        uris = answer[0].Value.Value if answer[0].Value is not None else None
        if not isinstance(uris, list):
            raise ConnectError("the server does not say which namespaces it has").in_words(
                "opcua_no_namespaces"
            )
        return {"": 0} | {str(uri): index for index, uri in enumerate(uris) if index}

    async def _read_limits(self) -> None:
        nodes = [_node_id(node.identifier) for node in (_MAX_READ, _MAX_ITEMS)]
        limits = [_limit(sample) for sample in await self._read(nodes)]
        self._per_read, self.per_call = limits

    async def _read(self, node_ids: Sequence[ua.NodeId]) -> list[Sample]:
        samples: list[Sample] = []
        for part in parts(node_ids, self._per_read):
            answer = decode_read(await self.ask(_read_request(part)))
            if len(answer) != len(part):
                raise DecodeError(f"{len(answer)} values where {len(part)} were asked")
            samples += answer
        return samples


def _not_offered(
    wanted: str, offered: Iterable[tuple[str, ua.MessageSecurityMode]]
) -> ConnectError:
    pairs = [f"{uri.rpartition('#')[2]}/{mode.name.rstrip('_')}" for uri, mode in offered]
    words = ", ".join(sorted(pairs)) or "-"
    return ConnectError(f"the server does not offer {wanted}; it offers: {words}").in_words(
        "opcua_not_offered", wanted=wanted, offered=words
    )


def _node_id(identifier: Any, index: int = 0) -> ua.NodeId:
    return ua.NodeId(identifier, ua.Int16(index))


def _read_request(node_ids: Sequence[ua.NodeId]) -> ua.ReadRequest:
    request = ua.ReadRequest()
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    request.Parameters.NodesToRead = [
        ua.ReadValueId(NodeId=node_id, AttributeId=AttributeIds.Value) for node_id in node_ids
    ]
    return request


def _limit(sample: Sample) -> int:
    value = sample.value
    return min(value, PER_REQUEST) if isinstance(value, int) and value > 0 else PER_REQUEST


def _first_certificate(chain: bytes) -> bytes:
    """The server's own certificate of a chain: the first DER sequence in it."""
    return chain[: int.from_bytes(chain[2:4], "big") + 4]
