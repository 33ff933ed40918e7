"""``tidegate plan`` as a person sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.plan import amount, command, milliseconds, span
from tests.cli_stage import device, modbus_link, tidegate, write_site

LEVEL = "{name: level, address: holding/100, type: float32}"
SLOW = "gap: 2300ms,"


def plan(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["-c", str(file), "--lang", "en", *arguments])


def site(folder: Path, more: str = "", tags: str = LEVEL) -> Path:
    return write_site(folder, modbus_link(1, device("tk101", 1, tags), more=more))


def test_it_shows_requests_as_the_driver_prints_them(tmp_path: Path) -> None:
    shown = plan(site(tmp_path))
    assert shown.exit_code == 0
    assert "tk101   unit 1 holding/100..101  1     2          1s        5.2 ms" in shown.stdout


def test_it_shows_what_one_silent_device_costs(tmp_path: Path) -> None:
    assert "worst case: tk101 falls silent" in plan(site(tmp_path)).stdout


def test_it_shows_bytes_hours_wear_and_what_it_assumed(tmp_path: Path) -> None:
    shown = plan(site(tmp_path)).stdout
    for word in ("journal: at most", "buffer: 67.1 MB hold", "flash: about", "assumed: 5 ms"):
        assert word in shown


def test_a_link_that_cannot_work_is_refused_with_figures_and_remedy(tmp_path: Path) -> None:
    shown = plan(site(tmp_path, SLOW))
    assert shown.exit_code == 78
    assert "error: link line: its 1 requests need 2.3 s of bus time each second" in shown.stderr
    assert "make the intervals 2.9 times as long (1s → 2900ms)" in shown.stderr


def test_larger_blocks_and_more_connections_are_named_where_they_help(tmp_path: Path) -> None:
    tags = ", ".join(
        f"{{name: t{i}, address: holding/{1000 * i}, type: int16}}" for i in range(4)
    )
    shown = plan(site(tmp_path, "gap: 500ms,", tags))
    assert shown.exit_code == 78
    assert "connections: 3" in shown.stderr
    assert "max_registers" in shown.stderr


def test_a_request_slower_than_its_interval_is_refused_even_if_the_bus_is_free(
    tmp_path: Path,
) -> None:
    tags = (
        "{name: a, address: holding/0, type: int16, interval: 1s}",
        "{name: b, address: holding/0, type: int16, interval: 60s}",
    )
    shown = plan(site(tmp_path, "gap: 1100ms, connections: 2,", ", ".join(tags)))
    assert shown.exit_code == 78
    assert "tk101 unit 1 holding/0..0 takes 1.11 s and is asked every 1s" in shown.stderr


def test_a_link_that_only_just_fits_is_a_warning(tmp_path: Path) -> None:
    shown = plan(site(tmp_path, "gap: 900ms,"))
    assert shown.exit_code == 0
    assert "warning: link line" in shown.stderr


def test_a_longer_round_trip_is_believed(tmp_path: Path) -> None:
    assert plan(site(tmp_path), "--round-trip", "1200").exit_code == 78


def test_the_refusal_is_told_in_chinese(tmp_path: Path) -> None:
    shown = plan(site(tmp_path, SLOW), "--lang", "zh")
    assert "错误: 链路 line：1 个请求每秒需要 2.3 s 总线时间" in shown.stderr


def test_json_holds_the_same_for_programs(tmp_path: Path) -> None:
    shown = plan(site(tmp_path, SLOW), "--format", "json")
    report = json.loads(shown.stdout)
    assert shown.exit_code == 78
    assert shown.stderr == ""
    assert not report["good"]
    assert report["problems"][0]["code"] == "plan_overload"
    (link,) = report["links"]
    assert link["requests"][0]["request"] == "unit 1 holding/100..101"
    assert link["requests"][0]["registers"] == 2
    assert report["journal"]["hours"] > 1


def test_a_wrong_configuration_is_named_like_check_does(tmp_path: Path) -> None:
    shown = plan(site(tmp_path, "conections: 2,"))
    assert shown.exit_code == 78
    assert "did you mean `connections`?" in shown.stderr


def test_a_driver_without_words_for_its_requests_shows_none(tmp_path: Path) -> None:
    links = (
        "  - {name: bench, driver: sim, devices:"
        " [{name: pump, tags: [{name: flow, address: sine/60}]}]}"
    )
    shown = plan(write_site(tmp_path, links))
    assert "pump    -        1     -          1s" in shown.stdout


async def test_plain_text_without_colour_goes_into_a_pipe(tmp_path: Path) -> None:
    ended = await tidegate("plan", "-c", site(tmp_path, SLOW))
    assert ended.code == 78
    assert "\x1b" not in ended.out + ended.err


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2e9, "2 GB"), (5e15, "5,000 TB")],
)
def test_bytes_are_shown_as_disks_are_sold(count: float, shown: str) -> None:
    assert amount(count) == shown


def test_times_are_shown_in_a_unit_that_fits() -> None:
    assert milliseconds(0.0053) == "5.3 ms"
    assert milliseconds(2.3) == "2.3 s"
    assert span(None, "en") == "∞"
    assert span(20.15, "en") == "20.1 h"
    assert span(240, "zh") == "10 天"
