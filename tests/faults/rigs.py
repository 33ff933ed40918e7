"""What a fault needs of the machine: mounts, a network of its own, a clock of its own.

A rig that is absent is named with its reason, so that its faults count as not run.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from tests.faults.stage import Stage
from tests.loopback import mosquitto

MEMORY = Path("/sys/fs/cgroup/memory")
_FAKETIME = Path("/usr/lib")
_CLONE_NEWNET = 0x40000000
_LIMIT_S = 60
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_MIB = 1 << 20
_MAKE = {
    "ext2": ("mkfs.ext2", "-q", "-F"),
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "vfat": ("mkfs.vfat",),
}


class RigError(Exception):
    """The machine refused something a fault needs."""


def run(*argv: object, ok: Container[int] = (0,)) -> str:
    """What a command printed; ok: the exit statuses that mean success.

    Raises:
        RigError: It failed.
    """
    words, env = [str(word) for word in argv], {**os.environ, "PATH": _PATH}
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=_LIMIT_S, env=env
    )
    if done.returncode not in ok:
        raise RigError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


@cache
def absent(rig: str) -> str | None:
    """Why this machine has not got a rig; None when it has."""
    if rig in _PROBES:
        try:
            return _PROBES[rig]()
        except (RigError, OSError) as error:
            return str(error)
    return None if _found(rig) else f"{rig} is not installed"


def _found(program: str) -> bool:
    return shutil.which(program, path=_PATH) is not None


def _mounts() -> None:
    """Root may mount, but not in a bare container."""
    with tempfile.TemporaryDirectory() as place:
        run("mount", "-t", "tmpfs", "-o", "size=1m", "none", place)
        run("umount", place)


def _loops() -> str | None:
    _mounts()
    run("losetup", "--find")
    missing = [name for name in ("mkfs.ext4", "mkfs.vfat") if not _found(name)]
    return f"{missing[0]} is not installed" if missing else None


def _vfat() -> str | None:
    known = "vfat" in Path("/proc/filesystems").read_text().split()
    return None if known else "vfat is unknown to this kernel"


def _fat() -> str | None:
    """vfat in this kernel, or in one of our own (`tests.crash.guest`)."""
    missing = [name for name in ("mkfs.vfat", "fsck.vfat") if not _found(name)]
    if missing:
        return f"{missing[0]} is not installed"
    return _vfat() and (
        None if _found("linux.uml") else f"{_vfat()}, and user-mode-linux is not installed"
    )


def _network() -> str | None:
    missing = [name for name in ("ip", "nft", "tc") if not _found(name)]
    if missing:
        return f"{missing[0]} is not installed"
    with own_network():
        run("nft", "list", "ruleset")
    return None


def _faketime() -> str | None:
    return None if _library() else "libfaketime is not installed"


def _memory() -> str | None:
    writable = os.access(MEMORY, os.W_OK) and (MEMORY / "memory.limit_in_bytes").exists()
    return None if writable else f"{MEMORY} is not a memory cgroup of version 1"


def _mosquitto() -> str | None:
    return None if mosquitto() else "mosquitto is not installed"


_PROBES: dict[str, Callable[[], str | None]] = {
    "mount": _mounts,
    "loop": _loops,
    "vfat": _vfat,
    "fat": _fat,
    "network": _network,
    "faketime": _faketime,
    "mosquitto": _mosquitto,
    "memory": _memory,
}


def _library() -> Path | None:
    return next(_FAKETIME.glob("*/faketime/libfaketimeMT.so.1"), None)


def own_clock(stage: Stage, ahead_s: float) -> None:
    """Give the agent a civil clock that `Stage.set_clock` sets; its monotonic one is true."""
    stage.set_clock(ahead_s)
    stage.facts.offset_ns = stage.facts.steps.pop().offset_ns
    stage.agent_env |= {
        "LD_PRELOAD": str(_library()),
        "FAKETIME_TIMESTAMP_FILE": str(stage.directory / "faketime.rc"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def small_disk(stage: Stage, size_mib: int) -> None:
    """Put the disk of the journal on a tmpfs of this size."""
    _mounted(stage, "mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0700", "none")


def image(stage: Stage, kind: str, size_mib: int, *options: str) -> None:
    """Put the disk of the journal on a file system of this kind in a file, disk.img."""
    file = stage.directory / "disk.img"
    make_image(file, kind, size_mib)
    mount_image(stage, file, *options)


def make_image(file: Path, kind: str, size_mib: int) -> None:
    """An empty file system of this kind in a file."""
    with file.open("wb") as disk:
        disk.truncate(size_mib * _MIB)
    run(*_MAKE[kind], file)


def mount_image(stage: Stage, file: Path, *options: str) -> None:
    """Mount a file system that `image` made as the journal's disk."""
    _mounted(stage, *mount_words(file, *options))


