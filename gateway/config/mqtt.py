"""What a person writes about the broker."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool
from pydantic_core import PydanticCustomError

from gateway.config.secret import SecretRef
from gateway.notation import Model, Name, wrong

_TOPIC: Final = re.compile(r"[^/+#\s$][^/+#\s]*(?:/[^/+#\s]+)*")


class TlsConfig(Model):
    """Certificates towards the broker; without `ca` the system's own are used."""

    ca: str | None = None
    """File of the certificate authority that signed the broker's certificate."""
    certificate: str | None = None
    """File of the gateway's own certificate."""
    key: SecretRef | None = None
    """Where the private key of that certificate lies."""

    def _both_or_none(self) -> Iterator[PydanticCustomError]:
        if self.has("certificate") != self.has("key"):
            yield wrong("tls_pair", missing="certificate" if self.has("key") else "key")

    clashes = (_both_or_none,)


def _broker_url(written: str) -> str:
    parts = broker(written)
    if parts is None:
        raise wrong("not_a_broker_url")
    if parts.password is not None:
        raise wrong("secret_in_url")
    return written


def _not_empty(written: object) -> object:
    # Not by `min_length`: entries that are wrong themselves would count as missing.
    if isinstance(written, list | tuple) and not written:
        raise wrong("too_few", count=0, limit=1)
    return written


def _root(written: str) -> str:
    if not _TOPIC.fullmatch(written):
        raise wrong("not_a_topic", value=written)
    return written


BrokerUrl: TypeAlias = Annotated[str, AfterValidator(_broker_url)]
"""``mqtts://host:8883``."""


class MqttConfig(Model):
    """Towards the broker."""

    urls: Annotated[
        tuple[BrokerUrl, ...],
        BeforeValidator(_not_empty),
        Field(json_schema_extra={"minItems": 1}),
    ]
    """Brokers in order of preference, `mqtts://host:8883`."""
    insecure: StrictBool = False
    """Must be true to use `mqtt://` to another machine: no encryption."""
    root: Annotated[str, AfterValidator(_root)] = "tidegate/v1"
    """First levels of every topic."""
    version: Literal[5, "3.1.1"] = 5
    """Version of MQTT."""
    client_id: Name | None = None
    """The gateway id unless set."""
    username: str | None = None
    """As the broker knows this gateway."""
    password: SecretRef | None = None
    """Where the password lies: `{credential: NAME}` or `{file: PATH}`."""
    tls: TlsConfig | None = None
    """Certificates; without it those of the system."""
    delivery: Literal["puback", "receipt"] = "puback"
    """Who says that something has arrived: the broker, or the platform with receipts, which it
    then gives for each of data, alarm and meta."""
    replay: StrictBool = False
    """Whether the platform may ask for delivered data again, while the journal holds it."""
    no_subscribers: Literal["hold", "accept"] = "hold"
    """When the broker says that nobody listens; `accept` is for the bench."""
    accept_v3_acknowledgements: StrictBool = False
    """Must be true to settle by an MQTT 3.1.1 acknowledgement."""
    window: Annotated[int, Field(strict=True, ge=1, le=65535)] = 64
    """Messages in flight."""
    catch_up: Annotated[float, Field(strict=True, ge=1)] = 3.0
    """Rate of the backlog, as a multiple of the live rate; 1,000 readings a second at least."""

    def _encrypted(self) -> Iterator[PydanticCustomError]:
        for position, url in self.each("urls"):
            parts = broker(url)
            is_open = parts and parts.scheme == "mqtt" and not is_loopback(parts.hostname or "")
            if is_open and not self.insecure:
                yield wrong("insecure_url", "urls", position, value=url)

    def _acknowledged_well(self) -> Iterator[PydanticCustomError]:
        if self.version != 5 and not self.accept_v3_acknowledgements:
            yield wrong("v3_not_accepted", "version")

    clashes = (_encrypted, _acknowledged_well)


def broker(url: str) -> SplitResult | None:
    """The parts of ``mqtt[s]://host[:port]``; None when it is something else."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("mqtt", "mqtts") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if usable and parts.path in ("", "/") and not parts.query else None


def is_loopback(host: str) -> bool:
    """Whether ``host`` can only be this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
