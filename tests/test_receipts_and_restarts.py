"""The whole agent in the receipt profile, across its own restarts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.agent import Agent
from gateway.clock import Clock
from gateway.loader import from_text
from gateway.simulation.broker import Broker
from tests.delivery.confirming import Confirming
from tests.patience import until
from tests.test_agent import SITE

RECEIPTS = SITE.replace("root: park}}", "root: park, delivery: receipt}}")


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    broker = Broker()
    await broker.start()
    yield broker
    await broker.stop()


@pytest.fixture
def platform(broker: Broker) -> Confirming:
    platform = Confirming(lambda topic, body: broker.publish(topic, body, retain=True))
    broker.listen("park/#", platform.hear)
    return platform


@asynccontextmanager
async def running(broker: Broker, path: Path) -> AsyncIterator[Agent]:
    agent = Agent(from_text(RECEIPTS.format(url=broker.url, path=path / "journal")), Clock())
    task = asyncio.create_task(agent.run())
    yield agent
    agent.stop()
    async with asyncio.timeout(30):
        await task


def pump(heads: bytes) -> dict[str, int]:
    nothing = {"head": 0, "settled": 0}
    found: dict[str, int] = json.loads(heads)["streams"].get("data/pump", nothing)
    return found


def arrived(platform: Confirming) -> int:
    return sum(len(records) for records in platform.records.values())


async def test_after_a_restart_what_the_platform_did_not_confirm_comes_again(
    broker: Broker, platform: Confirming, tmp_path: Path
) -> None:
    platform.is_silent = True
    async with running(broker, tmp_path):
        await until(lambda: arrived(platform) > 20)
    before = {stream: set(records) for stream, records in platform.records.items()}
    platform.records.clear()
    platform.is_silent = False
    async with running(broker, tmp_path) as agent:
        await until(lambda: len(platform.records) >= 2 * len(before))
        await until(lambda: all(set(platform.records[s]) >= before[s] for s in before))
        await until(lambda: agent.backlog() < 10)
    assert platform.missing() == {}


async def test_heads_say_what_the_platform_has_confirmed(
    broker: Broker, platform: Confirming, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.health.HEADS_EVERY", 2)
    heads: list[bytes] = []
    broker.listen("park/gw/heads", lambda _, payload: heads.append(payload))
    platform.is_silent = True
    async with running(broker, tmp_path):
        await until(lambda: any(pump(head)["head"] > 10 for head in heads))
        assert {pump(head)["settled"] for head in heads} == {0}
        platform.is_silent = False
        await until(lambda: pump(heads[-1])["settled"] > 10)


async def test_replay_is_not_listened_to_unless_it_is_configured(
    broker: Broker, tmp_path: Path
) -> None:
    async with running(broker, tmp_path):
        await until(lambda: "gw" in broker._sessions and bool(broker._sessions["gw"].filters))
        assert set(broker._sessions["gw"].filters) == {"park/gw/receipt/+/+"}
