"""Acts against what the agent stands on: its disk, its clock, its network, its limits."""

from __future__ import annotations

import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.faults import rigs
from tests.faults.brokers import Loopback
from tests.faults.child import Child
from tests.faults.stage import Stage

HOUR_S = 3600.0
YEAR_1970_S = -1_760_000_000.0
YEAR_2099_S = 2_300_000_000.0
TAKEOVER_S = 1.0
WATCHDOG_S = 15.0
STUCK_S = 120.0
"""A writer that is so long in one system call counts as hung (contract.md)."""
NO_SYNC = "fdatasync:retval=0"
"""Syncs that do nothing: the negative control of a power cut."""


def on_tmpfs(stage: Stage) -> None:
    rigs.small_disk(stage, stage.site.journal_mib + 24)


def on_ext4(stage: Stage) -> None:
    rigs.image(stage, "ext4", stage.site.journal_mib + 32)


def on_ext4_writeback(stage: Stage) -> None:
    rigs.image(stage, "ext4", stage.site.journal_mib + 32, "data=writeback", "barrier=0")


def on_vfat(stage: Stage) -> None:
    rigs.image(stage, "vfat", stage.site.journal_mib + 32)


def power_cut(stage: Stage, rng: random.Random, seconds: float) -> None:
    """The image as the disk had it, again and again, while records wait for the broker."""
    stage.wait(1.0)
    stage.cut()
    for _ in range(max(1, int(seconds / 3))):
        stage.wait(rng.uniform(1.0, 2.5))
        _cut_power(stage)
        stage.start()
    stage.wait(1.0)
    stage.restore()


def power_cut_without_sync(stage: Stage, rng: random.Random, seconds: float) -> None:
    stage.terminate()
    stage.start(NO_SYNC)
    stage.wait(2.0)
    stage.cut()
    stage.wait(max(4.0, seconds))
    _cut_power(stage)
    stage.start()
    stage.wait(1.0)
    stage.restore()


def _cut_power(stage: Stage) -> None:
    """What was synced is on the image; what was only written is lost with the page cache."""
    disk, copy = stage.directory / "disk.img", stage.directory / "cut.img"
    stage.freeze()
    rigs.until_quiet(disk)
    shutil.copyfile(disk, copy)
    stage.lose_power()
    rigs.unmount(stage)
    copy.replace(disk)
    rigs.mount_image(stage, disk)


def disk_filled(stage: Stage, _rng: random.Random, seconds: float) -> None:
    """Another process takes every byte that is left beside the journal."""
    _until_reserved(stage)
    hog = stage.disk / "hog"
    with hog.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 16)):
                pass
        except OSError:
            pass  # full, as it was meant to be
    stage.wait(seconds)
    hog.unlink()
    stage.facts.healed_ns.append(time.monotonic_ns())


def _until_reserved(stage: Stage) -> None:
    """The pool is written in the background; wait until it grows no more."""
    before, deadline = -1, time.monotonic() + 60
    while time.monotonic() < deadline:
        now = sum(path.stat().st_blocks for path in stage.journal.rglob("seg-*"))
        if now == before:
            return
        before = now
        stage.wait(2.0)


def read_only(stage: Stage, _rng: random.Random, seconds: float) -> None:
    """The file system goes read-only under a running agent, and is well after a repair."""
    stage.facts.disk_failed = True
    stage.wait(2.0)
    rigs.run("mount", "-o", "remount,abort", stage.disk)
    stage.wait(seconds / 2)
    stage.until_fresh(seconds)  # live data flows all the same, marked volatile
    stage.kill()
    rigs.unmount(stage)
    disk = stage.directory / "disk.img"
    rigs.run("fsck.ext4", "-p", "-f", disk, ok=(0, 1))
    rigs.mount_image(stage, disk)
    stage.start()


def read_only_at_start(stage: Stage, _rng: random.Random, seconds: float) -> None:
    """The agent is started on a read-only journal, and again when it can be written."""
    stage.facts.disk_failed = True
    stage.wait(2.0)
    stage.terminate()
    disk = stage.directory / "disk.img"
    rigs.unmount(stage)
    rigs.mount_image(stage, disk, "ro")
    stage.start()
    if stage.until_dead(seconds):
        stage.facts.notes.append("a read-only journal ends the agent; live data should flow")
    else:
        stage.kill()
    rigs.unmount(stage)
    rigs.mount_image(stage, disk)
    stage.start()


def rolled_back(stage: Stage, _rng: random.Random, seconds: float) -> None:
    """The journal of yesterday is put back: what was written since is not known to it."""
    stage.wait(seconds / 3)
    stage.terminate()
    kept = stage.directory / "yesterday"
    shutil.copytree(stage.journal, kept)
    stage.start()
    stage.wait(seconds / 3)
    stage.terminate()
    shutil.rmtree(stage.journal)
    kept.replace(stage.journal)
    stage.start()
    stage.wait(seconds / 3)


