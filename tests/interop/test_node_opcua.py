"""node-opcua serves, our whole agent listens: an OPC UA server that none of us wrote."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest
from msgspec import UNSET

from gateway import hearing
from gateway.agent import Agent
from gateway.clock import Clock
from gateway.dialects import wire
from gateway.dialects.terms import Value
from gateway.loader import from_text
from gateway.simulation.broker import Broker
from tests.conftest import require_program
from tests.contract.test_driver_contract import closed_port
from tests.delivery.schema import parsed
from tests.faults.relay import Relay
from tests.interop.netcut import cut, require_nft
from tests.patience import PATIENCE_S, until

pytestmark = pytest.mark.peer

HERE = Path(__file__).parent / "opcua"
SOAK = os.environ.get("SOAK") == "1"
TAGS = 5000 if SOAK else 500
KILLS = 3 if SOAK else 1
PERIOD_MS = 1000 if SOAK else 500
UP_S = 20.0 if SOAK else 2.0
BACK_S = 10.0
"""A server that is back is heard again within this time; `make soak` asserts it."""
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

    def _values(self, values: dict[str, Value]) -> None:
        for name, value in values.items():
            if isinstance(value, float):
                self.values.setdefault(name, set()).add(value)
                self.newest = max(self.newest, value % 1e7)

    def whole(self) -> set[int]:
        """The ticks of which every tag's change has arrived."""
        ticks = [{int(v % 1e7) for v in values} - {0} for values in self.values.values()]
        return set.intersection(*ticks)

    def covered(self, ticks: dict[int, float]) -> dict[int, set[str]]:
        """For each tick the tags of which a gap says that this change may be missing."""
        found: dict[int, set[str]] = {tick: set() for tick in ticks}
        for gap in self.gaps.values():
            from_s, to_s = _unix(gap.from_), float("inf") if gap.to is None else _unix(gap.to)
            names = set(self.values) if gap.tags == "*" else set(gap.tags)
            for tick in (tick for tick, at in ticks.items() if from_s <= at <= to_s):
                found[tick] |= names
        return found


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
        port=port or peer.port, opcua=opcua, last=TAGS - 1,
        broker=broker.url, folder=folder,
    )  # fmt: skip
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


async def caught_up(peer: Peer, platform: Platform) -> float:
    """Wait until the platform has a change made from now on; how long that took."""
    start, begun = max(peer.ticks, default=0), time.monotonic()
    async with asyncio.timeout(60):
        while platform.newest <= start:
            await asyncio.sleep(0.05)
    return time.monotonic() - begun


async def ticks(peer: Peer, count: int) -> None:
    """Wait until so many more changes were made."""
    until = len(peer.ticks) + count
    async with asyncio.timeout(60):
        while len(peer.ticks) < until:
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
    """Tag and tick of each change that neither arrived nor lies in a gap.

    From the first that arrived of every tag: before it some were not listened to yet.
    """
    first, last = min(platform.whole()), platform.newest - 2
    whole = {tick: at for tick, at in peer.ticks.items() if first <= tick <= last}
    return [
        (name, tick)
        for tick, covered in platform.covered(whole).items()
        for name, values in platform.values.items()
        if int(name[1:]) * 1e7 + tick not in values and name not in covered
    ]


async def test_every_change_is_delivered_or_in_a_gap_over_restarts_and_moved_namespaces(
    tmp_path: Path,
) -> None:
    peer, back_s = Peer(tmp_path), list[float]()
    async with gateway(peer, tmp_path) as platform:
        for life in range(KILLS + 1):
            await peer.start(*((PLANT, OTHER) if life % 2 else (OTHER, PLANT)))
            back_s.append(await caught_up(peer, platform))
            await asyncio.sleep(UP_S)
            if life < KILLS:
                await peer.kill()
        await caught_up(peer, platform)
        assert_no_wrong_tag(platform)
        assert not silent(peer, platform)
    assert len(platform.values) == TAGS
    closed = [g for g in platform.gaps.values() if g.cause == "sub_recreated"]
    assert len(closed) == KILLS
    assert all(gap.to is not None for gap in closed)
    print("heard again after", [round(s, 1) for s in back_s], "s")
    assert not SOAK or max(back_s) <= BACK_S


async def test_a_network_that_swallows_packets_is_noticed_and_what_it_cost_is_a_gap(
    tmp_path: Path,
) -> None:
    require_nft()
    peer = Peer(tmp_path)
    await peer.start(OTHER, PLANT)
    async with gateway(peer, tmp_path) as platform:
        await caught_up(peer, platform)
        with cut(peer.port):
            async with asyncio.timeout(40):
                while not any(gap.to is None for gap in platform.gaps.values()):
                    await asyncio.sleep(0.1)
        back_s = await caught_up(peer, platform)
        await caught_up(peer, platform)
        assert_no_wrong_tag(platform)
        assert not silent(peer, platform)
    assert [g.to is not None for g in platform.gaps.values()] == [True]
    print("heard again after", round(back_s, 1), "s")
    assert not SOAK or back_s <= BACK_S


async def test_a_connection_that_is_cut_while_the_session_stands_costs_no_change_and_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "STEADY_S", 0.0)
    peer = Peer(tmp_path)
    await peer.start(OTHER, PLANT)
    relay = Relay(peer.port)
    await relay.listen()
    async with gateway(peer, tmp_path, "opcua: {queue: 1000}", relay.port) as platform:
        await caught_up(peer, platform)
        for _ in range(3):
            await relay.perform({"do": "reset"})
            await caught_up(peer, platform)
            await caught_up(peer, platform)
        assert not silent(peer, platform)
        assert not platform.gaps
    await relay.perform({"do": "cut"})


async def test_changes_that_overflow_the_queue_of_the_server_are_a_gap_of_their_own(
    tmp_path: Path,
) -> None:
    peer = Peer(tmp_path)
    await peer.start(OTHER, PLANT)
    relay = Relay(peer.port)
    await relay.listen()
    async with gateway(peer, tmp_path, "opcua: {queue: 2}", relay.port) as platform:
        await caught_up(peer, platform)
        await relay.perform({"do": "hold"})
        await ticks(peer, 10)
        await relay.perform({"do": "restore"})
        await caught_up(peer, platform)
        await caught_up(peer, platform)
        assert not silent(peer, platform)
        assert_no_wrong_tag(platform)
    assert {gap.cause for gap in platform.gaps.values()} == {"sub_overflow"}
    await relay.perform({"do": "cut"})


async def test_polling_reads_every_tag_within_the_limits_of_the_server(tmp_path: Path) -> None:
    peer = Peer(tmp_path)
    await peer.start(OTHER, PLANT)
    async with gateway(peer, tmp_path, "opcua: {mode: poll}") as platform:
        await caught_up(peer, platform)
        await until(lambda: len(platform.values) == TAGS)
    assert_no_wrong_tag(platform)
