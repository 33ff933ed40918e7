"""From a file to the tree of what is written in it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.loader.explain import found_in
from gateway.loader.problem import Place, Report
from gateway.loader.yaml_tree import Map, parse

MAX_FILE_BYTES: Final = 16 * 2**20
"""More than 100,000 tags written out one by one."""


def read(path: Path, report: Report) -> Map | None:
    """The tree of one file; None, and problems in ``report``, when it cannot be read."""
    raw = _bytes(path, report)
    if raw is None:
        return None
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        report.add(Place(str(path), line, 1), "not_utf8", byte=error.start + 1)
        return None
    return tree(content, str(path), report)


def tree(content: str, file: str, report: Report) -> Map | None:
    """The keys and values of ``content``; None when there are none."""
    report.opened(file, content)
    node, problems = parse(content, file)
    report.problems += problems
    if isinstance(node, Map):
        return node
    if node is not None:
        report.add(Place(file, 1, 1), "not_a_mapping", found=found_in(node))
    elif not problems:
        report.add(Place(file, 1, 1), "file_empty")
    return None


def _bytes(path: Path, report: Report) -> bytes | None:
    start = Place(str(path), 1, 1)
    try:
        size = path.stat().st_size
        if size <= MAX_FILE_BYTES:
            return path.read_bytes()
    except FileNotFoundError:
        report.add(start, "file_missing")
    except OSError as error:
        report.add(start, "file_unreadable", reason=error)
    else:
        report.add(start, "file_huge", size=size, limit=MAX_FILE_BYTES)
    return None
