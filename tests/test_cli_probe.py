"""``tidegate probe`` against simulated devices on real sockets."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drivers.modbus.settings import ModbusLink
from drivers.modbus.simulator import Fault, Faults, Server, serve
from gateway.loader import load
from gateway.model import Scalar, Tag
from tests import cli_stage
from tests.cli_stage import Ended, device, modbus_link, running, tidegate, write_site
from tests.loopback import free_port
from tests.patience import PATIENCE_S

TK101 = device(
    "tk101",
    1,
    "{name: level, address: holding/0, type: uint16, scale: 0.1, unit: m}",
    "{name: flow, address: holding/1, type: int16}",
    "{name: pump, address: holding/2, type: uint16, enum: {7: running}}",
    "{name: broken, address: holding/3, type: uint16, sentinels: [7]}",
)
TK102 = device("tk102", 2, "{name: level, address: holding/0, type: int16}")


def seven(tag: Tag, at: float) -> Scalar:
    """Every register holds 7, whatever becomes of it."""
    return {"level": 0.7 if tag.device == "tk101" else 7, "pump": "running"}.get(tag.name, 7)


class Plant:
    """Two devices on one port, and the configuration that reads them."""

    def __init__(self, server: Server, faults: Faults, file: Path) -> None:
        self.server = server
        self.faults = faults
        self.file = file

    async def probe(self, *arguments: str) -> Ended:
        return await tidegate("probe", "-c", self.file, "--lang", "en", *arguments)

    async def report(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """The readings by ``device/tag``."""
        ended = await self.probe("--format", "json", *arguments)
        readings = json.loads(ended.out)["readings"]
        return {f"{found['device']}/{found['tag']}": found for found in readings}


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    faults = Faults()
    draft = load(write_site(tmp_path, modbus_link(1, TK101, TK102)))
    link = draft.links[0]
    assert isinstance(link.config, ModbusLink)
    async with await serve(link.config, link.tags, seven, faults) as server:
        yield Plant(
            server, faults, write_site(tmp_path, modbus_link(server.port, TK101, TK102))
        )


async def test_every_tag_is_shown_with_raw_value_unit_quality_and_time(plant: Plant) -> None:
    ended = await plant.probe()
    assert ended.code == 0
    rows = [line.split() for line in ended.out.splitlines()]
    assert ["line", "tk101", "level", "7", "0.7", "m", "good"] in [row[:7] for row in rows]
    assert "tags asked 5: good 4, not good 1, no answer 0" in ended.out


async def test_raw_and_value_are_those_of_one_answer(plant: Plant) -> None:
    found = await plant.report()
    assert (found["tk101/pump"]["raw"], found["tk101/pump"]["value"]) == (7, "running")
    assert found["tk101/broken"]["raw"] == 7
    assert found["tk101/broken"]["value"] is None
    assert found["tk101/broken"]["quality"] == "bad.sensor"
    assert 0 < found["tk101/level"]["ms"] < 1000
    assert plant.server.requests == 2


@pytest.mark.parametrize(
    ("what", "tags"),
    [
        ("line", 5),
        ("line/tk101", 4),
        ("line/tk101/level", 1),
    ],
)
async def test_only_what_was_named_is_read(plant: Plant, what: str, tags: int) -> None:
    found = await plant.report(what)
    assert len(found) == tags
    assert plant.server.requests == (2 if what == "line" else 1)


async def test_a_silent_device_says_why_and_the_rest_still_comes(plant: Plant) -> None:
    plant.faults[1] = Fault(silent=True)
    found = await plant.report()
    assert not found["tk101/level"]["answered"]
    assert found["tk101/level"]["quality"] == "bad.no_communication"
    assert found["tk101/level"]["reason"]
    assert found["tk102/level"]["value"] == 7


async def test_a_refused_tag_is_named_alone(plant: Plant) -> None:
    plant.faults[1] = Fault(refused=frozenset({2}))
    found = await plant.report()
    refused = [name for name, one in found.items() if one["reason"]]
    assert refused == ["tk101/pump"]
    assert "exception 2" in found["tk101/pump"]["reason"]
    assert found["tk101/pump"]["answered"]


async def test_a_device_that_refuses_everything_was_reached(plant: Plant) -> None:
    plant.faults[1] = plant.faults[2] = Fault(exception=1)
    ended = await plant.probe()
    assert ended.code == 0
    assert "exception 1" in ended.out


async def test_when_no_device_answers_the_exit_code_is_69(plant: Plant) -> None:
    plant.faults[1] = plant.faults[2] = Fault(silent=True)
    ended = await plant.probe()
    assert ended.code == 69
    assert "nothing could be reached" in ended.err


async def test_when_nothing_listens_the_exit_code_is_69(tmp_path: Path) -> None:
    file = write_site(tmp_path, modbus_link(free_port(), TK101))
    ended = await tidegate("probe", "-c", file)
    assert ended.code == 69
    assert "refused" in ended.out


async def test_a_dead_link_does_not_hide_a_living_one(plant: Plant, tmp_path: Path) -> None:
    dead = device("tk900", 9, "{name: level, address: holding/0, type: int16}")
    links = modbus_link(free_port(), dead, name="dead")
    links += modbus_link(plant.server.port, TK102)
    ended = await tidegate("probe", "-c", write_site(tmp_path, links))
    assert ended.code == 0
    assert "tags asked 2: good 1, not good 0, no answer 1" in ended.out


async def test_a_device_that_never_answers_is_not_asked_for_ever(tmp_path: Path) -> None:
    tags = [f"{{name: t{i}, address: holding/{1000 * i}, type: int16}}" for i in range(6)]
    links = device("tk101", 1, *tags)
    draft = load(write_site(tmp_path, modbus_link(1, links))).links[0]
    assert isinstance(draft.config, ModbusLink)
    faults = Faults()
    faults[1] = Fault(silent=True)
    async with await serve(draft.config, draft.tags, seven, faults) as server:
        file = write_site(tmp_path, modbus_link(server.port, links))
        ended = await tidegate("probe", "-c", file)
        assert server.requests == 2
    assert "not asked any more: tk101 was silent twice" in ended.out


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("lines", "there is no link `lines`; did you mean `line`?"),
        ("line/tkl01", "link `line` has no device `tkl01`; did you mean `tk101`?"),
        ("line/tk101/levle", "device `tk101` has no tag `levle`; did you mean `level`?"),
        ("line/tk101/zzz", "device `tk101` has no tag `zzz`\n"),
    ],
)
async def test_an_unknown_name_gets_a_suggestion_and_nothing_is_asked(
    plant: Plant, what: str, told: str
) -> None:
    ended = await plant.probe(what)
    assert ended.code == 2
    assert told in ended.err
    assert plant.server.requests == 0


async def test_nothing_is_published_and_no_journal_is_opened(plant: Plant) -> None:
    await plant.probe()
    assert sorted(path.name for path in plant.file.parent.iterdir()) == ["gateway.yaml"]
    assert plant.server.writes_seen == 0


async def test_a_pipe_gets_neither_colour_nor_progress(plant: Plant) -> None:
    ended = await plant.probe()
    assert "\x1b" not in ended.out
    assert ended.err == ""


async def test_ctrl_c_ends_in_order_and_shows_what_had_come(tmp_path: Path) -> None:
    links = [
        device(f"tk{unit}", unit, "{name: level, address: holding/0, type: int16}")
        for unit in (1, 2)
    ]
    draft = load(write_site(tmp_path, modbus_link(1, *links))).links[0]
    assert isinstance(draft.config, ModbusLink)
    faults = Faults()
    faults[2] = Fault(delay_s=60)
    asked = asyncio.Event()

    def on_reply(*_: object) -> None:
        asked.set()

    link = draft.config
    async with await serve(link, draft.tags, seven, faults, on_reply=on_reply) as server:
        patient = modbus_link(server.port, *links).replace("200ms", "25s")
        async with running("probe", "-c", write_site(tmp_path, patient)) as process:
            async with asyncio.timeout(PATIENCE_S):
                await asked.wait()
            process.send_signal(signal.SIGINT)
            ended = await cli_stage.end(process)
    assert ended.code == 130
    assert "Traceback" not in ended.err
    assert "interrupted" in ended.err
    assert "tags asked 2: good 1, not good 0, no answer 1" in ended.out
