"""The platform's stand-in: everything under one root topic, with the time it arrived.

A process of its own, so that it survives whatever happens to the agent. It holds a
persistent MQTT 5 session at QoS 1, so that a broker that restarts in order hands it
what came in between.

    python -m tests.faults.recorder --port N --root park/v1 --log received.bin
"""

from __future__ import annotations

import argparse
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.faults.control import say

_HEADER = struct.Struct("<QHIB")
_SESSION_S = 24 * 3600


class Arrival(NamedTuple):
    """One message as it reached the platform."""

    mono_ns: int
    topic: str
    payload: bytes
    retained: bool
    """Sent by the broker on subscribing, not by the gateway just now."""


def pack(arrival: Arrival) -> bytes:
    """The bytes of one entry of the log."""
    mono_ns, topic, payload, retained = arrival
    name = topic.encode()
    return _HEADER.pack(mono_ns, len(name), len(payload), retained) + name + payload


def entries(data: bytes) -> Iterator[tuple[Arrival, int]]:
    """All whole entries in ``data``, each with the offset at which it ends."""
    at = 0
    while at + _HEADER.size <= len(data):
        mono_ns, name_size, size, retained = _HEADER.unpack_from(data, at)
        start = at + _HEADER.size
        at = start + name_size + size
        if at > len(data):
            return
        topic = data[start : start + name_size].decode()
        yield Arrival(mono_ns, topic, data[start + name_size : at], bool(retained)), at


def read(path: Path) -> list[Arrival]:
    """Everything received so far, in order of arrival."""
    return [arrival for arrival, _ in entries(path.read_bytes())]


class Tail:
    """What a growing log has gained since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def news(self) -> list[Arrival]:
        """Entries not seen before."""
        with self._path.open("rb") as log:
            log.seek(self._offset)
            found = list(entries(log.read()))
        if found:
            self._offset += found[-1][1]
        return [arrival for arrival, _ in found]


class Recorder:
    """Subscribes, and writes down each message before the next is looked at."""

    def __init__(self, path: Path, root: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._topic = f"{root}/#"
        self.client = Client(
            CallbackAPIVersion.VERSION2, "recorder", protocol=MQTTProtocolVersion.MQTTv5
        )
        self.client.on_connect = self._subscribe
        self.client.on_subscribe = self._ready
        self.client.on_message = self._record
        self.client.reconnect_delay_set(min_delay=1, max_delay=1)

    def connect(self, port: int) -> None:
        """Open the session, or take up the one the broker kept."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = _SESSION_S
        properties.ReceiveMaximum = 65535
        self.client.connect(
            "127.0.0.1", port, keepalive=30, clean_start=False, properties=properties
        )

    def _subscribe(self, client: Client, *_: Any) -> None:
        client.subscribe(self._topic, qos=1)

    def _ready(self, *_: Any) -> None:
        say(subscribed=self._topic)

    def _record(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        now_ns = time.monotonic_ns()
        os.write(
            self._fd,
            pack(Arrival(now_ns, message.topic, bytes(message.payload), message.retain)),
        )


def main() -> None:
    """Record until stdin closes."""
    parser = argparse.ArgumentParser(prog="tests.faults.recorder")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args()
    recorder = Recorder(options.log, options.root)
    recorder.connect(options.port)
    Thread(target=recorder.client.loop_forever, daemon=True).start()
    while os.read(0, 4096):
        pass
    recorder.client.disconnect()


if __name__ == "__main__":
    main()
