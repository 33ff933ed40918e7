"""Ports of 127.0.0.1, and the broker a test may find installed."""

from __future__ import annotations

import os
import random
import shutil
import socket
from contextlib import suppress


def mosquitto() -> str | None:
    """Where mosquitto is installed; it is not in everyone's PATH."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def free_port() -> int:
    """A port on which nobody listens, and that no outgoing connection is given meanwhile.

    It lies below the range from which Linux takes those (ip_local_port_range).
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def opens(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
