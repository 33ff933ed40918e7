"""What a person writes for an OPC UA link, and what the driver takes from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StrictBool
from pydantic_core import PydanticCustomError

from drivers.opcua.address import Place, parse
from gateway.config import (
    Clash,
    DeviceConfig,
    Interval,
    LinkConfig,
    Model,
    SecretRef,
    TagConfig,
    is_loopback,
    wrong,
)
from gateway.model import DataType

PORT = 4840
Policy: TypeAlias = Literal[
    "None", "Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"
]
_BCD = (DataType.BCD16, DataType.BCD32)


def host_and_port(url: str) -> tuple[str, int]:
    """``opc.tcp://10.10.2.5:4840/path`` as host and port; the port is 4840 unless given.

    Raises:
        ValueError: It is not such a url.
    """
    parts = urlsplit(url)
    if parts.scheme != "opc.tcp" or not parts.hostname or parts.port == 0:
        raise ValueError(url)
    return parts.hostname, parts.port or PORT


def _url(written: str) -> str:
    try:
        host_and_port(written)
    except ValueError as error:
        raise wrong("opcua_url", value=written) from error
    if urlsplit(written).username is not None:
        raise wrong("secret_in_url")
    return written


class OpcuaMode(Model):
    """How values are obtained."""

    mode: Literal["subscribe", "poll"] | None = None
    """`subscribe` (default): the server says what changes; `poll`: it is asked."""
    sampling: Interval | None = None
    """How often the server looks at the value; the interval unless set."""
    queue: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = None
    """Changes the server keeps for us between two messages; 10 unless set."""


class SecurityConfig(Model):
    """How the connection is secured; certificates lie in `pki/` beside the configuration."""

    policy: Policy = "None"
    """`None` needs `insecure: true` unless the server is on this machine."""
    mode: Literal["Sign", "SignAndEncrypt"] = "SignAndEncrypt"
    """Signed, or signed and encrypted."""


class UserConfig(Model):
    """Who we are to the server: a name and a password, or a certificate and its key."""

    name: str | None = None
    """User name."""
    password: SecretRef | None = None
    """Where the password lies: `{credential: NAME}` or `{file: PATH}`."""
    certificate: str | None = None
    """File of the user's certificate, PEM or DER."""
    key: SecretRef | None = None
    """Where the private key of that certificate lies."""

    def _one_kind(self) -> Iterator[PydanticCustomError]:
        given = {key for key in ("name", "password", "certificate", "key") if self.has(key)}
        if given not in ({"name", "password"}, {"certificate", "key"}):
            yield wrong("opcua_user")

    clashes = (_one_kind,)


class OpcuaTag(TagConfig):
    """One value in an OPC UA server."""

    opcua: OpcuaMode | None = None
    """How the value is obtained."""

    def _type_of_opcua(self) -> Iterator[PydanticCustomError]:
        if self.type in _BCD:
            yield wrong("opcua_type", "type", type=self.type.value)

    clashes: ClassVar[tuple[Clash, ...]] = (*TagConfig.clashes, _type_of_opcua)


class OpcuaDevice(DeviceConfig):
    """Tags that belong together, on one server."""

    opcua: OpcuaMode | None = None
    """How values are obtained."""
    tags: tuple[OpcuaTag, ...] = ()
    """Its values."""


class OpcuaLink(LinkConfig):
    """One session with an OPC UA server."""

    driver: Literal["opcua"]
    """The protocol."""
    url: Annotated[str, AfterValidator(_url)]
    """`opc.tcp://host:port/path`; the port is 4840 unless given."""
    connections: Literal[1] = 1
    """One session."""
    opcua: OpcuaMode | None = None
    """How values are obtained."""
    security: SecurityConfig = SecurityConfig()
    """How the connection is secured."""
    insecure: StrictBool = False
    """Must be true to do without security towards another machine."""
    user: UserConfig | None = None
    """Who we are to the server; anonymous unless set."""
    devices: tuple[OpcuaDevice, ...] = ()
    """What its tags belong to."""

    def _secure_enough(self) -> Iterator[PydanticCustomError]:
        is_open = self.security.policy == "None" and not self.insecure
        if is_open and not is_loopback(host_and_port(self.url)[0]):
            yield wrong("opcua_insecure", "security", value=self.url)

    def _no_user_in_clear(self) -> Iterator[PydanticCustomError]:
        if self.security.policy == "None" and self.has("user"):
            yield wrong("opcua_user_in_clear", "user")

    def _no_password_in_clear(self) -> Iterator[PydanticCustomError]:
        is_signed = self.security.policy != "None" and self.security.mode == "Sign"
        if is_signed and self.knows("user") and self.user and self.user.has("password"):
            yield wrong("opcua_password_signed_only", "user")

    clashes = (_secure_enough, _no_user_in_clear, _no_password_in_clear)


def address(tag: OpcuaTag, device: OpcuaDevice, link: OpcuaLink) -> Place:
    """Where ``tag`` lives, and how its value is obtained.

    Raises:
        Mistake: It is no node id, or names its namespace by index.
    """
    node = parse(tag.address)
    levels = [level for level in (tag.opcua, device.opcua, link.opcua) if level is not None]
    mode = next((level.mode for level in levels if level.mode), "subscribe")
    sampling = next((level.sampling for level in levels if level.sampling), None)
    queue = next((level.queue for level in levels if level.queue), 10)
    return Place(node, mode == "subscribe", sampling, queue)