def mount_words(file: Path, *options: str) -> tuple[object, ...]:
    """The command that mounts an image, but for where."""
    kind = run("blkid", "-o", "value", "-s", "TYPE", file).strip()
    own = ("umask=0077",) if kind == "vfat" else ()
    return "mount", "-o", ",".join(("loop", *own, *options)), file


def loop_stat(file: Path) -> Path:
    """Where the kernel counts what reaches a mounted image (Documentation/block/stat.rst)."""
    loop = run("losetup", "--associated", file, "--output", "NAME", "--noheadings").strip()
    return Path("/sys/block") / Path(loop).name / "stat"


def until_quiet(file: Path, still_s: float = 0.3) -> None:
    """Return when nothing has reached the image of a stopped process for a while.

    Raises:
        RigError: Something keeps writing.
    """
    stat = loop_stat(file)
    before, deadline = "", time.monotonic() + _LIMIT_S
    while (now := stat.read_text()) != before:
        if time.monotonic() > deadline:
            raise RigError(f"{file} is never quiet")
        before = now
        time.sleep(still_s)


def unmount(stage: Stage) -> None:
    """Take the journal's file system away."""
    run("umount", stage.disk)


def _mounted(stage: Stage, *mount: object) -> None:
    run(*mount, stage.disk)
    stage.at_end.callback(_let_go, stage.disk)


def _let_go(directory: Path) -> None:
    if directory.is_mount():
        run("umount", directory)


class Watchdog:
    """The other end of NOTIFY_SOCKET: when the agent last said it is well (sd_notify(3))."""

    def __init__(self, stage: Stage, limit_s: float) -> None:
        path = stage.directory / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self._fed = time.monotonic()
        stage.at_end.callback(self._socket.close)
        stage.agent_env |= {
            "NOTIFY_SOCKET": str(path),
            "WATCHDOG_USEC": str(int(limit_s * 1e6)),
        }

    def hungry_s(self) -> float:
        """Seconds since it was last fed, as far as one looks at least every few seconds."""
        with suppress(BlockingIOError):
            while word := self._socket.recv(4096):
                if b"WATCHDOG=1" in word:
                    self._fed = time.monotonic()
        return time.monotonic() - self._fed


def memory_limit(stage: Stage, limit_mib: int) -> None:
    """Start the agent in a memory cgroup of its own."""
    group = MEMORY / f"oracle-{os.getpid()}"
    group.mkdir()
    stage.at_end.callback(_remove_group, group)
    (group / "memory.limit_in_bytes").write_text(str(limit_mib * _MIB))
    enter = f'echo $$ > {group}/cgroup.procs && exec "$@"'
    stage.agent_prefix += ["sh", "-c", enter, "sh"]


def _remove_group(group: Path) -> None:
    """A group can go when the last of its processes is gone, a moment after its death."""
    deadline = time.monotonic() + _LIMIT_S
    while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    group.rmdir()


@contextmanager
def own_network() -> Iterator[None]:
    """A network namespace of its own for all children started inside: loopback, no rules."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(_CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "no network namespace")
        run("ip", "link", "set", "lo", "up")
        yield
    finally:
        libc.setns(home, _CLONE_NEWNET)
        os.close(home)
