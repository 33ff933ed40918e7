"""What the stage itself did and saw during a run; kept beside the logs as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Life:
    """One process of the agent."""

    began_ns: int
    ended_ns: int = 0
    """When it was told to end, or was killed."""
    killed: bool = False
    """By SIGKILL; what was not yet durable may be gone."""


@dataclass
class Sample:
    """How much the agent used at one moment."""

    mono_ns: int
    rss_bytes: int
    threads: int
    files: int
    journal_bytes: int


@dataclass
class Facts:
    """All times on CLOCK_MONOTONIC in nanoseconds."""

    offset_ns: int = 0
    """Unix time minus monotonic time on this machine."""
    lives: list[Life] = field(default_factory=list)
    healed_ns: list[int] = field(default_factory=list)
    """When each fault ended with the agent running."""
    samples: list[Sample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What went wrong with the run itself, such as an exit status."""

    disk_failed: bool = False
    """The disk took nothing for a while; what was answered then need not be durable."""

    @property
    def end_ns(self) -> int:
        """When the last agent was told to end."""
        return self.lives[-1].ended_ns

    def death_after(self, mono_ns: int) -> int:
        """When the process that was running at that moment ended."""
        deaths = [life.ended_ns for life in self.lives if life.ended_ns >= mono_ns]
        return min(deaths, default=self.end_ns)

    def alive(self, mono_ns: int) -> bool:
        """Whether an agent was running at that moment."""
        return any(life.began_ns <= mono_ns <= life.ended_ns for life in self.lives)

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self)))


def load(path: Path) -> Facts:
    """What `Facts.save` wrote."""
    raw = json.loads(path.read_text())
    return Facts(
        raw["offset_ns"],
        [Life(**life) for life in raw["lives"]],
        raw["healed_ns"],
        [Sample(**sample) for sample in raw["samples"]],
        raw["notes"],
        raw["disk_failed"],
    )
