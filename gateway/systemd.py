"""What systemd is told: readiness, status, the watchdog (sd_notify(3))."""

from __future__ import annotations

import os
import socket

import structlog

log = structlog.get_logger()


def sd_notify(message: str) -> None:
    """Tell systemd ``message``; nothing happens without ``NOTIFY_SOCKET`` (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(message.encode(), address)
        except OSError as error:
            log.warning("systemd does not listen", error=str(error))
