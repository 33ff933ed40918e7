"""A fabricated run of an honest gateway, for proving that the checker sees what it should.

One device, four tags, a reading every half second for 20 s. The agent is killed at
8.1 s and runs again from 9 s; the device is silent from 13 s to 15 s. Tests change
one thing in it and ask which law the checker names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.faults.checker import Bounds, Key, Verdict, judge
from tests.faults.encoding import Function, value_at
from tests.faults.evidence import Stream, take_apart
from tests.faults.facts import Facts, Life, Sample
from tests.faults.recorder import Arrival
from tests.faults.site import Series, Site
from tests.faults.wirelog import What, Wire

SITE = Site(units=(1,), series=(Series("h", Function.HOLDING, 0, 4),), interval_s=0.5)
ZERO_NS = 5_000 * 10**9
WALL_NS = 1_790_000_000 * 10**9
FIRST, SECOND = "a" * 32, "b" * 32
"""The two incarnations."""
_MS = 1_000_000
KILLED_S, AGAIN_S, SILENT_S, HEALED_S, END_S = 8.1, 9.0, 13.0, 15.0, 20.0


def _mono(at_s: float) -> int:
    return ZERO_NS + round(at_s * 1e9)


def utc(at_s: float) -> str:
    """The civil time at ``at_s`` of the run."""
    wall_us = WALL_NS // 1000 + round(at_s * 1e6)
    seconds, micros = divmod(wall_us, 10**6)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{micros:06}Z"


@dataclass
class Story:
    """The logs of one run, open to changes."""

    wires: list[Wire] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    """Each with ``at_s``, which is not sent."""
    heads: list[dict[str, Any]] = field(default_factory=list)
    accepted: list[Key] = field(default_factory=list)
    facts: Facts = field(default_factory=Facts)

    def record(self, incarnation: str, seq: int) -> dict[str, Any]:
        """The record under a key, in the message that brings it first."""
        for message in self.messages:
            if message["incarnation"] == incarnation:
                for record in message["records"]:
                    if record["seq"] == seq:
                        found: dict[str, Any] = record
                        return found
        raise KeyError(seq)

    def gap(self, cause: str) -> dict[str, Any]:
        """The last version of the gap with this cause."""
        gaps = [
            r["gap"]
            for m in self.messages
            for r in m["records"]
            if r.get("gap", {}).get("cause") == cause
        ]
        last: dict[str, Any] = gaps[-1]
        return last

    def drop(self, incarnation: str, seq: int) -> None:
        """Take one single-record message away, in all its copies."""
        self.messages = [
            m
            for m in self.messages
            if (m["incarnation"], m["first"], m["last"]) != (incarnation, seq, seq)
        ]

    def arrivals(self) -> Iterator[Arrival]:
        """What the recorder would hold."""
        for message in self.messages:
            sent = {k: v for k, v in message.items() if k != "at_s"}
            topic = f"{SITE.root}/{SITE.gateway}/{message['lane']}/{message['device']}"
            yield Arrival(_mono(message["at_s"]), topic, json.dumps(sent).encode(), False)
        for heads in self.heads:
            topic = f"{SITE.root}/{SITE.gateway}/heads"
            yield Arrival(_mono(END_S), topic, json.dumps(heads).encode(), False)

    def verdict(self) -> Verdict:
        """What the checker says."""
        evidence = take_apart(self.arrivals(), SITE.root, SITE.gateway)
        return judge(SITE, self.wires, evidence, self.facts, self.accepted, Bounds())


def honest() -> Story:
    """A run without any violation."""
    story = Story()
    story.facts.offset_ns = WALL_NS - ZERO_NS
    story.facts.lives = [
        Life(_mono(-0.1), _mono(KILLED_S), killed=True),
        Life(_mono(AGAIN_S - 0.1), _mono(END_S)),
    ]
    story.facts.healed_ns = [_mono(HEALED_S)]
    story.facts.samples = [Sample(_mono(s), 60 << 20, 5, 12, 1 << 20) for s in range(20)]
    _first_life(story)
    again = [m for m in story.messages if m["last"] > 14]
    _second_life(story, again)
    for message in story.messages:
        stream = Stream(message["incarnation"], "data", "d1")
        story.accepted += [Key(stream, r["seq"]) for r in message["records"]]
    state = {"head": story.messages[-1]["last"], "settled": 0, "covered_to": None}
    story.heads = [
        {
            "v": 1,
            "incarnation": SECOND,
            "time": utc(END_S),
            "clock": "synced",
            "config": "c" * 16,
            "journal": {"bytes": 1 << 20, "size": 64 << 20, "hours_left": None},
            "streams": {"data/d1": state},
        }
    ]
    return story


def _first_life(story: Story) -> None:
    for step in range(int(KILLED_S * 2)):
        _say(story, FIRST, step + 1, step / 2 + 0.3, _poll(story, step / 2))


def _second_life(story: Story, again: list[dict[str, Any]]) -> None:
    after = {"incarnation": FIRST, "seq": story.messages[-1]["last"]}
    _poll(story, 8.0)  # answered, but not durable when the agent is killed
    not_running = _gap("g-1", "not_running_unclean", 7.504, AGAIN_S + 0.004)
    story.messages += [{**message, "at_s": AGAIN_S + 0.2} for message in again]
    _say(story, SECOND, 1, AGAIN_S + 0.2, {"gap": {**not_running, "after": after}})
    seq, silent = 1, False
    for step in range(int(AGAIN_S * 2), int(END_S * 2)):
        at_s = step / 2
        body = _poll(story, at_s, silent=SILENT_S <= at_s < HEALED_S)
        if "quality" not in body:
            if silent:
                seq += 1
                gap = _gap("g-2", "device_timeout", SILENT_S - 0.496, at_s + 0.004)
                _say(story, SECOND, seq, at_s + 0.3, {"gap": gap})
            silent = False
        elif silent:
            continue
        else:
            silent = True
        seq += 1
        _say(story, SECOND, seq, at_s + 0.3, body)


def _poll(story: Story, at_s: float, *, silent: bool = False) -> dict[str, Any]:
    tick = round(at_s * 10)
    what = What.SILENT if silent else What.REPLY
    story.wires.append(Wire(_mono(at_s) + 2 * _MS, 1, 3, 0, 4, tick, what))
    names = [f"h{i:04}" for i in range(4)]
    mono = {"mono": [_mono(at_s), _mono(at_s) + 4 * _MS]}
    if silent:
        bad = dict.fromkeys(names, "bad.no_communication")
        return {**mono, "values": dict.fromkeys(names), "quality": bad}
    return {**mono, "values": {n: value_at(1, 3, i, tick) for i, n in enumerate(names)}}


def _gap(name: str, cause: str, from_s: float, to_s: float) -> dict[str, Any]:
    return {
        "id": name,
        "cause": cause,
        "tags": "*",
        "from": utc(from_s),
        "to": utc(to_s),
        "count": 4 * round((to_s - from_s) / SITE.interval_s - 1),
        "count_is": "at_most",
    }


def _say(story: Story, incarnation: str, seq: int, at_s: float, body: dict[str, Any]) -> None:
    taken_s = (body["mono"][1] - ZERO_NS) / 1e9 if "mono" in body else at_s
    record = {"seq": seq, "time": utc(taken_s), "clock": "synced", "bound_ms": 3, **body}
    story.messages.append(
        {
            "v": 1,
            "gateway": SITE.gateway,
            "incarnation": incarnation,
            "boot": "4" * 32,
            "device": "d1",
            "lane": "data",
            "prev": seq - 1,
            "first": seq,
            "last": seq,
            "records": [record],
            "at_s": at_s,
        }
    )
