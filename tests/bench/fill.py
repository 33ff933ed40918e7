"""A journal with a backlog in it, as an agent that heard no broker would have left it.

The records are those of a site whose tags are drawn anew each second, through the real
encoder and the real journal; the last of them is a second old.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.clock import Clock
from gateway.journal import Journal, Settings
from gateway.loader import from_text
from gateway.model import Batch, Block, Lane
from gateway.planning import plan_site
from gateway.record import Encoder, encode_schema, layout_of
from tests.bench.site import Site

_RECORDS_PER_COMMIT = 20_000
_IMAGES = 64
"""Polls with values of their own; then they come again, at other times."""


@dataclass(frozen=True)
class Filled:
    """What was put in."""

    readings: int
    records: int
    bytes: int
    """Of the segments in use; the rest of the journal's size is its pool."""
    unsettled: int
    """Records that are still there: a full journal gave up the oldest."""
    seconds: float


async def fill(site: Site, path: Path, readings: int) -> Filled:
    """Journal ``readings`` of ``site`` under ``path``, and close it clean."""
    clock = Clock()
    config = from_text(site.yaml(plant_port=1, broker_port=1, journal=path))
    blocks = [block for link in plan_site(config, clock) for block in link.blocks]
    layouts = [layout_of(block) for block in blocks]
    encoder = Encoder(clock.boot_id(), blocks, layouts)
    journal = Journal.open(
        Settings(path, config.config.journal.size), gateway="bench",
        schema=encode_schema(layouts), clock=clock, boot=clock.boot_id(),
        config=config.fingerprint,
    )  # fmt: skip
    journal.start(lambda lane: None)
    begun, records, count = time.monotonic(), 0, 0
    for batch in _polls(blocks, clock, readings):
        payload = encoder.batch(batch, clock.stamp())
        journal.append(
            Lane.DATA, batch.block.device, payload, time_ns=batch.time_ns,
            readings=len(batch), covers=True,
        )  # fmt: skip
        records, count = records + 1, count + len(batch)
        if records % _RECORDS_PER_COMMIT == 0:
            await journal.durable(Lane.DATA)
    await journal.durable(Lane.DATA)
    took, stats = time.monotonic() - begun, journal.stats()
    await journal.close(clean=True)
    lane = stats.lanes[Lane.DATA]
    size = lane.segments * Settings(path).data_segment
    return Filled(count, records, size, stats.unsettled_records, took)


def _polls(blocks: list[Block[Any]], clock: Clock, readings: int) -> Iterator[Batch]:
    """All blocks once a second, until a second ago, ``readings`` in all."""
    each = sum(len(block.tags) for block in blocks)
    images = [[_image(block) for block in blocks] for _ in range(_IMAGES)]
    polls = -(-readings // each)
    now_ns, mono_ns = clock.now_ns(), clock.monotonic_ns()
    for number in range(polls):
        ago_ns = (polls - number) * 1_000_000_000
        mono = (max(0, mono_ns - ago_ns), max(0, mono_ns - ago_ns) + 500_000)
        for block, values in zip(blocks, images[number % _IMAGES], strict=True):
            yield Batch(block, now_ns - ago_ns, values, None, mono_ns=mono)


def _image(block: Block[Any]) -> tuple[int, ...]:
    return tuple(random.randrange(27_649) for _ in block.tags)
