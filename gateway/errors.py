"""Every error the gateway raises, grouped by what the caller does about it.

GatewayError
├── ConfigError          a person must edit a file; exit 78 before any I/O starts
├── Mistake              one thing a person wrote that cannot be used; the loader adds the place
├── LinkError            the link is down: close, connect again
│   ├── ConnectError       it could not be opened: back off
│   ├── SubscriptionLostError  changes went missing: say so, subscribe anew
│   └── LinkTimeoutError   open, but in a whole round nothing answered: back off
├── DeviceError          one block was refused: mark it, poll on
│   └── DeviceSilentError  one device of several does not answer: reconnect, poll it less often
├── JournalError         the disk failed: say so, go on in memory
│   ├── JournalFullError   no room and nothing that may go: refuse, declare the gap
│   └── NoDiskError        it cannot be opened now and may be later: start in memory, try again
└── BrokerDownError      the broker is unreachable: retry later, in order

Code that cannot decide what to do lets the error pass. Drivers translate their
library's exceptions into these at the first line that can raise them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from gateway.model import Cause, Quality


class GatewayError(Exception):
    """Base class of every error raised on purpose.

    Its text is for logs. ``code`` and ``fields`` say the same to people, by the catalogue;
    an error among the fields is told in its own words.
    """

    code: str = ""
    fields: Mapping[str, object] = MappingProxyType({})

    def in_words(self, code: str, **fields: object) -> Self:
        """This error, to be told to people as ``code`` of the catalogue."""
        self.code, self.fields = code, fields
        return self


class ConfigError(GatewayError):
    """The configuration cannot be used; the message names file, line and remedy."""


class Mistake(GatewayError):
    """One thing a person wrote that cannot be used: a code of the catalogue and its fields.

    ``path`` leads from the object at hand to the key at fault, e.g. ``("address",)``.
    """

    def __init__(
        self, code: str, *, path: tuple[str | int, ...] = (), **fields: object
    ) -> None:
        super().__init__(code, fields)
        self.code = code
        self.path = path
        self.fields = fields


class LinkError(GatewayError):
    """The link is down. The owner closes it, waits, and connects again."""


class ConnectError(LinkError):
    """The link could not be opened."""


class SubscriptionLostError(LinkError):
    """Changes that a device reported did not arrive, and cannot be had again.

    ``cause`` is what the gap says that stands for them.
    """

    def __init__(self, message: str, cause: Cause) -> None:
        super().__init__(message)
        self.cause = cause


class LinkTimeoutError(LinkError, TimeoutError):
    """The link is open, but in a whole round no device on it answered."""


class DeviceError(GatewayError):
    """A device refused one block; the other blocks are fine.

    ``quality`` is what every tag of the block gets, ``cause`` what its gap says.
    ``divisible``: the refusal may concern only part of the block, so halving it can help.
    ``silent``: the device itself said nothing; a gateway before it answered in its place.
    """

    def __init__(
        self,
        message: str,
        quality: Quality,
        cause: Cause,
        *,
        divisible: bool = False,
        silent: bool = False,
    ) -> None:
        super().__init__(message)
        self.quality = quality
        self.cause = cause
        self.divisible = divisible
        self.silent = silent


class DeviceSilentError(DeviceError):
    """A device gave no provable answer; the driver has closed the connection.

    Its blocks are polled less and less often, so that its timeouts cannot
    starve the rest of the line. `Driver.connect` follows before the next read.
    """

    def __init__(self, message: str, quality: Quality, cause: Cause) -> None:
        super().__init__(message, quality, cause, silent=True)


class JournalError(GatewayError):
    """The journal could not store or read back a record."""


class JournalFullError(JournalError):
    """No room is left and nothing stored may go yet."""


class NoDiskError(JournalError):
    """The disk does not take the journal at present; no person has to do anything about it."""


class BrokerDownError(GatewayError):
    """The broker is unreachable; the same record may succeed later."""
