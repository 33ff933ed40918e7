"""The dependency rule, written as a table and held by a test."""

from __future__ import annotations

import ast
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

EVERYTHING = {"*"}
WORDS = {"errors", "model", "clock"}

# module, or the package it lies in → modules of `gateway` it may import beside its own
MAY_IMPORT: dict[str, set[str]] = {
    # the words
    "gateway": set(),
    "gateway.model": set(),
    "gateway.errors": {"model"},  # for a type only
    "gateway.epochs": {"model"},
    "gateway.clock": {"epochs", "model"},  # for the stamp it gives
    "gateway.clock_state": {"clock", "model", "systemd"},
    # what a person writes
    "gateway.messages": set(),
    "gateway.notation": {"model"},
    "gateway.config": {"errors", "model", "notation"},
    "gateway.series": {"errors"},
    "gateway.registry": {"driver", "errors"},
    "gateway.loader": {"config", "driver", "errors", "messages", "model", "notation"}
    | {"registry", "series", "site"},
    "gateway.site": {"config", "driver", "model"},
    "gateway.schema": {"config", "driver", "loader", "notation", "registry"},
    # acquisition
    "gateway.driver": {"clock", "config", "errors", "model"},
    "gateway.normalise": {"model"},
    "gateway.schedule": {"model"},
    "gateway.division": {"model"},
    "gateway.sink": {"model"},
    "gateway.hearing": WORDS | {"driver", "sink"},
    "gateway.link": WORDS | {"config", "division", "driver", "hearing", "schedule", "sink"},
    "gateway.planning": {"clock", "driver", "loader", "model"},
    "gateway.forecast": {"clock", "journal", "loader", "model", "planning", "record"},
    # from readings to the disk
    "gateway.rules": {"model"},
    "gateway.alarms": {"config", "model"},
    "gateway.alarm_file": {"journal"},  # its files only
    "gateway.annunciator": WORDS | {"alarm_file", "alarms", "journal", "record"},
    "gateway.coverage": {"model"},
    "gateway.record": {"model"},
    "gateway.journal": WORDS,  # bytes only
    "gateway.intake": WORDS
    | {"annunciator", "coverage", "epochs", "journal", "record", "rules"},
    # from the disk to the broker
    "gateway.publisher": set(),
    "gateway.dialects": {"model", "record"},
    "gateway.lane": {"dialects"},
    "gateway.window": {"dialects", "model"},
    "gateway.pace": set(),
    "gateway.settlement": WORDS | {"feed", "lane"},
    "gateway.volatile": {"dialects", "feed", "journal", "model", "record"},
    "gateway.aside": WORDS | {"feed", "lane"},
    "gateway.lane_delivery": WORDS
    | {"aside", "dialects", "feed", "lane", "pace", "publisher", "settlement"}
    | {"volatile", "window"},
    "gateway.deliver": WORDS
    | {"dialects", "feed", "lane", "lane_delivery", "pace", "publisher", "window"},
    "gateway.receipts": {"dialects", "model"},
    "gateway.again": WORDS
    | {"deliver", "dialects", "feed", "journal", "lane", "pace", "receipts"},
    "gateway.desk": WORDS | {"config", "dialects", "lane", "publisher", "receipts"},
    "gateway.mqtt": {"clock", "errors", "pipe", "publisher"},
    "gateway.pipe": {"errors", "publisher"},
    "gateway.continuity": {"dialects", "model"},
    # the whole, and those who look at it
    "gateway.announce": WORDS
    | {"alarms", "annunciator", "deliver", "dialects", "feed", "intake", "journal", "latest"}
    | {"loader", "publisher", "record"},
    "gateway.latest": set(),
    "gateway.health": WORDS
    | {"announce", "deliver", "intake", "journal", "link", "messages", "publisher", "systemd"},
    "gateway.systemd": set(),
    "gateway.logs": set(),
    # a configuration that changes
    "gateway.reload": {"config", "driver", "model", "site"},
    "gateway.last_good": {"loader"},
    "gateway.apply": {"clock", "errors", "last_good", "loader", "messages", "planning"}
    | {"reload", "systemd"},
    "gateway.simulation": {"model", "normalise"},
    "gateway.line": EVERYTHING,
    "gateway.agent": EVERYTHING,
    "gateway.cli": EVERYTHING,
    "drivers": {"clock", "config", "driver", "errors", "model", "normalise"},
}

# library → the only modules that may know it
ONLY_IN = {
    "paho": {"gateway.pipe"},
    "pymodbus": {"drivers.modbus.transport"},
    "asyncua": {"drivers.opcua.transport", "drivers.opcua.session"}
    | {"drivers.opcua.subscription", "drivers.opcua.simulator"},
    "cryptography": {"drivers.opcua.security"},
    "yaml": {"gateway.loader.yaml_tree"},
    "rich": {"gateway.cli"},
    "click": {"gateway.cli"},
    "pydantic": {"gateway.config", "gateway.notation", "gateway.loader", "gateway.schema"}
    | {"drivers"},
}

MODULES = [p for package in ("gateway", "drivers") for p in (ROOT / package).rglob("*.py")]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def imports(path: Path) -> set[str]:
    """Every module imported by ``path``, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "gateway":
            found.update(f"gateway.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


def room_of(name: str) -> str:
    """The entry of the table that ``name`` falls under."""
    while name not in MAY_IMPORT:
        name = name.rpartition(".")[0]
    return name


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_module_imports_only_what_the_table_allows(path: Path) -> None:
    name = name_of(path)
    room = room_of(name)
    allowed = MAY_IMPORT[room]
    for target in imports(path):
        package, _, rest = target.partition(".")
        if package == "drivers":
            assert name.split(".")[:2] == target.split(".")[:2], f"{name} names a driver"
        elif package == "gateway" and rest and not f"{target}.".startswith(f"{room}."):
            word = rest.partition(".")[0]
            assert allowed == EVERYTHING or word in allowed, f"{name} imports {target}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_library_is_known_in_one_room_only(path: Path) -> None:
    name = name_of(path)
    for target in imports(path):
        rooms = ONLY_IN.get(target.partition(".")[0])
        if rooms is not None:
            assert any(name == room or name.startswith(f"{room}.") for room in rooms), (
                f"{name} imports {target}"
            )


def test_nothing_imports_the_agent_or_the_command_line() -> None:
    for path in MODULES:
        name = name_of(path)
        top = ("gateway.agent", "gateway.cli", "gateway.line")
        if not name.startswith(top):
            assert not any(target.startswith(top) for target in imports(path)), name


def test_no_file_grows_far_beyond_one_sitting() -> None:
    lines = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert not {name: count for name, count in lines.items() if count > 550}


def test_the_wheel_holds_exactly_the_two_packages(tmp_path: Path) -> None:
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {top for top in tops if ".d" not in top} == {"gateway", "drivers"}
