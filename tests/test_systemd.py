"""What systemd is told, and what becomes of it when nobody listens."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gateway.systemd import sd_notify


@pytest.mark.timeout(30)
def test_a_systemd_that_reads_nothing_does_not_hold_up_the_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setattr("gateway.systemd.PATIENCE_S", 0.001)
        room = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
        for _ in range(room + 10):
            sd_notify("WATCHDOG=1")
        assert listener.recv(64) == b"WATCHDOG=1"
