"""The faults a run can inject, by name: what happens on the stage, and what is expected.

Every act gets a stage whose agent is running and the seconds it may take; afterwards
the run waits for fresh data, ends the agent in order and asks the checker. So an act
says nothing about right and wrong, except which causes its gaps may have.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.faults import storage
from tests.faults.brokers import Loopback, Mosquitto
from tests.faults.encoding import Function, value_at
from tests.faults.plant import HOSTILE
from tests.faults.site import ALARMING, Series, Site
from tests.faults.stage import Stage

Act = Callable[[Stage, random.Random, float], None]

SITE = Site()
WIDE = Site(
    units=(1, 2, 3, 4, 5),
    series=(Series("q", Function.INPUT, 20_000, 1000),),
    interval_s=0.2,
    journal_mib=24,
)
LIARS = Site(units=tuple(range(1, 2 + len(HOSTILE))))
"""Unit 1 is honest; of the others each can tell one kind of lie."""
DOWN = frozenset({"not_running_unclean", "not_running_clean", "uncommitted_window"})
UNANSWERED = frozenset({"device_timeout", "late_reply_discarded", "poll_overrun"})
REJECTED = UNANSWERED | {"protocol_violation", "device_exception"}
QUARANTINED = frozenset({"quarantined"})
CORRUPT = frozenset({"journal_corrupt"})
REFUSED = UNANSWERED | {"device_refused", "device_exception"}


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    name: str
    injected: str
    act: Act
    causes: frozenset[str] = frozenset()
    """Causes a gap of this run may have; any other is a finding."""
    needs: frozenset[str] = frozenset()
    """At least one of these must be seen, or the fault was not injected."""
    site: Site = SITE
    broker: type[Mosquitto] | type[Loopback] | None = None
    """None: any."""
    receive_maximum: int | None = None
    seconds: float = 8.0
    """How long the act takes unless told otherwise."""
    drain_s: float = 30.0


def _pieces(seconds: float, rng: random.Random, longest_s: float) -> Iterator[float]:
    """Random lengths of time that add up to ``seconds``."""
    deadline = time.monotonic() + seconds
    while (left_s := deadline - time.monotonic()) > 0.2:
        yield min(left_s, rng.uniform(0.2, longest_s))


def quiet(stage: Stage, _rng: random.Random, seconds: float) -> None:
    stage.wait(seconds)


def kill_online(stage: Stage, rng: random.Random, seconds: float) -> None:
    for piece_s in _pieces(seconds, rng, 3.0):
        stage.wait(piece_s)
        stage.kill()
        stage.start()


def kill_offline(stage: Stage, rng: random.Random, seconds: float) -> None:
    stage.wait(1.0)
    stage.cut()
    for piece_s in _pieces(seconds / 2, rng, 3.0):
        stage.wait(piece_s)
        stage.kill()
        stage.start()
    stage.wait(0.5)
    stage.restore()
    for piece_s in _pieces(seconds / 2, rng, 1.5):
        stage.wait(piece_s)
        stage.kill()
        stage.start()


def broker_away(stage: Stage, _rng: random.Random, seconds: float) -> None:
    stage.wait(2.0)
    stage.cut()
    stage.wait(max(1.0, seconds - 2.0))
    stage.restore()


def broker_flaps(stage: Stage, rng: random.Random, seconds: float) -> None:
    for piece_s in _pieces(seconds, rng, 1.5):
        stage.wait(piece_s)
        stage.cut()
        stage.wait(rng.uniform(0.05, 0.5))
        stage.restore()


def broker_half_open(stage: Stage, _rng: random.Random, seconds: float) -> None:
    stage.wait(2.0)
    stage.hold()
    stage.wait(max(1.0, seconds - 2.0))
    stage.cut()
    stage.restore()


def terminate_in_outage(stage: Stage, _rng: random.Random, seconds: float) -> None:
    _end_in_outage(stage, seconds, stage.terminate)


def kill_in_outage(stage: Stage, _rng: random.Random, seconds: float) -> None:
    _end_in_outage(stage, seconds, stage.kill)


def _end_in_outage(stage: Stage, seconds: float, end: Callable[[], None]) -> None:
    stage.wait(2.0)
    stage.cut()
    stage.wait(seconds / 3)
    end()
    time.sleep(1.0)
    stage.start()
    stage.wait(seconds / 3)
    stage.restore()


def silent_unit(stage: Stage, _rng: random.Random, seconds: float) -> None:
    _mistreat(stage, seconds, "silent", units=[2])


def late_reply(stage: Stage, _rng: random.Random, seconds: float) -> None:
    delay_s = stage.site.timeout_s * 1.3
    _mistreat(stage, seconds, "late_tid_0", units=[2], delay_s=delay_s)


def exceptions(stage: Stage, _rng: random.Random, seconds: float) -> None:
    for code in (4, 6, 11):
        _mistreat(stage, seconds / 3, "exception", units=[2], code=code)


def refused_address(stage: Stage, _rng: random.Random, seconds: float) -> None:
    _mistreat(stage, seconds, "exception", units=[2], code=2, addresses=[7, 8])


def hostile_answers(stage: Stage, _rng: random.Random, seconds: float) -> None:
    stage.wait(1.5)
    for unit, kind in zip(stage.site.units[1:], HOSTILE, strict=True):
        stage.fault(kind, units=[unit])
    stage.wait(seconds)
    stage.heal()


def plant_away(stage: Stage, _rng: random.Random, seconds: float) -> None:
    stage.wait(1.5)
    stage.plant.command(do="close")
    stage.wait(max(1.0, seconds - 1.5))
    stage.facts.healed_ns.append(stage.plant.command(do="listen"))


def frozen_values(stage: Stage, _rng: random.Random, seconds: float) -> None:
    stage.plant.command(do="freeze")
    stage.wait(seconds)
    stage.plant.command(do="thaw")


def slow_plant(stage: Stage, _rng: random.Random, seconds: float) -> None:
    _mistreat(stage, seconds, "slow", units=[2], delay_s=stage.site.timeout_s * 0.6)


def paused(stage: Stage, _rng: random.Random, seconds: float) -> None:
    stage.wait(2.0)
    stage.stop_agent()
    time.sleep(max(1.0, seconds - 2.0))
    stage.resume_agent()


def nemesis(stage: Stage, rng: random.Random, seconds: float) -> None:
    """Everything at once, in an order the seed decides."""
    for piece_s in _pieces(seconds, rng, 2.0):
        stage.wait(piece_s)
        unit = rng.choice(stage.site.units)
        move = rng.choice(("kill", "terminate", "cut", "plant", "freeze", "fault", "fault"))
        if move == "kill":
            stage.kill()
            stage.start()
        elif move == "terminate":
            stage.wait(1.5)  # before its handlers stand, a signal ends it as it ends anyone
            stage.terminate()
            stage.start()
        elif move == "cut":
            stage.cut()
        elif move == "plant":
            stage.plant.command(do="close")
            stage.plant.command(do="listen")
        elif move == "freeze":
            stage.plant.command(do=rng.choice(("freeze", "thaw")))
        else:
            kind = rng.choice(("silent", "late_tid_0", "exception", *HOSTILE))
            stage.fault(kind, units=[unit], delay_s=stage.site.timeout_s * 1.3)
        if rng.random() < 0.4:
            stage.restore()
            stage.heal()
    stage.restore()
    stage.heal()


def _mistreat(stage: Stage, seconds: float, kind: str, **fields: object) -> None:
    stage.wait(min(1.5, seconds / 3))
    stage.fault(kind, **fields)
    stage.wait(seconds * 2 / 3)
    stage.heal()


def bad_acknowledgements(stage: Stage, rng: random.Random, seconds: float) -> None:
    broker = _loopback(stage)
    for faults in (
        {"drop_acks": 3},
        {"delay_s": 1.0},
        {"double_acks": True},
        {"foreign_acks": True},
        {"reverse_acks": 4},
    ):
        stage.wait(rng.uniform(0.2, 0.6))
        broker.command(do="faults", **faults)
        stage.wait(seconds / 5)
        stage.facts.healed_ns.append(broker.command(do="well"))


def refusals(stage: Stage, _rng: random.Random, seconds: float) -> None:
    broker = _loopback(stage)
    topic = f"{stage.site.root}/{stage.site.gateway}/data/d2"
    for reason in (0x97, 0x80, 0x83):
        stage.wait(0.5)
        broker.command(do="faults", refuse={topic: reason})
        stage.wait(seconds / 3)
        stage.facts.healed_ns.append(broker.command(do="well"))


def refusal_for_good(stage: Stage, _rng: random.Random, seconds: float) -> None:
    broker = _loopback(stage)
    topic = f"{stage.site.root}/{stage.site.gateway}/data/d2"
    stage.wait(0.5)
    broker.command(do="faults", refuse={topic: 0x87})
    stage.wait(seconds)
    stage.facts.healed_ns.append(broker.command(do="well"))


def poison(stage: Stage, _rng: random.Random, seconds: float) -> None:
    """One reading to come of d2, known by its value: no gap and no heads can hold that."""
    broker = _loopback(stage)
    stage.wait(2.0)
    spot = stage.site.devices["d2"]["w0000"]
    records = stage.evidence().data("d2")
    tick = max(int(r.good()["w0000"]) for r in records if "w0000" in r.good()) >> 16
    values = [value_at(*spot[:3], tick + ahead) for ahead in range(8, 12)]
    broker.command(do="poison", markers=[f'"w0000":{value},' for value in values])
    stage.wait(seconds)


def small_window(stage: Stage, rng: random.Random, seconds: float) -> None:
    broker_away(stage, rng, seconds)


def _loopback(stage: Stage) -> Loopback:
    assert isinstance(stage.broker, Loopback)
    return stage.broker


def mosquitto_restarts(stage: Stage, _rng: random.Random, seconds: float) -> None:
    assert isinstance(stage.broker, Mosquitto)
    stage.wait(2.0)
    stage.broker.stop()
    stage.wait(max(1.0, seconds - 2.0))
    stage.broker.start()
    stage.facts.healed_ns.append(time.monotonic_ns())


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("quiet", "nothing", quiet),
        Fault("S1", "kill -9 at random moments, online", kill_online, DOWN, DOWN),
        Fault("S3", "kill -9 offline and while catching up", kill_offline, DOWN, DOWN),
        Fault("M1", "the broker is away", broker_away),
        Fault("A1", "the broker comes and goes while alarms come and go", broker_flaps,
              site=Site(series=ALARMING)),
        Fault("A2", "kill -9 at random moments while alarms come and go", kill_online, DOWN,
              DOWN, Site(series=ALARMING)),
        Fault("flaps", "the broker comes and goes", broker_flaps),
        Fault("M2", "half-open connection to the broker", broker_half_open, seconds=12),
        Fault("sigterm_in_outage", "SIGTERM while the broker is away", terminate_in_outage,
              DOWN, frozenset({"not_running_clean"})),
        Fault("kill_in_outage", "kill -9 while the broker is away", kill_in_outage, DOWN, DOWN),
        Fault("restart", "mosquitto is restarted in order", mosquitto_restarts,
              broker=Mosquitto),
        Fault("M3", "PUBACKs lost, late, twice, foreign, out of order", bad_acknowledgements,
              broker=Loopback, seconds=15, drain_s=60),
        Fault("M4", "Receive Maximum 2 with a backlog", small_window, broker=Loopback,
              receive_maximum=2),
        Fault("M5", "temporary refusals of one topic", refusals, broker=Loopback, seconds=6,
              drain_s=60),
        Fault("M5q", "one topic is refused for its own sake", refusal_for_good, QUARANTINED,
              QUARANTINED, broker=Loopback, seconds=6, drain_s=60),
        Fault("M10", "a record on which the broker disconnects", poison, QUARANTINED,
              QUARANTINED, broker=Loopback, seconds=5, drain_s=270),
        Fault("S2", "kill -9 at a system call", storage.kill_at_calls, DOWN, DOWN, seconds=10),
        Fault("S7", "a bit flips in an unsettled record", storage.flipped_bits,
              DOWN | CORRUPT, CORRUPT, seconds=4),
        Fault("S8", "a segment with unsettled records is deleted", storage.deleted_segment,
              DOWN | CORRUPT, CORRUPT, seconds=4),
        Fault("S10", "the broker is away for longer than the journal can hold",
              storage.full_pool, frozenset({"journal_evicted", "poll_overrun"}),
              frozenset({"journal_evicted"}), WIDE, seconds=100, drain_s=120),
        Fault("S12", "fdatasync fails once", storage.sync_fails_once, DOWN),
        Fault("S12x", "fdatasync fails for ever", storage.sync_fails_for_ever,
              DOWN | {"storage_failed"}),
        Fault("S13", "writes fail with ENOSPC", storage.write_fails, DOWN),
        Fault("S15", "fdatasync takes 0.7 s", storage.slow_disk, DOWN),
        Fault("P1", "one unit of three is silent", silent_unit, UNANSWERED, UNANSWERED),
        Fault("P2", "replies after the timeout with transaction id 0", late_reply, REJECTED,
              REJECTED),
        Fault("P4", "a liar of each kind beside one honest unit (P4, P5, P8)", hostile_answers,
              REJECTED, REJECTED, LIARS),
        Fault("P6", "one address is refused", refused_address, REFUSED, REFUSED),
        Fault("P6x", "exceptions 4, 6, 11 of one unit", exceptions, REFUSED, REFUSED),
        Fault("P9", "the plant closes its port", plant_away, UNANSWERED, UNANSWERED),
        Fault("P10", "one unit answers slowly", slow_plant, UNANSWERED),
        Fault("frozen", "values stand still", frozen_values),
        Fault("L12", "kills, cuts and lies in random order", nemesis, DOWN | REJECTED,
              seconds=40, drain_s=60),
        Fault("T4", "the agent is paused", paused, UNANSWERED, UNANSWERED),
    )
}  # fmt: skip
"""By name; the letters are those of the fault list, where it has one."""
