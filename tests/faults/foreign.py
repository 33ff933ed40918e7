"""A program unlike the agent: polls, and writes what it read to MQTT, with a memory queue.

It stands for the peers that `peer` can measure: its own configuration, topics and payload,
no seqs, no gaps, nothing on disk.

    python -m tests.faults.foreign FILE

FILE: JSON with ``plant``, ``broker``, ``interval_s``, ``timeout_s`` and ``reads``, a list of
``[device, tags]`` in the words of the agent's configuration.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.faults.child import module
from tests.faults.fake_agent import Block, Line
from tests.faults.peer import Peer, Said
from tests.faults.recorder import Arrival
from tests.faults.site import Site

ROOT = "plant"


def command(directory: Path, site: Site, plant_port: int, broker_port: int) -> Sequence[str]:
    """Write its configuration and say how it is started."""
    tags = [
        {"name": f"{s.prefix}{{0000..{s.count - 1:04}}}", "type": s.type, **_address(s.yaml())}
        for s in site.series
    ]
    devices = [{"name": f"d{unit}", "unit": unit} for unit in site.units]
    file = directory / "foreign.json"
    file.write_text(
        json.dumps(
            {
                "plant": plant_port,
                "broker": broker_port,
                "interval_s": site.interval_s,
                "timeout_s": site.timeout_s,
                "reads": [[device, tag] for device in devices for tag in tags],
            }
        )
    )
    return module("foreign", file)


def _address(entry: str) -> dict[str, str]:
    return {"address": entry.split('address: "')[1].split('"')[0]}


def readings(arrival: Arrival) -> Iterable[Said]:
    """``plant/{device}``: a time in milliseconds, then names and values side by side."""
    content = json.loads(arrival.payload)
    values = dict(zip(content["n"], content["v"], strict=True))
    yield Said(arrival.topic.removeprefix(f"{ROOT}/"), content["ts"] * 1_000_000, values)


FOREIGN = Peer(command, ROOT, readings)


def poll(config: dict[str, Any], client: Client, stop: Event) -> None:
    """Read and publish in a circle; what cannot be read is left out without a word."""
    line = Line(config["plant"], config["timeout_s"], trusting=False)
    blocks = [Block(device, tag) for device, tag in config["reads"]]
    due = time.monotonic()
    while not stop.wait(max(0.0, due - time.monotonic())):
        for block in blocks:
            try:
                values = block.decode(line.read(block))
            except OSError:
                line.close()
                continue
            content = {"ts": time.time_ns() // 10**6, "n": [*values], "v": [*values.values()]}
            client.publish(f"{ROOT}/{block.device}", json.dumps(content), qos=1)
        due = max(due + config["interval_s"], time.monotonic() - config["interval_s"])


def main() -> None:
    """Run until SIGTERM."""
    config = json.loads(Path(sys.argv[1]).read_text())
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.reconnect_delay_set(min_delay=1, max_delay=2)
    client.connect("127.0.0.1", config["broker"])
    client.loop_start()
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    poll(config, client, stop)
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main()
