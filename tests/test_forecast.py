"""The arithmetic of a plan."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.clock import Clock
from gateway.forecast import (
    DAY_S,
    Assumptions,
    LinkForecast,
    RequestForecast,
    counted,
    described,
    forecast_journal,
    forecast_link,
)
from gateway.journal.format import FRAME_BYTES
from gateway.loader import from_text
from gateway.planning import plan_site

MIB = 2**20


def link(tags: str, more: str = "", device: str = "") -> LinkForecast:
    """The forecast of one Modbus device."""
    site = from_text(
        "version: 1\ngateway: {id: g1}\n"
        f"links: [{{name: line, driver: modbus, url: 'tcp://127.0.0.1:1', {more}"
        f" devices: [{{name: d1, unit: 1, {device} tags: [{tags}]}}]}}]\n"
        "mqtt: {urls: ['mqtt://127.0.0.1:4']}\njournal: {path: /nonexistent}\n"
    )
    (planned,) = plan_site(site, Clock())
    return forecast_link(planned, Assumptions(round_trip_s=0.1, bytes_per_s=1e12))


def request(**changes: Any) -> RequestForecast:
    settings: dict[str, Any] = {
        "device": "d1",
        "what": "",
        "tags": 1,
        "registers": 1,
        "interval_s": 1.0,
        "time_s": 0.1,
        "record_bytes": 100,
        "bytes_per_day": 100.0 * DAY_S,
        "quiet_bytes_per_day": 0.0,
    }
    return RequestForecast(**(settings | changes))


def line(*requests: RequestForecast, connections: int = 1) -> LinkForecast:
    return LinkForecast("line", connections, requests, "d1", 1.0)


FAR_APART = ", ".join(
    f"{{name: t{i}, address: holding/{i * 1000}, type: int16}}" for i in range(4)
)


def test_bus_time_is_round_trip_and_gap_of_every_request_over_its_interval() -> None:
    forecast = link(FAR_APART, more="gap: 50ms, interval: 500ms,")
    assert forecast.load == pytest.approx(4 * 0.15 / 0.5)
    assert forecast.pass_s == pytest.approx(0.6)


def test_the_gap_of_a_device_counts_before_that_of_its_link() -> None:
    forecast = link(FAR_APART, more="gap: 50ms,", device="gap: 200ms,")
    assert forecast.load == pytest.approx(4 * 0.3)


def test_a_link_that_needs_more_than_a_second_each_second_does_not_work() -> None:
    forecast = line(*[request(time_s=0.575)] * 4)
    assert forecast.load == pytest.approx(2.3)
    assert not forecast.works
    assert forecast.stretch == pytest.approx(2.9)
    assert forecast.connections_needed == 3


def test_with_the_remedies_it_names_the_link_works() -> None:
    too_much = line(*[request(time_s=0.575)] * 4)
    stretched = request(time_s=0.575, interval_s=too_much.stretch)
    assert too_much.connections_needed is not None
    more = line(*too_much.requests, connections=too_much.connections_needed)
    for remedied in (line(*[stretched] * 4), more):
        assert remedied.works
        assert remedied.utilisation <= 0.8


def test_more_connections_do_not_help_a_request_slower_than_its_interval() -> None:
    slow = line(request(time_s=2.0), request(), connections=2)
    assert slow.too_slow == [slow.requests[0]]
    assert not slow.works
    assert slow.connections_needed is None


def test_connections_beyond_the_number_of_requests_are_not_counted() -> None:
    assert line(request(), connections=8).usable == 1


def test_one_silent_device_delays_by_its_timeout_and_one_pass() -> None:
    forecast = link(FAR_APART, device="timeout: 700ms,")
    assert forecast.slowest == "d1"
    assert forecast.worst_wait_s == pytest.approx(0.7 + 0.4)


def test_a_record_is_as_long_as_the_frame_the_journal_writes() -> None:
    (forecast,) = link("{name: t, address: holding/0, type: int16}").requests
    # Header of a record 52 bytes, name of the stream 2, one int16, padded to 8.
    assert forecast.record_bytes == FRAME_BYTES + 56
    assert forecast.bytes_per_day == forecast.record_bytes * DAY_S


def test_with_dead_bands_a_quiet_plant_writes_full_images_only() -> None:
    tags = "{name: t, address: holding/0, type: int16, deadband: 0, max_silence: 10s}"
    (forecast,) = link(tags).requests
    assert forecast.quiet_bytes_per_day == pytest.approx(forecast.bytes_per_day / 10)


def test_without_dead_bands_a_quiet_plant_writes_as_much_as_a_busy_one() -> None:
    (forecast,) = link("{name: t, address: holding/0, type: int16}").requests
    assert forecast.quiet_bytes_per_day == pytest.approx(forecast.bytes_per_day)


def test_hours_of_buffer_are_the_data_share_of_the_journal_over_the_rate() -> None:
    journal = forecast_journal([line(request())], size=1024 * MIB, commit_s=0.25)
    assert 0.8 * 1024 * MIB < journal.data_bytes < 1024 * MIB
    assert journal.hours == pytest.approx(journal.data_bytes / 100 / 3600)
    assert journal.quiet_hours is None


def test_requests_of_one_interval_share_a_commit() -> None:
    together = line(*[request(time_s=0.01)] * 5)
    apart = line(*[request(time_s=0.01, interval_s=1 + i / 100) for i in range(5)])
    assert forecast_journal([together], size=64 * MIB, commit_s=0.25).commits_per_s == 1
    assert forecast_journal([apart], size=64 * MIB, commit_s=0.25).commits_per_s == 4


def test_flash_wear_counts_the_page_that_each_commit_writes_again() -> None:
    journal = forecast_journal([line(request())], size=64 * MIB, commit_s=0.25)
    data = 100 * DAY_S * 365
    pages = 4096 * DAY_S * 365
    assert data + pages < journal.flash_bytes_per_year < 1.2 * (data + pages)


class Silent:
    """A request for which the driver has no words."""


def test_a_request_without_words_of_its_driver_is_described_by_none() -> None:
    assert described(Silent()) == described(None) == ""
    assert described("unit 1") == "unit 1"
    assert counted(Silent()) is None
    assert counted([]) is None
