"""What systemd is told: readiness, status, the watchdog (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from typing import Final

import structlog

log = structlog.get_logger()
PATIENCE_S: Final = 0.2
"""What systemd does not take in this time is lost: polling must not wait for it."""


def sd_notify(message: str) -> None:
    """Tell systemd ``message``; nothing happens without ``NOTIFY_SOCKET`` (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.settimeout(PATIENCE_S)
        try:
            sock.sendto(message.encode(), address)
        except OSError as error:
            log.warning("systemd does not listen", error=str(error))
