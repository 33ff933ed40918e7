"""What every driver must keep; it runs on each driver found in `drivers`.

A driver without a `BENCHES` entry fails here: add how to stand it up and take it down.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

import drivers
from drivers.modbus.settings import ModbusLink
from drivers.modbus.simulator import Faults, serve
from gateway.clock import Clock
from gateway.driver import Driver, Subscribing, check_plan
from gateway.errors import ConnectError
from gateway.loader import LinkSite, from_text
from gateway.model import Quality, Scalar, Tag
from tests.loopback import free_port

NAMES = [module.name for module in pkgutil.iter_modules(drivers.__path__)]

HEAD = """
version: 1
gateway: {id: bench}
mqtt: {urls: ["mqtt://127.0.0.1"]}
journal: {path: /nowhere}
links:
"""


@dataclass
class Bench:
    """A driver with a device to talk to, and one whose device is not there."""

    driver: Driver[Any]
    tags: list[Tag]
    lonely: Driver[Any]
    requests: Callable[[], int] | None = None
    """Requests the device has received so far, where it can tell."""


def link_of(text: str) -> LinkSite:
    (link,) = from_text(HEAD + text).links
    return link


@asynccontextmanager
async def sim() -> AsyncIterator[Bench]:
    """The driver that needs no hardware."""
    link = link_of("""
  - name: bench
    driver: sim
    devices:
      - {name: pump, tags: [{name: flow, address: sine/60, range: [0, 12]},
                            {name: level, address: ramp/9, interval: 5s},
                            {name: stuck, address: square/2, sentinels: [1.0]}]}
      - {name: fan, tags: [{name: speed, address: sine/7}]}
""")
    driver, lonely = (link.driver(link.config, Clock()) for _ in range(2))
    lonely.online = False  # type: ignore[attr-defined]  # SimDriver's switch
    yield Bench(driver, list(link.tags), lonely)


MODBUS = """
  - name: line
    driver: modbus
    url: tcp://127.0.0.1:{port}
    devices:
      - name: tk101
        unit: 1
        tags:
          - {{name: level, address: holding/100, type: float32, order: CDAB}}
          - {{name: broken, address: holding/104, type: float32}}
          - {{name: count, address: holding/106, type: uint64, interval: 5s}}
          - {{name: pressure, address: input/12, type: int16,
             scale: {{raw: [0, 27648], span: [0, 1.6]}}}}
          - {{name: valve, address: coil/3, type: bool}}
      - name: tk102
        unit: 2
        tags:
          - {{name: level, address: holding/100, type: float32}}
"""


def worth(tag: Tag, at: float) -> Scalar:
    """``broken`` is a float that is no number."""
    return math.nan if tag.name == "broken" else 1


@asynccontextmanager
async def modbus() -> AsyncIterator[Bench]:
    """The Modbus driver against the simulator of the same configuration."""
    link = link_of(MODBUS.format(port=1))
    assert isinstance(link.config, ModbusLink)
    async with await serve(link.config, link.tags, worth, Faults()) as server:
        here = link_of(MODBUS.format(port=server.port))
        away = link_of(MODBUS.format(port=closed_port()))
        yield Bench(
            here.driver(here.config, Clock()),
            list(here.tags),
            away.driver(away.config, Clock()),
            lambda: server.requests,
        )


OPCUA = """
  - name: dcs
    driver: opcua
    url: opc.tcp://127.0.0.1:{port}
    devices:
      - name: r201
        tags:
          - {{name: temperature, address: "nsu=urn:plant;s=T"}}
          - {{name: broken, address: "nsu=urn:plant;s=B", type: float32}}
          - {{name: count, address: "nsu=urn:plant;i=7", type: uint64, interval: 5s}}
          - {{name: valve, address: "nsu=urn:plant;s=V", type: bool, opcua: {{mode: poll}}}}
      - name: r202
        tags:
          - {{name: temperature, address: "nsu=urn:plant;s=R202.T"}}
