"""``tidegate-clock``: tells those who may not ask the kernel how good its clock is.

The agent's sandbox forbids ``adjtimex``, because the same call can set the clock. This
program runs beside it, alone and without network, asks every two seconds, and writes
``state.json`` into its runtime directory:

    {"v": 2, "boot": "<32 hex>", "mono_ns": 81230112233, "utc_ns": 1795392244123456789,
     "state": "synced", "bound_ms": 2}

``mono_ns`` and ``utc_ns`` are when it asked; ``state`` and ``bound_ms`` are as in records. It
outlives the agent, so an agent that starts in holdover knows how far the clock has drifted.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Final

from gateway.clock import STATE_FILE, Clock
from gateway.model import Stamp
from gateway.systemd import sd_notify

ASK_S: Final = 2.0


def state(boot: str, stamp: Stamp) -> dict[str, object]:
    """What is written; unsynced where even this program may not ask."""
    time_ns, state, bound_ms, mono_ns = stamp
    when = {"v": 2, "boot": boot, "mono_ns": mono_ns, "utc_ns": time_ns}
    return {**when, "state": state.value, "bound_ms": bound_ms}


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
    clock = Clock(state_file=None)
    while True:
        write(folder / STATE_FILE.name, state(boot, clock.stamp()))
        sd_notify("READY=1\nWATCHDOG=1")
        time.sleep(ASK_S)


if __name__ == "__main__":
    main()
