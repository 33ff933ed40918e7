"""What all lanes together may have in flight, and how it is shared among them.

Three bounds: the messages a person or the broker allows, a share kept free for the
alarm lane, and the bytes the link carries in 250 ms, so that an alarm never waits
behind seconds of data that already lie in the socket.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from gateway.dialects.wire import MAX_BYTES
from gateway.model import Lane

IN_FLIGHT_S: Final = 0.25
ASIDE_S: Final = 0.1
SLOW_MESSAGE_BYTES: Final = 16 * 1024
_FIRST_ROOM_BYTES: Final = 2 * SLOW_MESSAGE_BYTES
"""In flight before anything was measured: 260 ms at 1 Mbit/s."""
_SAMPLES: Final = 64
QUOTA_EXCEEDED: Final = 0x93
"""DISCONNECT: receive maximum exceeded (MQTT 5, 3.14.2.1)."""


class _Sent(NamedTuple):
    lane: Lane
    bytes: int
    at_s: float
    acknowledged_bytes: int
    """Bytes acknowledged on this connection when this message was sent."""


class Window:
    """Slots and bytes in flight on one connection."""

    def __init__(self, size: int) -> None:
        """size: messages in flight the configuration allows."""
        self._size = size
        self._capacity = 0
        self._flight: dict[int, _Sent] = {}
        self._bytes = 0
        self._acknowledged_bytes = 0
        self._rates: deque[float] = deque(maxlen=_SAMPLES)
        self.halvings = 0
        """Times the broker said that we exceeded its receive maximum."""

    def __len__(self) -> int:
        return len(self._flight)

    def resize(self, size: int) -> None:
        """From the next connection on the configuration allows ``size`` messages."""
        self._size = size

    def open(self, receive_maximum: int) -> None:
        """A new connection with nothing in flight."""
        self._capacity = max(1, min(self._size >> self.halvings, receive_maximum))
        self._acknowledged_bytes = 0

    def close(self, reason: int | None) -> None:
        """The connection is gone; ``reason`` as the broker's DISCONNECT gave it."""
        if reason == QUOTA_EXCEEDED:
            self.halvings += 1
        self._capacity = self._bytes = 0
        self._flight.clear()
        self._rates.clear()

    def slots(self, lane: Lane, *, alarm_waits: bool) -> int:
        """Messages ``lane`` may add; ``alarm_waits``: the alarm lane has something to send."""
        free = self._capacity - len(self._flight)
        if lane is Lane.ALARM:
            return free
        if self._capacity <= 2:
            return 0 if alarm_waits else free
        reserve = max(1, self._capacity // 8)
        return free - reserve * (2 if lane is Lane.DATA and self._capacity >= 8 else 1)

    def room(self, lane: Lane) -> int:
        """Bytes ``lane`` may add. Alarms are never held back by what is in flight."""
        return 1 << 62 if lane is Lane.ALARM else max(0, self._limit() - self._bytes)

    @property
    def aside_bytes(self) -> int:
        """What may go at once and is not acknowledged: what the link carries in 100 ms."""
        return int(self._limit() * ASIDE_S / IN_FLIGHT_S)

    @property
    def message_bytes(self) -> int:
        """Longest payload to build: short while the link is slow or not known."""
        return MAX_BYTES if self._limit() >= 4 * MAX_BYTES else SLOW_MESSAGE_BYTES

    def sent(self, token: int, lane: Lane, size: int, now_s: float) -> None:
        """A message of ``size`` bytes went to the socket."""
        self._flight[token] = _Sent(lane, size, now_s, self._acknowledged_bytes)
        self._bytes += size

    def acknowledged(self, token: int, now_s: float) -> None:
        """The broker answered, whatever it said; an unknown token changes nothing."""
        sent = self._flight.pop(token, None)
        if sent is None:
            return
        self._bytes -= sent.bytes
        self._acknowledged_bytes += sent.bytes
        carried = self._acknowledged_bytes - sent.acknowledged_bytes
        self._rates.append(carried / max(now_s - sent.at_s, 1e-4))

    def _limit(self) -> int:
        if not self._rates:
            return _FIRST_ROOM_BYTES
        # A message sent alone says little of what the link can carry: a mean would shrink
        # the window for ever. Answers that come in bunches say too much: the best of them
        # would put half a second of data before an alarm.
        upper = sorted(self._rates)[len(self._rates) * 3 // 4]
        return max(SLOW_MESSAGE_BYTES, int(upper * IN_FLIGHT_S))
