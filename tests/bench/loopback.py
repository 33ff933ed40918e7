"""The simulated broker in a process of its own, for machines without mosquitto."""

from __future__ import annotations

import asyncio
import sys

from gateway.simulation.broker import Broker


async def main() -> None:
    """Serve on the port given until terminated."""
    await Broker(int(sys.argv[1])).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
