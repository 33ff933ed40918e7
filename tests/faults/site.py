"""What one run watches: devices, tags, and the configuration file that says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.faults.encoding import WIDTH, Function, type_at

_TABLE = {
    Function.COILS: "coil",
    Function.DISCRETE: "discrete",
    Function.HOLDING: "holding",
    Function.INPUT: "input",
}


class Spot(NamedTuple):
    """Where one tag lives on the wire."""

    unit: int
    function: Function
    address: int
    type: str

    @property
    def end(self) -> int:
        """The first address after this tag."""
        return self.address + WIDTH[self.type]


@dataclass(frozen=True)
class Series:
    """``count`` tags of one type, one after the other, from ``first``."""

    prefix: str
    function: Function
    first: int
    count: int
    high: int | None = None
    """The limit above which each of its tags raises an alarm; None: it has none."""

    @property
    def type(self) -> str:
        """The type of all its tags."""
        return type_at(self.function, self.first)

    def spots(self, unit: int) -> Iterator[tuple[str, Spot]]:
        """Each tag by name."""
        for i in range(self.count):
            address = self.first + i * WIDTH[self.type]
            yield f"{self.prefix}{i:04}", Spot(unit, self.function, address, self.type)

    def yaml(self) -> str:
        """As one entry of ``tags``."""
        step = WIDTH[self.type]
        last = self.first + (self.count - 1) * step
        span = f"{self.first}..{last}" + (f"..{step}" if step > 1 else "")
        limit = "" if self.high is None else f", alarms: {{high: {self.high}}}"
        return (
            f'{{name: "{self.prefix}{{0000..{self.count - 1:04}}}", '
            f'address: "{_TABLE[self.function]}/{{{span}}}", type: {self.type}{limit}}}'
        )


MIXED = (
    Series("h", Function.HOLDING, 0, 30),
    Series("w", Function.HOLDING, 10_000, 10),
    Series("q", Function.INPUT, 20_000, 6),
    Series("f", Function.INPUT, 30_000, 10),
    Series("c", Function.COILS, 0, 20),
)
"""Every table and type in a few requests."""
ALARMING = (
    Series("h", Function.HOLDING, 0, 30, high=64_000),
    Series("q", Function.INPUT, 20_000, 6, high=0),
)
"""Alarms that come and go with every poll, and some that stand all the time."""


@dataclass(frozen=True)
class Site:
    """The devices of a run; device ``d<unit>`` answers as that unit id."""

    units: tuple[int, ...] = (1, 2, 3)
    series: tuple[Series, ...] = MIXED
    interval_s: float = 0.5
    timeout_s: float = 0.3
    links: int = 1
    """Devices are dealt out over this many links to the same plant."""
    gateway: str = "oracle"
    root: str = "park/v1"
    journal_mib: int = 64
    commit_s: float = 0.25
    extra_mqtt: str = ""
    """Further lines of the ``mqtt`` section, two spaces deep."""

    @property
    def limits(self) -> dict[str, int]:
        """The high limit of each tag that has one; the same in every device."""
        return {
            name: series.high
            for series in self.series
            if series.high is not None
            for name, _ in series.spots(0)
        }

    @property
    def devices(self) -> dict[str, dict[str, Spot]]:
        """The tags of each device, by name."""
        return {
            f"d{unit}": {name: spot for s in self.series for name, spot in s.spots(unit)}
            for unit in self.units
        }

    def yaml(self, *, plant_port: int, broker_port: int, journal: Path) -> str:
        """The configuration of the agent."""
        links = "".join(self._link(number, plant_port) for number in range(self.links))
        return (
            f"version: 1\n"
            f"gateway:\n  id: {self.gateway}\n"
            f"defaults:\n  interval: {_milliseconds(self.interval_s)}\n"
            f"links:\n{links}"
            f"mqtt:\n  urls: [mqtt://127.0.0.1:{broker_port}]\n  root: {self.root}\n"
            f"{self.extra_mqtt}"
            f"journal:\n  path: {journal}\n  size: {self.journal_mib}MiB\n"
            f"  commit: {_milliseconds(self.commit_s)}\n"
        )

    def _link(self, number: int, port: int) -> str:
        tags = "".join(f"          - {series.yaml()}\n" for series in self.series)
        devices = "".join(
            f"      - name: d{unit}\n        unit: {unit}\n        tags:\n{tags}"
            for unit in self.units[number :: self.links]
        )
        return (
            f"  - name: line{number}\n    driver: modbus\n    url: tcp://127.0.0.1:{port}\n"
            f"    timeout: {_milliseconds(self.timeout_s)}\n    devices:\n{devices}"
        )


def _milliseconds(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
