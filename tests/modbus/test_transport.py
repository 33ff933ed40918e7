"""One connection: what may leave it, what may enter, and when it closes."""

from __future__ import annotations

import ast
import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from drivers.modbus.transport import Connection, NotAReadError
from gateway.clock import Clock
from gateway.errors import ConnectError, DeviceSilentError, LinkError
from gateway.model import Cause, Quality
from tests.modbus.site import device, truth
from tests.patience import PATIENCE_S, until

MODBUS = Path(__file__).parents[2] / "drivers" / "modbus"


async def connected(port: int, timeout_s: float = PATIENCE_S) -> Connection:
    connection = Connection("127.0.0.1", port, Clock())
    await connection.open(timeout_s)
    return connection


def ask(connection: Connection, timeout_s: float = PATIENCE_S, offset: int = 5) -> Any:
    return connection.ask(unit=1, function=3, offset=offset, count=2, timeout_s=timeout_s)


@pytest.mark.parametrize("function", [code for code in range(256) if code not in (1, 2, 3, 4)])
async def test_the_last_line_before_the_socket_lets_only_reads_pass(function: int) -> None:
    seen: list[bytes] = []
    async with device(lambda request, _: seen.append(request)) as port:
        connection = await connected(port)
        with pytest.raises(NotAReadError):
            await connection.ask(
                unit=1, function=function, offset=0, count=1, timeout_s=PATIENCE_S
            )
        await connection.close()
    assert seen == []


@pytest.mark.parametrize(
    "frame",
    [
        "00 01 00 00 00 06 01 03 00 00 00 01 00 02 00 00 00 06 01 06 00 00 00 01",
        "00 01 00 00 00 06 01",
        "",
    ],
)
async def test_it_lets_exactly_one_frame_pass(frame: str) -> None:
    async with device(lambda request, writer: None) as port:
        connection = await connected(port)
        assert connection._wire is not None
        with pytest.raises(NotAReadError):
            connection._wire.send(bytes.fromhex(frame))
        await connection.close()


