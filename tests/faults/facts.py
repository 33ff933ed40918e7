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
class Step:
    """The agent's civil clock was set, while the monotonic one went on."""

    mono_ns: int
    offset_ns: int
    """Unix time minus monotonic time from then on."""


@dataclass
class Facts:
    """All times on CLOCK_MONOTONIC in nanoseconds."""

    offset_ns: int = 0
    """Unix time minus monotonic time here, and for the agent until the first step."""
    steps: list[Step] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    healed_ns: list[int] = field(default_factory=list)
    """When each fault ended with the agent running."""
    samples: list[Sample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What went wrong with the run itself, such as an exit status."""

    seen: list[str] = field(default_factory=list)
    """What an act has to say of its own, such as how many points it reached."""

    disk_failed: bool = False
    """The disk took nothing for a while; what was answered then need not be durable."""

    def offsets(self, begin_ns: int, end_ns: int) -> list[int]:
        """Unix time minus monotonic time as the agent may have seen it in between."""
        epochs = [Step(0, self.offset_ns), *self.steps]
        ends = [step.mono_ns for step in self.steps] + [end_ns]
        return [
            epoch.offset_ns
            for epoch, until_ns in zip(epochs, ends, strict=True)
            if epoch.mono_ns <= end_ns and begin_ns <= until_ns
        ]

    def mono_at(self, utc_ns: int, heard_ns: int) -> int:
        """The monotonic time of a civil one that the agent stated before ``heard_ns``.

        After a step back one civil time stands for several moments: the last before that.
        """
        moments = [
            utc_ns - offset
            for offset in self.offsets(0, heard_ns)
            if offset in self.offsets(utc_ns - offset, utc_ns - offset)
        ]
        past = [moment for moment in moments if moment <= heard_ns]
        return max(past, default=utc_ns - self.offsets(heard_ns, heard_ns)[-1])

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
        [Step(**step) for step in raw["steps"]],
        [Life(**life) for life in raw["lives"]],
        raw["healed_ns"],
        [Sample(**sample) for sample in raw["samples"]],
        raw["notes"],
        raw["seen"],
        raw["disk_failed"],
    )
