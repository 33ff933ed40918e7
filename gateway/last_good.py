"""The configuration on disk, and a copy of the last one that was applied.

The copy holds the bytes of the main file, of ``conf.d`` and of ``templates``; it lies
beside the journal and belongs to it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from gateway.loader import Problem, Site, WrongConfigError, inspect, load
from gateway.loader.source import MAX_FILE_BYTES

STATE: Final = "/var/lib/tidegate"
"""Where a copy is looked for when neither systemd nor the wrong file names a place."""
_MAIN: Final = "gateway.yaml"
_PARTS: Final = ("conf.d", "templates")
_SUFFIX: Final = ".last-good"
_JOURNAL: Final = re.compile(r"^journal:[^#\n]*(?:\n[ \t]+[^\n]*)*", re.MULTILINE)
_PATH: Final = re.compile(r"""\bpath:\s*["']?([^\s,}"'#]+)""")


def copy_of(journal: Path) -> Path:
    """Where the last good configuration of ``journal`` is kept."""
    return journal.with_name(journal.name + _SUFFIX)


class ConfigFiles:
    """The files of one configuration, as they were when it was read last."""

    def __init__(self, file: Path) -> None:
        """file: the main one."""
        self.file = file
        self._taken: dict[str, bytes] = {}

    def read(self) -> tuple[Site | None, list[Problem]]:
        """As `gateway.loader.inspect`, and remember what was read."""
        self._taken = _contents(self.file)
        return inspect(self.file)

    def keep(self, site: Site) -> bool:
        """Keep what was read, which gave ``site``, as the last good configuration.

        False: somebody changed a file meanwhile, so nobody knows which content gave
        ``site``; the copy before stays.

        Raises:
            OSError: The disk refused; the copy before stays.
        """
        place = copy_of(Path(site.config.journal.path))
        if _contents(self.file) != self._taken:
            return False
        if _contents(place / _MAIN) != self._taken:
            draft = place.with_name(place.name + ".new")
            shutil.rmtree(draft, ignore_errors=True)
            _write(self._taken, draft)
            _swap(draft, place)
        return True


def find(file: Path) -> Site | None:
    """The last good configuration to run in place of the wrong ``file``; None: there is none.

    It lies beside the journal that ``file`` names, if that can be made out; otherwise it
    is the only one in the state directory.
    """
    for place in _places(file):
        try:
            return load(place / _MAIN)
        except WrongConfigError:
            continue  # e.g. one for a driver that is not installed any more
    return None


def _places(file: Path) -> Iterator[Path]:
    named = _journal_named_in(file)
    if named is not None:
        for place in (copy_of(named), _older(copy_of(named))):
            if place.is_dir():
                yield place
        return
    state = Path(os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or STATE)
    found = list(state.glob(f"*{_SUFFIX}"))
    if len(found) == 1:
        yield found[0]


def _journal_named_in(file: Path) -> Path | None:
    """The journal that a file with mistakes in it seems to mean."""
    try:
        text = file.read_text(errors="replace") if file.stat().st_size < MAX_FILE_BYTES else ""
    except OSError:
        return None
    section = _JOURNAL.search(text)
    path = section and _PATH.search(section[0])
    return Path(path[1]) if path else None


def _contents(main: Path) -> dict[str, bytes]:
    """What lies in the files of a configuration, by their place in a copy."""
    found = {_MAIN: main}
    for part in _PARTS:
        for path in sorted((main.parent / part).glob("*.y*ml")):
            found[f"{part}/{path.name}"] = path
    return {name: path.read_bytes() for name, path in found.items() if _is_readable(path)}


def _is_readable(path: Path) -> bool:
    """Whether ``path`` is a file that `gateway.loader` would read."""
    try:
        return path.is_file() and path.stat().st_size <= MAX_FILE_BYTES
    except OSError:
        return False


def _write(contents: Mapping[str, bytes], draft: Path) -> None:
    draft.mkdir(mode=0o700)
    for name, content in contents.items():
        target = draft / name
        target.parent.mkdir(mode=0o700, exist_ok=True)
        with target.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())


def _swap(draft: Path, place: Path) -> None:
    """Put ``draft`` in the place of ``place``; at every moment one of them, or `_older`, is."""
    older = _older(place)
    if place.exists():
        shutil.rmtree(older, ignore_errors=True)
        place.rename(older)
    draft.rename(place)
    descriptor = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    shutil.rmtree(older, ignore_errors=True)


def _older(place: Path) -> Path:
    return place.with_name(place.name + ".old")
