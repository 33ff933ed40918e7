"""Our simulator serves, mbpoll reads: a Modbus client that none of us wrote."""

from __future__ import annotations

import asyncio
import re

import pytest

from drivers.modbus.simulator import Faults, serve
from gateway.model import Scalar, Tag
from tests.conftest import require_program
from tests.modbus.site import written

pytestmark = pytest.mark.peer

VALUES: dict[str, Scalar] = {
    "h0": 54321,
    "h1": 7,
    "i32": -1234567890,
    "f32": 123456.0,
    "f32.swapped": -0.15625,
    "in": 4242,
    "c0": True,
    "c1": False,
    "c2": True,
    "d0": True,
}

TAGS = [
    {"name": "h0", "address": "holding/0", "type": "uint16"},
    {"name": "h1", "address": "holding/1", "type": "uint16"},
    {"name": "i32", "address": "holding/2", "type": "int32"},
    {"name": "f32", "address": "holding/4", "type": "float32"},
    {"name": "f32.swapped", "address": "holding/6", "type": "float32", "order": "CDAB"},
    {"name": "in", "address": "input/12", "type": "int16"},
    {"name": "c0", "address": "coil/3", "type": "bool"},
    {"name": "c1", "address": "coil/4", "type": "bool"},
    {"name": "c2", "address": "coil/5", "type": "bool"},
    {"name": "d0", "address": "discrete/9", "type": "bool"},
]


def held(tag: Tag, at: float) -> Scalar:
    return VALUES[tag.name]


async def mbpoll(port: int, *options: str) -> list[float]:
    """The numbers mbpoll prints."""
    program = require_program("mbpoll")
    process = await asyncio.create_subprocess_exec(
        program, "-m", "tcp", "-a", "17", "-0", "-1", "-p", str(port), *options, "127.0.0.1",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, output.decode()
    numbers = re.findall(r"(?m)^\[\d+\]:\s+(-?[0-9.e+-]+)", output.decode())
    return [float(number) for number in numbers]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["-t", "4", "-r", "0", "-c", "2"], [54321.0, 7.0]),
        (["-t", "4:int", "-B", "-r", "2", "-c", "1"], [-1234567890.0]),
        (["-t", "4:float", "-B", "-r", "4", "-c", "1"], [123456.0]),
        (["-t", "4:float", "-r", "6", "-c", "1"], [-0.15625]),
        (["-t", "3", "-r", "12", "-c", "1"], [4242.0]),
        (["-t", "0", "-r", "3", "-c", "3"], [1.0, 0.0, 1.0]),
        (["-t", "1", "-r", "9", "-c", "1"], [1.0]),
    ],
)
async def test_mbpoll_reads_what_the_simulator_holds(
    options: list[str], numbers: list[float]
) -> None:
    link, tags = written({"name": "d", "unit": 17, "tags": TAGS})
    async with await serve(link, tags, held, Faults()) as server:
        assert await mbpoll(server.port, *options) == numbers


async def test_what_mbpoll_writes_is_refused_and_counted() -> None:
    link, tags = written({"name": "d", "unit": 17, "tags": TAGS})
    async with await serve(link, tags, held, Faults()) as server:
        program = require_program("mbpoll")
        process = await asyncio.create_subprocess_exec(
            program, "-m", "tcp", "-a", "17", "-0", "-r", "0", "-t", "4",
            "-p", str(server.port), "127.0.0.1", "1",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await asyncio.wait_for(process.communicate(), 20)
        assert "Illegal function" in output.decode()
        assert server.writes_seen == 1
        assert await mbpoll(server.port, "-t", "4", "-r", "0", "-c", "1") == [54321.0]
