"""The simulator serves what a configuration describes, truly or as its faults say."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import struct
from typing import Any

import pytest

from drivers.modbus import DRIVER
from drivers.modbus.address import REGISTERS
from drivers.modbus.admission import ExceptionReply, Refusal, admit
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.plan import Request
from drivers.modbus.simulator import Fault, Faults, Server, serve
from gateway.clock import Clock
from gateway.driver import FAULTS
from gateway.errors import ConnectError, DeviceError, DeviceSilentError
from gateway.model import Block, DataType, Scalar, Tag
from tests.modbus.site import by_name, driver_for, registers, written
from tests.patience import PATIENCE_S

TYPES: dict[str, Scalar] = {
    "int16": -12345,
    "uint16": 54321,
    "int32": -1234567890,
    "uint32": 4000000000,
    "int64": -(2**63) + 1,
    "uint64": 2**64 - 1,
    "float32": -0.15625,
    "float64": 0.1,
    "bcd16": 1234,
    "bcd32": 98765432,
    "string": "TK-101",
    "bool": True,
}
"""float32: 0.15625 is exact in binary."""


def every_type() -> list[dict[str, Any]]:
    """One tag of each type in each order, and bits of both bit tables."""
    tags: list[dict[str, Any]] = []
    for table in ("holding", "input"):
        offset = 10
        for order in ("ABCD", "CDAB", "BADC", "DCBA"):
            for type_ in TYPES:
                tag: dict[str, Any] = {"type": type_, "order": order}
                tag |= {"name": f"{table}.{order}.{type_}", "address": f"{table}/{offset}"}
                tag |= {"length": 7} if type_ == "string" else {}
                tag |= {"bit": 11} if type_ == "bool" else {}
                tags.append(tag)
                offset += 5
    for table in ("coil", "discrete"):
        names = [f"{table}{n}" for n in range(3, 40, 3)]
        tags += [
            {"name": n, "address": f"{table}/{n[len(table) :]}", "type": "bool"} for n in names
        ]
    return tags


def constant(tag: Tag, at: float) -> Scalar:
    return TYPES[tag.type]


SILENCE_S = 0.05
"""How long nothing is waited for, where nothing is to come."""


async def exchange(server: Server, request: bytes, limit_s: float = PATIENCE_S) -> bytes:
    """The bytes the simulator answers to one frame; empty when it says nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    try:
        async with asyncio.timeout(limit_s):
            return await reader.read(300)
    except TimeoutError:
        return b""
    finally:
        writer.close()


def ask(unit: int = 1, function: int = 3, offset: int = 0, count: int = 2) -> bytes:
    return struct.pack(">HHHBBHH", 7, 0, 6, unit, function, offset, count)


async def test_every_delivered_value_equals_what_the_server_held() -> None:
    link, tags = written({"name": "d", "unit": 1, "tags": every_type()})
    async with await serve(link, tags, constant, Faults()) as server:
        driver = driver_for(link, server.port)
        await driver.connect()
        for block in driver.plan(tags):
            batch = await driver.read(block)
            assert batch.quality is None
            for reading in batch.readings():
                held = constant(reading.tag, 0.0)
                assert (reading.value, type(reading.value)) == (held, type(held)), reading
        await driver.close()


async def test_whole_plants_of_random_tags_and_values_arrive_exactly() -> None:
    die = random.Random(7)
    for _ in range(5):
        tags, worth, offset = [], {}, 0
        for n in range(300):
            type_ = die.choice([name for name in TYPES if name not in ("bool", "string")])
            offset += die.choice([0, 0, 1, 5, 130])
            tag = {"name": f"t{n}", "address": f"holding/{offset}", "type": type_}
            tags.append(tag | {"order": die.choice(["ABCD", "CDAB", "BADC", "DCBA"])})
            offset += REGISTERS[DataType(type_)]
            worth[f"t{n}"] = any_value(die, type_)
        shape = {"max_registers": die.randint(4, 125), "max_gap": die.randint(0, 125)}
        link, planned = written({"name": "d", "unit": 1, "tags": tags} | shape, timeout="10s")
        server = await serve(link, planned, lambda tag, at: worth[tag.name], Faults())  # noqa: B023
        async with server:
            driver = driver_for(link, server.port)
            await driver.connect()
            found: dict[str, Scalar] = {}
            for block in driver.plan(planned):
                found |= by_name(await driver.read(block))
            await driver.close()
        assert found == worth