def second_instance(stage: Stage, _rng: random.Random, seconds: float) -> None:
    stage.wait(seconds / 2)
    _expect_refusal(stage)
    stage.wait(seconds / 2)


def symbolic_link(stage: Stage, _rng: random.Random, _seconds: float) -> None:
    """The journal's directory is replaced by a link to it."""
    stage.wait(1.0)
    stage.terminate()
    moved = stage.directory / "elsewhere"
    stage.journal.rename(moved)
    stage.journal.symlink_to(moved)
    _expect_refusal(stage)
    stage.journal.unlink()
    moved.rename(stage.journal)
    stage.start()


def _expect_refusal(stage: Stage) -> None:
    """The start is refused with a status of its own, and nothing on disk is touched."""
    status, said = stage.refused_start()
    if status in (None, 0) or "Traceback" in said:
        stage.facts.notes.append(f"not refused: exit status {status}, it said:\n{said[-400:]}")


def clock_steps(stage: Stage, rng: random.Random, seconds: float) -> None:
    """Back an hour, on an hour, back ten seconds, on two."""
    ahead_s = 0.0
    for step_s in (-HOUR_S, HOUR_S, -10.0, 2.0):
        stage.wait(seconds / 5 + rng.random() / 4)
        ahead_s += step_s
        stage.set_clock(ahead_s)
    stage.wait(seconds / 5)
    _expect_epochs(stage)


def clock_back_while_paused(stage: Stage, _rng: random.Random, seconds: float) -> None:
    """Polls are missed over a step back: the time that was not watched is no less missing."""
    stage.wait(seconds / 2)
    stage.stop_agent()
    time.sleep(3.2 * stage.site.interval_s)
    stage.set_clock(-HOUR_S)
    stage.resume_agent()
    stage.wait(seconds / 2)


def _expect_epochs(stage: Stage) -> None:
    """Each step of the clock is announced by an event on the meta lane."""
    lanes = stage.evidence().of_lane("meta")
    events = [r.raw["event"] for _, rs in lanes for r in rs.values() if "event" in r.raw]
    told = sum(event["kind"].startswith("clock") for event in events)
    if told < len(stage.facts.steps):
        text = f"{len(stage.facts.steps)} steps of the clock, {told} epochs were announced"
        stage.facts.notes.append(text)


def first_set_later(stage: Stage, _rng: random.Random, seconds: float) -> None:
    """The clock is set to the truth while the agent runs."""
    stage.wait(seconds / 2)
    stage.set_clock(0.0)
    stage.wait(seconds / 2)
    _expect_epochs(stage)


def in_1970(stage: Stage) -> None:
    rigs.own_clock(stage, YEAR_1970_S)


def in_2099(stage: Stage) -> None:
    rigs.own_clock(stage, YEAR_2099_S)


def own_clock(stage: Stage) -> None:
    rigs.own_clock(stage, 0.0)


def environment(**variables: str) -> Callable[[Stage], None]:
    """The agent runs with these variables set."""

    def prepare(stage: Stage) -> None:
        stage.agent_env |= variables

    return prepare


def prefix(*words: str) -> Callable[[Stage], None]:
    """The agent is started by this command."""

    def prepare(stage: Stage) -> None:
        stage.agent_prefix += words

    return prepare


def starved(stage: Stage, _rng: random.Random, seconds: float) -> None:
    """A tenth of a processor: 20 ms run, 180 ms not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        stage.stop_agent()
        time.sleep(0.18)
        stage.resume_agent()
        stage.facts.healed_ns.pop()
        time.sleep(0.02)
    stage.facts.healed_ns.append(time.monotonic_ns())


def terminated_twice(stage: Stage, _rng: random.Random, seconds: float) -> None:
    stage.wait(1.5)
    stage.cut()
    stage.wait(seconds / 2)
    stage.terminate(signals=2)
    stage.start()
    stage.wait(seconds / 2)
    stage.restore()


def taken_over(stage: Stage, _rng: random.Random, seconds: float) -> None:
    """Another client connects under the gateway's name, again and again."""
    before = len(stage.evidence().status)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        _take_over(stage.broker.port, stage.site.gateway)
        stage.wait(TAKEOVER_S)
    stage.facts.healed_ns.append(time.monotonic_ns())
    said = stage.evidence().status[before:]
    # mosquitto 2.0.11 hangs up without a reason: then only that can be said.
    tells = isinstance(stage.broker, Loopback)
    word = "client_id_conflict" if tells else "connections_cut_short"
    connections = {s["connection"] for _, s in said if s["state"] != "offline"}
    stage.facts.seen.append(f"{len(connections)} connections in {seconds:.0f} s")
    if len(connections) > 2 + seconds / (15 if tells else 2.5):
        stage.facts.notes.append("too many connections")
    if not any(word in s["reasons"] for _, s in said):
        stage.facts.notes.append(f"no status says {word}")


