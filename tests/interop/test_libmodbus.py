"""libmodbus serves, our driver reads: every function code and type, to the bit.

libmodbus is written by others; its macros place the values where it has them.
"""

from __future__ import annotations

import asyncio
import math
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import DeviceError
from gateway.model import Scalar
from tests.conftest import require_program
from tests.modbus.site import by_name, driver_for, written

pytestmark = pytest.mark.peer

SOURCE = Path(__file__).with_name("modbus_server.c")

HELD: dict[str, tuple[dict[str, Any], Scalar]] = {
    "int16": ({"address": 0, "type": "int16"}, -12345),
    "uint16": ({"address": 1, "type": "uint16"}, 54321),
    "int32": ({"address": 2, "type": "int32"}, -1234567890),
    "uint32": ({"address": 4, "type": "uint32"}, 4000000000),
    "int64": ({"address": 6, "type": "int64"}, -(2**63) + 1),
    "uint64": ({"address": 10, "type": "uint64"}, 2**64 - 1),
    "float32.abcd": ({"address": 14, "type": "float32"}, 123456.0),
    "float32.cdab": ({"address": 16, "type": "float32", "order": "CDAB"}, 123456.0),
    "float32.badc": ({"address": 18, "type": "float32", "order": "BADC"}, 123456.0),
    "float32.dcba": ({"address": 20, "type": "float32", "order": "DCBA"}, 123456.0),
    "float64": ({"address": 22, "type": "float64"}, math.pi),
    "bcd16": ({"address": 26, "type": "bcd16"}, 1234),
    "bcd32": ({"address": 27, "type": "bcd32"}, 98765432),
    "string": ({"address": 29, "type": "string", "length": 6}, "TK-101"),
    "bit": ({"address": 32, "type": "bool", "bit": 11}, True),
    "other bit": ({"address": 32, "type": "bool", "bit": 10}, False),
}
"""What `modbus_server.c` puts into the registers 0 to 99 of both register tables."""


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server, compiled."""
    for name in ("cc", "pkg-config"):
        require_program(name)
    require_program("libmodbus", found=_pkg_config("--exists").returncode == 0)
    target = tmp_path_factory.mktemp("libmodbus") / "modbus_server"
    flags = _pkg_config("--cflags", "--libs").stdout.split()
    # The macros of libmodbus cut values to 16 bits by assignment.
    compile_ = ["cc", "-O1", "-Wno-overflow", "-o", str(target), str(SOURCE), *flags]
    subprocess.run(compile_, check=True, timeout=60)
    return target


def _pkg_config(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["pkg-config", *options, "libmodbus"], capture_output=True, text=True, check=False
    )


@asynccontextmanager
async def server(program: Path) -> AsyncIterator[int]:
    """The port of a running server."""
    process = await asyncio.create_subprocess_exec(program, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(await asyncio.wait_for(process.stdout.readline(), 10))
    finally:
        process.kill()
        await process.wait()


async def values(program: Path, tags: list[dict[str, Any]], **link: Any) -> dict[str, Scalar]:
    """What the driver reads, by tag."""
    model, planned = written({"name": "d", "unit": 1, "tags": tags}, timeout="5s", **link)
    found: dict[str, Scalar] = {}
    async with server(program) as port:
        driver = driver_for(model, port)
        await driver.connect()
        for block in driver.plan(planned):
            batch = await driver.read(block)
            assert batch.quality is None
            found |= by_name(batch)
        await driver.close()
    return found


@pytest.mark.parametrize("table", ["holding", "input"])
async def test_every_type_is_read_as_libmodbus_wrote_it(program: Path, table: str) -> None:
    tags = [
        {"name": name} | tag | {"address": f"{table}/{tag['address']}"}
        for name, (tag, _) in HELD.items()
    ]
    found = await values(program, tags)
    assert found == {name: value for name, (_, value) in HELD.items()}
    assert {type(found[name]) for name in ("int64", "uint64")} == {int}


@pytest.mark.parametrize(("table", "step"), [("coil", 3), ("discrete", 5)])
async def test_full_requests_of_bits(program: Path, table: str, step: int) -> None:
    tags = [
        {"name": f"t{at}", "address": f"{table}/{at}", "type": "bool"}
        for at in range(1000, 3000)
    ]
    found = await values(program, tags)
    assert found == {f"t{at}": at % step == 0 for at in range(1000, 3000)}


async def test_full_requests_of_registers(program: Path) -> None:
    tags = [
        {"name": f"t{at}", "address": f"holding/{at}", "type": "uint16"}
        for at in range(1000, 3000)
    ]
    found = await values(program, tags)
    assert found == {f"t{at}": at * 7 for at in range(1000, 3000)}


async def test_an_address_libmodbus_does_not_have_is_refused_and_divisible(
    program: Path,
) -> None:
    model, tags = written({"name": "d", "unit": 1, "tags": [
        {"name": "t", "address": "holding/5000", "type": "int16"}
    ]}, timeout="5s")  # fmt: skip
    async with server(program) as port:
        driver = driver_for(model, port)
        await driver.connect()
        with pytest.raises(DeviceError, match="exception 2") as caught:
            await driver.read(driver.plan(tags)[0])
        await driver.close()
    assert caught.value.divisible
