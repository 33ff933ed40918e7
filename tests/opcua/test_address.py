"""How a person writes a node, and what statuses and types become."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from drivers.opcua.address import NodeAddress, parse
from drivers.opcua.plan import fitting
from drivers.opcua.quality import overflowed, quality_of
from gateway.errors import Mistake
from gateway.loader import WrongConfigError
from gateway.model import DataType, Quality
from tests.opcua.site import link_to

SPELLINGS = {
    "nsu=urn:plant:dcs;s=R201.TI01": NodeAddress("urn:plant:dcs", "R201.TI01"),
    "nsu=http://plant/a%3Bb;i=77": NodeAddress("http://plant/a;b", 77),
    "nsu=urn:p;s=with;semicolon=1": NodeAddress("urn:p", "with;semicolon=1"),
    "nsu=urn:p;b=AQID": NodeAddress("urn:p", b"\x01\x02\x03"),
    "nsu=urn:p;g=00000000-0000-0000-0000-000000000005": NodeAddress("urn:p", uuid.UUID(int=5)),
    "i=2258": NodeAddress("", 2258),
    "ns=0;i=2258": NodeAddress("", 2258),
}
WRONG = ["", "R201", "s=", "nsu=urn:p;i=-1", "nsu=urn:p;i=4294967296", "nsu=urn:p;b=*", "x=1"]


@pytest.mark.parametrize("written", SPELLINGS)
def test_a_node_is_named_by_the_uri_of_its_namespace(written: str) -> None:
    assert parse(written) == SPELLINGS[written]


@pytest.mark.parametrize("written", WRONG)
def test_what_is_no_node_id_is_refused(written: str) -> None:
    with pytest.raises(Mistake, match="opcua_address"):
        parse(written)


def test_a_namespace_named_by_index_is_refused() -> None:
    with pytest.raises(Mistake, match="opcua_index"):
        parse("ns=2;s=R201.TI01")


@pytest.mark.parametrize(
    ("status", "quality"),
    [
        (0x00000000, Quality.GOOD),
        (0x00960000, Quality.GOOD),
        (0x00000480, Quality.GOOD),
        (0x40950000, Quality.UNCERTAIN_SENSOR),
        (0x40900000, Quality.UNCERTAIN_LAST_USABLE),
        (0x40940000, Quality.UNCERTAIN_OUT_OF_RANGE),
        (0x40910000, Quality.UNCERTAIN),
        (0x80310000, Quality.BAD_NO_COMMUNICATION),
        (0x808B0000, Quality.BAD_DEVICE_FAILURE),
        (0x808D0000, Quality.BAD_OUT_OF_SERVICE),
        (0x808A0000, Quality.BAD_CONFIGURATION),
        (0x80340000, Quality.BAD_CONFIGURATION),
        (0x80320000, Quality.BAD),
        (0xFFFFFFFF, Quality.BAD),
    ],
)
def test_a_status_code_becomes_its_quality(status: int, quality: Quality) -> None:
    assert quality_of(status) is quality


def test_the_overflow_bit_counts_only_beside_the_info_type_of_data() -> None:
    assert overflowed(0x480)
    assert not overflowed(0x80)
    assert not overflowed(0x400)


@pytest.mark.parametrize(
    ("kind", "sent", "kept"),
    [
        (DataType.FLOAT64, 3, 3.0),
        (DataType.FLOAT64, 2**63 - 1, None),
        (DataType.FLOAT64, "3", None),
        (DataType.FLOAT32, 1e300, None),
        (DataType.INT16, 3.0, 3),
        (DataType.INT16, 3.5, None),
        (DataType.INT16, 40000, None),
        (DataType.INT16, float("nan"), None),
        (DataType.INT32, float("inf"), None),
        (DataType.BOOL, 1, True),
        (DataType.BOOL, 2, None),
        (DataType.STRING, "x", "x"),
        (DataType.STRING, 1, None),
    ],
)
def test_a_value_fits_its_type_without_change_or_not_at_all(
    kind: DataType, sent: Any, kept: Any
) -> None:
    assert fitting(kind)(sent) == kept


@pytest.mark.parametrize(
    ("url", "more", "code"),
    [
        ("tcp://10.1.1.1:4840", "", "opcua_url"),
        ("opc.tcp://10.1.1.1:4840", "", "opcua_insecure"),
        (
            "opc.tcp://127.0.0.1:4840",
            "user: {name: u, password: {file: /x}}",
            "opcua_user_in_clear",
        ),
        (
            "opc.tcp://10.1.1.1:4840",
            "security: {policy: Basic256Sha256, mode: Sign}\n"
            "    user: {name: u, password: {file: /x}}",
            "opcua_password_signed_only",
        ),
        (
            "opc.tcp://10.1.1.1:4840",
            "security: {policy: Basic256Sha256}\n    user: {name: u}",
            "opcua_user",
        ),
    ],
)
def test_an_insecure_or_half_written_link_is_refused(url: str, more: str, code: str) -> None:
    with pytest.raises(WrongConfigError) as wrong:
        link_to(url, "a", more=more)
    assert code in [problem.code for problem in wrong.value.problems]


def test_insecure_must_be_said_in_so_many_words() -> None:
    link_to("opc.tcp://10.1.1.1:4840", "a", more="insecure: true")
