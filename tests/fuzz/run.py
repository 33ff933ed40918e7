"""``make fuzz``: one target under Atheris, from the kept corpus on.

What a run found lies in ``build/fuzz/<target>/``: ``found/`` holds inputs that reached new
code, and ``crash-…`` those that must not be. ``--keep`` takes over the former, minimised.
Where Atheris has no wheel, seeded mutations run instead, and the output says so.
"""

from __future__ import annotations

import argparse
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from hashlib import sha1
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fuzz.targets import Subject

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "fuzz"
MOST_S = 0.1
MOST_GROWTH = 32 << 20
"""Of the largest memory this process ever had, by one input."""


def main() -> int:
    """Run what was asked; 0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", default="")
    parser.add_argument(
        "files", nargs="*", type=Path, help="run these inputs once, and no more"
    )
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--keep", action="store_true", help="take over what earlier runs found")
    parser.add_argument("--child", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child is not None:
        return _under_atheris(asked.target, asked.child)
    known = _targets()
    if not asked.target:
        return _list(known)
    if asked.target not in known:
        parser.error(f"no target {asked.target}: {', '.join(known)}")
    if asked.files:
        return _again(asked.target, asked.files)
    return _keep(asked.target) if asked.keep else _fuzz(asked.target, asked.seconds)


def _targets() -> Mapping[str, Subject]:
    """Imported late: under Atheris, after it has begun to watch imports."""
    from tests.fuzz.targets import TARGETS

    return TARGETS


def _list(known: Mapping[str, Subject]) -> int:
    for name, subject in known.items():
        print(f"  make fuzz TARGET={name:14} {subject.says}")
    return 0


def _again(name: str, files: list[Path]) -> int:
    for file in files:
        _judge(name, file.read_bytes())
        print(f"{file}: no finding")
    return 0


def _judge(name: str, data: bytes) -> None:
    """Run one input, held to time and memory; the second try decides about time.

    Raises:
        AssertionError: It took too long, or too much memory.
    """
    run = _targets()[name].run
    before, peak = time.perf_counter(), _peak()
    run(data)
    growth, took_s = _peak() - peak, time.perf_counter() - before
    if took_s > MOST_S:
        before = time.process_time()
        run(data)
        took_s = time.process_time() - before
    assert took_s <= MOST_S, f"{took_s:.2f} s for {len(data)} bytes"
    assert growth <= MOST_GROWTH, f"{growth >> 20} MiB for {len(data)} bytes"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _fuzz(name: str, seconds: int) -> int:
    from tests.fuzz.targets import kept
    from tests.fuzz.watch import MOST_BYTES

    found = BUILD / name / "found"
    found.mkdir(parents=True, exist_ok=True)
    if find_spec("atheris") is None:
        print("no Atheris for this Python: seeded mutations run in its place")
        return _mutate(name, seconds)
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{name}-") as folder:
        first = Path(folder) / "kept"
        _write(first, kept(name))
        limits = (f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", "-timeout=30")
        told = (f"-artifact_prefix={BUILD / name}/", "-print_final_stats=1")
        done = _child(name, Path(folder), *limits, *told, str(found), str(first))
    crashes = sorted((BUILD / name).glob("*-*"), key=lambda path: path.stat().st_mtime)
    if done:
        again = crashes[-1].relative_to(ROOT) if crashes else "FILE"
        print(f"a finding was saved; again: make fuzz TARGET={name} ARGS={again}")
    return done


def _child(name: str, folder: Path, *options: str) -> int:
    """Run libFuzzer on a target; it starts itself again by its first argument, to merge."""
    script = folder / "again"
    call = [sys.executable, "-m", "tests.fuzz.run", name, "--child", str(script)]
    script.write_text(f'#!/bin/sh\nexec {shlex.join(call)} "$@"\n')
    script.chmod(0o700)
    return subprocess.run([script, *options], cwd=ROOT, check=False).returncode


def _under_atheris(name: str, arguments: list[str]) -> int:
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=["gateway", "drivers", "paho.mqtt"]):
        first = _targets()[name].seeds()[0]
    _judge(name, first)  # what is built once is not the first input's
    atheris.Setup(arguments, lambda data: _judge(name, data))
    atheris.Fuzz()
    return 0


def _mutate(name: str, seconds: int) -> int:
    from tests.fuzz.mutate import mutations
    from tests.fuzz.targets import kept

    end, done = time.monotonic() + seconds, 0
    for seed in count():
        for data in mutations(kept(name), 100, seed):
            last = BUILD / name / "crash-last"
            last.write_bytes(data)
            _judge(name, data)
            last.unlink()
            done += 1
        if time.monotonic() > end:
            break
    print(f"{done} inputs, no finding")
    return 0


def _keep(name: str) -> int:
    """Merge what runs found into the corpus: the smallest that go where no seed goes."""
    from tests.fuzz.targets import CORPUS
    from tests.fuzz.watch import MOST_BYTES

    corpus, found = CORPUS / name, BUILD / name / "found"
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{name}-") as folder:
        chosen = Path(folder) / "chosen"
        _write(chosen, _targets()[name].seeds())
        seeds = set(chosen.iterdir())
        options = ("-merge=1", "-use_counters=0", f"-max_len={MOST_BYTES}")
        done = _child(name, Path(folder), *options, str(chosen), str(corpus), str(found))
        if not done:
            for path in corpus.iterdir():
                path.unlink()
            _write(corpus, [path.read_bytes() for path in set(chosen.iterdir()) - seeds])
    print(f"{len(list(corpus.iterdir()))} inputs are kept in {corpus.relative_to(ROOT)}")
    return done


def _write(folder: Path, inputs: list[bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for data in inputs:
        (folder / sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)


if __name__ == "__main__":
    sys.exit(main())
