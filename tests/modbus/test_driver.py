"""The driver against devices: values, refusals, silence, the gap between requests."""

from __future__ import annotations

import asyncio
import math
import struct
import subprocess
import sys
from typing import Any

import pytest

from drivers.modbus.driver import ModbusDriver
from gateway.clock import Clock
from gateway.errors import DeviceError, DeviceSilentError, LinkError
from gateway.model import Cause, Quality
from tests.modbus.site import by_name, device, driver_for, registers, truth, written


def words(*numbers: int) -> Any:
    """A device that answers every request with these registers."""

    def reply(request: bytes, writer: asyncio.Transport) -> None:
        pdu = struct.pack(f">BB{len(numbers)}H", request[7], 2 * len(numbers), *numbers)
        writer.write(request[:4] + (len(pdu) + 1).to_bytes(2, "big") + request[6:7] + pdu)

    return reply


def exception(code: int) -> Any:
    """A device that answers every request with this exception."""
    return lambda r, w: w.write(r[:4] + b"\0\3" + r[6:7] + bytes((r[7] | 0x80, code)))


async def read_one(reply: Any, tags: list[dict[str, Any]], **link: Any) -> Any:
    model, planned = written({"name": "d", "unit": 1, "tags": tags}, **link)
    async with device(reply) as port:
        driver = driver_for(model, port)
        (block,) = driver.plan(planned)
        await driver.connect()
        try:
            return await driver.read(block)
        finally:
            await driver.close()


async def test_a_batch_has_the_values_and_the_times_of_request_and_reply() -> None:
    batch = await read_one(words(1, 0xFFFF), registers(2))
    assert by_name(batch) == {"r0": 1, "r1": -1}
    assert batch.quality is None
    assert batch.mono_ns is not None
    assert batch.mono_ns[0] < batch.mono_ns[1]
    assert abs(batch.time_ns - Clock().now_ns()) < 10e9


async def test_where_there_is_no_value_the_quality_is_bad() -> None:
    tags = [
        {"name": "bcd", "address": "holding/0", "type": "bcd16"},
        {"name": "nan", "address": "holding/1", "type": "float32"},
        {"name": "good", "address": "holding/3", "type": "uint16"},
    ]
    batch = await read_one(words(0x00AB, 0x7FC0, 0, 9), tags)
    assert by_name(batch) == {"bcd": None, "nan": None, "good": 9}
    assert batch.quality == bytes((Quality.BAD, Quality.BAD_NOT_FINITE, Quality.GOOD))


@pytest.mark.parametrize(
    ("code", "quality", "cause", "divisible"),
    [
        (1, Quality.BAD_CONFIGURATION, Cause.DEVICE_REFUSED, False),
        (2, Quality.BAD_CONFIGURATION, Cause.DEVICE_REFUSED, True),
        (3, Quality.BAD_CONFIGURATION, Cause.DEVICE_REFUSED, True),
        (4, Quality.BAD_DEVICE_FAILURE, Cause.DEVICE_EXCEPTION, False),
        (5, Quality.BAD_NO_COMMUNICATION, Cause.DEVICE_EXCEPTION, False),
        (6, Quality.BAD_NO_COMMUNICATION, Cause.DEVICE_EXCEPTION, False),
        (8, Quality.BAD_DEVICE_FAILURE, Cause.DEVICE_EXCEPTION, False),
        (10, Quality.BAD_NO_COMMUNICATION, Cause.DEVICE_EXCEPTION, False),
        (11, Quality.BAD_NO_COMMUNICATION, Cause.DEVICE_EXCEPTION, False),
        (99, Quality.BAD_DEVICE_FAILURE, Cause.DEVICE_EXCEPTION, False),
    ],
)
async def test_an_exception_marks_the_block_and_keeps_the_connection(
    code: int, quality: Quality, cause: Cause, divisible: bool
) -> None:
    model, tags = written({"name": "d", "unit": 1, "tags": registers(2)})
    async with device(exception(code)) as port:
        driver = driver_for(model, port)
        (block,) = driver.plan(tags)
        await driver.connect()
        with pytest.raises(DeviceError):
            await driver.read(block)
        with pytest.raises(DeviceError) as caught:
            await driver.read(block)
        await driver.close()
    error = caught.value
    assert not isinstance(error, DeviceSilentError)
    assert (error.quality, error.cause, error.divisible) == (quality, cause, divisible)
    assert f"d unit 1 holding/0..1: exception {code}" in str(error)


async def test_each_device_has_its_own_timeout() -> None:
    model, tags = written(
        {"name": "slow", "unit": 1, "timeout": "60s", "tags": registers(1)},
        {"name": "fast", "unit": 2, "timeout": "20ms", "tags": registers(1)},
        timeout="30s",
    )
    async with device(lambda request, writer: None) as port:
        driver = driver_for(model, port)
        slow, fast = driver.plan(tags)
        assert (slow.request.timeout_s, fast.request.timeout_s) == (60.0, 0.02)
        await driver.connect()
        with pytest.raises(DeviceSilentError, match="unit 2"):
            await driver.read(fast)


async def test_after_a_read_it_says_how_long_the_line_must_rest() -> None:
    model, tags = written(
        {"name": "d", "unit": 1, "gap": "30s", "tags": registers(1)},
        {"name": "e", "unit": 2, "tags": registers(1)},
    )
    async with device(lambda request, writer: writer.write(truth(request))) as port:
        driver = driver_for(model, port)
        patient, other = driver.plan(tags)
        await driver.connect()
        pauses = []
        for block in (patient, other):
            await driver.read(block)
            pauses.append(driver.pause_s)
        await driver.close()
    assert pauses == [30.0, 0.0]


async def test_reading_before_connecting_is_a_link_error() -> None:
    model, tags = written({"name": "d", "unit": 1, "tags": registers(1)})
    driver = driver_for(model, 1)
    with pytest.raises(LinkError, match="not connected"):
        await driver.read(driver.plan(tags)[0])


async def test_after_silence_connect_is_enough_to_read_again() -> None:
    silent = True

    def reply(request: bytes, writer: asyncio.Transport) -> None:
        if not silent:
            writer.write(truth(request))

    model, tags = written({"name": "d", "unit": 1, "tags": registers(1)}, timeout="20ms")
    async with device(reply) as port:
        driver = driver_for(model, port)
        (block,) = driver.plan(tags)
        await driver.connect()
        with pytest.raises(DeviceSilentError):
            await driver.read(block)
        silent = False
        await driver.connect()
        assert len(await driver.read(block)) == 1
        await driver.close()


def test_it_reads_on_uvloop_too() -> None:
    uvloop = pytest.importorskip("uvloop")
    batch = uvloop.run(read_one(words(1, 2), registers(2)))
    assert list(batch.values) == [1, 2]


def test_settings_are_understood_without_loading_pymodbus() -> None:
    script = "import sys, drivers.modbus; sys.exit('pymodbus' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_plans_of_halves_are_plans() -> None:
    model, tags = written({"name": "d", "unit": 1, "tags": registers(100)})
    driver = ModbusDriver(model, Clock())
    (block,) = driver.plan(tags)
    (half,) = driver.plan(block.tags[:50])
    assert half.request.count == 50
    assert math.isclose(half.request.timeout_s, 1.0)
