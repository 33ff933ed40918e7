"""Comparing two sites: what goes on, what ends, what begins."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.sim import SimDriver
from gateway.loader import from_text
from gateway.reload import Difference, difference
from gateway.site import Site

HEAD = (
    "version: 1\ngateway: {id: gw}\nmqtt: {urls: ['mqtt://127.0.0.1:4'], root: r}\n"
    "journal: {path: /nonexistent/j, size: 64MiB}\n"
)
WISHES = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]),
    st.tuples(st.sampled_from(["l1", "l2"]), st.sampled_from(["1s", "2s"])),
)
TIMEOUTS = st.fixed_dictionaries(dict.fromkeys(("l1", "l2"), st.sampled_from(["1s", "3s"])))


def site(
    devices: dict[str, tuple[str, str]],
    timeouts: dict[str, str] | None = None,
    head: str = HEAD,
) -> Site:
    """devices: name → (link, interval); timeouts: by link."""
    lines = [head, "links:"] if devices else [head]
    for link in sorted({link for link, _ in devices.values()}):
        timeout = (timeouts or {}).get(link, "1s")
        lines.append(f"  - {{name: {link}, driver: sim, timeout: {timeout}, devices: [")
        lines += [
            f"      {{name: {name}, interval: {interval},"
            " tags: [{name: t, address: sine/60}]},"
            for name, (its, interval) in devices.items()
            if its == link
        ]
        lines.append("    ]}")
    return from_text("\n".join(lines))


def names(*parts: frozenset[str]) -> list[str]:
    """Each part as one word."""
    return ["".join(sorted(part)) for part in parts]


@given(WISHES, TIMEOUTS)
def test_between_a_site_and_itself_there_is_no_difference(
    wishes: dict[str, Any], timeouts: dict[str, str]
) -> None:
    found = difference(site(wishes, timeouts), site(wishes, timeouts))
    assert found == Difference(
        (), frozenset(), frozenset(), (), frozenset(wishes), *[frozenset[str]()] * 3
    )


@given(WISHES, TIMEOUTS, WISHES, TIMEOUTS)
def test_each_device_is_kept_changed_removed_or_added(
    old: dict[str, Any], before: dict[str, str], new: dict[str, Any], after: dict[str, str]
) -> None:
    found = difference(site(old, before), site(new, after))
    parts = (found.kept, found.changed, found.removed, found.added)
    assert sum(map(len, parts)) == len(frozenset().union(*parts))
    assert found.kept | found.changed | found.removed == old.keys()
    assert found.kept | found.changed | found.added == new.keys()


@given(WISHES, TIMEOUTS, WISHES, TIMEOUTS)
def test_backwards_what_was_added_is_removed(
    old: dict[str, Any], before: dict[str, str], new: dict[str, Any], after: dict[str, str]
) -> None:
    there = difference(site(old, before), site(new, after))
    back = difference(site(new, after), site(old, before))
    assert (back.added, back.removed) == (there.removed, there.added)
    assert (back.kept, back.changed) == (there.kept, there.changed)
    assert (back.started, back.stopped) == (there.stopped, there.started)


@given(WISHES, TIMEOUTS, WISHES, TIMEOUTS)
def test_a_kept_device_is_on_a_link_that_neither_stops_nor_starts(
    old: dict[str, Any], before: dict[str, str], new: dict[str, Any], after: dict[str, str]
) -> None:
    found = difference(site(old, before), site(new, after))
    for name in found.kept:
        assert old[name] == new[name]
        assert old[name][0] not in found.stopped | found.started
    for amendment in found.amended:
        assert amendment.link not in found.stopped | found.started
    begun = found.started | {a.link for a in found.amended if a.fresh}
    assert {new[name][0] for name in found.added | found.changed} == begun


def test_a_neighbour_that_comes_does_not_disturb_a_device() -> None:
    found = difference(site({"a": ("l1", "1s")}), site({"a": ("l1", "1s"), "b": ("l1", "1s")}))
    assert names(found.kept, found.added, found.started) == ["a", "b", ""]


def test_where_the_driver_cannot_adopt_a_neighbour_that_comes_means_a_new_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SimDriver, "can_adopt", False)
    found = difference(site({"a": ("l1", "1s")}), site({"a": ("l1", "1s"), "b": ("l1", "1s")}))
    assert names(found.changed, found.stopped, found.started) == ["a", "l1", "l1"]


def test_other_settings_of_a_link_disturb_all_its_devices_and_no_others() -> None:
    devices = {"a": ("l1", "1s"), "b": ("l2", "1s")}
    found = difference(site(devices, {"l1": "1s"}), site(devices, {"l1": "3s"}))
    assert names(found.kept, found.changed, found.stopped) == ["b", "a", "l1"]


def test_a_device_that_moves_to_another_link_has_changed() -> None:
    found = difference(
        site({"a": ("l1", "1s"), "b": ("l1", "1s")}),
        site({"a": ("l1", "1s"), "b": ("l2", "1s")}),
    )
    assert names(found.kept, found.changed, found.started) == ["a", "b", "l2"]
    (amendment,) = found.amended
    assert [amendment.link, *names(amendment.gone, amendment.fresh)] == ["l1", "b", ""]


def test_labels_and_limits_disturb_nothing() -> None:
    text = HEAD + (
        "links: [{name: l, LINK driver: sim, devices: [{name: a, DEVICE"
        " tags: [{name: t, TAG address: sine/60}]}]}]"
    )
    plain = text.replace("LINK", "").replace("DEVICE", "").replace("TAG", "")
    words = text.replace("LINK", "label: 链路,").replace("DEVICE", "label: 泵,")
    words = words.replace("TAG", "label: 液位, alarms: {high: 3},")
    assert difference(from_text(plain), from_text(words)).kept == {"a"}


def test_a_default_that_no_tag_uses_disturbs_nothing() -> None:
    devices = {"a": ("l1", "1s")}
    slower = site(devices, head=HEAD + "defaults: {interval: 5s}\n")
    assert difference(site(devices), slower).kept == {"a"}


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("gateway.id", "id: gw", "id: gw2"),
        ("mqtt.root", "root: r", "root: s"),
        ("journal.path", "path: /nonexistent/j", "path: /nonexistent/k"),
        ("journal.size", "size: 64MiB", "size: 128MiB"),
    ],
)
def test_a_key_that_needs_a_restart_is_named(key: str, old: str, new: str) -> None:
    devices = {"a": ("l1", "1s")}
    found = difference(site(devices), site(devices, head=HEAD.replace(old, new)))
    assert found.needs_restart == (key,)
