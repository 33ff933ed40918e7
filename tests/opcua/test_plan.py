"""Which tags share a block, and that what is told of a block fits a message."""

from __future__ import annotations

from drivers.opcua.driver import OpcuaDriver
from gateway.clock import Clock
from gateway.dialects import wire
from gateway.dialects.json import JsonDialect
from gateway.model import Batch, Quality
from gateway.record import Encoder, decode, decode_schema, encode_schema, layout_of
from tests.opcua.site import link_to

LONGEST = 64
"""Characters of a name."""


def test_a_record_of_all_tags_of_a_block_with_the_longest_names_and_all_times_fits() -> None:
    names = [f"{n:04}".ljust(LONGEST, "x") for n in range(1000)]
    clock = Clock()
    driver = OpcuaDriver(link_to("opc.tcp://127.0.0.1:1", *names).config, clock)
    blocks = driver.plan(link_to("opc.tcp://127.0.0.1:1", *names).tags)
    layouts = [layout_of(block) for block in blocks]
    encoder = Encoder(clock.boot_id(), blocks, layouts)
    for block in blocks:
        count, now_ns = len(block.tags), clock.now_ns()
        batch = Batch(
            block,
            now_ns,
            [-1.7976931348623157e308] * count,
            bytes([Quality.UNCERTAIN_LAST_USABLE]) * count,
            list(range(count)),
            [now_ns] * count,
            server_time_ns=[now_ns] * count,
        )
        record = decode(
            encoder.batch(batch, clock.stamp()), decode_schema(encode_schema(layouts))
        )
        told = JsonDialect("park", "gw").record(2**63, record)
        assert len(told) + JsonDialect.head_bytes < wire.MAX_BYTES
    assert sum(len(block.tags) for block in blocks) == len(names)
