"""MQTT: one connection at a time, nothing queued, nothing resent.

The journal is the session. Here is which broker is next and when; `pipe` is the connection.
It is served by the task that runs `MqttPublisher.run`.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from gateway.clock import Clock
from gateway.errors import BrokerDownError, ConfigError
from gateway.pipe import CONNECT_TIMEOUT_S, Credentials, MqttSettings, Pipe, TlsFiles
from gateway.publisher import STEADY_S, Connected, Lost, PublisherEvent

__all__ = [
    "ELSEWHERE",
    "Credentials",
    "MqttPublisher",
    "MqttSettings",
    "MqttStatus",
    "TlsFiles",
    "pause_after",
]

BACKOFF_S: Final = (1.0, 60.0)
UNHEARD_BACKOFF_S: Final = (1.0, 10.0)
"""While nobody answers: a broker that is back is found soon enough for fresh data in 30 s."""
TAKEN_OVER_PAUSE_S: Final = 30.0
TAKEN_OVER: Final = 0x8E
ELSEWHERE: Final = frozenset((0x88, 0x89, 0x8B, 0x9C, 0x9D))
"""DISCONNECT: unavailable, busy, shutting down, use another server, server moved: whoever
says so is not asked first (MQTT 5, 3.14.2.1)."""


@dataclass(frozen=True, slots=True)
class MqttStatus:
    """Facts about the connection, for status and metrics."""

    url: str = ""
    """The broker of this connection, or of the last attempt."""
    online: bool = False
    since_s: float = 0.0
    """Monotonic time of the last change of ``online``."""
    connection: int = 0
    """Number of the last attempt to connect."""
    failures: int = 0
    """Attempts in a row that led to no connection, or to one that did not last."""
    error: str = ""
    """Why there is no connection, or why the last one ended."""


def pause_after(failures: int, reason: int | None, jitter: float) -> float:
    """Seconds to wait before the next attempt, full jitter, ``jitter`` in [0, 1).

    1 → 60 s when the broker gave a reason, never less than 30 s when somebody else uses our
    client id; 1 → 10 s when nobody answered.
    """
    first, longest = UNHEARD_BACKOFF_S if reason is None else BACKOFF_S
    pause = jitter * min(longest, first * 2.0 ** min(failures, 16))
    return TAKEN_OVER_PAUSE_S + pause if reason == TAKEN_OVER else max(0.1, pause)


class MqttPublisher:
    """A `publisher.Publisher` over MQTT 5 or 3.1.1."""

    def __init__(
        self,
        settings: MqttSettings,
        clock: Clock,
        *,
        credentials: Callable[[], Credentials | None] = lambda: None,
        will: Callable[[], tuple[str, bytes]] | None = None,
        dice: Callable[[], float] = random.random,
    ) -> None:
        """Credentials and will are asked for at each connection.

        ``status.connection`` is already the number of that connection then.
        """
        self._settings = settings
        self._clock = clock
        self._credentials = credentials
        self._will = will
        self._dice = dice
        self._pipe: Pipe | None = None
        self._tokens = 0
        self._turn = 0
        """Of the brokers in order of preference, the next to be tried."""
        self._pause_s = 0.0
        self._is_wanted_soon = False
        self._is_dropped = False
        """We gave the connection up ourselves."""
        self.status = MqttStatus()

    async def run(self, tell: Callable[[PublisherEvent], None]) -> None:
        """Connect, serve, back off, connect again, until cancelled.

        Each broker is tried before any is tried twice, without a pause in between. A good
        connection that was lost starts again with the preferred broker.
        """
        while True:
            url = self._settings.urls[self._turn % len(self._settings.urls)]
            self._turn += 1
            self._is_dropped = False
            lost = await self._live(url, tell)
            if self._was_good(lost):
                self._turn = 0
            self._note_lost(lost)
            tell(lost)
            await self._clock.sleep_until(self._clock.monotonic() + self._pause(lost))

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Hand one message to the socket; the token its `Acknowledged` will carry."""
        if self._pipe is None:
            return None
        self._tokens += 1
        sent = self._pipe.publish(topic, payload, qos, self._tokens, retain=retain)
        return self._tokens if sent else None

    def change(self, settings: MqttSettings) -> None:
        """Give the connection up and go on with ``settings``, from the preferred broker on."""
        self._settings = settings
        self.reconnect(0.0)
        self._turn = 0

    def reconnect(self, pause_s: float) -> None:
        """Drop the connection and open a new one not before ``pause_s`` from now."""
        self._pause_s, self._is_dropped = pause_s, True
        if self._pipe is not None:
            self._pipe.give_up("given up: no acknowledgement")

    def soon(self) -> None:
        """After the connection that ends, or the next that will, back off as after a first."""
        self._is_wanted_soon = True

    def _pause(self, lost: Lost) -> float:
        """Seconds until the next attempt: none while another broker has not been tried."""
        wanted, self._pause_s = self._pause_s, 0.0
        is_wanted_soon, self._is_wanted_soon = self._is_wanted_soon, False
        count = len(self._settings.urls)
        if self._turn % count and lost.reason != TAKEN_OVER:
            return 0.0
        failures = 0 if is_wanted_soon else self.status.failures // count
        return max(wanted, pause_after(failures, lost.reason, self._dice()))

    def _was_good(self, lost: Lost) -> bool:
        """Whether the broker whose connection ended is worth trying before the others."""
        return self._lasted() and not self._is_dropped and lost.reason not in ELSEWHERE

    def _lasted(self) -> bool:
        """Whether the connection that ends, if there was one, was no short affair."""
        status = self.status
        return status.online and self._clock.monotonic() - status.since_s >= STEADY_S

    async def _live(self, url: str, tell: Callable[[PublisherEvent], None]) -> Lost:
        """One connection from attempt to end; why it ended."""
        self.status = replace(self.status, url=url, connection=self.status.connection + 1)
        pipe = Pipe(self._settings, url)
        will = None if self._will is None else self._will()
        try:
            await _in_daemon_thread(partial(pipe.connect, self._credentials(), will))
        except (BrokerDownError, ConfigError) as error:
            # A secret that is not there yet keeps us from this connection, not from running.
            return Lost(None, str(error), error)
        except asyncio.CancelledError:
            pipe.abandon()
            raise
        try:
            return await self._serve(pipe, tell)
        finally:
            self._pipe = None
            pipe.close()

    async def _serve(self, pipe: Pipe, tell: Callable[[PublisherEvent], None]) -> Lost:
        pipe.attach()
        deadline = self._clock.monotonic() + CONNECT_TIMEOUT_S
        while True:
            for event in await pipe.serve():
                if isinstance(event, Lost):
                    return event
                if isinstance(event, Connected):
                    self._pipe = pipe
                    self._note_online()
                tell(event)
            if self._pipe is None and self._clock.monotonic() > deadline:
                pipe.give_up("no CONNACK")

    def _note_online(self) -> None:
        now_s = self._clock.monotonic()
        self.status = replace(self.status, online=True, since_s=now_s, error="")

    def _note_lost(self, lost: Lost) -> None:
        """A connection that did not last counts as a failure too, so that back-off grows."""
        status = self.status
        self.status = replace(
            status,
            online=False,
            since_s=self._clock.monotonic() if status.online else status.since_s,
            failures=0 if self._lasted() else status.failures + 1,
            error=lost.text,
        )


async def _in_daemon_thread(call: Callable[[], None]) -> None:
    """Run ``call`` in a thread that nobody has to wait for when the program ends.

    A name server or a handshake can hold a thread for minutes; a thread of the loop's own
    pool would hold up the stop for as long.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: Exception | None) -> None:
        if not done.done():
            done.set_result(None) if error is None else done.set_exception(error)

    def run() -> None:
        error: Exception | None = RuntimeError("the thread that connects died")
        try:
            call()
            error = None
        except (BrokerDownError, ConfigError) as caught:
            error = caught
        finally:
            with suppress(RuntimeError):  # the loop has ended; nobody is left to hear
                loop.call_soon_threadsafe(tell, error)

    threading.Thread(target=run, name="mqtt connect", daemon=True).start()
    await done
