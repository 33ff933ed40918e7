"""One run: a plant, a broker, a relay, a recorder, and the agent between them.

    agent ──Modbus──▶ plant            agent ──MQTT──▶ relay ──▶ broker ──▶ recorder

The agent is started, killed and watched from outside. Everything it could be judged
by is written by the others.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from types import TracebackType

from tests.faults import recorder, wirelog
from tests.faults.brokers import Loopback, Mosquitto
from tests.faults.checker import Bounds, Key, Verdict, judge
from tests.faults.child import ANSWER_S, Child, StageError, module
from tests.faults.evidence import Evidence, take_apart
from tests.faults.facts import Facts, Life, Sample, Step
from tests.faults.journaldump import accepted_keys
from tests.faults.peer import Peer, judge_peer
from tests.faults.site import Site

LIVE_NS = 2_500_000_000
"""A reading delivered so soon after it was taken has no backlog before it."""
STOP_S = 5.0
"""How long the agent may take to end after SIGTERM."""
SAMPLE_S = 0.25
_PAGE = os.sysconf("SC_PAGE_SIZE")
_STRACE = ("strace", "-D", "-f", "-qq")
"""-D: the agent stays our child, and strace hangs on from the side."""


def agent_command() -> list[str]:
    """The installed agent; without an installation, its entry point."""
    script = Path(sys.prefix) / "bin" / "tidegate"
    if script.exists():
        return [str(script)]
    return [sys.executable, "-c", "from gateway.cli import main; main()"]


class Stage:
    """All processes of one run; a context that leaves none behind."""

    def __init__(
        self,
        site: Site,
        directory: Path,
        *,
        broker: type[Mosquitto] | type[Loopback] = Mosquitto,
        plant: Callable[[Path], Sequence[str]] | None = None,
        agent: Sequence[str] | Peer | None = None,
    ) -> None:
        """plant, agent: command lines instead of the usual ones; a plant is told its log.

        agent: may also be a program that is not tidegate at all.
        """
        self.site = site
        self.directory = directory
        self.facts = Facts()
        self.receive_maximum: int | None = None
        """What the broker will take at once; None: its own default."""
        self._broker_type = broker
        self._plant = plant or self._usual_plant
        self._peer = agent if isinstance(agent, Peer) else None
        command = agent_command() if agent is None or isinstance(agent, Peer) else agent
        self._agent_argv = [*command, "run", "-c", str(self._file("yaml"))]
        self._agent: Child | None = None
        self._children: list[Child | Mosquitto | Loopback] = []
        self._newest: dict[str, int] = {}
        self._accepted: set[Key] = set()
        self.agent_env: dict[str, str] = {}
        self.agent_prefix: list[str] = []
        """A command that starts the agent, such as ``prlimit --nofile=32``."""
        self.at_end = ExitStack()
        """What the fault has to undo once every process has ended."""

    def _file(self, name: str) -> Path:
        return self.directory / {"yaml": "gateway.yaml"}.get(name, name)

    @property
    def root(self) -> str:
        """The topic below which everything is recorded."""
        return self.site.root if self._peer is None else self._peer.root

    @property
    def disk(self) -> Path:
        """The directory on which a file system of its own may be mounted."""
        return self._file("disk")

    @property
    def journal(self) -> Path:
        """Where the agent keeps its journal."""
        return self.disk / "journal"

    def __enter__(self) -> Stage:
        """Start everything but the agent."""
        try:
            self._open()
        except BaseException:
            self._close()
            raise
        return self

    def _open(self) -> None:
        self.disk.mkdir()
        log = self._file("wire.bin")
        self.plant = self._child(self._plant(log), "plant.err")
        plant_port = self.plant.answer()["port"]
        self.broker = self._broker_type(self.directory, self.receive_maximum)
        self._children.append(self.broker)
        self.relay = self._child(module("relay", "--to", self.broker.port), "relay.err")
        self.relay_port = int(self.relay.answer()["port"])
        received = self._file("received.bin")
        options = ("--port", self.broker.port, "--root", self.root, "--log", received)
        self._child(module("recorder", *options), "recorder.err").answer()
        self._tail = recorder.Tail(received)
        text = self.site.yaml(
            plant_port=plant_port, broker_port=self.relay_port, journal=self.journal
        )
        self._file("yaml").write_text(text)
        if self._peer is not None:
            ports = (plant_port, self.relay_port)
            self._agent_argv = [*self._peer.command(self.directory, self.site, *ports)]
        self.facts.offset_ns = time.time_ns() - time.monotonic_ns()

    def _usual_plant(self, log: Path) -> Sequence[str]:
        return module("plant", "--log", log, "--period", self.site.interval_s / 4)

    def _child(self, argv: Sequence[str], errors: str) -> Child:
        child = Child(argv, self._file(errors))
        self._children.append(child)
        return child

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every process."""
        self._close()

    def _close(self) -> None:
        if self._agent is not None:
            self._agent.kill()
        for child in reversed(self._children):
            child.close()
        self.at_end.close()

    def start(
        self, inject: str | None = None, *, trace: tuple[Iterable[str], Path] | None = None
    ) -> None:
        """Start the agent.

        inject: a fault in its system calls, as strace(1) writes it; trace: system calls to
        be logged, with the paths behind their files, and where to.
        """
        argv = [*self.agent_prefix, *self._agent_argv]
        if inject is not None:
            calls = f"trace={inject.partition(':')[0]}"
            argv = [*_STRACE, "-o", "/dev/null", "-e", calls, "-e", f"inject={inject}", *argv]
        elif trace is not None:
            calls = f"trace={','.join(trace[0])}"
            argv = [*_STRACE, "-y", "-o", str(trace[1]), "-e", calls, *argv]
        self._agent = Child(argv, self._file("agent.err"), talks=False, env=self.agent_env)
        self.facts.lives.append(Life(time.monotonic_ns()))

    def refused_start(self, limit_s: float = 20.0) -> tuple[int | None, str]:
        """Start a second agent over the same files: its exit status and what it said.

        The status is None when it was still running at the end.
        """
        second = Child(self._agent_argv, self._file("second.err"), talks=False)
        status = second.ends_within(limit_s)
        second.kill()
        return status, second.tail()

    def offer_to_oom_killer(self) -> None:
        """Make the agent the first that the kernel kills when its group has no memory left."""
        Path(f"/proc/{self._running_agent().pid}/oom_score_adj").write_text("1000")

    def freeze(self) -> None:
        """SIGSTOP: from here on the agent does nothing; `lose_power` ends it."""
        self.facts.lives[-1].ended_ns = time.monotonic_ns()
        os.killpg(self._running_agent().pid, signal.SIGSTOP)

    def lose_power(self) -> None:
        """End a frozen agent; what its files hold now says nothing of what was durable."""
        self._running_agent().kill()
        self.facts.lives[-1].killed = True

    def until_started(self) -> None:
        """Wait until the agent has said that it runs; from then on it ends in order."""
        deadline = time.monotonic() + ANSWER_S
        while '"started"' not in self._running_agent().said():
            if time.monotonic() > deadline:
                raise StageError("the agent never started")
            time.sleep(0.02)

    def until_dead(self, limit_s: float) -> bool:
        """Wait for the agent to be killed by what was injected; False when it lives on."""
        deadline = time.monotonic() + limit_s
        while self._agent is not None and self._agent.running:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        self._died()
        return True

    def kill(self) -> None:
        """SIGKILL the agent."""
        self._running_agent().kill()
        self._died()

    def give_up(self) -> None:
        """Note that the run ends here, with an agent that lives or not."""
        if self._agent is not None:
            self._agent.kill()
            self._died()

    def _died(self) -> None:
        """Note the death, and what the journal held at that moment."""
        life = self.facts.lives[-1]
        life.ended_ns, life.killed = time.monotonic_ns(), True
        self._accepted |= accepted_keys(self.journal)

    def terminate(self, *, signals: int = 1) -> None:
        """SIGTERM the agent, so many times; it owes exit 0 within 5 s of the first."""
        agent = self._running_agent()
        life = self.facts.lives[-1]
        life.ended_ns = time.monotonic_ns()
        for _ in range(signals - 1):
            os.kill(agent.pid, signal.SIGTERM)
            time.sleep(0.05)
        status = agent.terminate(STOP_S + 1)
        took_s = (time.monotonic_ns() - life.ended_ns) / 1e9
        if status != 0 or took_s > STOP_S:
            shown = "killed after" if status is None else f"exit status {status} after"
            self.facts.notes.append(f"SIGTERM: {shown} {took_s:.1f} s\n{agent.tail(8)}")

    def _running_agent(self) -> Child:
        if self._agent is None or not self._agent.running:
            tail = self._agent.tail() if self._agent else ""
            raise StageError(f"the agent is not running:\n{tail}")
        return self._agent

    def wait(self, seconds: float) -> None:
        """Let time pass, watching what the agent uses.

        Raises:
            StageError: The agent ended by itself.
        """
        deadline = time.monotonic() + seconds
        while (left_s := deadline - time.monotonic()) > 0:
            time.sleep(min(left_s, SAMPLE_S))
            self.facts.samples.append(self._sample(self._running_agent().pid))

    def _sample(self, pid: int) -> Sample:
        process = Path(f"/proc/{pid}")
        rss_pages = int((process / "statm").read_text().split()[1])
        return Sample(
            time.monotonic_ns(),
            rss_pages * _PAGE,
            len(list((process / "task").iterdir())),
            len(list((process / "fd").iterdir())),
            sum(map(_disk_bytes, self.journal.rglob("*"))),
        )

    def set_clock(self, ahead_s: float) -> None:
        """Set the agent's civil clock so far ahead of this machine's; see `rigs.own_clock`."""
        now_ns = time.time_ns() - time.monotonic_ns()
        self._file("faketime.rc").write_text(f"{ahead_s:+.6f}\n")
        step = Step(time.monotonic_ns(), now_ns + int(ahead_s * 1e9))
        self.facts.steps.append(step)

    def fault(self, kind: str, **fields: object) -> None:
        """Have the plant misbehave; see `tests.faults.plant`."""
        self.plant.command(do="fault", kind=kind, **fields)

    def heal(self) -> None:
        """End every fault of the plant."""
        self.facts.healed_ns.append(self.plant.command(do="heal"))

    def cut(self) -> None:
        """Take the broker away from the agent."""
        self.relay.command(do="cut")

    def hold(self) -> None:
        """Leave the connection open and pass nothing."""
        self.relay.command(do="hold")

    def restore(self) -> None:
        """Give the broker back."""
        self.facts.healed_ns.append(self.relay.command(do="restore"))

    def until_fresh(self, limit_s: float, devices: Iterable[str] | None = None) -> None:
        """Wait until each device delivers, in its turn, what was read a moment ago.

        As each stream is delivered in order, its backlog has then arrived too, also one that
        is paced and grows while it is caught up. When the limit passes, the run goes on and
        the checker will say what is missing.
        """
        since_ns = time.monotonic_ns()
        wanted = set(devices or self.site.devices)
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            self._look()
            live_ns = max(since_ns, time.monotonic_ns() - LIVE_NS)
            if all(self._newest.get(device, 0) >= live_ns for device in wanted):
                return
            self.wait(0.1)
        lag = {d: (since_ns - self._newest.get(d, 0)) / 1e9 for d in wanted}
        self.facts.notes.append(f"no backlog drained in {limit_s} s, behind by {lag}")

    def _look(self) -> bool:
        """Take in what was recorded since the last look; False when there was nothing."""
        evidence = self._take_apart(self._tail.news())
        stored = (records.values() for records in evidence.records.values())
        for record in chain(*stored, evidence.volatile):
            if record.mono_ns is not None and record.good():
                device = record.stream.device
                self._newest[device] = max(self._newest.get(device, 0), record.mono_ns[1])
        return bool(evidence.records or evidence.messages)

    def finish(self) -> None:
        """End the agent in order and wait until the platform has heard the last of it."""
        self.terminate()
        deadline = time.monotonic() + STOP_S
        quiet_since = time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - quiet_since < 0.4:
            if self._look():
                quiet_since = time.monotonic()
            time.sleep(0.05)
        self.facts.save(self._file("facts.json"))

    def evidence(self) -> Evidence:
        """Everything the platform received."""
        return self._take_apart(recorder.read(self._file("received.bin")))

    def _take_apart(self, arrivals: Iterable[recorder.Arrival]) -> Evidence:
        if self._peer is not None:
            return self._peer.take_apart(arrivals, self.facts.offset_ns)
        return take_apart(arrivals, self.site.root, self.site.gateway)

    def verdict(self, bounds: Bounds | None = None) -> Verdict:
        """What the checker says of the whole run."""
        wires = wirelog.read(self._file("wire.bin"))
        if self._peer is not None:
            return judge_peer(self.site, wires, self.evidence(), self.facts, bounds or Bounds())
        accepted = self._accepted | accepted_keys(self.journal)
        return judge(self.site, wires, self.evidence(), self.facts, accepted, bounds)

    def agent_tail(self, lines: int = 25) -> str:
        """The last lines of the agent's log."""
        return self._agent.tail(lines) if self._agent is not None else ""

    def stop_agent(self) -> None:
        """SIGSTOP: as a virtual machine that is paused."""
        os.killpg(self._running_agent().pid, signal.SIGSTOP)

    def resume_agent(self) -> None:
        """SIGCONT."""
        os.killpg(self._running_agent().pid, signal.SIGCONT)
        self.facts.healed_ns.append(time.monotonic_ns())


def _disk_bytes(path: Path) -> int:
    """What ``path`` takes on disk; 0 if the agent has renamed it meanwhile."""
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0
