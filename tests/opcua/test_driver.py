"""The driver against a real server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.status_codes import StatusCodes

from drivers.opcua.driver import OpcuaDriver
from drivers.opcua.session import Session
from drivers.opcua.transport import READ_SERVICES, ForbiddenServiceError
from gateway.clock import Clock
from gateway.errors import LinkError
from gateway.link import Link
from gateway.model import Cause, Quality
from tests.contract.test_driver_contract import closed_port
from tests.fakes import FakeSink
from tests.opcua.site import (
    PLANT,
    Ear,
    driver_for,
    link_to,
    listening,
    plant,
    spy_acknowledgements,
)
from tests.patience import PATIENCE_S


async def test_changes_arrive_in_order_with_the_times_of_device_and_server() -> None:
    async with plant(closed_port(), {"a": 0.0}) as server:
        driver, blocks = driver_for(link_to(server.url, "a"))
        ear = Ear()
        async with listening(driver, blocks, ear):
            await ear.until(lambda: ear.values("a") == [0.0])
            for value in range(1, 6):
                await server.set("a", float(value))
            await ear.until(lambda: len(ear.values("a")) >= 6)
    assert ear.values("a") == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    last = ear.batches[-1]
    assert last.source_time_ns is not None
    assert last.server_time_ns is not None
    assert abs((last.source_time_ns[0] or 0) - last.time_ns) < 5e9


async def test_the_server_is_sent_no_acknowledgement_before_the_disk_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    acknowledged = spy_acknowledgements(monkeypatch)
    async with plant(closed_port(), {"a": 0.0}) as server:
        driver, blocks = driver_for(link_to(server.url, "a"))
        ear = Ear()
        ear.disk.clear()
        async with listening(driver, blocks, ear):
            for value in range(1, 6):
                await server.set("a", float(value))
                await ear.until(lambda value=value: value in ear.values("a"))  # type: ignore[misc]
            assert acknowledged == []
            ear.disk.set()
            await server.set("a", 7.0)
            await ear.until(lambda: 7.0 in ear.values("a"))
            await server.set("a", 8.0)
            await ear.until(lambda: 8.0 in ear.values("a"))
    assert acknowledged[:3] == [1, 2, 3]


async def test_one_bad_node_fails_alone_by_subscription_and_by_polling() -> None:
    async with plant(closed_port(), {"a": 1.0, "c": 3.0}) as server:
        driver, (block,) = driver_for(link_to(server.url, "a", "nowhere", "c"))
        ear = Ear()
        async with listening(driver, [block], ear):
            await ear.until(lambda: bool(ear.values("c")))
            batch = await driver.read(block)
    (missing,) = ear.missing
    assert (missing.rows, missing.cause) == ((1,), Cause.DEVICE_REFUSED)
    assert list(batch.values) == [1.0, None, 3.0]
    assert batch.quality == bytes([0, Quality.BAD_CONFIGURATION, 0])


async def test_a_bad_status_makes_the_value_null_and_says_why() -> None:
    async with plant(closed_port(), {"a": 1.0}) as server:
        driver, blocks = driver_for(link_to(server.url, "a"))
        ear = Ear()
        async with listening(driver, blocks, ear):
            await ear.until(lambda: bool(ear.batches))
            await server.set("a", 2.0, status=StatusCodes.BadSensorFailure)
            await ear.until(lambda: len(ear.batches) >= 2)
    (reading,) = ear.batches[-1].readings()
    assert (reading.value, reading.quality) == (None, Quality.BAD_SENSOR)


async def test_a_value_of_another_type_is_never_bent_into_the_configured_one() -> None:
    async with plant(closed_port(), {"a": 1.5, "b": "text", "c": 3.0, "d": True}) as server:
        tags = ("a, type: int32", "b", "c, type: int32", "d, type: bool")
        driver, (block,) = driver_for(link_to(server.url, *tags))
        await driver.connect()
        batch = await driver.read(block)
        await driver.close()
    assert list(batch.values) == [None, None, 3, True]
    bad = Quality.BAD_CONFIGURATION
    assert batch.quality == bytes([bad, bad, 0, 0])


async def test_nodes_are_found_again_when_the_order_of_namespaces_has_changed() -> None:
    port, other = closed_port(), "urn:other"
    driver, (block,) = driver_for(link_to(f"opc.tcp://127.0.0.1:{port}", "a"))
    for value, uris in ((1.0, (PLANT, other)), (2.0, (other, PLANT))):
        async with plant(port, {"a": value}, uris):
            await driver.connect()
            assert list((await driver.read(block)).values) == [value]
            await driver.close()


async def test_a_missing_namespace_is_a_bad_tag_and_no_other_namespace_is_tried() -> None:
    async with plant(closed_port(), {"a": 1.0}, (PLANT,)) as server:
        link = link_to(server.url, "a")
        moved = link.tags[0].address._replace(
            node=link.tags[0].address.node._replace(uri="urn:gone")
        )
        driver = OpcuaDriver(link.config, Clock())
        block = _readdressed(driver, link.tags[0], moved)
        await driver.connect()
        batch = await driver.read(block)
        await driver.close()
    assert (batch.values, batch.quality) == ([None], bytes([Quality.BAD_CONFIGURATION]))


def _readdressed(driver: OpcuaDriver, tag: Any, address: Any) -> Any:
    from dataclasses import replace

    (block,) = driver.plan([replace(tag, address=address)])
    return block


async def test_a_server_that_starts_late_stops_and_comes_back_is_heard_each_time() -> None:
    port = closed_port()
    link = link_to(f"opc.tcp://127.0.0.1:{port}", "a", more="timeout: 500ms")
    driver, blocks = driver_for(link)
    sink = FakeSink()
    running = Link("dcs", [driver], blocks, sink, _Impatient())
    task = asyncio.create_task(running.run())
    for value in (1.0, 2.0, 3.0):
        async with plant(port, {"a": value}), asyncio.timeout(PATIENCE_S):
            while not any(value in batch.values for batch in sink.batches):
                await asyncio.sleep(0.02)
            if value == 3.0:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
    await driver.close()
    assert sink.devices[0] == ("r201", Cause.DEVICE_TIMEOUT)
    assert [c for _, c in sink.devices].count(Cause.SUB_RECREATED) >= 2


class _Impatient(Clock):
    """Pauses between attempts are short."""

    async def sleep_until(self, deadline: float) -> None:
        await asyncio.sleep(min(0.05, max(0.0, deadline - self.monotonic())))


async def test_a_request_that_could_change_something_never_reaches_the_socket() -> None:
    async with plant(closed_port(), {"a": 1.0}) as server:
        session = Session(link_to(server.url, "a").config, Clock())  # type: ignore[arg-type]
        await session.open()
        for request in (ua.WriteRequest(), ua.CallRequest(), ua.AddNodesRequest()):
            with pytest.raises(ForbiddenServiceError):
                await session.ask(request)
        await session.close()


def test_the_named_services_can_only_read() -> None:
    words: tuple[str, ...] = (
        "Write",
        "Call",
        "AddNodes",
        "AddReferences",
        "DeleteNodes",
        "DeleteReferences",
    )
    words += ("HistoryUpdate", "SetTriggering", "Register", "Query")
    names = {service.__name__ for service in READ_SERVICES}
    assert not {name for name in names if name.startswith(words)}


async def test_reading_without_a_connection_is_a_link_error() -> None:
    driver, (block,) = driver_for(link_to("opc.tcp://127.0.0.1:1", "a"))
    with pytest.raises(LinkError):
        await driver.read(block)


def test_asyncua_is_imported_only_when_a_link_opens() -> None:
    code = (
        "import sys; from gateway.loader import from_text; import tests.opcua.site_text as s;"
        "from gateway.clock import Clock; from gateway.planning import plan_site;"
        "plan_site(from_text(s.TEXT), Clock());"
        "heavy = {'asyncua', 'cryptography'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
