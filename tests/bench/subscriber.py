"""A cheap subscriber in a process of its own: counts what arrives and how old it is.

    python -m tests.bench.subscriber PORT

Speaks MQTT 3.1.1 at QoS 0 and looks into payloads with one regular expression. The age of
a record is the time between ``mono[1]`` in it (reply received from the device, monotonic
clock) and the moment its message came out of the socket here, on the same machine.
"""

from __future__ import annotations

import json
import re
import select
import socket
import struct
import sys
import time

_REPLY = re.compile(rb'"mono":\[\d+,(\d+)\]')
_READING = b'"n'
"""How the names of the bench's tags begin, and nothing else in a message of readings."""
_CHUNK = 1 << 18
SO_FAR = "so far"


class Tally:
    """What has arrived since the last question."""

    def __init__(self) -> None:
        self.messages = self.bytes = self.readings = self.overruns = 0
        self.ages_ns: list[int] = []
        self.alarm_ages_ns: list[int] = []
        self.latest = 0

    def add(self, payload: bytes, now_ns: int) -> None:
        self.messages += 1
        self.bytes += len(payload)
        self.readings += payload.count(_READING)
        self.overruns += payload.count(b'"poll_overrun"')
        self.ages_ns += _ages(payload, now_ns)

    def add_alarms(self, payload: bytes, now_ns: int) -> None:
        self.alarm_ages_ns += _ages(payload, now_ns)

    def text(self) -> str:
        ages, alarm_ages = sorted(self.ages_ns), sorted(self.alarm_ages_ns)
        told = {
            "messages": self.messages,
            "bytes": self.bytes,
            "readings": self.readings,
            "records": len(ages),
            "overruns": self.overruns,
            "p50_ms": _at(ages, 0.5),
            "p99_ms": _at(ages, 0.99),
            "max_ms": _at(ages, 1.0),
            "alarms": len(alarm_ages),
            "alarm_p50_ms": _at(alarm_ages, 0.5),
            "alarm_p99_ms": _at(alarm_ages, 0.99),
            "alarm_max_ms": _at(alarm_ages, 1.0),
            "latest": self.latest,
        }
        return json.dumps(told)


def _ages(payload: bytes, now_ns: int) -> list[int]:
    return [now_ns - int(reply) for reply in _REPLY.findall(payload)]


def _at(ages: list[int], share: float) -> float | None:
    if not ages:
        return None
    return round(ages[min(len(ages) - 1, int(len(ages) * share))] / 1e6, 1)


def connect(port: int) -> socket.socket:
    """A connection that is subscribed to everything (MQTT 3.1.1, 3.1 and 3.8)."""
    sock = socket.create_connection(("127.0.0.1", port))
    name = b"\0\x07counter"
    sock.sendall(_packet(0x10, b"\0\x04MQTT\x04\x02\0\0" + name))
    sock.sendall(_packet(0x82, b"\0\x01" + b"\0\x01#" + b"\0"))
    return sock


def _packet(kind: int, body: bytes) -> bytes:
    return bytes((kind, len(body))) + body


def take(buffer: bytearray, tally: Tally, now_ns: int) -> None:
    """Count the whole messages at the front of ``buffer``, by lane, and remove all."""
    at = 0
    while True:
        start, length, shift = at + 1, 0, 0
        while start < len(buffer):
            byte = buffer[start]
            length |= (byte & 0x7F) << shift
            start, shift = start + 1, shift + 7
            if byte < 0x80:
                break
        else:
            break
        end = start + length
        if end > len(buffer):
            break
        if buffer[at] >> 4 == 3:
            (size,) = struct.unpack_from(">H", buffer, start)
            topic, payload = buffer[start : start + 2 + size], buffer[start + 2 + size : end]
            if b"/data/" in topic:
                tally.add(bytes(payload), now_ns)
            elif b"/alarm/" in topic:
                tally.add_alarms(bytes(payload), now_ns)
            tally.latest += b"/latest/" in topic
        at = end
    del buffer[:at]


def main() -> None:
    """Count until stdin closes; each line read is answered with the tally.

    It begins anew after that, unless the line said `SO_FAR`.
    """
    sock, buffer, tally = connect(int(sys.argv[1])), bytearray(), Tally()
    print(json.dumps({"ready": True}), flush=True)
    while True:
        readable, _, _ = select.select([sock, sys.stdin], [], [])
        if sock in readable:
            data = sock.recv(_CHUNK)
            now_ns = time.monotonic_ns()
            if not data:
                sys.exit("the broker has closed the connection")
            buffer += data
            take(buffer, tally, now_ns)
        if sys.stdin in readable:
            word = sys.stdin.readline()
            if not word:
                return
            print(tally.text(), flush=True)
            if word.strip() != SO_FAR:
                tally = Tally()


if __name__ == "__main__":
    main()
