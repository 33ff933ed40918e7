"""The whole agent, mosquitto, and a platform that gives receipts; what mosquitto loses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.agent import Agent
from gateway.clock import Clock
from gateway.loader import from_text
from tests.delivery.confirming import Confirming
from tests.interop.test_mosquitto import Mosquitto, mosquitto
from tests.patience import until

pytestmark = pytest.mark.peer

SITE = """
version: 1
gateway: {{id: gw}}
defaults: {{interval: 50ms}}
links:
  - name: bench
    driver: sim
    devices:
      - {{name: p1, tags: [{{name: flow, address: sine/60}}]}}
      - {{name: p2, tags: [{{name: flow, address: sine/60}}]}}
      - {{name: p3, tags: [{{name: flow, address: sine/60}}]}}
mqtt: {{urls: ["{url}"], root: park, {how}}}
journal: {{path: {path}, size: 64MiB, commit: 20ms}}
"""
LINES = ("allow_anonymous true", "max_inflight_messages 20")


class Subscriber:
    """A platform with a persistent session at the broker, which it may leave for a while."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._client: Client | None = None
        self.platform = Confirming(self.publish)
        self.is_there = False

    def publish(self, topic: str, payload: bytes, *, retain: bool = True) -> None:
        """Say something at the broker."""
        if self._client is not None:
            self._client.publish(topic, payload, qos=1, retain=retain)

    async def come(self) -> None:
        """Connect, subscribe, and return when the broker has confirmed both."""
        self._client = client = Client(
            CallbackAPIVersion.VERSION2, "platform", protocol=MQTTProtocolVersion.MQTTv5
        )
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_message = self._heard
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 3600
        client.reconnect_delay_set(1, 1)
        client.connect("127.0.0.1", self._port, clean_start=False, properties=properties)
        client.loop_start()
        await until(lambda: self.is_there)

    def _connected(self, client: Client, *_: Any) -> None:
        client.subscribe("park/gw/#", qos=1)

    def _subscribed(self, *_: object) -> None:
        self.platform.repeat()
        self.is_there = True

    def _heard(self, client: Client, data: object, message: MQTTMessage) -> None:
        self.platform.hear(message.topic, bytes(message.payload))

    def leave(self) -> None:
        """Go, so that the broker queues from now on."""
        client, self._client, self.is_there = self._client, None, False
        if client is not None:
            client.disconnect()
            client.loop_stop()


class Watcher:
    """Counts the messages of data that the broker passes on to who is there."""

    def __init__(self, port: int) -> None:
        self.count = 0
        self._client = Client(
            CallbackAPIVersion.VERSION2, "watcher", protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.on_connect = self._connected
        self._client.on_message = self._heard
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port, clean_start=True)
        self._client.loop_start()

    def _connected(self, client: Client, *_: Any) -> None:
        client.subscribe("park/gw/data/#", qos=0)

    def _heard(self, *_: Any) -> None:
        self.count += 1

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Stage:
    """Agent, broker and platform."""

    def __init__(self, agent: Agent, broker: Mosquitto, subscriber: Subscriber) -> None:
        self.agent, self.broker, self.subscriber = agent, broker, subscriber
        self.platform = subscriber.platform
        self.watcher = Watcher(broker.port)

    async def platform_misses(self, messages: int) -> None:
        """The platform is away while the broker takes so many messages."""
        self.subscriber.leave()
        count = self.watcher.count + messages
        await until(lambda: self.watcher.count >= count)

    def arrived(self) -> int:
        """Seqs of data that the platform has."""
        return sum(
            len(r) for (lane, *_), r in list(self.platform.records.items()) if lane == "data"
        )

    def is_complete(self, count: int) -> bool:
        """Whether ``count`` have come, none is missing, and all but the newest are settled."""
        is_whole = self.arrived() > count and not self.platform.missing()
        return is_whole and self.agent.backlog() < 100


@asynccontextmanager
async def stage(folder: Path, how: str, *lines: str) -> AsyncIterator[Stage]:
    async with mosquitto(folder, *LINES, *lines) as broker:
        subscriber = Subscriber(broker.port)
        await subscriber.come()
        text = SITE.format(url=broker.url, path=folder / "journal", how=how)
        agent = Agent(from_text(text), Clock())
        task = asyncio.create_task(agent.run())
        here = Stage(agent, broker, subscriber)
        try:
            await until(lambda: here.arrived() > 30)
            yield here
        finally:
            agent.stop()
            await asyncio.wait([task], timeout=30)
            subscriber.leave()
            here.watcher.close()


@pytest.fixture(autouse=True)
def short_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.receipts.STALL_S", 2.0)


async def broker_forgets(at: Stage) -> None:
    """The broker acknowledges records for a platform that is away, and is killed."""
    await at.platform_misses(60)
    at.broker.kill()
    await at.broker.start()
    await at.subscriber.come()


async def test_what_a_killed_broker_had_acknowledged_comes_again(tmp_path: Path) -> None:
    async with stage(tmp_path, "delivery: receipt") as at:
        before = at.arrived()
        await broker_forgets(at)
        await until(lambda: at.is_complete(before + 100))
        assert set(at.platform.replays) == {"stalled"}


async def test_without_receipts_the_same_broker_loses_records(tmp_path: Path) -> None:
    async with stage(tmp_path, "delivery: puback") as at:
        await broker_forgets(at)
        before = at.arrived()
        await until(lambda: at.arrived() > before + 60)
        assert at.platform.missing()


async def test_what_did_not_fit_into_the_brokers_queue_comes_again(tmp_path: Path) -> None:
    async with stage(tmp_path, "delivery: receipt", "max_queued_messages 100") as at:
        before = at.arrived()
        await at.platform_misses(300)
        await at.subscriber.come()
        await until(lambda: at.is_complete(before + 300))
        assert at.platform.replays


async def test_what_did_not_fit_into_the_brokers_queue_comes_on_request(
    tmp_path: Path,
) -> None:
    lines = "max_queued_messages 100"
    async with stage(tmp_path, "delivery: puback, replay: true", lines) as at:
        await at.platform_misses(300)
        await at.subscriber.come()
        await until(lambda: bool(at.platform.missing()))
        asked = set[str]()

        def ask() -> bool:
            for (lane, device, run), seqs in at.platform.missing().items():
                name = f"{lane}-{device}-{seqs[0]}-{seqs[-1]}"
                request = {"id": name, "lane": lane, "device": device, "incarnation": run}
                body = json.dumps(request | {"from": seqs[0], "to": seqs[-1]}).encode()
                if name not in asked and len(asked) < 3:
                    at.subscriber.publish("park/gw/replay", body, retain=False)
                    asked.add(name)
            return not at.platform.missing()

        await until(ask)
        assert set(at.platform.replays) <= asked
