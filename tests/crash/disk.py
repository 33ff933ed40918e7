"""A disk whose power can be cut: a file system in a file, behind a loop device.

The file holds what reached the device. What a process wrote and did not sync is in the
page cache of the mounted file system and nowhere else, so a copy of the file, taken while
nothing is on its way, is what a cut of power leaves.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType

from tests.crash.writer import Child
from tests.faults import rigs

SIZE_MIB = {"ext2": 24, "ext4": 24, "vfat": 160}
"""On vfat each repair keeps clusters that lost their name, so that the disk fills."""
_STILL_S = 0.05
_REPAIR = {"ext2": ("fsck.ext2", "-y"), "vfat": ("fsck.vfat", "-a")}
"""File systems without a journal of their own: every boot repairs them."""


class Disk:
    """One image and where it is mounted; a context that leaves nothing mounted."""

    def __init__(self, directory: Path, kind: str, *options: str) -> None:
        self.place = directory / "disk"
        self._image = directory / "disk.img"
        self._options = options
        self._kind = kind

    @property
    def journal(self) -> Path:
        return self.place / "journal"

    def __enter__(self) -> Disk:
        self.place.mkdir()
        rigs.make_image(self._image, self._kind, SIZE_MIB[self._kind])
        self._mount()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.place.is_mount():
            rigs.run("umount", self.place)

    def _mount(self) -> None:
        if repair := _REPAIR.get(self._kind):
            rigs.run(*repair, self._image, ok=range(4))
        rigs.run(*rigs.mount_words(self._image, *self._options), self.place)

    def cut(self, child: Child) -> None:
        """Take the power away from ``child``; afterwards the disk is what survived it."""
        child.stop()
        copy = self._image.with_suffix(".cut")
        stat = rigs.loop_stat(self._image)
        before = ""
        while stat.read_text() != before:  # the file system may wake up while we copy
            rigs.until_quiet(self._image, _STILL_S)
            before = stat.read_text()
            shutil.copyfile(self._image, copy)
        child.kill()
        rigs.run("umount", self.place)
        copy.replace(self._image)
        self._mount()
