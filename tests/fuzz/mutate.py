"""Seeded changes to kept inputs: what ``make test`` runs, and all there is without Atheris."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.fuzz.watch import MOST_BYTES

TELLING = (b"\0", b"\xff", b"\x7f", b"\x80", b"\xff" * 4, b"\xff\xff\xff\x7f")
"""Ends of ranges: lengths and counts are wrong there."""


def mutations(kept: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """``count`` inputs, each a kept one with one to four changes; the same for one seed."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(chance.choice(kept))
        for _ in range(chance.randint(1, 4)):
            _change(data, kept, chance)
        yield bytes(data[:MOST_BYTES])


def _change(data: bytearray, kept: Sequence[bytes], chance: random.Random) -> None:
    at = chance.randint(0, len(data))
    match chance.randrange(6):
        case 0 if at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        case 1:
            piece = chance.choice(TELLING)
            data[at : at + len(piece)] = piece
        case 2:
            del data[at : at + chance.randint(1, 16)]
        case 3:
            data[at:at] = chance.randbytes(chance.randint(1, 8))
        case 4:
            other = chance.choice(kept)
            start = chance.randint(0, len(other))
            data[at:at] = other[start : start + chance.randint(1, 64)]
        case _:
            del data[at:]
