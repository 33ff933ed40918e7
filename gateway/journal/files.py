"""The few system calls the journal makes, so that a test can stand for the disk."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import Protocol


class File(Protocol):
    """One open file."""

    def read(self, size: int, offset: int) -> bytes:
        """Up to ``size`` bytes from ``offset``; fewer at the end of the file."""

    def write(self, data: bytes, offset: int) -> None:
        """All of ``data`` at ``offset``."""

    def truncate(self, size: int) -> None:
        """Keep the first ``size`` bytes."""

    def sync(self) -> None:
        """Return once everything written is on the medium (fdatasync)."""

    def size(self) -> int:
        """Bytes in the file."""

    def close(self) -> None:
        """Release the file; nothing is flushed."""


class Files(Protocol):
    """A place for files. Every call may raise OSError."""

    def open(self, path: Path, *, create: bool = False) -> File:
        """Open for reading and writing."""

    def names(self, folder: Path) -> list[str]:
        """Names in ``folder``, sorted; none when it does not exist."""

    def make_folder(self, folder: Path) -> None:
        """Make ``folder`` unless it stands."""

    def rename(self, old: Path, new: Path) -> None:
        """Move a file, over another if need be.

        Atomic where the file system has a journal. On FAT both names may survive a cut of
        power, and the new one holds nothing until the file is flushed once more.
        """

    def remove(self, path: Path) -> None:
        """Remove a file."""

    def sync_folder(self, folder: Path) -> None:
        """Return once names in ``folder`` are on the medium."""

    def claim(self, folder: Path) -> File:
        """Become the one owner of ``folder``, until the file returned is closed.

        Raises:
            PermissionError: Not ours, or open to others.
            NotADirectoryError: A symbolic link, or not a directory.
            BlockingIOError: Another process owns it.
        """


class DiskFile:
    """A real file."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, size: int, offset: int) -> bytes:
        """See `File.read`."""
        return os.pread(self._fd, size, offset)

    def write(self, data: bytes, offset: int) -> None:
        """See `File.write`; a short write is continued, one of nothing is an error."""
        done = os.pwrite(self._fd, data, offset)
        while done < len(data):
            step = os.pwrite(self._fd, memoryview(data)[done:], offset + done)
            if step == 0:
                raise OSError(errno.EIO, "the disk takes no more bytes")
            done += step

    def truncate(self, size: int) -> None:
        """See `File.truncate`."""
        os.ftruncate(self._fd, size)

    def sync(self) -> None:
        """See `File.sync`."""
        os.fdatasync(self._fd)

    def size(self) -> int:
        """See `File.size`."""
        return os.fstat(self._fd).st_size

    def close(self) -> None:
        """See `File.close`."""
        os.close(self._fd)


class DiskFiles:
    """The real file system."""

    def open(self, path: Path, *, create: bool = False) -> File:
        """See `Files.open`; never through a symbolic link."""
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
        return DiskFile(os.open(path, flags, 0o600))

    def names(self, folder: Path) -> list[str]:
        """See `Files.names`."""
        try:
            return sorted(path.name for path in folder.iterdir())
        except FileNotFoundError:
            return []

    def make_folder(self, folder: Path) -> None:
        """See `Files.make_folder`."""
        folder.mkdir(mode=0o700, exist_ok=True)

    def rename(self, old: Path, new: Path) -> None:
        """See `Files.rename`."""
        old.rename(new)

    def remove(self, path: Path) -> None:
        """See `Files.remove`."""
        path.unlink()

    def sync_folder(self, folder: Path) -> None:
        """See `Files.sync_folder`."""
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def claim(self, folder: Path) -> File:
        """See `Files.claim`."""
        if not folder.is_symlink():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.lstat()
        if not stat.S_ISDIR(state.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "not a directory of its own", str(folder))
        if state.st_uid != os.geteuid() or state.st_mode & 0o077:
            raise PermissionError(
                errno.EPERM, "must belong to this user alone, mode 0700", str(folder)
            )
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(folder / "lock", flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise
        return DiskFile(fd)


class NoFiles:
    """The file system of a disk that takes nothing: it has no files, and none can be made."""

    def __init__(self, why: str) -> None:
        self._why = why

    def _refuse(self, path: Path) -> OSError:
        return OSError(errno.EIO, self._why, str(path))

    def open(self, path: Path, *, create: bool = False) -> File:
        """See `Files.open`."""
        raise self._refuse(path)

    def names(self, folder: Path) -> list[str]:
        """See `Files.names`."""
        return []

    def make_folder(self, folder: Path) -> None:
        """See `Files.make_folder`."""
        raise self._refuse(folder)

    def rename(self, old: Path, new: Path) -> None:
        """See `Files.rename`."""
        raise self._refuse(old)

    def remove(self, path: Path) -> None:
        """See `Files.remove`."""
        raise self._refuse(path)

    def sync_folder(self, folder: Path) -> None:
        """See `Files.sync_folder`."""
        raise self._refuse(folder)

    def claim(self, folder: Path) -> File:
        """Nothing is claimed; whoever comes with a disk may have the folder."""
        return DiskFile(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
