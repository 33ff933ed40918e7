"""Every target by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.fuzz import configuration, frames, modbus, mqtt, opcua, payload, recovery
from tests.fuzz.watch import Target

CORPUS = Path(__file__).parent / "corpus"


class Subject(NamedTuple):
    """A target, and where its inputs begin."""

    run: Target
    seeds: Callable[[], list[bytes]]

    @property
    def says(self) -> str:
        """What it reads, in one line."""
        return (self.run.__doc__ or "").partition("\n")[0]


TARGETS = {
    "frames": Subject(frames.frames, frames.seeds),
    "recovery": Subject(recovery.recovery, recovery.seeds),
    "configuration": Subject(configuration.configuration, configuration.seeds),
    "modbus": Subject(modbus.modbus, modbus.seeds),
    "opcua": Subject(opcua.opcua, opcua.seeds),
    "mqtt": Subject(mqtt.mqtt, mqtt.seeds),
    "payload": Subject(payload.payload, payload.seeds),
}


def kept(name: str) -> list[bytes]:
    """The seeds of a target, and what runs found worth keeping."""
    found = [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]
    return [*TARGETS[name].seeds(), *found]
