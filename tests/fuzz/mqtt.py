"""What a broker may send: any bytes are events, and then the end of the connection.

The first byte of an input chooses MQTT 5 or 3.1.1, the rest is what the broker says before
it hangs up. paho and `gateway.pipe` are the real ones, on one end of a pair of sockets.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Any, Final

from gateway.dialects import wire
from gateway.pipe import MqttSettings, Pipe
from gateway.publisher import Lost, Received

_LOOP: Final = asyncio.new_event_loop()
_VERSIONS = (5, 4)
_FILTERS = ("park/v1/cr1/receipt/#",)


class _End(socket.socket):
    """One end of a pair, which knows no options of TCP."""

    def setsockopt(self, *arguments: Any) -> None:
        pass


def mqtt(data: bytes) -> None:
    """Connect, hear it out, and end as lost."""
    _LOOP.run_until_complete(_hear(data[0] % 2 if data else 0, data[1:]))


async def _hear(version: int, said: bytes) -> None:
    near, far = socket.socketpair()
    with far:
        settings = MqttSettings(
            ["mqtt://127.0.0.1"], "cr1", _VERSIONS[version], subscriptions=_FILTERS
        )
        pipe = Pipe(settings, "mqtt://127.0.0.1")
        end = _End(fileno=near.detach())
        end.setblocking(False)
        pipe._client._create_socket = lambda: end  # type: ignore[method-assign]
        pipe.connect(None, None)
        pipe.attach()
        pipe.publish("park/v1/cr1/data/tk101", b"{}", 1, 1, retain=False)
        far.sendall(said)
        far.shutdown(socket.SHUT_WR)
        try:
            while not any(_judged(event) for event in await pipe.serve()):
                pass
        finally:
            pipe.close()


def _judged(event: object) -> bool:
    """Whether this was the last; a message is one of the format, or none."""
    if isinstance(event, Received):
        with suppress(ValueError):
            wire.parse(event.topic, event.payload)
    return isinstance(event, Lost)


def seeds() -> list[bytes]:
    """A CONNACK of each version, then what a broker may say next."""
    topic = b"park/v1/cr1/receipt/data/tk101"
    receipt = b'{"incarnation":"' + b"1a" * 16 + b'","seq":7}'
    named = struct.pack(">H", len(topic)) + topic
    five, four = b"\0\x20\x06\0\0\x03\x21\0\x05", b"\1\x20\x02\0\0"
    publishes = [
        b"\x30" + _counted(named + b"\0" + receipt),
        b"\x32" + _counted(named + b"\0\1\0" + receipt),
        b"\x34" + _counted(named + b"\0\1\0" + receipt) + b"\x62\2\0\1",
    ]
    rest = [b"\x90\4\0\1\0\1", b"\x40\2\0\1", b"\x40\4\0\1\x97\0", b"\xe0\2\x8b\0", b"\xd0\0"]
    old = b"\x30" + _counted(named + receipt) + b"\x40\2\0\1"
    refused = b"\0\x20\3\0\x87\0"
    return [*(five + more for more in (*publishes, *rest)), four, four + old, refused]


def _counted(body: bytes) -> bytes:
    """Behind its length, which is below 16,384."""
    return bytes((len(body) % 128 | 0x80, len(body) // 128)) + body
