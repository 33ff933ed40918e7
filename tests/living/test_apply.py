"""A configuration that changes while the gateway runs; real agent, journal and broker."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from structlog.testing import capture_logs

from drivers.modbus.driver import ModbusDriver
from gateway.agent import Agent
from gateway.clock import Clock
from gateway.dialects import wire
from gateway.driver import Simulation
from gateway.last_good import ConfigFiles, copy_of, find
from gateway.loader import inspect
from gateway.simulation import packets
from gateway.simulation.broker import Broker
from tests import line
from tests.cli_stage import end, start, tidegate
from tests.line import Platform
from tests.patience import until

READ_CONNECT = packets.read_connect
PUMP = "{name: pump, tags: [{name: flow, address: sine/60, range: [0, 12]}]}"
FAN = "{name: fan, tags: [{name: speed, address: ramp/60}]}"
COD = "{name: cod, tags: [{name: cod, address: ramp/60, type: float32}]}"


class Stage(NamedTuple):
    file: Path
    platform: Platform
    head: str

    def write(self, *devices: str, head: str = "", **links: str) -> None:
        """A file with ``devices`` on a sim link, and more ``links``, which are YAML."""
        text = (head or self.head) + "links:\n"
        if devices:
            text += f"  - {{name: bench, driver: sim, devices: [{', '.join(devices)}]}}\n"
        self.file.write_text(text + "".join(links.values()))

    async def applied(self, agent: Agent) -> dict[str, Any]:
        """Reload, and return what was announced of it."""
        before = len(self.platform.events("config_applied"))
        agent.reload()
        await self.platform.until(lambda: len(self.platform.events("config_applied")) > before)
        return self.platform.events("config_applied")[-1]


@pytest.fixture
def stage(tmp_path: Path, broker: Broker) -> Stage:
    head = (
        "version: 1\ngateway: {id: gw}\ndefaults: {interval: 100ms}\n"
        f"mqtt: {{urls: ['{broker.url}'], root: park}}\n"
        f"journal: {{path: {tmp_path / 'state' / 'journal'}, size: 64MiB, commit: 20ms}}\n"
    )
    (tmp_path / "state").mkdir()
    return Stage(tmp_path / "gateway.yaml", Platform(broker), head)


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """What systemd was told since the last call."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        def told() -> str:
            lines = []
            while True:
                try:
                    lines.append(listener.recv(4096).decode())
                except BlockingIOError:
                    return "\n".join(lines)

        yield told


def running(stage: Stage) -> AbstractAsyncContextManager[Agent]:
    files = ConfigFiles(stage.file)
    site, problems = files.read()
    assert site is not None, problems
    return line.running(Agent(site, Clock(), files))


def seconds(record: wire.Record) -> float:
    return float(record.time[17:26])


async def test_a_neighbour_goes_and_another_comes_and_a_device_misses_nothing(
    stage: Stage,
) -> None:
    stage = stage._replace(head=stage.head.replace("100ms", "500ms"))
    stage.write(PUMP, FAN)
    async with running(stage) as agent:
        platform = stage.platform
        await platform.until(lambda: platform.records("pump") and platform.records("fan"))
        stage.write(PUMP, COD)
        event = await stage.applied(agent)
        await platform.until(lambda: len(platform.records("cod")) > 3)
        seen = len(platform.records("pump"))
        await platform.until(lambda: len(platform.records("pump")) > seen + 3)
    assert (event["added"], event["removed"], event["changed"]) == (["cod"], ["fan"], [])
    assert {name for r in platform.records("cod") for name in r.values or ()} == {"cod"}
    records = platform.records("pump")
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    assert not platform.gaps("pump")
    assert len({m.incarnation for m in platform.lane}) == 1
    moments = [seconds(record) for record in records]
    assert all((b - a) % 60 <= 1.5 * 0.5 for a, b in itertools.pairwise(moments))


async def test_a_removed_device_ends_with_a_closed_gap_and_its_schema_is_taken_back(
    stage: Stage,
) -> None:
    stage.write(PUMP, FAN)
    async with running(stage) as agent:
        platform = stage.platform
        await platform.until(lambda: len(platform.records("fan")) > 2)
        await platform.until(lambda: "park/gw/schema/fan" in platform.broker.retained)
        stage.write(PUMP)
        await stage.applied(agent)
        await platform.until(lambda: ("park/gw/schema/fan", b"") in platform.topics)
        await platform.until(lambda: platform.gaps("fan"))
        assert "park/gw/schema/fan" not in platform.broker.retained
    (gap,) = platform.gaps("fan")
    assert (gap.cause, gap.tags, gap.count_is) == ("config_removed", "*", "at_most")
    assert gap.to is not None
    assert platform.records("fan")[-1].gap is gap
    assert gap.from_ == platform.records("fan")[-2].time


