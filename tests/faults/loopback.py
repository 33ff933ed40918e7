"""The broker of gateway/simulation in a process of its own.

Commands: ``{"do": "faults", NAME: VALUE, …}`` sets fields of its `Faults`; ``"cut"``
resets every connection; ``"poison"`` has ``markers`` on which it disconnects;
``"well"`` ends all faults.
"""

from __future__ import annotations

import argparse
import asyncio

from gateway.simulation.broker import Broker, Faults
from tests.faults.control import Command, obey, say

MALFORMED = 0x81


async def main() -> None:
    """Serve until stdin closes."""
    parser = argparse.ArgumentParser(prog="tests.faults.loopback")
    parser.add_argument("--receive-maximum", type=int)
    parser.add_argument("--maximum-packet-bytes", type=int)
    options = parser.parse_args()
    broker = Broker(
        receive_maximum=options.receive_maximum,
        maximum_packet_bytes=options.maximum_packet_bytes,
    )
    await broker.start()
    say(port=broker.port)

    def perform(command: Command) -> None:
        do = command.pop("do")
        if do == "well":
            broker.faults = Faults()
        elif do == "poison":
            broker.faults.poison = {m.encode(): MALFORMED for m in command["markers"]}
        elif do == "cut":
            broker.cut()
        else:
            for name, value in command.items():
                setattr(broker.faults, name, value)

    await obey(perform)
    await broker.stop()


if __name__ == "__main__":
    asyncio.run(main())
