"""``tidegate-clock``: tells those who may not ask the kernel how good its clock is.

The agent's sandbox forbids ``adjtimex``, because the same call can set the clock. This
program runs beside it, alone and without network, asks every two seconds, and writes
``state.json`` into its runtime directory:

    {"v": 1, "boot": "<32 hex>", "mono_ns": 81230112233, "error_us": 1500}

``mono_ns`` is when it asked; ``error_us`` is null while the clock is not synchronised.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Final

from gateway.clock import STATE_FILE, Clock, kernel_clock_error_us
from gateway.systemd import sd_notify

ASK_S: Final = 2.0


def state(boot: str, mono_ns: int) -> dict[str, object]:
    """What is written; an error of null where even this program may not ask."""
    try:
        error_us = kernel_clock_error_us()
    except PermissionError:
        error_us = None
    return {"v": 1, "boot": boot, "mono_ns": mono_ns, "error_us": error_us}


def write(file: Path, content: dict[str, object]) -> None:
    """Put ``content`` in the place of ``file``; no reader ever sees half of it.

    Raises:
        OSError: It cannot be written.
    """
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(content))
    draft.rename(file)


def main() -> None:
    """Write until terminated."""
    folder = Path(os.environ.get("RUNTIME_DIRECTORY", str(STATE_FILE.parent)))
    boot = Clock.boot_id()
    clock = Clock()
    while True:
        write(folder / STATE_FILE.name, state(boot, clock.monotonic_ns()))
        sd_notify("READY=1\nWATCHDOG=1")
        time.sleep(ASK_S)


if __name__ == "__main__":
    main()
