"""How long ``tidegate check`` takes, as a whole process.

``python -m tests.bench.config_check``

Prints wall time and peak memory for 5,000 tags written out one by one and for 100,000
tags as series. Asserts nothing.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HEAD = """version: 1
gateway: {id: bench}
mqtt: {urls: [mqtts://broker.example:8883]}
journal: {path: /var/lib/tidegate/journal}
links:
"""
CHECK = "from gateway.cli.check import command; command()"


def written_out(tags: int) -> Iterator[str]:
    """Links of one device with 500 tags each."""
    for first in range(0, tags, 500):
        number = first // 500
        yield f"  - name: line-{number}\n    driver: modbus\n    url: tcp://127.0.0.1:502\n"
        yield f"    devices:\n      - name: d{number}\n        unit: 1\n        tags:\n"
        for tag in range(500):
            yield (
                f"          - {{name: t{tag:03}, address: holding/{2 * tag}, type: float32,"
                f" order: CDAB, unit: kPa, deadband: 0.5}}\n"
            )


def series(tags: int) -> Iterator[str]:
    """Links of one device with one series of 1,000 tags each."""
    for number in range(tags // 1000):
        yield f"  - name: line-{number}\n    driver: modbus\n    url: tcp://127.0.0.1:502\n"
        yield f"    devices:\n      - name: d{number}\n        unit: 1\n        tags:\n"
        yield (
            '          - {name: "t{0001..1000}", address: "holding/{0..1998..2}",'
            " type: float32, unit: kPa, deadband: 0.5}\n"
        )


def measured(name: str, lines: Iterator[str], folder: Path) -> str:
    """One line of the result: best of three."""
    file = folder / f"{name}.yaml"
    file.write_text(HEAD + "".join(lines))
    command = [sys.executable, "-c", CHECK, "-c", str(file)]
    best, told = float("inf"), ""
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        best = min(best, time.perf_counter() - start)
        told = done.stdout.split(": ", 1)[1].strip()
    peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return f"{name:12} {best:6.2f} s  peak {peak_mib:5.0f} MiB so far  {told}"


def main() -> None:
    """Print one line per case, the small one first: peak memory is that of all so far."""
    with tempfile.TemporaryDirectory() as folder:
        print(measured("empty", iter(["  []\n"]), Path(folder)))
        print(measured("5k-written", written_out(5_000), Path(folder)))
        print(measured("100k-series", series(100_000), Path(folder)))


if __name__ == "__main__":
    main()
