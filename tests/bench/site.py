"""The plants that are measured, and the configuration that reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.bench.plant import REGISTERS

WIDTH = {"int16": 1, "float32": 2}
PER_BLOCK = {"int16": 125, "float32": 62}
"""Tags one request reads."""


@dataclass(frozen=True)
class Site:
    """So many tags at 1 s, 10,000 registers to a unit id, one link to each unit."""

    tags: int = 100_000
    type: str = "int16"
    changing: float = 1.0
    """Share of the values that are new at each poll; below 1 the tags report changes only."""
    commit_ms: int = 250
    """D."""
    delay_ms: int = 0
    """Time the plant takes for each answer."""
    connections: int = 1
    """Sockets per link."""
    journal: str = "48MiB"

    @property
    def units(self) -> int:
        return -(-self.tags // self._per_unit)

    @property
    def _per_unit(self) -> int:
        return REGISTERS // WIDTH[self.type]

    def yaml(self, *, plant_port: int, broker_port: int, journal: Path) -> str:
        """The configuration of the agent."""
        links = "".join(self._link(unit, plant_port) for unit in range(1, self.units + 1))
        deadband = "" if self.changing == 1 else "  deadband: 0\n"
        return (
            "version: 1\n"
            "gateway: {id: bench}\n"
            f"defaults:\n  interval: 1s\n{deadband}"
            f"links:\n{links}"
            f"mqtt: {{urls: ['mqtt://127.0.0.1:{broker_port}'], root: bench, "
            "catch_up: 1000000}\n"
            # Small, so that the pool is written before the measurement begins.
            f"journal: {{path: {journal}, size: {self.journal}, commit: {self.commit_ms}ms}}\n"
        )

    def _link(self, unit: int, port: int) -> str:
        count = min(self._per_unit, self.tags)
        width = WIDTH[self.type]
        last = (count - 1) * width
        return (
            f"  - name: line{unit}\n    driver: modbus\n    url: tcp://127.0.0.1:{port}\n"
            f"    connections: {self.connections}\n"
            f"    devices:\n      - name: d{unit}\n        unit: {unit}\n        tags:\n"
            f'          - {{name: "n{{00001..{count:05}}}.pv", '
            f'address: "holding/{{0..{last}..{width}}}", type: {self.type}}}\n'
        )