def any_value(die: random.Random, type_: str) -> Scalar:
    """A random value that the type holds exactly."""
    if type_.startswith("bcd"):
        return die.randint(0, 9999 if type_ == "bcd16" else 99999999)
    bits = int(type_[-2:])
    if type_.startswith("float"):
        return math.ldexp(die.randint(-(2**23), 2**23), -die.randint(0, 40))
    low = 0 if type_.startswith("u") else -(1 << bits - 1)
    return die.randint(low, low + (1 << bits) - 1)


async def test_it_tells_what_it_really_sent() -> None:
    said: list[tuple[int, int, int, int, bytes, int]] = []
    link, tags = written({"name": "d", "unit": 5, "tags": registers(2)})
    server = await serve(
        link, tags, lambda tag, at: 258, Faults(), on_reply=lambda *what: said.append(what)
    )
    async with server:
        await exchange(server, ask(unit=5))
    (what,) = said
    assert what[:5] == (5, 3, 0, 2, b"\1\2\1\2")
    assert what[5] <= Clock().monotonic_ns()


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (ask(offset=0, count=3), b"\0\1\0\0\0\1"),
        (ask(offset=2, count=2), ExceptionReply(2)),
        (ask(offset=100), ExceptionReply(2)),
        (ask(function=4), ExceptionReply(2)),
        (ask(count=0), ExceptionReply(3)),
        (ask(count=126), ExceptionReply(3)),
    ],
)
async def test_unconfigured_registers_between_values_are_zero_and_others_are_refused(
    request_: bytes, answer: bytes | ExceptionReply
) -> None:
    tags = [tag for tag in registers(3) if tag["name"] != "r1"]
    link, planned = written({"name": "d", "unit": 1, "tags": tags})
    async with await serve(link, planned, lambda tag, at: 1, Faults()) as server:
        assert admit(request_, await exchange(server, request_)) == answer


@pytest.mark.parametrize("function", [5, 6, 15, 16, 22, 23, 43])
async def test_a_write_is_refused_and_counted(function: int) -> None:
    link, tags = written({"name": "d", "unit": 1, "tags": registers(2)})
    async with await serve(link, tags, lambda tag, at: 1, Faults()) as server:
        answer = await exchange(server, ask(function=function))
        assert answer == ask()[:4] + b"\0\3\1" + bytes((function | 0x80, 1))
        assert (server.writes_seen, server.requests) == (1, 1)


async def test_a_request_that_cuts_through_a_value_gets_its_half() -> None:
    tags = [{"name": "t", "address": "holding/0", "type": "uint32"}]
    link, planned = written({"name": "d", "unit": 1, "tags": tags})
    async with await serve(link, planned, lambda tag, at: 0x01020304, Faults()) as server:
        low = ask(offset=1, count=1)
        assert admit(low, await exchange(server, low)) == b"\3\4"


async def test_an_unknown_unit_does_not_answer() -> None:
    link, tags = written({"name": "d", "unit": 1, "tags": registers(2)})
    async with await serve(link, tags, lambda tag, at: 1, Faults()) as server:
        assert await exchange(server, ask(unit=2), SILENCE_S) == b""


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (Fault(transaction=0), Refusal.TRANSACTION),
        (Fault(transaction_shift=1), Refusal.TRANSACTION),
        (Fault(unit=9), Refusal.UNIT),
        (Fault(function=4), Refusal.FUNCTION),
        (Fault(resize=-1), Refusal.BYTE_COUNT),
        (Fault(resize=2), Refusal.BYTE_COUNT),
        (Fault(empty=True), Refusal.BYTE_COUNT),
        (Fault(silent=True), Refusal.SHORT),
        (Fault(delay_s=60), Refusal.SHORT),
        (Fault(exception=6), ExceptionReply(6)),
        (Fault(refused=frozenset({1})), ExceptionReply(2)),
        (Fault(refused=frozenset({2})), b"\0\1\0\1"),
    ],
)
async def test_each_fault_does_what_it_says_and_heals(fault: Fault, answer: object) -> None:
    faults = Faults()
    link, tags = written({"name": "d", "unit": 1, "tags": registers(3)})
    async with await serve(link, tags, lambda tag, at: 1, faults) as server:
        faults[1] = fault
        limit_s = SILENCE_S if answer is Refusal.SHORT else PATIENCE_S
        assert admit(ask(), await exchange(server, ask(), limit_s)) == answer
        faults.heal()
        assert admit(ask(), await exchange(server, ask())) == b"\0\1\0\1"


