"""placeholder"""

from gateway.journal.journal import Journal
from gateway.journal.words import (
    Damage,
    Entry,
    LaneStats,
    Recovered,
    Settings,
    Stats,
    StreamState,
    TornStream,
    WriterState,
)

__all__ = [
    "Damage",
    "Entry",
    "Journal",
    "LaneStats",
    "Recovered",
    "Settings",
    "Stats",
    "StreamState",
    "TornStream",
    "WriterState",
]
