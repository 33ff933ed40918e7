"""node-opcua serves, our whole agent listens: an OPC UA server that none of us wrote."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest
from msgspec import UNSET

from gateway.agent import Agent
from gateway.clock import Clock
from gateway.dialects import wire
from gateway.loader import from_text
from gateway.simulation.broker import Broker
from tests.conftest import require_program
from tests.contract.test_driver_contract import closed_port
from tests.delivery.schema import parsed
from tests.faults.relay import Relay
from tests.patience import PATIENCE_S, until

pytestmark = pytest.mark.peer

HERE = Path(__file__).parent / "opcua"
SOAK = os.environ.get("SOAK") == "1"
TAGS = 5000 if SOAK else 200
PERIOD_MS = 1000 if SOAK else 500
UP_S = 20.0 if SOAK else 3.0
PLANT, OTHER = "urn:plant", "urn:other"
SITE = """
version: 1
gateway: {{id: gw}}
defaults: {{interval: 100ms, timeout: 2s}}
links:
  - name: dcs
    driver: opcua
    url: opc.tcp://127.0.0.1:{port}
    {opcua}
    devices:
      - name: r201
        tags: [{{name: "t{{0..{last}}}", address: "nsu=urn:plant;s=t{{0..{last}}}"}}]
mqtt: {{urls: ["{broker}"], root: park}}
journal: {{path: {folder}/journal, size: 64MiB, commit: 50ms}}
"""


class Peer:
    """The server, killed and started at will; knows what it changed and when."""

    def __init__(self, folder: Path) -> None:
        self.program = require_program("node")
        require_program("node-opcua", found=(HERE / "node_modules").is_dir())
        self.folder = folder
        self.port = closed_port()
        self.ticks: dict[int, float] = {}
        """Tick → when it was made, Unix seconds."""
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self, *uris: str) -> None:
        arguments = (str(self.port), str(TAGS), str(PERIOD_MS), str(self.folder), PLANT, *uris)
        self._process = await asyncio.create_subprocess_exec(
            self.program, str(HERE / "server.js"), *arguments,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, limit=2**20,
        )  # fmt: skip
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            while (await self._process.stdout.readline()) != b"listening\n":
                assert self._process.returncode is None
        self._reading = asyncio.create_task(self._read(self._process.stdout))

    async def _read(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            word, *numbers = line.split()
            if word == b"tick":
                self.ticks[int(numbers[0])] = int(numbers[1]) / 1000

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._reading is not None:
            await self._reading


class Platform:
    """What arrived, and what was announced as missing."""

    def __init__(self, broker: Broker) -> None:
        self.values: dict[str, set[float]] = {}
        self.gaps: dict[str, wire.Gap] = {}
        self.newest = 0.0
        broker.listen("park/gw/data/#", self._receive)

    def _receive(self, topic: str, payload: bytes) -> None:
        message = parsed(topic, payload)
        assert isinstance(message, wire.LaneMessage)
        for record in message.records:
            if record.gap is not UNSET:
                self.gaps[record.gap.id] = record.gap
            elif record.values is not UNSET:
                self._values(record.values)

    def _values(self, values: dict[str, wire.Value]) -> None:
        for name, value in values.items():
            if isinstance(value, float):
                self.values.setdefault(name, set()).add(value)
                self.newest = max(self.newest, value % 1e7)

    def covers(self, at: float) -> bool:
        """Whether a gap says that changes at ``at`` (Unix seconds) may be missing."""
        return any(
            _unix(gap.from_) <= at and (gap.to is None or at <= _unix(gap.to))
            for gap in self.gaps.values()
        )


def _unix(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


@asynccontextmanager
async def gateway(
    peer: Peer, folder: Path, opcua: str = "", port: int = 0
) -> AsyncIterator[Platform]:
    """The agent on the peer's server, or on ``port``; what its platform sees."""
    broker = Broker()
    await broker.start()
    text = SITE.format(
        port=port or peer.port, opcua=opcua, last=TAGS - 1, broker=broker.url, folder=folder
    )
    agent = Agent(from_text(text), Clock())
    platform = Platform(broker)
    task = asyncio.create_task(agent.run())
    try:
        yield platform
    finally:
        agent.stop()
        async with asyncio.timeout(PATIENCE_S):
            await task
        await broker.stop()
        await peer.kill()


async def caught_up(peer: Peer, platform: Platform) -> None:
    """Wait until the platform has a change made from now on."""
    start = max(peer.ticks, default=0)
    async with asyncio.timeout(60):
        while platform.newest <= start:
            await asyncio.sleep(0.05)


def assert_no_wrong_tag(platform: Platform) -> None:
    wrong = {
        (name, value)
        for name, values in platform.values.items()
        for value in values
        if int(value // 1e7) != int(name[1:])
    }
    assert not wrong


def silent(peer: Peer, platform: Platform) -> list[tuple[str, int]]:
    """Tag and tick of each change that neither arrived nor lies in a gap."""
    whole = {tick: at for tick, at in peer.ticks.items() if tick <= platform.newest - 2}
    return [
        (name, tick)
        for tick, at in whole.items()
        for name, values in platform.values.items()
        if int(name[1:]) * 1e7 + tick not in values and not platform.covers(at)
    ]


async def test_every_change_is_delivered_or_in_a_gap_over_three_restarts_and_moved_namespaces(
    tmp_path: Path,
) -> None:
    peer = Peer(tmp_path)
    async with gateway(peer, tmp_path) as platform:
        orders = ((PLANT, OTHER), (OTHER, PLANT), (PLANT, OTHER), (OTHER, PLANT))
        for order in orders:
            await peer.start(*order)
            await caught_up(peer, platform)
            await asyncio.sleep(UP_S)
            if order is not orders[-1]:
                await peer.kill()
        await caught_up(peer, platform)
        assert_no_wrong_tag(platform)
        assert not silent(peer, platform)
    assert len(platform.values) == TAGS
    closed = [g for g in platform.gaps.values() if g.cause == "sub_recreated"]
    assert len(closed) == 3
    assert all(gap.to is not None for gap in closed)


async def test_a_session_cut_without_a_word_is_noticed_and_what_it_cost_is_a_gap(
    tmp_path: Path,
) -> None:
    peer = Peer(tmp_path)
    await peer.start(OTHER, PLANT)
    relay = Relay(peer.port)
    await relay.listen()
    async with gateway(peer, tmp_path, port=relay.port) as platform:
        await caught_up(peer, platform)
        await relay.perform({"do": "hold"})
        await asyncio.sleep(3.0)
        await until(lambda: any(gap.cause == "sub_recreated" for gap in platform.gaps.values()))
        await relay.perform({"do": "cut"})
        await relay.perform({"do": "restore"})
        await caught_up(peer, platform)
        await caught_up(peer, platform)
        assert_no_wrong_tag(platform)
        assert not silent(peer, platform)
    await relay.perform({"do": "cut"})


async def test_polling_reads_every_tag_within_the_limits_of_the_server(tmp_path: Path) -> None:
    peer = Peer(tmp_path)
    await peer.start(OTHER, PLANT)
    async with gateway(peer, tmp_path, "opcua: {mode: poll}") as platform:
        await caught_up(peer, platform)
        assert_no_wrong_tag(platform)
    assert len(platform.values) == TAGS
