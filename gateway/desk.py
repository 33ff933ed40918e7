"""What the platform sends: receipts, and requests for replay. All of it may be forged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.config import MqttConfig
from gateway.dialects.wire import Replay, parse
from gateway.errors import JournalError
from gateway.lane import Stream
from gateway.model import Event, Lane
from gateway.publisher import Received
from gateway.receipts import MOST_BYTES, ReceiptError, Watermarks

COMPLAINT_S: Final = 60.0
"""At most one event of a kind in this time; the next says how many there were."""
_log = structlog.get_logger()


def desk_topics(mqtt: MqttConfig, gateway: str) -> list[str]:
    """What the platform may tell this gateway."""
    receipts = [f"{mqtt.root}/{gateway}/receipt/+/+"] if mqtt.delivery == "receipt" else []
    return [*receipts, f"{mqtt.root}/{gateway}/replay"] if mqtt.replay else receipts


class Desk:
    """Takes in what comes, and says on the meta lane what is refused."""

    def __init__(
        self,
        watermarks: Watermarks,
        clock: Clock,
        *,
        moved: Callable[[Lane, Stream], None],
        request: Callable[[Replay], bool],
        tell_event: Callable[[Event], None],
    ) -> None:
        """moved: the platform holds more of a stream; request: as `Again.request`."""
        self._watermarks = watermarks
        self._clock = clock
        self._moved = moved
        self._request = request
        self._tell_event = tell_event
        self._counts: dict[str, int] = {}
        self._due_s: dict[str, float] = {}

    def hear(self, received: Received) -> None:
        """Act on one message of the platform."""
        if received.topic.endswith("/replay"):
            self._asked(received)
        else:
            self._confirmed(received)

    def _confirmed(self, received: Received) -> None:
        try:
            stream = self._watermarks.take(received.topic, received.payload)
        except ReceiptError as error:
            self._complain("receipt_refused", received.topic, str(error))
        except JournalError as error:
            # The next receipt says the same and more.
            _log.warning("receipt not checked", topic=received.topic, error=str(error))
        else:
            if stream is not None:
                self._moved(stream[0], stream[1:])

    def _asked(self, received: Received) -> None:
        try:
            if len(received.payload) > MOST_BYTES:
                raise ValueError("too long")
            request = parse(received.topic, received.payload)
        except ValueError:
            self._complain("replay_refused", received.topic, "malformed")
            return
        if isinstance(request, Replay) and not self._request(request):
            self._complain("replay_refused", received.topic, "busy")

    def _complain(self, kind: str, topic: str, reason: str) -> None:
        now_s = self._clock.monotonic()
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        if now_s < self._due_s.get(kind, now_s):
            return
        self._due_s[kind], self._counts[kind] = now_s + COMPLAINT_S, 0
        _log.warning("refused what the platform sent", topic=topic, reason=reason)
        self._tell_event(Event(kind, {"topic": topic, "reason": reason, "count": count}))
