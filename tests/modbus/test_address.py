"""What a person may write as an address, and what it means on the wire."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.modbus import DRIVER
from drivers.modbus.address import Address, Order, Table
from drivers.modbus.settings import host_and_port
from gateway.errors import Mistake
from gateway.messages import text
from gateway.model import DataType
from tests.modbus.site import written


def place(address: str | int, **tag: Any) -> Address:
    device = {"name": "d", "unit": 7, "tags": [{"name": "t", "address": address} | tag]}
    device |= tag.pop("device", {})
    device["tags"] = [{"name": "t", "address": address, "type": "int16"} | tag]
    ((only,),) = [[t.address for t in written(device)[1]]]
    return only  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("address", "tag", "table", "offset"),
    [
        ("holding/100", {}, Table.HOLDING, 100),
        ("input/12", {}, Table.INPUT, 12),
        ("coil/3", {"type": "bool"}, Table.COIL, 3),
        ("discrete/65535", {"type": "bool"}, Table.DISCRETE, 65535),
    ],
)
def test_addresses_count_from_zero_as_on_the_wire(
    address: str, tag: dict[str, str], table: Table, offset: int
) -> None:
    assert place(address, **tag)[:3] == (7, table, offset)


@pytest.mark.parametrize(
    ("address", "tag", "table", "offset"),
    [
        (40001, {}, Table.HOLDING, 0),
        ("40101", {}, Table.HOLDING, 100),
        ("465536", {}, Table.HOLDING, 65535),
        (30013, {}, Table.INPUT, 12),
        ("10008", {"type": "bool"}, Table.DISCRETE, 7),
        ("00017", {"type": "bool"}, Table.COIL, 16),
        (17, {"type": "bool"}, Table.COIL, 16),
        ("000017", {"type": "bool"}, Table.COIL, 16),
        ("holding/100", {}, Table.HOLDING, 100),
    ],
)
def test_modicon_addresses_count_from_one_within_their_table(
    address: str | int, tag: dict[str, str], table: Table, offset: int
) -> None:
    found = place(address, device={"addressing": "modicon"}, **tag)
    assert (found.table, found.offset) == (table, offset)


@pytest.mark.parametrize(
    ("address", "tag", "code", "suggestion"),
    [
        ("100", {}, "modbus_address", None),
        ("40101", {}, "modbus_modicon", "holding/100"),
        ("hold/1", {}, "modbus_table", "holding"),
        ("Holding/1", {}, "modbus_table", "holding"),
        ("input register/1", {}, "modbus_table", "input"),
        ("coils/1", {}, "modbus_table", "coil"),
        ("holding/70000", {}, "modbus_address_range", None),
        ("holding/65535", {"type": "float32"}, "modbus_address_range", None),
        ("40000", {"device": {"addressing": "modicon"}}, "modbus_address_range", None),
        ("holding-100", {}, "modbus_address", None),
        ("holding/100.3", {}, "modbus_address", None),
        ("coil/3", {}, "modbus_bit_table", None),
        ("holding/3", {"type": "bool"}, "modbus_bit_missing", None),
        ("coil/3", {"type": "bool", "bit": 3}, "modbus_bit_of_bit", None),
        ("holding/3", {"type": "string", "length": 9, "device": {"max_registers": 4}},
         "modbus_too_wide", None),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_mistake_with_a_message_in_both_languages(
    address: str, tag: dict[str, Any], code: str, suggestion: str | None
) -> None:
    with pytest.raises(Mistake) as caught:
        place(address, **tag)
    mistake = caught.value
    assert (mistake.code, mistake.fields.get("suggestion")) == (code, suggestion)
    assert all(text(code, lang, **mistake.fields) for lang in ("en", "zh"))
    assert mistake.path[0] in {"address", "type", "bit", "length"}


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ({"bit": 3}, "modbus_bit_unused"),
        ({"type": "string"}, "modbus_length_missing"),
        ({"length": 3}, "modbus_length_unused"),
    ],
)
def test_length_is_of_a_string_and_bit_of_a_bool(tag: dict[str, Any], code: str) -> None:
    with pytest.raises(ValidationError) as caught:
        place("holding/3", **tag)
    assert caught.value.errors()[0]["type"] == code


def test_the_order_of_a_tag_beats_its_device_and_the_device_its_link() -> None:
    tags = [{"name": "t", "address": "holding/0", "type": "int32"}]
    own = [{"name": "t", "address": "holding/0", "type": "int32", "order": "BADC"}]
    _, found = written(
        {"name": "a", "unit": 1, "tags": tags},
        {"name": "b", "unit": 2, "order": "DCBA", "tags": tags},
        {"name": "c", "unit": 3, "order": "DCBA", "tags": own},
        order="CDAB",
    )
    assert [tag.address.order for tag in found] == [Order.CDAB, Order.DCBA, Order.BADC]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("tcp://10.10.1.20", ("10.10.1.20", 502)),
        ("tcp://plc.local:1502", ("plc.local", 1502)),
        ("tcp://[fe80::1]:502", ("fe80::1", 502)),
    ],
)
def test_the_port_is_502_unless_written(url: str, place: tuple[str, int]) -> None:
    assert host_and_port(url) == place


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("rtu:///dev/ttyUSB0?baud=9600", "modbus_url_scheme"),
        ("rtu+tcp://10.0.0.1", "modbus_url_scheme"),
        ("tls://10.0.0.1", "modbus_url_scheme"),
        ("udp://10.0.0.1", "modbus_url_scheme"),
        ("http://10.0.0.1", "modbus_url"),
        ("10.0.0.1:502", "modbus_url"),
        ("tcp://10.0.0.1:70000", "modbus_url"),
        ("tcp://10.0.0.1:502/path", "modbus_url"),
        ("tcp://", "modbus_url"),
    ],
)
def test_any_other_url_is_refused_by_name(url: str, code: str) -> None:
    with pytest.raises(ValidationError) as caught:
        written(url=url)
    (error,) = caught.value.errors()
    assert (error["type"], error["loc"]) == (code, ("url",))
    assert url in text(code, "en", **error["ctx"])


def test_a_register_needs_a_type() -> None:
    with pytest.raises(ValidationError, match="type"):
        written({"name": "d", "unit": 1, "tags": [{"name": "t", "address": "holding/1"}]})


def test_an_address_is_small() -> None:
    address = Address(1, Table.HOLDING, 100, DataType.INT16)
    assert sys.getsizeof(address) <= 120
    assert address == DRIVER.address(*_parts("holding/100"))


def _parts(address: str) -> Any:
    link, _ = written({"name": "d", "unit": 1, "tags": [
        {"name": "t", "address": address, "type": "int16"}
    ]})  # fmt: skip
    device = link.devices[0]
    return device.tags[0], device, link
