"""What many tests share: programs that none of us wrote."""

from __future__ import annotations

import os
import shutil

import pytest


def require_program(name: str, *, found: bool | None = None) -> str:
    """The path of a program; without it the test is skipped, naming it.

    With ``REQUIRE_PEERS=1`` a missing program fails the test instead, so that a machine
    that should have it cannot hide that it has not. ``found`` says whether it is there
    when it is no program on the path (a library).
    """
    path = shutil.which(name) or ""
    if path if found is None else found:
        return path
    if os.environ.get("REQUIRE_PEERS") == "1":
        pytest.fail(f"{name} is missing, and REQUIRE_PEERS=1")
    pytest.skip(f"{name} is not installed")
