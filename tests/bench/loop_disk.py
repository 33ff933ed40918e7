"""A disk of its own: ext4 in a file, so that what the kernel counts for it is the journal's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.rigs import RigError, run

_SECTOR = 512
_MKFS = ("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0")


@dataclass(frozen=True)
class LoopDisk:
    """Mounted at ``path``."""

    path: Path
    device: str

    def written(self) -> int:
        """Bytes written to the device so far, the file system's own among them.

        Source: Documentation/block/stat.rst (write sectors).
        """
        return self._counts()[6] * _SECTOR

    def flushes(self) -> int:
        """Flushes the device was asked for so far (block/stat.rst, flush I/Os)."""
        return self._counts()[15]

    def _counts(self) -> list[int]:
        text = Path(f"/sys/block/{Path(self.device).name}/stat").read_text()
        return [int(word) for word in text.split()]


@contextmanager
def loop_disk(folder: Path, mib: int) -> Iterator[LoopDisk | None]:
    """A disk in ``folder``; None where this machine lets nobody have one."""
    image, path = folder / "disk.img", folder / "disk"
    path.mkdir()
    with image.open("wb") as file:
        file.truncate(mib << 20)
    try:
        run(*_MKFS, image)
        run("mount", "-o", "loop", image, path)
    except (RigError, OSError):
        yield None
        return
    try:
        yield LoopDisk(path, run("findmnt", "-no", "SOURCE", path).strip())
    finally:
        run("umount", path)
