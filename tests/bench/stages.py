"""Each stage of the line alone, in one process, on blocks as the plants of the bench give them.

A figure is CPU time (all threads of this process) per reading in nanoseconds, the best of
some rounds. A reading is a value taken from the device, whether it is reported or not.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.modbus.transport import Connection
from gateway.alarms import Limit, LimitRule
from gateway.clock import Clock
from gateway.coverage import Coverage
from gateway.deliver import Delivery
from gateway.dialects.json import JsonDialect
from gateway.journal import Journal, Settings
from gateway.journal.words import Damage, Entry
from gateway.lane import Policy
from gateway.loader import from_text
from gateway.model import AlarmLevel, Batch, Block, Lane
from gateway.mqtt import MqttPublisher, MqttSettings
from gateway.planning import plan_site
from gateway.publisher import Acknowledged, Connected, Lost, PublisherEvent
from gateway.record import Encoder, decode, decode_schema, encode_schema, layout_of
from gateway.rules import ImageRule
from tests.bench import disk
from tests.bench.children import BenchError, broker, module, running
from tests.bench.site import PER_BLOCK, Site

BLOCKS = 80
"""Blocks of one unit of 10,000 registers, polled again and again."""
_READ_BYTES, _READ_RECORDS = 64 * 1024, 1000
_COMMIT_RECORDS = 200
"""Records per commit: about 64 KiB of int16."""


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int = 5
    polls: int = 10
    """Polls of all blocks per round."""
    requests: int = 3000
    messages: int = 300


class Bench:
    """The same readings at every stage of their way."""

    def __init__(self, site: Site, folder: Path, effort: Effort) -> None:
        self.site, self.folder, self.effort = site, folder, effort
        self.clock = Clock()
        text = site.yaml(plant_port=1, broker_port=1, journal=folder / "unused")
        (planned,) = plan_site(from_text(text), self.clock)
        self.blocks: Sequence[Block[Any]] = planned.blocks
        self.layouts = [layout_of(block) for block in self.blocks]
        self.schema = encode_schema(self.layouts)
        self.encoder = Encoder(self.clock.boot_id(), self.blocks, self.layouts)
        self.dialect = JsonDialect("bench", "bench")
        self.contents = list(self._contents())
        self.batches = [
            self._batch(block, content)
            for poll in self.contents
            for block, content in zip(self.blocks, poll, strict=True)
        ]
        # The first poll is reported in full; it comes once, so it is not measured.
        self.first, self.batches = (
            self.batches[: len(self.blocks)],
            self.batches[len(self.blocks) :],
        )
        del self.contents[0]
        self.news = [batch for batch in self._report(self._rules()) if batch is not None]
        stamp = self.clock.stamp()
        self.records = [self.encoder.batch(batch, stamp) for batch in self.news]

    @property
    def readings(self) -> int:
        """Readings in all polls of one round."""
        return sum(len(batch) for batch in self.batches)

    def _contents(self) -> Iterator[list[bytes]]:
        """What the plant answers, poll after poll."""
        from tests.bench.plant import Noise, Still, values

        code = {"int16": ">h", "float32": ">f"}[self.site.type]
        noise, still = Noise(code), Still(code, self.site.changing)
        size = 2 * sum(block.request.count for block in self.blocks)
        for _ in range(self.effort.polls + 1):
            still.turn()
            image = values(code, size // noise.width) if self.site.changing == 1 else b""
            yield [
                image[2 * r.offset : 2 * (r.offset + r.count)]
                or still.read(1, r.offset, r.count)
                for r in (block.request for block in self.blocks)
            ]

    def _batch(self, block: Block[Any], content: bytes) -> Batch:
        request = block.request
        values, quality = request.normaliser.apply(request.decode(content))
        now, mono = self.clock.now_ns(), self.clock.monotonic_ns()
        return Batch(block, now, values, quality, mono_ns=(mono - 500_000, mono))

    def _rules(self) -> dict[int, ImageRule]:
        rules = {id(block): ImageRule(block) for block in self.blocks}
        for batch in self.first:
            rules[id(batch.block)].report(batch)
        return rules

    def _report(self, rules: dict[int, ImageRule]) -> list[Batch | None]:
        return [rules[id(batch.block)].report(batch) for batch in self.batches]

    def per_reading(self, work: Callable[[], object], readings: int | None = None) -> float:
        """Nanoseconds of CPU per reading; ``work`` is one round."""
        best = float("inf")
        for _ in range(self.effort.rounds):
            begun = time.process_time()
            work()
            best = min(best, time.process_time() - begun)
        return best * 1e9 / (readings or self.readings)

    # -- stages ------------------------------------------------------------------------

    def decode(self) -> float:
        pairs = [
            (block.request.decode, content)
            for poll in self.contents
            for block, content in zip(self.blocks, poll, strict=True)
        ]
        return self.per_reading(lambda: [decode(content) for decode, content in pairs])

    def normalise(self) -> float:
        pairs = [(b.block.request.normaliser.apply, b.values) for b in self.batches]
        return self.per_reading(lambda: [apply(values) for apply, values in pairs])

    def rules(self) -> float:
        """Coverage and report by exception."""
        coverage, rules = Coverage("d1", self.blocks, lambda: "g", None, 0), self._rules()

        def work() -> None:
            for batch in self.batches:
                coverage.readings(batch)
            self._report(rules)

        return self.per_reading(work)

    def limits(self) -> float:
        """Two limits on every tag, none of them reached."""
        limits = [Limit(AlarmLevel.LOW, -1e9), Limit(AlarmLevel.HIGH, 1e9)]
        watched = {
            id(block): LimitRule(block, dict.fromkeys(range(len(block.tags)), limits), str)
            for block in self.blocks
        }
        pairs = [(watched[id(batch.block)].judge, batch) for batch in self.batches]
        return self.per_reading(lambda: [judge(batch, 0) for judge, batch in pairs])

    def encode_record(self) -> float:
        stamp = self.clock.stamp()
        return self.per_reading(lambda: [self.encoder.batch(b, stamp) for b in self.news])

    async def journal(self) -> dict[str, float]:
        """Append, commit and read back; the same records each round."""
        found = {"journal append": [0.0], "journal commit": [0.0], "journal read": [0.0]}
        with self._journal() as journal:
            journal.start(lambda lane: None)
            await disk.grown_up(journal)
            position = journal.committed(Lane.DATA)
            for _ in range(self.effort.rounds):
                begun = time.process_time()
                self.append(journal)
                appended = time.process_time()
                await journal.durable(Lane.DATA)
                committed = time.process_time()
                position = read_all(journal, position)
                ends = time.process_time()
                journal.settle(Lane.DATA, position)
                found["journal append"].append(appended - begun)
                found["journal commit"].append(committed - appended)
                found["journal read"].append(ends - committed)
            await journal.close(clean=True)
        return {name: min(s[1:]) * 1e9 / self.readings for name, s in found.items()}

    @contextmanager
    def _journal(self) -> Iterator[Journal]:
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            # A commit only when asked for, so that each stage is measured alone.
            settings = Settings(Path(name) / "journal", size=16 << 20, commit_s=0.5)
            yield Journal.open(
                settings, gateway="bench", schema=self.schema, clock=self.clock,
                boot=self.clock.boot_id(), config="0" * 16,
            )  # fmt: skip

    def append(self, journal: Journal) -> None:
        """All records of a round."""
        for batch, record in zip(self.news, self.records, strict=True):
            journal.append(
                Lane.DATA, "d1", record, time_ns=batch.time_ns, readings=len(batch), covers=True
            )

    def decode_record(self) -> float:
        layouts = decode_schema(self.schema)
        return self.per_reading(lambda: [decode(r, layouts) for r in self.records])

    def encode_json(self) -> float:
        layouts = decode_schema(self.schema)
        records = [decode(record, layouts) for record in self.records]
        encode = self.dialect.record
        return self.per_reading(lambda: [encode(1, record) for record in records])

    def deliver(self) -> float:
        """From a journal in memory to a publisher that takes everything at once."""
        return self.per_reading(lambda: _deliver(self))

    async def ask(self, port: int) -> float:
        """One request and its answer, socket to admitted bytes."""
        connection = Connection("127.0.0.1", port, self.clock)
        await connection.open(5.0)
        count = self.blocks[0].request.count
        begun = time.process_time()
        for _ in range(self.effort.requests):
            await connection.ask(unit=1, function=3, offset=0, count=count, timeout_s=5.0)
        spent = time.process_time() - begun
        await connection.close()
        return spent * 1e9 / (self.effort.requests * PER_BLOCK[self.site.type])

    async def publish(self, port: int) -> float:
        """Payloads of eight records over MQTT 5, until the broker acknowledged them."""
        parts = [self.dialect.record(1, r) for r in self._decoded()[:8]]
        payload = b",".join(parts)
        window, waiting = asyncio.Semaphore(32), asyncio.Event()
        settings = MqttSettings([f"mqtt://127.0.0.1:{port}"], "bench")
        publisher = MqttPublisher(settings, self.clock)

        def hear(event: PublisherEvent) -> None:
            if isinstance(event, Connected):
                waiting.set()
            elif isinstance(event, Acknowledged):
                window.release()
            elif isinstance(event, Lost):
                raise BenchError(event.text)

        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(publisher.run(hear))
            await waiting.wait()
            begun = time.process_time()
            for _ in range(self.effort.messages):
                await window.acquire()
                publisher.publish("bench/x", payload, qos=1, retain=False)
            for _ in range(32):
                await window.acquire()
            spent = time.process_time() - begun
            running.cancel()
        # As many polls stand behind a record here as in a round.
        share = self.readings / len(self.records)
        return spent * 1e9 / (self.effort.messages * len(parts) * share)

    def _decoded(self) -> list[Any]:
        layouts = decode_schema(self.schema)
        return [decode(record, layouts) for record in self.records]


def read_all(journal: Journal, position: int) -> int:
    """Read on from ``position`` to the end; where that is."""
    while entries := journal.read(
        Lane.DATA, position, max_bytes=_READ_BYTES, max_records=_READ_RECORDS
    ):
        position = entries[-1].position
    return position


class _Memory:
    """A journal that holds the records of a round in a list (`deliver.Backlog`)."""

    def __init__(self, bench: Bench) -> None:
        self._schema = bench.schema
        self._entries = [
            Entry(n, "d1", "0" * 32, n, 0, batch.time_ns, len(batch), record)
            for n, (batch, record) in enumerate(
                zip(bench.news, bench.records, strict=True), start=1
            )
        ]
        self._settled = 0

    def committed(self, lane: Lane) -> int:
        return len(self._entries) if lane is Lane.DATA else 0

    def settled(self, lane: Lane) -> int:
        return self._settled if lane is Lane.DATA else 0

    def trouble(self, lane: Lane) -> str | None:
        return None

    def unsaved(self, lane: Lane, after: int, limit: int) -> list[tuple[int, Entry | Damage]]:
        return []

    def quarantine(self, lines: Sequence[bytes]) -> None:
        raise BenchError("delivery quarantined a record")

    def owed(self, lane: Lane) -> list[Damage]:
        return []

    def owe(self, lane: Lane, gaps: Sequence[Damage]) -> None:
        raise BenchError("delivery put records aside")

    def read(
        self, lane: Lane, after: int, *, max_bytes: int, max_records: int
    ) -> Sequence[Entry | Damage]:
        size, found = 0, list[Entry]()
        for entry in self._entries[after : after + max_records]:
            size += len(entry.payload)
            if found and size > max_bytes:
                break
            found.append(entry)
        return found

    def schema(self, key: int) -> bytes:
        return self._schema

    def settle_held(
        self, lane: Lane, holds: Callable[[str, str, int], bool], up_to: int
    ) -> bool:
        raise BenchError("nobody gives receipts here")

    def knows_next(self, lane: Lane, up_to: int) -> bool:
        return True

    def follow(self, lane: Lane) -> bool:
        return False

    def read_again(
        self, lane: Lane, after: int, *, max_bytes: int, max_records: int
    ) -> list[Entry | Damage]:
        raise BenchError("nothing is published again here")

    def settle(self, lane: Lane, position: int) -> None:
        self._settled = position


class _Taker:
    """A publisher that notes tokens, to be acknowledged in one go."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self._last = 0

    async def run(self, tell: Callable[[PublisherEvent], None]) -> None:
        await asyncio.Event().wait()

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int:
        self._last += 1
        self.tokens.append(self._last)
        return self._last

    def reconnect(self, pause_s: float) -> None:
        raise BenchError("delivery gave the connection up")

    def soon(self) -> None:
        raise BenchError("delivery looks for a poisonous record")