def _take_over(port: int, name: str) -> None:
    other = Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv5)
    other.connect("127.0.0.1", port)
    other.loop_start()
    time.sleep(0.3)
    other.disconnect()
    other.loop_stop()


def bad_credentials(stage: Stage, _rng: random.Random, seconds: float) -> None:
    """Each CONNECT is refused as "bad user name or password"; attempts have to thin out."""
    broker = stage.broker
    assert isinstance(broker, Loopback)
    broker.command(do="faults", connect_reason=0x86)
    broker.command(do="cut")
    stage.wait(seconds)
    stage.facts.healed_ns.append(broker.command(do="well"))


@contextmanager
def _packets(*rules: str) -> Iterator[None]:
    """Rules of nft(8) for every packet that is sent, until the end of the block."""
    rigs.run("nft", "add table inet oracle")
    rigs.run("nft", "add chain inet oracle out { type filter hook output priority 0; }")
    for rule in rules:
        rigs.run("nft", f"add rule inet oracle out {rule}")
    yield
    rigs.run("nft", "delete table inet oracle")


def lossy_network(*rules: str) -> Callable[[Stage, random.Random, float], None]:
    """Rules of nft(8) for packets to the relay's port, for a while."""

    def act(stage: Stage, _rng: random.Random, seconds: float) -> None:
        stage.wait(2.0)
        ends = (f"tcp {end} {stage.relay_port}" for end in ("sport", "dport"))
        with _packets(*(f"{end} {rule}" for end in ends for rule in rules)):
            stage.wait(seconds)
        stage.facts.healed_ns.append(time.monotonic_ns())

    return act


def slow_network(stage: Stage, _rng: random.Random, seconds: float) -> None:
    """10 KB/s towards the broker, full speed towards the plant."""
    stage.wait(2.0)
    on = ("dev", "lo")
    rigs.run("tc", "qdisc", "add", *on, "root", "handle", "1:", "htb", "default", "10")
    for minor, rate in (("10", "10gbit"), ("20", "80kbit")):
        own = ("parent", "1:", "classid", f"1:{minor}")
        rigs.run("tc", "class", "add", *on, *own, "htb", "rate", rate, "quantum", "1500")
    with _packets(f"tcp dport {stage.relay_port} meta priority set 1:20"):
        stage.wait(seconds)
    rigs.run("tc", "qdisc", "del", *on, "root")
    stage.facts.healed_ns.append(time.monotonic_ns())


def stuck_writer(stage: Stage, _rng: random.Random, seconds: float) -> None:
    """One flush does not return: a slow disk until 120 s, and then a hung agent."""
    stage.facts.disk_failed = True  # nothing is durable behind that flush
    stage.terminate()
    watchdog = rigs.Watchdog(stage, WATCHDOG_S)
    stage.start(f"fdatasync:delay_enter={int((seconds + 60) * 1e6)}:when=12")
    longest_s = 0.0
    for _ in range(int(STUCK_S * 0.8)):
        stage.wait(1.0)
        longest_s = max(longest_s, watchdog.hungry_s())
    if longest_s > WATCHDOG_S:
        stage.facts.notes.append(f"not fed for {longest_s:.0f} s while the disk was only slow")
    deadline = time.monotonic() + seconds - STUCK_S * 0.8
    while watchdog.hungry_s() < WATCHDOG_S and time.monotonic() < deadline:
        stage.wait(1.0)
    if watchdog.hungry_s() < WATCHDOG_S:
        stage.facts.notes.append(f"still fed after {seconds:.0f} s in one flush")
    stage.kill()  # as systemd does
    stage.start()


def little_memory(stage: Stage) -> None:
    rigs.memory_limit(stage, 256)


def out_of_memory(stage: Stage, _rng: random.Random, seconds: float) -> None:
    """A process beside the agent takes all the memory of its group, and the agent is chosen."""
    stage.wait(seconds / 2)
    stage.offer_to_oom_killer()
    hog = Child(
        [*stage.agent_prefix, sys.executable, "-c", _HOG],
        stage.directory / "hog.err",
        talks=False,
    )
    if not stage.until_dead(20.0):
        stage.facts.notes.append("the OOM killer did not come")
    hog.kill()
    stage.start()
    stage.wait(seconds / 2)


_HOG = "import time; held = bytearray(250 << 20); time.sleep(5)"
