"""An OPC UA server in a process of its own, whose values all change once a second.

    python -m tests.bench.opcua_plant TAGS

The first line says its port; each line read is answered with the changes made so far.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import random
import sys
import time

from asyncua import ua
from asyncua.server.server import Server

from tests.bench.site import URI
from tests.loopback import free_port


async def make(server: Server, tags: int) -> list[ua.NodeId]:
    """The nodes ``n00001`` …, all of type Double."""
    index = await server.register_namespace(URI)
    nodes = [ua.NodeId(ua.String(f"n{n:05}"), ua.Int16(index)) for n in range(1, tags + 1)]
    for node in nodes:
        await server.nodes.objects.add_variable(node, str(node.Identifier), 0.0)
    return nodes


async def change(server: Server, nodes: list[ua.NodeId]) -> None:
    """A new value for every node, with the time it was measured."""
    now = ua.DateTime.now(datetime.UTC)
    for node in nodes:
        value = ua.Variant(random.uniform(0, 100), ua.VariantType.Double)
        data = ua.DataValue(value, ua.StatusCode(), now, now)
        await server.write_attribute_value(node, data)


async def serve(tags: int) -> None:
    """Serve until stdin closes."""
    server, port = Server(), free_port()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    nodes = await make(server, tags)
    await server.start()
    loop, closed, changes = asyncio.get_running_loop(), asyncio.Event(), 0

    def asked() -> None:
        if not sys.stdin.readline():
            closed.set()
            return
        print(json.dumps({"registers": changes}), flush=True)

    loop.add_reader(sys.stdin, asked)
    print(json.dumps({"port": port}), flush=True)
    due = time.monotonic()
    while not closed.is_set():
        await change(server, nodes)
        changes += len(nodes)
        due += 1.0
        try:
            await asyncio.wait_for(closed.wait(), max(0.0, due - time.monotonic()))
        except TimeoutError:
            continue
    await server.stop()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