async def test_the_driver_can_stand_up_its_own_devices_and_let_them_fail_by_word() -> None:
    link, tags = written({"name": "d", "unit": 1, "tags": registers(3)})
    simulation = await DRIVER.simulate(link, tags, lambda tag, at: 1, 0)
    assert isinstance(simulation, Server)
    answers: dict[str | None, object] = {}
    for fault in (*FAULTS, None):
        simulation.fail("d", fault)
        limit_s = SILENCE_S if fault in ("timeout", "late") else PATIENCE_S
        answers[fault] = admit(ask(), await exchange(simulation, ask(), limit_s))
    assert simulation.url == f"tcp://127.0.0.1:{simulation.port}"
    await simulation.stop()
    assert answers == {
        "timeout": Refusal.SHORT,
        "late": Refusal.SHORT,
        "exception": ExceptionReply(4),
        "frozen": b"\0\1\0\1",
        None: b"\0\1\0\1",
    }


async def test_a_port_that_is_taken_is_a_connect_error() -> None:
    link, tags = written({"name": "d", "unit": 1, "tags": registers(3)})
    async with await serve(link, tags, lambda tag, at: 1, Faults()) as server:
        with pytest.raises(ConnectError, match="in use"):
            await DRIVER.simulate(link, tags, lambda tag, at: 1, server.port)


async def test_frozen_values_stand_still_until_they_thaw() -> None:
    class Moving(Clock):
        now = 100.0

        def monotonic(self) -> float:
            return self.now

    clock, faults = Moving(), Faults()
    link, tags = written({"name": "d", "unit": 1, "tags": registers(2)})
    seen = []
    server = await serve(link, tags, lambda tag, at: round(at), faults, clock=clock)
    async with server:
        for clock.now, fault in [(100.0, Fault()), (200.0, Fault(frozen=True)),
                                 (300.0, Fault(frozen=True)), (400.0, Fault())]:  # fmt: skip
            faults[1] = fault
            seen.append(int.from_bytes((await exchange(server, ask()))[9:11], "big"))
    assert seen == [100, 200, 200, 400]


async def test_a_late_answer_with_id_zero_never_becomes_a_value() -> None:
    faults = Faults()
    link, tags = written({"name": "d", "unit": 1, "tags": registers(2)}, timeout="20ms")
    async with await serve(link, tags, lambda tag, at: tag.address.offset, faults) as server:
        driver = driver_for(link, server.port)
        (block,) = driver.plan(tags)
        faults[1] = Fault(delay_s=0.03, transaction=0)
        for _ in range(5):
            await driver.connect()
            with pytest.raises(DeviceSilentError):
                await driver.read(block)
        faults.heal()
        await driver.connect()
        assert by_name(await driver.read(block)) == {"r0": 0, "r1": 1}
        await driver.close()


async def refused_tags(driver: ModbusDriver, block: Block[Request]) -> list[Tag]:
    """The tags of ``block`` that the device refuses even alone."""
    with contextlib.suppress(DeviceError):
        await driver.read(block)
        return []
    middle = len(block.tags) // 2
    if not middle:
        return list(block.tags)
    halves = [*driver.plan(block.tags[:middle]), *driver.plan(block.tags[middle:])]
    return [tag for half in halves for tag in await refused_tags(driver, half)]


async def test_a_refused_register_is_found_by_halves() -> None:
    faults = Faults()
    faults[1] = Fault(refused=frozenset({5}))
    link, tags = written({"name": "d", "unit": 1, "tags": registers(8)})
    async with await serve(link, tags, lambda tag, at: 1, faults) as server:
        driver = driver_for(link, server.port)
        await driver.connect()
        whole = list(driver.plan(tags))
        alone = [tag.name for block in whole for tag in await refused_tags(driver, block)]
        await driver.close()
    assert alone == ["r5"]
