"""A cut in the network itself: packets of one port of this machine vanish on the way (nft)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.conftest import require_program

_TABLE = """
table inet {name} {{
  chain way {{
    type filter hook output priority 0;
    oifname "lo" tcp sport {port} drop
    oifname "lo" tcp dport {port} drop
  }}
}}
"""


def require_nft() -> str:
    """The path of nft; without it, or the right to use it, the test is skipped."""
    nft = require_program("nft")
    is_allowed = subprocess.run([nft, "list", "tables"], capture_output=True).returncode == 0
    return require_program("nft", found=None if is_allowed else False)


@contextmanager
def cut(port: int) -> Iterator[None]:
    """Neither side hears of the other on ``port``, and nobody is told."""
    nft, name = require_nft(), f"tidegate_test_{os.getpid()}_{port}"
    table = _TABLE.format(name=name, port=port).encode()
    subprocess.run([nft, "-f", "-"], input=table, check=True, timeout=10)
    try:
        yield
    finally:
        subprocess.run([nft, "delete", "table", "inet", name], check=True, timeout=10)
