"""The plants that are measured, and the configuration that reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.bench.plant import REGISTERS

URI = "urn:bench"
"""Namespace of the nodes of the OPC UA plant."""

WIDTH = {"int16": 1, "float32": 2}
PER_BLOCK = {"int16": 125, "float32": 62}
"""Tags one request reads."""


@dataclass(frozen=True)
class Site:
    """So many tags at 1 s, one link to each unit id."""

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
    registers: int = REGISTERS
    """To a unit id."""
    high: int | None = None
    """Limit of the first tag of each unit; None: no tag has one."""
    catch_up: int = 1_000_000
    """Rate of a backlog, as a multiple of the live rate."""
    protocol: str = "modbus"
    """``opcua``: one server, whose values all change once a second, by subscription."""

    @property
    def plant(self) -> tuple[object, ...]:
        """Module and options of the process that is read."""
        if self.protocol == "opcua":
            return "opcua_plant", self.tags
        options = ("--type", self.type, "--changing", self.changing)
        return "plant", *options, "--delay-ms", self.delay_ms

    @property
    def words_per_reading(self) -> int:
        """How often a reading names its tag on the wire: with its times where it has them."""
        return 3 if self.protocol == "opcua" else 1

    @property
    def width(self) -> int:
        """What the plant counts for each reading it served."""
        return 1 if self.protocol == "opcua" else WIDTH[self.type]

    @property
    def units(self) -> int:
        return -(-self.tags // self._per_unit)

    @property
    def _per_unit(self) -> int:
        return self.registers // WIDTH[self.type]

    def yaml(self, *, plant_port: int, broker_port: int, journal: Path) -> str:
        """The configuration of the agent."""
        if self.protocol == "opcua":
            links = self._session(plant_port)
        else:
            links = "".join(self._link(n, plant_port) for n in range(1, self.units + 1))
        deadband = "" if self.changing == 1 else "  deadband: 0\n"
        return (
            "version: 1\n"
            "gateway: {id: bench}\n"
            f"defaults:\n  interval: 1s\n{deadband}"
            f"links:\n{links}"
            f"mqtt: {{urls: ['mqtt://127.0.0.1:{broker_port}'], root: bench, "
            f"catch_up: {self.catch_up}}}\n"
            # Small, so that the pool is written before the measurement begins.
            f"journal: {{path: {journal}, size: {self.journal}, commit: {self.commit_ms}ms}}\n"
        )

    def _link(self, unit: int, port: int) -> str:
        count = min(self._per_unit, self.tags)
        width = WIDTH[self.type]
        last = (count - 1) * width
        limited = self.high is not None
        return (
            f"  - name: line{unit}\n    driver: modbus\n    url: tcp://127.0.0.1:{port}\n"
            f"    connections: {self.connections}\n"
            f"    devices:\n      - name: d{unit}\n        unit: {unit}\n        tags:\n"
            + self._limited()
            * limited
            + f'          - {{name: "n{{{1 + limited:05}..{count:05}}}.pv", '
            f'address: "holding/{{{limited * width}..{last}..{width}}}", type: {self.type}}}\n'
        )

    def _limited(self) -> str:
        return (
            f"          - {{name: n00001.pv, address: holding/0, type: {self.type}, "
            f"alarms: {{high: {self.high}}}}}\n"
        )

    def _session(self, port: int) -> str:
        last = f"{self.tags:05}"
        return (
            f"  - name: dcs\n    driver: opcua\n    url: opc.tcp://127.0.0.1:{port}\n"
            f"    devices:\n      - name: d1\n        tags:\n"
            f'          - {{name: "n{{00001..{last}}}", '
            f'address: "nsu={URI};s=n{{00001..{last}}}", type: float64}}\n'
        )
