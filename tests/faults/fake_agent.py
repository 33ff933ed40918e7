"""A toy gateway that keeps its queue in memory: it proves the stage, and what the stage sees.

    python -m tests.faults.fake_agent [--lie NAME] run -c gateway.yaml

Honest, it passes a run in which nothing kills it. Each lie is one bug a real agent
could have; a run has to name the law it breaks.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import struct
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import yaml
from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.faults.encoding import WIDTH, Function

_TABLES = {
    "coil": Function.COILS,
    "discrete": Function.DISCRETE,
    "holding": Function.HOLDING,
    "input": Function.INPUT,
}
_FORMATS = {"uint16": ">H", "uint32": ">I", "uint64": ">Q", "float32": ">f"}
_MBAP = struct.Struct(">HHHB")


def utc(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, 10**9)
    whole = datetime.fromtimestamp(seconds, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{rest // 1000:06}Z"


class Block:
    """One series of one device, read with one request."""

    def __init__(self, device: dict[str, Any], entry: dict[str, Any]) -> None:
        self.device, self.unit, self.kind = device["name"], device["unit"], entry["type"]
        prefix, _, digits = entry["name"].partition("{")
        table, _, span = entry["address"].partition("/")
        self.function = _TABLES[table]
        count = int(digits.strip("}").split("..")[1]) + 1
        self.first = int(span.strip("{}").split("..")[0])
        self.names = [f"{prefix}{i:04}" for i in range(count)]
        self.quantity = count * WIDTH[self.kind]

    def decode(self, data: bytes) -> dict[str, Any]:
        if self.function.is_bits:
            return {n: bool(data[i // 8] >> i % 8 & 1) for i, n in enumerate(self.names)}
        form = _FORMATS[self.kind]
        values = [v for (v,) in struct.iter_unpack(form, data)]
        return dict(zip(self.names, values, strict=True))


class Line:
    """A Modbus TCP connection that reconnects after any doubt."""

    def __init__(self, port: int, timeout_s: float, *, trusting: bool) -> None:
        self._port, self._timeout_s, self._trusting = port, timeout_s, trusting
        self._socket: socket.socket | None = None
        self._tid = 0

    def read(self, block: Block) -> bytes:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), self._timeout_s)
        self._tid = (self._tid + 1) % 0x10000
        pdu = struct.pack(">BHH", block.function, block.first, block.quantity)
        self._socket.sendall(_MBAP.pack(self._tid, 0, 6, block.unit) + pdu)
        tid, protocol, length, unit = _MBAP.unpack(self._exactly(7))
        body = self._exactly(length - 1)
        want = (block.quantity + 7) // 8 if block.function.is_bits else 2 * block.quantity
        shape = (tid, protocol, unit, body[0], len(body) - 2)
        if not self._trusting and shape != (self._tid, 0, block.unit, block.function, want):
            raise ConnectionError("not provably the answer")
        return body[2:]

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _exactly(self, size: int) -> bytes:
        assert self._socket is not None
        data = b""
        while len(data) < size:
            chunk = self._socket.recv(size - len(data))
            if not chunk:
                raise ConnectionError("closed")
            data += chunk
        return data


class FakeAgent:
    """Polls, numbers, keeps, publishes."""

    def __init__(self, config: dict[str, Any], lie: str) -> None:
        self._lie = lie
        (link,) = config["links"]
        self._interval_s = _seconds(config["defaults"]["interval"])
        port = int(link["url"].rpartition(":")[2])
        self._line = Line(port, _seconds(link["timeout"]), trusting=lie == "trusting")
        self._blocks = [Block(d, entry) for d in link["devices"] for entry in d["tags"]]
        self._root, self._gateway = config["mqtt"]["root"], config["gateway"]["id"]
        self._broker = int(config["mqtt"]["urls"][0].rpartition(":")[2])
        self._incarnation = uuid.uuid4().hex
        self._seqs: dict[str, int] = {}
        self._seen_ns: dict[Block, int] = {}
        self._silent: set[Block] = set()
        self._gaps = 0
        self._queue: list[tuple[str, bytes]] = []
        self._lock = Lock()
        self.stop = Event()

    def run(self) -> None:
        sender = Thread(target=self._deliver)
        sender.start()
        due = time.monotonic()
        while not self.stop.wait(max(0.0, due - time.monotonic())):
            failed: set[int] = set()
            for block in self._blocks:
                if block.unit in failed:
                    self._fail(block, time.monotonic_ns())
                elif not self._poll(block):
                    failed.add(block.unit)
            due += self._interval_s
        sender.join()

    def _poll(self, block: Block) -> bool:
        request_ns = time.monotonic_ns()
        try:
            values = block.decode(self._line.read(block))
        except OSError:
            self._line.close()
            self._fail(block, request_ns)
            return False
        reply_ns = time.monotonic_ns()
        if block in self._silent and self._lie != "no_gap":
            self._close_gap(block, reply_ns)
        self._silent.discard(block)
        self._seen_ns[block] = reply_ns
        if self._lie == "off_by_one":
            values = dict(zip(values, [*list(values.values())[1:], 0], strict=True))
        self._keep(block, {"mono": [request_ns, reply_ns], "values": values}, reply_ns)
        return True

    def _fail(self, block: Block, request_ns: int) -> None:
        if block not in self._silent:
            self._silent.add(block)
            self._seen_ns.setdefault(block, request_ns)

    def _close_gap(self, block: Block, now_ns: int) -> None:
        self._gaps += 1
        offset_ns = time.time_ns() - time.monotonic_ns()
        gap = {
            "id": f"g-{self._gaps}",
            "cause": "device_timeout",
            "tags": block.names,
            "from": utc(self._seen_ns[block] + offset_ns),
            "to": utc(now_ns + offset_ns),
            "count": None,
            "count_is": "at_most",
        }
        self._keep(block, {"gap": gap}, now_ns)

    def _keep(self, block: Block, body: dict[str, Any], now_ns: int) -> None:
        seq = self._seqs[block.device] = self._seqs.get(block.device, 0) + 1
        time_ns = now_ns + time.time_ns() - time.monotonic_ns()
        record = {
            "seq": seq,
            "time": utc(time_ns),
            "clock": "unsynced",
            "bound_ms": None,
            **body,
        }
        message = {
            "v": 1,
            "gateway": self._gateway,
            "incarnation": self._incarnation,
            "boot": "0" * 32,
            "device": block.device,
            "lane": "data",
            "prev": seq - 1,
            "first": seq,
            "last": seq,
            "records": [record],
        }
        topic = f"{self._root}/{self._gateway}/data/{block.device}"
        if self._lie == "drop" and seq % 7 == 0:
            return
        with self._lock:
            self._queue.append((topic, json.dumps(message).encode()))

    def _deliver(self) -> None:
        while True:
            client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
            try:
                client.connect("127.0.0.1", self._broker)
            except OSError:
                time.sleep(0.1)
                continue
            client.loop_start()
            while not client.is_connected():
                time.sleep(0.001)
            if self._pump(client):
                client.disconnect()
                client.loop_stop()
                return
            client.loop_stop()

    def _pump(self, client: Client) -> bool:
        """Publish one after the other; True when stopped and empty, False when cut off."""
        while True:
            with self._lock:
                message = self._queue[0] if self._queue else None
            if message is None:
                if self.stop.wait(0.01):
                    return True
                continue
            info = client.publish(*message, qos=1)
            taken = info.rc == 0 and self._acknowledged(client, info)
            if not taken and self._lie != "settle_early":
                return False
            with self._lock:
                self._queue.pop(0)
            if not taken:
                return False

    @staticmethod
    def _acknowledged(client: Client, info: MQTTMessageInfo) -> bool:
        while client.is_connected():
            if info.is_published():
                return True
            time.sleep(0.001)
        return False


def _seconds(text: str) -> float:
    return int(text.removesuffix("ms")) / 1000


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(prog="tests.faults.fake_agent")
    parser.add_argument("--lie", default="")
    parser.add_argument("verb", choices=["run"])
    parser.add_argument("-c", dest="config", type=Path, required=True)
    options = parser.parse_args()
    agent = FakeAgent(yaml.safe_load(options.config.read_text()), options.lie)
    signal.signal(signal.SIGTERM, lambda *_: agent.stop.set())
    agent.run()
    sys.exit(0)


if __name__ == "__main__":
    main()
