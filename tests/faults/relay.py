"""A TCP relay between the agent and the broker, so that the broker itself never dies.

Killing a broker loses what it acknowledged and had not yet handed on, which is no
fault of the gateway. Cutting this relay takes the broker away from the agent alone.

    python -m tests.faults.relay --to PORT [--port N]

Commands: ``{"do": "cut"}`` closes the port and every connection, ``"hold"`` keeps the
connections and passes nothing on (half open), ``"restore"`` ends both; ``"reset"`` closes
the connections and leaves the port open. ``{"do": "rate", "bytes_s": 125000}`` passes on no
more than that each way; None: as fast as it goes.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from tests.faults.control import Command, obey, say

_AT_ONCE_BYTES = 1500
"""A slow link passes on so much in one piece, as a packet would."""


class Relay:
    """One listening port and the pairs of sockets behind it."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._bytes_s: float | None = None
        self.port = 0

    async def listen(self) -> None:
        """Open the port: a free one the first time, the same one ever after."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def perform(self, command: Command) -> None:
        """Carry out one command of the stage."""
        do = command["do"]
        if do == "hold":
            self._passing.clear()
        elif do == "cut":
            self._cut()
        elif do == "rate":
            self._bytes_s = command["bytes_s"]
        elif do == "reset":
            self._reset()
        elif do == "restore":
            self._passing.set()
            if self._server is None:
                await self.listen()

    def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._reset()

    def _reset(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except ConnectionError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pump(reader, far_writer))
            tasks.create_task(self._pump(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        free_s = 0.0
        """When the link will have carried all it was given."""
        try:
            while chunk := await reader.read(_AT_ONCE_BYTES if self._bytes_s else 65536):
                await self._passing.wait()
                if self._bytes_s:
                    free_s = max(free_s, time.monotonic()) + len(chunk) / self._bytes_s
                    await asyncio.sleep(free_s - time.monotonic())
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


async def main() -> None:
    """Relay until stdin closes."""
    parser = argparse.ArgumentParser(prog="tests.faults.relay")
    parser.add_argument("--to", type=int, required=True)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    relay = Relay(options.to)
    relay.port = options.port
    await relay.listen()
    say(port=relay.port)
    await obey(relay.perform)


if __name__ == "__main__":
    asyncio.run(main())