async def test_a_device_that_went_offline_in_an_earlier_run_has_its_schema_taken_back(
    stage: Stage,
) -> None:
    platform = stage.platform
    stage.write(PUMP, FAN)
    async with running(stage):
        await platform.until(lambda: len(platform.records("fan")) > 2)
    stage.write(PUMP)
    async with running(stage):
        await platform.until(lambda: ("park/gw/schema/fan", b"") in platform.topics)


async def test_a_device_removed_while_the_agent_was_stopped_is_told_once(
    stage: Stage,
) -> None:
    platform = stage.platform
    stage.write(PUMP, FAN)
    async with running(stage):
        await platform.until(lambda: len(platform.records("fan")) > 2)
    last = platform.records("fan")[-1]
    before = next(m.incarnation for m in platform.lane if m.device == "fan")
    platform.lane.clear()
    stage.write(PUMP)
    for _ in range(3):
        async with running(stage):
            seen = len(platform.records("pump"))
            await platform.until(lambda seen=seen: len(platform.records("pump")) > seen + 2)  # type: ignore[misc]
    stopped, removed = platform.gaps("fan")
    assert (stopped.cause, removed.cause) == ("not_running_clean", "config_removed")
    assert stopped.after == wire.After(before, last.seq)
    assert (stopped.from_, stopped.count) == (last.time, None)
    assert stopped.to == removed.from_ == removed.to
    assert [record.seq for record in platform.records("fan")] == [1, 2]


async def test_a_device_that_was_removed_and_comes_back_later_owes_nothing_for_the_time_between(
    stage: Stage,
) -> None:
    platform = stage.platform
    stage.write(PUMP, FAN)
    async with running(stage) as agent:
        await platform.until(lambda: len(platform.records("fan")) > 2)
        stage.write(PUMP)
        await stage.applied(agent)
        await platform.until(lambda: platform.gaps("fan"))
    last = platform.records("fan")[-1]
    platform.lane.clear()
    stage.write(PUMP, FAN)
    async with running(stage):
        await platform.until(lambda: len(platform.records("fan")) > 2)
    first = platform.gaps("fan")[0]
    assert isinstance(first.after, wire.After)
    assert (first.cause, first.after.seq) == ("not_running_clean", last.seq)
    assert first.from_ == first.to


async def test_a_changed_device_goes_on_in_its_stream_and_the_change_is_a_gap(
    stage: Stage,
) -> None:
    stage.write(PUMP, FAN)
    async with running(stage) as agent:
        platform = stage.platform
        await platform.until(lambda: len(platform.records("fan")) > 2)
        stage.write(PUMP, FAN.replace("name: speed", "name: turns"))
        event = await stage.applied(agent)
        await platform.until(lambda: "turns" in str(platform.records("fan")[-1].values))
    assert event["changed"] == ["fan"]
    records = platform.records("fan")
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    removed, bridge = platform.gaps("fan")
    assert (removed.cause, removed.tags) == ("config_removed", ["speed"])
    assert (bridge.cause, bridge.tags) == ("config_removed", "*")
    first = next(r for r in records if "turns" in str(r.values))
    assert (bridge.from_, bridge.to) == (removed.from_, first.time)


async def test_a_device_that_comes_back_goes_on_after_its_last_seq(stage: Stage) -> None:
    stage.write(PUMP, FAN)
    async with running(stage) as agent:
        platform = stage.platform
        await platform.until(lambda: platform.records("fan"))
        stage.write(PUMP)
        await stage.applied(agent)
        await platform.until(lambda: platform.gaps("fan"))
        last = platform.records("fan")[-1].seq
        stage.write(PUMP, FAN)
        await stage.applied(agent)
        await platform.until(lambda: platform.records("fan")[-1].seq > last + 2)
    records = platform.records("fan")
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    # On a busy machine a poll may come late besides.
    causes = [gap.cause for gap in platform.gaps("fan") if gap.cause != "poll_overrun"]
    assert causes == ["config_removed"]


