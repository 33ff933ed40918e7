"""Whose newest values are said, and how much of it at once."""

from __future__ import annotations

from gateway.latest import LATEST_S, Rota

DEVICES = [f"d{number}" for number in range(10)]


class Voice:
    def __init__(self, size: int) -> None:
        self.said: list[str] = []
        self._size = size

    def __call__(self, device: str) -> int:
        self.said.append(device)
        return self._size


def test_no_more_is_said_at_once_than_there_is_room_for_and_all_have_their_turn() -> None:
    rota, voice = Rota(), Voice(1000)
    for second in range(3):
        rota.turn(DEVICES, second, 4000, voice)
        assert len(voice.said) == min(10, 4 * (second + 1))
    assert voice.said == DEVICES


def test_a_device_is_said_every_five_seconds_at_most() -> None:
    rota, voice = Rota(), Voice(1)
    for second in range(11):
        rota.turn(["d1"], second, 100, voice)
    assert len(voice.said) == 1 + 10 // LATEST_S


def test_a_device_larger_than_the_room_has_its_turn_too() -> None:
    rota, voice = Rota(), Voice(100_000)
    for second in range(10):
        rota.turn(DEVICES, second, 4000, voice)
    assert voice.said[:5] == DEVICES[:5]
    assert set(voice.said) == set(DEVICES)
