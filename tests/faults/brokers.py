"""The two brokers a stage can use: Debian's mosquitto, or the loopback broker."""

from __future__ import annotations

import time
from pathlib import Path

from tests.faults.child import ANSWER_S, Child, StageError, module
from tests.loopback import free_port, mosquitto, opens

_MISSING = "mosquitto"
_CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
user root
persistence true
persistence_location {directory}/
max_queued_messages 0
max_queued_bytes 0
max_inflight_messages 0
log_dest stderr
"""


class Mosquitto:
    """A mosquitto that keeps everything for the recorder, over an orderly restart too."""

    def __init__(self, directory: Path, receive_maximum: int | None = None) -> None:
        self.port = free_port()
        self._errors = directory / "mosquitto.err"
        self._file = directory / "mosquitto.conf"
        text = _CONFIGURATION.format(port=self.port, directory=directory)
        if receive_maximum is not None:
            # What mosquitto 2 states as Receive Maximum in its CONNACK.
            text = text.replace("inflight_messages 0", f"inflight_messages {receive_maximum}")
        self._file.write_text(text)
        self.start()

    def start(self) -> None:
        """Come up on the same port with what was saved.

        Raises:
            StageError: It did not open its port.
        """
        self._child = Child(
            [mosquitto() or _MISSING, "-c", str(self._file)], self._errors, talks=False
        )
        deadline = time.monotonic() + ANSWER_S
        while not opens(self.port):
            if time.monotonic() > deadline or not self._child.running:
                raise StageError(f"mosquitto: {self._child.tail()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """SIGTERM: it saves its sessions and queues first."""
        self._child.terminate(10.0)

    def close(self) -> None:
        """End it."""
        self._child.close()


class Loopback:
    """The broker of gateway/simulation, in a process that lasts as long as the run."""

    def __init__(self, directory: Path, receive_maximum: int | None = None) -> None:
        options = () if receive_maximum is None else ("--receive-maximum", receive_maximum)
        self._child = Child(module("loopback", *options), directory / "loopback.err")
        self.port = int(self._child.answer()["port"])

    def command(self, **fields: object) -> int:
        """Tell it to misbehave, or to stop that."""
        return self._child.command(**fields)

    def close(self) -> None:
        """End it."""
        self._child.close()