async def test_a_wrong_file_keeps_the_old_configuration_and_names_every_mistake(
    stage: Stage, systemd: Callable[[], str]
) -> None:
    stage.write(PUMP)
    platform = stage.platform
    with capture_logs() as logs:
        async with running(stage) as agent:
            await platform.until(lambda: len(platform.records("pump")) > 2)
            systemd()
            stage.write(PUMP.replace("flow", "Flow!"), "{name: fan, tgas: []}")
            agent.reload()
            await platform.until(lambda: platform.says("config_wrong"))
            told, wrong = systemd(), platform.statuses[-1]
            seen = len(platform.records("pump"))
            await platform.until(lambda: len(platform.records("pump")) > seen + 2)
            stage.write(PUMP)
            await stage.applied(agent)
            await platform.until(lambda: platform.statuses[-1].state == "online")
    assert wrong.state == "degraded"
    assert any(r.startswith("config_wrong.gateway.yaml:7:") for r in wrong.reasons)
    mistakes = [line for line in logs if line["event"] == "configuration mistake"]
    assert len(mistakes) == 2
    assert all(line["place"].startswith(f"{stage.file}:7:") for line in mistakes)
    assert told.index("RELOADING=1\nMONOTONIC_USEC=") < told.index("STATUS=")
    assert f"{stage.file}:7:" in told
    assert told.rstrip().endswith("READY=1")
    records = platform.records("pump")
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    assert not platform.gaps("pump")


async def test_a_key_that_needs_a_restart_is_refused_by_name_and_nothing_is_applied(
    stage: Stage,
) -> None:
    stage.write(PUMP)
    platform = stage.platform
    with capture_logs() as logs:
        async with running(stage) as agent:
            await platform.until(lambda: platform.records("pump"))
            stage.write(PUMP, FAN, head=stage.head.replace("root: park", "root: other"))
            agent.reload()
            await platform.until(lambda: platform.says("config_needs_restart.mqtt.root"))
    assert not platform.records("fan")
    (told,) = [line for line in logs if line["event"] == "configuration mistake"]
    line, caret = told["excerpt"].splitlines()
    column = line.index("other") - len("  4 | ") + 1
    assert told["place"] == f"{stage.file}:4:{column}"
    assert line[caret.index("^") :].startswith("other")


async def test_other_credentials_and_urls_of_the_broker_mean_a_new_connection(
    stage: Stage,
) -> None:
    stage.write(PUMP)
    second = Broker()
    await second.start()
    elsewhere = Platform(second)
    async with running(stage) as agent:
        await stage.platform.until(lambda: stage.platform.records("pump"))
        stage.write(PUMP, head=stage.head.replace(stage.platform.broker.url, second.url))
        agent.reload()
        await elsewhere.until(lambda: len(elsewhere.records("pump")) > 2)
    await second.stop()
    seqs = {r.seq for p in (stage.platform, elsewhere) for r in p.records("pump")}
    assert seqs == set(range(1, max(seqs) + 1))


async def serve(link: Any, tags: Any) -> Simulation:
    return await ModbusDriver.simulate(link, tags, lambda tag, at: 1.0, 0)


def station(name: str, unit: int, count: int) -> str:
    first, last = 0, 2 * count - 2
    return (
        f"{{name: {name}, unit: {unit}, tags: [{{name: 't{{0001..{count:04}}}',"
        f" address: 'holding/{{{first}..{last}..2}}', type: float32}}]}}"
    )


async def test_under_load_a_reload_costs_the_others_no_poll_and_no_connection(
    stage: Stage,
) -> None:
    keep = [station(f"plc{unit}", unit, 1200) for unit in (1, 2, 3, 4)]
    old, renamed = station("old", 5, 100), station("renamed", 5, 100)

    def line(url: str, *devices: str) -> str:
        return (
            f"  - {{name: line, driver: modbus, url: '{url}', timeout: 1900ms, interval: 1s,"
            f" devices: [{', '.join(devices)}]}}\n"
        )

    stage.write(line=line("tcp://127.0.0.1:9", *keep, old, station("new", 6, 100)))
    site, _ = inspect(stage.file)
    assert site is not None
    (link,) = site.links
    simulation = await serve(link.config, link.tags)
    stage.write(line=line(simulation.url, *keep, old))
    platform = stage.platform
    async with running(stage) as agent:
        await platform.until(lambda: len(platform.records("plc4")) > 30)
        stage.write(line=line(simulation.url, *keep, renamed, station("new", 6, 100)))
        event = await stage.applied(agent)
        seen = len(platform.records("plc4"))
        await platform.until(lambda: len(platform.records("plc4")) > seen + 30)
    await simulation.stop()
    assert (event["added"], event["removed"]) == (["new", "renamed"], ["old"])
    for unit in (1, 2, 3, 4):
        records = platform.records(f"plc{unit}")
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
        assert not platform.gaps(f"plc{unit}")
    assert platform.gaps("old")[-1].cause == "config_removed"


