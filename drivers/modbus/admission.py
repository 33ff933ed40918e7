"""Is this provably the answer to the request asked? Pure, on raw bytes.

A reply to a read is known in advance but for its data: its first nine bytes follow from the
request. So an admissible reply is compared, not parsed; only a wrong one is looked into, to
say what is wrong with it.

    transaction  protocol  length  unit  function  byte count  data …
        2           2        2      1       1          1

Source: MODBUS Messaging on TCP/IP V1.0b, 3.1.3 (MBAP); Application Protocol V1.1b3, 6.1 to
6.4 and 7 (exceptions).
"""

from __future__ import annotations

import struct
from enum import StrEnum
from typing import NamedTuple

HEADER_BYTES = 6
"""Transaction, protocol and length: what is needed to know how long a frame is."""
MIN_LENGTH = 3
"""Unit, function and one byte: the shortest answer there is, an exception."""
MAX_LENGTH = 254
"""Unit and a PDU of 253 bytes (V1.1b3, 4.1)."""
EXCEPTION_BIT = 0x80

_REQUEST = struct.Struct(">HHHBBHH")
_HEAD = struct.Struct(">HHHBBB")


class Refusal(StrEnum):
    """What is wrong with an answer."""

    SHORT = "short"
    """Fewer bytes than its own header announces."""
    PROTOCOL = "protocol"
    """The protocol identifier is not 0."""
    LENGTH = "length"
    """The length field is impossible, or does not fit the bytes received."""
    TRANSACTION = "transaction"
    """The answer to another request, or to none (id 0)."""
    UNIT = "unit"
    """Another device answers."""
    FUNCTION = "function"
    """Another function code, or an exception to another function."""
    EXCEPTION_LENGTH = "exception_length"
    """An exception that is not exactly one byte."""
    BYTE_COUNT = "byte_count"
    """Not the number of data bytes the request asked for."""


class ExceptionReply(NamedTuple):
    """The device refuses this request, by an exception that is provably meant for it."""

    code: int


def data_bytes(function: int, count: int) -> int:
    """Data bytes of the answer to a read of ``count`` registers or bits."""
    return 2 * count if function > 2 else (count + 7) // 8


def missing(received: bytes) -> int:
    """Bytes still to come, at least; 0 when `admit` can decide.

    A frame that can no longer become an answer is not waited for.
    """
    if len(received) < HEADER_BYTES:
        return HEADER_BYTES - len(received)
    length = int.from_bytes(received[4:6], "big")
    if received[2:4] != b"\0\0" or not MIN_LENGTH <= length <= MAX_LENGTH:
        return 0
    return max(0, HEADER_BYTES + length - len(received))


def transaction(frame: bytes) -> int:
    """The transaction identifier of a frame."""
    return int.from_bytes(frame[:2], "big")


def admit(request: bytes, reply: bytes) -> bytes | ExceptionReply | Refusal:
    """The data bytes of ``reply`` if it answers ``request``, else why it does not.

    request: the frame sent, a read of one of the four tables.
    reply: everything received since, from the first byte to the last.
    """
    number, _, _, unit, function, _, count = _REQUEST.unpack(request)
    size = data_bytes(function, count)
    head = _HEAD.pack(number, 0, 3 + size, unit, function, size)
    if reply.startswith(head) and len(reply) == len(head) + size:
        return reply[len(head) :]
    return _exception(request, reply) or _refusal(request, reply)


def _exception(request: bytes, reply: bytes) -> ExceptionReply | None:
    """The exception ``reply`` carries, when every byte of it is as it must be."""
    head = request[:4] + b"\0\3" + bytes((request[6], request[7] | EXCEPTION_BIT))
    if len(reply) == len(head) + 1 and reply.startswith(head):
        return ExceptionReply(reply[-1])
    return None


def _refusal(request: bytes, reply: bytes) -> Refusal:
    length = int.from_bytes(reply[4:6], "big")
    if reply[2:4] not in (b"\0\0", b"\0", b""):
        return Refusal.PROTOCOL
    if len(reply) >= HEADER_BYTES and not MIN_LENGTH <= length <= MAX_LENGTH:
        return Refusal.LENGTH
    if missing(reply):
        return Refusal.SHORT
    if reply[:2] != request[:2]:
        return Refusal.TRANSACTION
    if len(reply) != HEADER_BYTES + length:
        return Refusal.LENGTH
    if reply[6] != request[6]:
        return Refusal.UNIT
    if reply[7] == request[7]:
        return Refusal.BYTE_COUNT
    return (
        Refusal.EXCEPTION_LENGTH if reply[7] == request[7] | EXCEPTION_BIT else Refusal.FUNCTION
    )