def test_nothing_else_in_the_driver_writes_to_a_socket_or_imports_pymodbus() -> None:
    """`Wire.send` is the only line; the simulator answers, it never asks."""
    writes, imports = [], []
    for path in sorted(MODBUS.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            words = {"write", "writelines", "sendall", "sendto", "sendmsg"}
            if isinstance(node, ast.Attribute) and node.attr in words:
                writes.append(path.name)
            if isinstance(node, ast.ImportFrom) and "pymodbus" in (node.module or ""):
                imports.append(path.name)
    assert imports == ["transport.py"]
    assert [name for name in writes if name != "simulator.py"] == ["transport.py"]


async def test_the_answer_comes_with_the_times_of_request_and_reply() -> None:
    async with device(lambda request, writer: writer.write(truth(request))) as port:
        connection = await connected(port)
        before = Clock().monotonic_ns()
        answer = await ask(connection)
        await connection.close()
    assert answer.content == b"\5\5\5\5"
    assert before <= answer.mono_ns[0] < answer.mono_ns[1] <= Clock().monotonic_ns()


async def test_an_answer_in_single_bytes_is_whole() -> None:
    def trickle(request: bytes, writer: asyncio.Transport) -> None:
        for at, byte in enumerate(truth(request)):
            asyncio.get_running_loop().call_later(at / 1000, writer.write, bytes((byte,)))

    async with device(trickle) as port:
        connection = await connected(port)
        assert (await ask(connection)).content == b"\5\5\5\5"
        await connection.close()


async def refused(reply: Any, timeout_s: float = PATIENCE_S) -> DeviceSilentError:
    """The error of one ask; the connection must be closed afterwards."""
    async with device(reply) as port:
        connection = await connected(port)
        with pytest.raises(DeviceSilentError) as caught:
            await ask(connection, timeout_s)
        with pytest.raises(LinkError, match="not connected"):
            await ask(connection, timeout_s)
    assert caught.value.quality is Quality.BAD_NO_COMMUNICATION
    return caught.value


async def test_silence_closes_the_connection() -> None:
    error = await refused(lambda request, writer: None, timeout_s=0.02)
    assert error.cause is Cause.DEVICE_TIMEOUT
    assert "unit 1: no answer: timeout, 0.02 s" in str(error)


async def test_half_an_answer_is_a_violation_and_closes_the_connection() -> None:
    error = await refused(lambda r, writer: writer.write(truth(r)[:-1]), timeout_s=0.02)
    assert error.cause is Cause.PROTOCOL_VIOLATION


async def test_an_inadmissible_answer_closes_the_connection() -> None:
    error = await refused(lambda r, writer: writer.write(b"\0\0" + truth(r)[2:]))
    assert error.cause is Cause.PROTOCOL_VIOLATION
    assert "inadmissible answer: transaction" in str(error)


async def test_a_connection_cut_instead_of_an_answer_does_not_wait_for_the_timeout() -> None:
    error = await refused(lambda r, writer: writer.abort(), timeout_s=60.0)
    assert error.cause is Cause.DEVICE_TIMEOUT


async def test_the_answer_to_an_earlier_request_is_called_late() -> None:
    requests: list[bytes] = []

    def one_behind(request: bytes, writer: asyncio.Transport) -> None:
        requests.append(request)
        writer.write(truth(requests[max(0, len(requests) - 2)]))

    async with device(one_behind) as port:
        connection = await connected(port)
        await ask(connection)
        with pytest.raises(DeviceSilentError) as caught:
            await ask(connection, offset=6)
    assert caught.value.cause is Cause.LATE_REPLY_DISCARDED


async def test_bytes_that_nobody_asked_for_close_the_connection_and_are_counted() -> None:
    def twice(request: bytes, writer: asyncio.Transport) -> None:
        writer.write(truth(request))
        asyncio.get_running_loop().call_later(0.01, writer.write, truth(request))

    async with device(twice) as port:
        connection = await connected(port)
        wire = connection._wire
        assert wire is not None
        await ask(connection)
        await until(lambda: wire.lost is not None)
        with pytest.raises(DeviceSilentError) as caught:
            await ask(connection)
    assert caught.value.cause is Cause.LATE_REPLY_DISCARDED
    await connection.close()
    assert connection.unsolicited == 1


async def test_a_device_that_hung_up_meanwhile_is_a_lost_link() -> None:
    def hang_up(request: bytes, writer: asyncio.Transport) -> None:
        writer.write(truth(request))
        writer.close()

    async with device(hang_up) as port:
        connection = await connected(port)
        wire = connection._wire
        assert wire is not None
        await ask(connection)
        await until(lambda: wire.lost is not None)
        with pytest.raises(LinkError, match="closed by the device"):
            await ask(connection)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_device_that_accepts_and_hangs_up_is_never_a_value(reset: bool) -> None:
    loop = asyncio.get_running_loop()

    class HangUp(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transport.abort() if reset else transport.close()

    server = await loop.create_server(HangUp, "127.0.0.1", 0)
    async with server:
        for _ in range(50):
            connection = await connected(server.sockets[0].getsockname()[1])
            with pytest.raises((LinkError, DeviceSilentError)):
                await ask(connection)
            await connection.close()


async def test_a_cancelled_read_closes_the_connection() -> None:
    asked = asyncio.Event()
    async with device(lambda request, writer: asked.set()) as port:
        connection = await connected(port)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(ask(connection, timeout_s=60))
            await asked.wait()
            reading.cancel()
        with pytest.raises(LinkError, match="not connected"):
            await ask(connection)


async def test_two_requests_at_once_are_a_fault_of_the_caller() -> None:
    asked = asyncio.Event()
    async with device(lambda request, writer: asked.set()) as port:
        connection = await connected(port)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(ask(connection, timeout_s=60))
            await asked.wait()
            with pytest.raises(RuntimeError, match="two requests at once"):
                await ask(connection)
            first.cancel()


async def test_transaction_ids_go_on_over_connections_and_are_never_zero() -> None:
    seen: list[int] = []

    def note(request: bytes, writer: asyncio.Transport) -> None:
        seen.append(int.from_bytes(request[:2], "big"))
        writer.write(truth(request))

    async with device(note) as port:
        connection = await connected(port)
        connection._transaction = 0xFFFD
        for _ in range(2):
            await ask(connection)
            await ask(connection)
            await connection.open(1.0)
        await connection.close()
    assert seen == [0xFFFE, 0xFFFF, 1, 2]


def _closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


async def test_a_closed_port_is_refused_by_name() -> None:
    port = _closed_port()
    with pytest.raises(ConnectError, match=rf"^tcp://127\.0\.0\.1:{port}: refused$"):
        await connected(port)


async def test_a_name_with_several_addresses_is_refused_by_name_too() -> None:
    connection = Connection("localhost", _closed_port(), Clock())
    with pytest.raises(ConnectError, match=r"^tcp://localhost:\d+: refused$"):
        await connection.open(2.0)


async def test_a_name_that_does_not_exist_is_said_so() -> None:
    connection = Connection("no-such-host.invalid", 502, Clock())
    with pytest.raises(ConnectError, match=r"name not found|timeout"):
        await connection.open(2.0)


async def test_a_device_that_does_not_accept_is_a_timeout() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        with pytest.raises(ConnectError, match="timeout"):
            await connected(full.getsockname()[1], timeout_s=0.05)
        for filler in fillers:
            filler.close()


async def test_segments_are_sent_at_once_and_a_dead_peer_is_given_up() -> None:
    async with device(lambda request, writer: None) as port:
        connection = await connected(port, timeout_s=3.0)
        assert connection._wire is not None
        sock = connection._wire.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3000
        await connection.close()
