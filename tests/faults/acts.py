"""The faults of a running agent that plant, broker, relay and signals can show.

Every act gets a stage whose agent is running and the seconds it may take; afterwards
the run waits for fresh data, ends the agent in order and asks the checker. So an act
says nothing about right and wrong, except which causes its gaps may have.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

from tests.faults.brokers import Loopback, Mosquitto
from tests.faults.encoding import value_at
from tests.faults.plant import HOSTILE
from tests.faults.stage import Stage


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


def life_without_a_word(stage: Stage, _rng: random.Random, _seconds: float) -> None:
    """A life in which one unit only lies, to kill -9; then one that ends before any answer."""
    stage.wait(1.5)
    stage.terminate()
    stage.fault("wrong_tid", units=[2])
    stage.start()
    stage.until_started()
    stage.wait(2.0)
    stage.kill()
    stage.fault("silent", units=[*stage.site.units])
    stage.start()
    stage.until_started()
    stage.terminate()
    stage.heal()
    stage.start()
    stage.wait(2.0)


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
