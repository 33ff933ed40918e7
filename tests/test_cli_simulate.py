"""``tidegate simulate`` and ``tidegate demo``, started as a person would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from gateway.cli.simulate import redirected
from gateway.simulation.waves import value_of
from tests.fakes import tags

TIDEGATE = [sys.executable, "-c", "from gateway.cli import main; main()"]
SITE = """
version: 1
gateway: {id: gw}
links:
  - name: far
    driver: modbus
    url: tcp://10.99.0.1:502
    devices:
      - {name: plc, unit: 3, tags: [{name: "r{0..9}", address: "holding/{0..9}", type: int16}]}
mqtt: {urls: ["mqtt://127.0.0.1:1"], root: park}
journal: {path: /tmp/none, size: 64MiB}
"""


def test_only_whole_urls_are_replaced_and_each_once() -> None:
    text = "a: tcp://h:5\nb: tcp://h:50\nc: tcp://h:5}"
    urls = {"tcp://h:5": "tcp://h:50", "tcp://h:50": "tcp://h:7"}
    assert redirected(text, urls) == "a: tcp://h:50\nb: tcp://h:7\nc: tcp://h:50}"


def test_a_wave_stays_in_its_span_and_moves() -> None:
    (tag,) = tags("pump", 1)
    values = [value_of(tag, float(second)) for second in range(60)]
    assert all(isinstance(value, float) and 0 <= value <= 100 for value in values)
    assert len(set(values)) > 30


def test_the_devices_of_a_configuration_are_served_on_loopback_and_obey(tmp_path: Path) -> None:
    file, out = tmp_path / "gw.yaml", tmp_path / "simulated.yaml"
    file.write_text(SITE)
    command = [*TIDEGATE, "simulate", "-c", str(file), "--out", str(out), "--seconds", "30"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin
        assert process.stdout
        assert re.match(r"far: tcp://127\.0\.0\.1:\d+ ", process.stdout.readline())
        assert str(out) in process.stdout.readline()
        assert "tcp://127.0.0.1:" in out.read_text()
        assert "10.99.0.1" not in out.read_text()
        process.stdin.write("timeout plc\n")
        process.stdin.flush()
        assert process.stdout.readline() == "timeout plc\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_the_demo_delivers_loses_nothing_and_says_so_in_its_last_line() -> None:
    done = subprocess.run(
        [*TIDEGATE, "demo", "--seconds", "3"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "LANG": "C.UTF-8"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    match = re.fullmatch(r"delivered=(\d+) lost=0 duplicates=\d+ gaps=\d+", last)
    assert match is not None
    assert int(match[1]) > 100
