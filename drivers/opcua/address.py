"""Node ids as a person writes them; a namespace is always named by its URI.

The index of a namespace may change whenever a server restarts, so an index in a
configuration could one day lead to another value. Only namespace 0 is fixed.

Source: OPC 10000-6, 5.3.1.10 (``nsu=<uri>;<type>=<value>``), 5.1.12 (escapes).
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from typing import NamedTuple
from urllib.parse import unquote

from gateway.errors import Mistake

_WRITTEN = re.compile(r"(?:ns=(?P<index>\d+);|nsu=(?P<uri>[^;]+);)?(?P<kind>[isgb])=(?P<id>.+)")
_UINT32 = 2**32


class NodeAddress(NamedTuple):
    """Where a tag lives: a node, its namespace named by URI."""

    uri: str
    """Empty for namespace 0, that of the OPC Foundation."""
    identifier: int | str | bytes | uuid.UUID

    def __str__(self) -> str:
        return f"nsu={self.uri};{self.identifier!r}" if self.uri else f"{self.identifier!r}"


class Place(NamedTuple):
    """A tag's address: its node, and how its value is obtained."""

    node: NodeAddress
    subscribed: bool
    sampling_s: float | None
    """How often the server looks at the value; None: as often as the tag's interval."""
    queue: int
    """Changes the server keeps between two messages."""


def parse(written: str) -> NodeAddress:
    """The address written ``nsu=urn:plant:dcs;s=R201.TI01`` (or ``i=2258`` in namespace 0).

    Raises:
        Mistake: It is no node id, or it names its namespace by index.
    """
    match = _WRITTEN.fullmatch(written.strip())
    if match is None:
        raise Mistake("opcua_address", path=("address",), address=written)
    if match["index"] is not None and int(match["index"]) != 0:
        raise Mistake("opcua_index", path=("address",), address=written)
    try:
        identifier = _identifier(match["kind"], match["id"])
    except (ValueError, binascii.Error) as error:
        raise Mistake("opcua_address", path=("address",), address=written) from error
    return NodeAddress(unquote(match["uri"] or ""), identifier)


def _identifier(kind: str, text: str) -> int | str | bytes | uuid.UUID:
    if kind == "s":
        return text
    if kind == "g":
        return uuid.UUID(text)
    if kind == "b":
        return base64.b64decode(text, validate=True)
    number = int(text)
    if not 0 <= number < _UINT32:
        raise ValueError(text)
    return number
