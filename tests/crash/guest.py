"""A kernel of our own, as a process: trials on file systems this machine's kernel has not got.

User-mode Linux boots from the files of this machine, read-only, and runs one trial as its
first process; what it found comes back as a line on the console. Needs no root.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path

from tests.crash.trials import Outcome, power
from tests.faults import rigs
from tests.faults.child import ROOT
from tests.faults.rigs import RigError

MODULES = ("fs/fat/fat", "fs/fat/vfat", "fs/nls/nls_ascii", "fs/nls/nls_cp437",
           "fs/nls/nls_iso8859-1", "fs/nls/nls_utf8", "drivers/block/loop")  # fmt: skip
"""What a vfat image behind a loop device needs, and this kernel may have built in."""
_WORD = "RESULT "
_MEMORY_MIB = 1024
_LIMIT_S = 3600
_FINIT_MODULE = 313
_POWER_OFF = 0x4321FEDC


@dataclass(frozen=True)
class Report:
    """What a trial in the guest came to."""

    failures: list[str]
    proves_nothing: bool
    words: str

    def text(self) -> str:
        return self.words


def vfat(crashes: int, seed: int) -> Report | Outcome:
    """Cuts of power on vfat: in the guest, unless this machine's own kernel knows it.

    Raises:
        RigError: The guest came to no end.
    """
    if not rigs.absent("loop") and not rigs.absent("vfat"):
        return power("vfat")(crashes, seed)
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    with tempfile.TemporaryDirectory(prefix="crash-guest-") as place:
        argv = [
            "linux.uml", f"mem={_MEMORY_MIB}M", f"uml_dir={place}", "quiet", "panic=1",
            "rootfstype=hostfs", "ro", "con=null", "con0=null,fd:1",
            f"PYTHONPATH={ROOT}", f"PATH={path}", f"TMPDIR={place}", f"init={sys.executable}",
            "--", "-m", "tests.crash.guest", str(crashes), str(seed),
        ]  # fmt: skip
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", check=False,
            timeout=_LIMIT_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    for line in done.stdout.splitlines():
        if line.startswith(_WORD):
            return Report(**json.loads(line.removeprefix(_WORD)))
    raise RigError(f"user-mode Linux: {done.stdout[-4000:]}")


def main() -> None:
    """The first process of the guest."""
    try:
        _furnish()
        outcome = power("vfat")(int(sys.argv[1]), int(sys.argv[2]))
        fields = {
            "failures": outcome.failures,
            "proves_nothing": outcome.proves_nothing,
            "words": f"{outcome.text()} (in a kernel of our own)",
        }
        print(_WORD + json.dumps(fields), flush=True)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        raise
    finally:
        ctypes.CDLL(None).reboot(_POWER_OFF)


def _furnish() -> None:
    """Mount what a machine has mounted, and load what this kernel needs."""
    for kind, at in (
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("tmpfs", "/dev/shm"),
        ("tmpfs", "/tmp"),
    ):
        Path(at).mkdir(exist_ok=True)
        rigs.run("mount", "-t", kind, kind, at)
    home = Path("/usr/lib/uml/modules") / os.uname().release / "kernel"
    for name in MODULES:
        _load(home / f"{name}.ko")


def _load(module: Path) -> None:
    if not module.exists():
        return  # built in
    with module.open("rb") as file:
        if ctypes.CDLL(None, use_errno=True).syscall(_FINIT_MODULE, file.fileno(), b"", 0):
            raise OSError(ctypes.get_errno(), str(module))


if __name__ == "__main__":
    main()