def _deliver(bench: Bench) -> None:
    asyncio.run(_deliver_all(bench))


async def _deliver_all(bench: Bench) -> None:
    memory, taker = _Memory(bench), _Taker()
    delivery = Delivery(memory, taker, bench.dialect, bench.clock, policy=Policy())
    delivery.hear(Connected(65_535, None, can_refuse=True))
    lane = delivery.lanes[Lane.DATA]
    async with asyncio.TaskGroup() as group:
        while memory.settled(Lane.DATA) < memory.committed(Lane.DATA):
            lane.fetch(group)
            await asyncio.sleep(0)
            lane.turn()
            tokens, taker.tokens = taker.tokens, []
            for token in tokens:
                delivery.hear(Acknowledged(token, 0))


def measure(site: Site, effort: Effort) -> dict[str, float]:
    """Nanoseconds per reading of each stage; those on a loop once for each loop."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        folder = Path(name)
        bench = Bench(site, folder, effort)
        found = _on_each_loop("ask", bench, folder)
        found["decode"] = bench.decode()
        found["normalise"] = bench.normalise()
        found["limits"] = bench.limits()
        found["rules"] = bench.rules()
        found["record encode"] = bench.encode_record()
        found |= asyncio.run(bench.journal())
        found["record decode"] = bench.decode_record()
        found["JSON encode"] = bench.encode_json()
        found["deliver, all of it"] = bench.deliver()
        return found | _on_each_loop("publish", bench, folder)


def _on_each_loop(what: str, bench: Bench, folder: Path) -> dict[str, float]:
    found = {}
    with _peer(what, bench, folder) as port:
        for loop, run in runners().items():
            work = bench.ask if what == "ask" else bench.publish
            found[f"{what}, {loop}"] = run(work(port))
    return found


@contextmanager
def _peer(what: str, bench: Bench, folder: Path) -> Iterator[int]:
    with ExitStack() as stack:
        if what == "publish":
            port, _ = stack.enter_context(broker(folder))
            argv, errors = module("subscriber", port), folder / "subscriber.err"
            stack.enter_context(running(argv, errors)).answer()
            yield port
        else:
            argv, errors = module("plant", "--type", bench.site.type), folder / "plant.err"
            yield int(stack.enter_context(running(argv, errors)).answer()["port"])


def runners() -> dict[str, Callable[[Coroutine[Any, Any, float]], float]]:
    """The loops this machine has."""
    found: dict[str, Callable[[Coroutine[Any, Any, float]], float]] = {"asyncio": asyncio.run}
    try:
        import uvloop
    except ImportError:
        return found
    return found | {"uvloop": uvloop.run}
