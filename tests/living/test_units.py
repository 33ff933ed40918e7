"""The units as they are installed: locked down, and right about what the agent needs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import require_program

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))
AGENTS = [SYSTEMD / "tidegate.service", SYSTEMD / "tidegate@.service"]


def settings(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.peer
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_what_a_taken_over_unit_could_reach_is_at_most_1_2(unit: Path) -> None:
    analyze = require_program("systemd-analyze")
    command = [analyze, "security", "--offline=true", "--no-pager", "--threshold=12", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-300:]
    assert "Overall exposure level" in done.stdout


@pytest.mark.peer
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_every_line(unit: Path, tmp_path: Path) -> None:
    analyze = require_program("systemd-analyze")
    for each in UNITS:
        text = each.read_text().replace("man:tidegate(1)", "https://example.invalid/")
        text = re.sub(r"/usr/bin/tidegate(-clock)?", "/bin/true", text)
        (tmp_path / each.name).write_text(text)
    name = unit.name.replace("@.", "@north.")
    if name != unit.name:
        (tmp_path / name).symlink_to(tmp_path / unit.name)
    command = [analyze, "verify", "--man=no", str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", AGENTS, ids=lambda unit: unit.name)
def test_the_unit_gives_the_agent_what_it_relies_on(unit: Path) -> None:
    told = settings(unit)
    assert told["Type"] == ["notify"]
    assert "WatchdogSec" in told
    assert told["RestartPreventExitStatus"] == ["78"]
    assert told["RuntimeDirectoryMode"] == ["0750"]
    assert "TIDEGATE_BOOT_ID=%b" in told["Environment"]
    assert "--last-good" in told["ExecStart"][0]
    assert "-HUP" in told["ExecReload"][0]


@pytest.mark.parametrize("unit", AGENTS, ids=lambda unit: unit.name)
def test_no_address_is_fixed_and_a_missing_credential_stops_nothing(unit: Path) -> None:
    told = settings(unit)
    assert "IPAddressAllow" not in told
    assert not any("/" in credential for credential in told["LoadCredential"])


def test_an_instance_differs_in_its_places_only() -> None:
    alone, instance = (unit.read_text() for unit in AGENTS)
    assert instance.replace("-%i", "").replace(" (%i)", "") == alone


def test_the_helper_may_ask_the_clock_and_nothing_else() -> None:
    told = settings(SYSTEMD / "tidegate-clock.service")
    filters = told["SystemCallFilter"]
    assert filters.index("adjtimex") > next(
        position for position, words in enumerate(filters) if "@privileged" in words
    )
    assert told["PrivateNetwork"] == ["yes"]
    assert told["RestrictAddressFamilies"] == ["AF_UNIX"]


def test_every_unit_is_described() -> None:
    text = (SYSTEMD / "README.md").read_text()
    for path in SYSTEMD.rglob("*"):
        if path.is_file() and path.name != "README.md":
            assert path.relative_to(SYSTEMD).as_posix() in text, path