async def test_what_was_applied_is_kept_and_runs_in_place_of_a_wrong_file(
    stage: Stage,
) -> None:
    stage.write(PUMP)
    drop_in = stage.file.parent / "conf.d" / "10-fan.yaml"
    drop_in.parent.mkdir()
    more = f"{{name: more, driver: sim, devices: [{FAN}]}}"
    drop_in.write_text(f"version: 1\nlinks: [{more}]\n")
    platform = stage.platform
    async with running(stage):
        await platform.until(lambda: platform.records("fan"))
        copy = copy_of(stage.file.parent / "state" / "journal")
        await platform.until(lambda: (copy / "gateway.yaml").exists())
    good, _ = inspect(stage.file)
    assert good is not None
    drop_in.write_text("version: 1\nlinks: [{nmae: more}]\n")
    found = find(stage.file)
    assert found is not None
    assert found.fingerprint == good.fingerprint
    assert {path.stat().st_mode & 0o077 for path in copy.rglob("*") if path.is_dir()} == {0}
    drop_in.unlink()
    stage.file.write_text(stage.file.read_text().replace("gateway: {", "gateway: {{ \t"))
    assert find(stage.file) is not None
    stage.file.write_text("")
    assert find(stage.file) is None


async def test_run_with_a_wrong_file_ends_with_78_and_with_last_good_runs_degraded(
    stage: Stage,
) -> None:
    stage.write(PUMP)
    platform = stage.platform
    async with running(stage):
        await platform.until(lambda: platform.records("pump"))
    stage.write(PUMP.replace("address", "adress"))
    wrong = await tidegate("run", "-c", stage.file)
    assert wrong.code == 78
    platform.lane.clear()
    process = await start("run", "-c", stage.file, "--last-good")
    await platform.until(lambda: platform.records("pump"))
    await platform.until(lambda: platform.says("config_last_good"))
    told = platform.statuses[-1]
    stage.write(PUMP, FAN)
    process.send_signal(1)
    await platform.until(lambda: platform.statuses[-1].state == "online")
    process.terminate()
    ended = await end(process)
    assert ended.code == 0, ended.err
    assert told.state == "degraded"
    assert any(r.startswith("config_wrong.gateway.yaml:") for r in told.reasons)
    assert platform.records("fan")


async def test_without_a_copy_last_good_ends_with_78_and_says_so(
    stage: Stage, tmp_path: Path
) -> None:
    stage.write(PUMP.replace("address", "adress"))
    ended = await tidegate(
        "run", "-c", stage.file, "--last-good", STATE_DIRECTORY=str(tmp_path)
    )
    assert ended.code == 78
    assert "no last good configuration" in ended.err


async def test_a_credential_is_read_at_each_connection_and_one_that_is_missing_stops_nothing(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords: list[bytes | None] = []

    def read_connect(body: bytes) -> packets.Connect:
        connect = READ_CONNECT(body)
        passwords.append(connect.password)
        return connect

    monkeypatch.setattr(packets, "read_connect", read_connect)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    secret = "root: park, username: gw, password: {credential: mqtt-password}"
    stage.write(PUMP, head=stage.head.replace("root: park", secret))
    platform = stage.platform
    async with running(stage) as agent:
        await until(lambda: agent.backlog() >= 5)
        assert not passwords
        (tmp_path / "mqtt-password").write_text("first\n")
        await platform.until(lambda: platform.records("pump"))
        (tmp_path / "mqtt-password").write_text("second\n")
        platform.broker.cut()
        await platform.until(lambda: len(passwords) >= 2)
    assert passwords == [b"first", b"second"]
    seqs = {record.seq for record in platform.records("pump")}
    assert seqs == set(range(1, max(seqs) + 1))


async def test_a_device_that_comes_back_is_not_said_to_have_been_off_with_the_gateway(
    stage: Stage,
) -> None:
    stage.write(PUMP, FAN)
    platform = stage.platform
    async with running(stage):
        await platform.until(lambda: platform.records("fan"))
    platform.lane.clear()
    async with running(stage) as agent:
        await platform.until(lambda: len(platform.records("fan")) > 2)
        stage.write(PUMP)
        await stage.applied(agent)
        stage.write(PUMP, FAN)
        await stage.applied(agent)
        seen = len(platform.records("fan"))
        await platform.until(lambda: len(platform.records("fan")) > seen + 2)
    causes = [gap.cause for gap in platform.gaps("fan") if gap.cause != "poll_overrun"]
    assert causes == ["not_running_clean", "config_removed"]


async def test_other_settings_of_the_journal_hold_from_the_reload_on(stage: Stage) -> None:
    stage.write(PUMP)
    async with running(stage) as agent:
        await stage.platform.until(lambda: stage.platform.records("pump"))
        stage.write(PUMP, head=stage.head.replace("commit: 20ms", "commit: 30ms"))
        event = await stage.applied(agent)
        assert agent._journal is not None
        assert agent._journal._settings.commit_s == 0.03
    assert (event["added"], event["changed"], event["removed"]) == ([], [], [])
    assert not stage.platform.gaps("pump")
