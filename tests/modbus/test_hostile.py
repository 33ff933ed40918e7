"""Ten thousand requests to a device that lies: no wrong value."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable

from gateway.errors import DeviceError, DeviceSilentError
from tests.modbus.site import device, driver_for, registers, written

REQUESTS = 10_000
TIMEOUT_S = 0.004


def worth(offset: int) -> int:
    """What the register at ``offset`` holds; another number everywhere."""
    return (offset * 7919 + 13) % 65536


def answer(request: bytes, *, offset: int | None = None, more: int = 0, tid: int | None = None,
           function: int | None = None, unit: int | None = None) -> bytes:  # fmt: skip
    """The truth, or the truth about something else."""
    number, _, _, own_unit, own_function, first, count = struct.unpack(">HHHBBHH", request)
    start = first if offset is None else offset
    words = [worth(at % 65536) for at in range(start, start + count + more)]
    pdu = struct.pack(
        f">BB{len(words)}H", function or own_function, 2 * len(words) & 255, *words
    )
    head = struct.pack(
        ">HHHB",
        number if tid is None else tid,
        0,
        len(pdu) + 1,
        own_unit if unit is None else unit,
    )
    return head + pdu


class Liar:
    """Answers truly or in one of many false ways, by a seeded die."""

    def __init__(self) -> None:
        self._die = random.Random(2026)
        self._before = b""
        self.told: dict[str, int] = {}
        self.ways: dict[str, Callable[[bytes, asyncio.Transport], None]] = {
            "true": lambda r, w: w.write(answer(r)),
            "true in single bytes": self._trickle,
            "late with id 0": lambda r, w: self._late(answer(r, tid=0), w),
            "late with its own id": lambda r, w: self._late(answer(r), w),
            "other registers with id 0": lambda r, w: w.write(answer(r, offset=9, tid=0)),
            "the answer before": self._previous,
            "the answer before with id 0": lambda r, w: w.write(answer(self._before, tid=0)),
            "foreign function": lambda r, w: w.write(answer(r, offset=77, function=4)),
            "foreign unit": lambda r, w: w.write(answer(r, offset=77, unit=9)),
            "foreign id": lambda r, w: w.write(answer(r, offset=77, tid=(r[1] + 1) % 256)),
            "short": lambda r, w: w.write(answer(r, offset=77, more=-1)),
            "long": lambda r, w: w.write(answer(r, offset=77, more=1)),
            "empty": lambda r, w: w.write(r[:4] + b"\0\3" + r[6:8] + b"\0"),
            "echo": lambda r, w: w.write(r),
            "truncated": lambda r, w: w.write(answer(r, offset=77)[:-3]),
            "two at once": lambda r, w: w.write(answer(self._before, tid=0) + answer(r)),
            "true, then another": lambda r, w: w.write(answer(r) + answer(r, offset=9)),
            "noise": lambda r, w: w.write(self._die.randbytes(self._die.randint(1, 400))),
            "foreign exception": lambda r, w: w.write(r[:4] + b"\0\3" + r[6:7] + b"\x84\2"),
            "own exception": lambda r, w: w.write(r[:4] + b"\0\3" + r[6:7] + b"\x83\4"),
        }

    def __call__(self, request: bytes, writer: asyncio.Transport) -> None:
        way = self._die.choice(["true", *self.ways])
        self.told[way] = self.told.get(way, 0) + 1
        self._before = self._before or request
        self.ways[way](request, writer)
        self._before = request

    def _previous(self, request: bytes, writer: asyncio.Transport) -> None:
        # In the die's first throw there is no answer before; then this is the truth.
        writer.write(answer(self._before))

    def _late(self, frame: bytes, writer: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(1.2 * TIMEOUT_S, writer.write, frame)

    def _trickle(self, request: bytes, writer: asyncio.Transport) -> None:
        # One segment each: the socket sends at once.
        for byte in answer(request):
            writer.write(bytes((byte,)))


async def test_ten_thousand_lies_give_no_wrong_value() -> None:
    liar, right, refused, silent = Liar(), 0, 0, 0
    link, tags = written(
        {"name": "d", "unit": 1, "timeout": "4ms", "tags": registers(400, type="uint16")},
        timeout="10s",
    )
    async with device(liar) as port:
        driver = driver_for(link.model_copy(update={"max_registers": 20}), port)
        blocks = [
            block for at in range(0, 400, 20) for block in driver.plan(tags[at : at + 20])
        ]
        await driver.connect()
        for turn in range(REQUESTS):
            block = blocks[turn % len(blocks)]
            try:
                batch = await driver.read(block)
            except DeviceSilentError:
                silent += 1
                await driver.connect()
            except DeviceError:
                refused += 1
            else:
                right += 1
                first = block.request.offset
                assert list(batch.values) == [worth(first + n) for n in range(20)]
        await driver.close()
    assert set(liar.told) == set(liar.ways)
    assert right + refused + silent == REQUESTS
    assert right > 0.5 * (liar.told["true"] + liar.told["true in single bytes"])
    assert refused > 0.5 * liar.told["own exception"]