"""


@asynccontextmanager
async def opcua() -> AsyncIterator[Bench]:
    """The OPC UA driver against the simulator of the same configuration."""
    port = closed_port()
    here, away = link_of(OPCUA.format(port=port)), link_of(OPCUA.format(port=closed_port()))
    simulation = await here.driver.simulate(here.config, here.tags, worth, port)
    try:
        yield Bench(
            here.driver(here.config, Clock()),
            list(here.tags),
            away.driver(away.config, Clock()),
        )
    finally:
        await simulation.stop()


BENCHES: dict[str, Callable[[], AbstractAsyncContextManager[Bench]]] = {
    "sim": sim,
    "modbus": modbus,
    "opcua": opcua,
}


def closed_port() -> int:
    """A port on which nobody listens."""
    return free_port()


@pytest.fixture(params=NAMES)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """Each driver in turn."""
    async with BENCHES[request.param]() as bench:
        yield bench
        await bench.driver.close()
        await bench.lonely.close()


@pytest.mark.parametrize("name", NAMES)
def test_each_driver_is_found_by_its_word(name: str) -> None:
    found = importlib.import_module(f"drivers.{name}").DRIVER
    assert issubclass(found, Driver)
    assert name in BENCHES, f"{name}: tests/contract has no bench for it"


async def test_every_tag_is_in_one_block_with_its_device_and_interval(bench: Bench) -> None:
    check_plan(bench.tags, bench.driver.plan(bench.tags))


async def test_only_a_driver_that_does_not_adopt_devices_subscribes(bench: Bench) -> None:
    subscribed = [block for block in bench.driver.plan(bench.tags) if block.subscribed]
    assert bool(subscribed) <= isinstance(bench.driver, Subscribing)
    assert not (subscribed and bench.driver.can_adopt)


async def test_half_a_block_can_be_planned_again(bench: Bench) -> None:
    for block in bench.driver.plan(bench.tags):
        half = block.tags[: max(1, len(block.tags) // 2)]
        check_plan(half, bench.driver.plan(half))


async def test_planning_is_pure_and_needs_no_device(bench: Bench) -> None:
    plans = [
        [[tag.name for tag in block.tags] for block in bench.lonely.plan(bench.tags)]
        for _ in range(2)
    ]
    assert plans[0] == plans[1]


async def test_no_tags_make_no_blocks(bench: Bench) -> None:
    assert list(bench.driver.plan([])) == []


async def test_a_batch_has_columns_of_one_length_and_its_own_block(bench: Bench) -> None:
    await bench.driver.connect()
    for block in bench.driver.plan(bench.tags):
        batch = await bench.driver.read(block)
        assert batch.block is block
        rows = len(block.tags) if batch.index is None else len(batch.index)
        times = (batch.source_time_ns, batch.server_time_ns)
        columns = (batch.values, batch.quality, *times)
        assert {len(column) for column in columns if column is not None} == {rows}


async def test_there_is_a_value_exactly_where_the_quality_is_not_bad(bench: Bench) -> None:
    await bench.driver.connect()
    for block in bench.driver.plan(bench.tags):
        for reading in (await bench.driver.read(block)).readings():
            assert (reading.value is None) == (reading.quality >= Quality.BAD), reading
            assert not (isinstance(reading.value, float) and not math.isfinite(reading.value))


async def test_the_times_of_a_batch_enclose_the_reading(bench: Bench) -> None:
    clock = Clock()
    await bench.driver.connect()
    for block in bench.driver.plan(bench.tags):
        before = clock.monotonic_ns()
        batch = await bench.driver.read(block)
        assert batch.mono_ns is not None
        assert before <= batch.mono_ns[0] <= batch.mono_ns[1] <= clock.monotonic_ns()
        assert abs(batch.time_ns - clock.now_ns()) < 60e9


async def test_a_device_that_is_not_there_is_a_connect_error_every_time(bench: Bench) -> None:
    for _ in range(2):
        with pytest.raises(ConnectError):
            await bench.lonely.connect()
        await bench.lonely.close()


async def test_closing_is_safe_at_any_time_and_any_number_of_times(bench: Bench) -> None:
    await bench.driver.close()
    await bench.driver.connect()
    await bench.driver.close()
    await bench.driver.close()


async def test_after_closing_it_can_connect_and_read_again(bench: Bench) -> None:
    block = bench.driver.plan(bench.tags)[0]
    for _ in range(2):
        await bench.driver.connect()
        assert len(await bench.driver.read(block)) == len(block.tags)
        await bench.driver.close()


async def test_connecting_twice_leaves_one_connection_that_reads(bench: Bench) -> None:
    block = bench.driver.plan(bench.tags)[0]
    await bench.driver.connect()
    await bench.driver.connect()
    assert len(await bench.driver.read(block)) == len(block.tags)


async def test_one_read_is_one_request(bench: Bench) -> None:
    if bench.requests is None:
        return
    await bench.driver.connect()
    for read, block in enumerate(bench.driver.plan(bench.tags), start=1):
        await bench.driver.read(block)
        assert bench.requests() == read
