"""Ports of 127.0.0.1, and the broker a test may find installed."""

from __future__ import annotations

import os
import shutil
import socket


def mosquitto() -> str | None:
    """Where mosquitto is installed; it is not in everyone's PATH."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def opens(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
