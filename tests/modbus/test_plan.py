"""Few requests, no value torn, every tag once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.address import Address, Table
from drivers.modbus.plan import Request, Shape, plan
from gateway.driver import check_plan
from gateway.model import Block, DataType, Tag


def tag(offset: int, type_: DataType = DataType.INT16, table: Table = Table.HOLDING,
        interval_s: float = 1.0, device: str = "d", length: int = 0) -> Tag:  # fmt: skip
    bit = 0 if type_ is DataType.BOOL and not table.holds_bits else -1
    place = Address(1, table, offset, type_, length=length, bit=bit)
    return Tag(f"{table.word}{offset}", device, place, type_, interval_s=interval_s)


def ranges(blocks: list[Block[Request]]) -> list[tuple[int, int]]:
    return [(b.request.offset, b.request.count) for b in blocks]


def coils(*offsets: int) -> list[Tag]:
    return [tag(offset, DataType.BOOL, Table.COIL) for offset in offsets]


def test_neighbours_share_a_request_up_to_the_limit() -> None:
    tags = [tag(offset) for offset in range(300)]
    assert ranges(plan(tags, {"d": Shape()})) == [(0, 125), (125, 125), (250, 50)]


def test_a_value_of_several_registers_is_never_split() -> None:
    tags = [tag(offset, DataType.FLOAT32) for offset in range(1, 301, 2)]
    assert ranges(plan(tags, {"d": Shape()})) == [(1, 124), (125, 124), (249, 52)]


def test_two_tags_on_one_register_share_it() -> None:
    assert ranges(plan([tag(5), tag(5), tag(4, DataType.UINT32)], {"d": Shape()})) == [(4, 2)]


@pytest.mark.parametrize(("gap", "requests"), [(0, 3), (1, 2), (50, 1)])
def test_unused_registers_are_read_over_up_to_max_gap(gap: int, requests: int) -> None:
    tags = [tag(0), tag(2), tag(53)]
    assert len(plan(tags, {"d": Shape(max_gap=gap)})) == requests


def test_unused_registers_are_read_over_while_that_is_cheaper_than_asking_again() -> None:
    assert len(plan([tag(0), tag(101)], {"d": Shape()})) == 1
    assert len(plan([tag(0), tag(102)], {"d": Shape()})) == 2
    assert len(plan(coils(0, 1601), {"d": Shape()})) == 1
    assert len(plan(coils(0, 1602), {"d": Shape()})) == 2


def test_bits_have_their_own_limit() -> None:
    assert ranges(plan(coils(*range(2001)), {"d": Shape()})) == [(0, 2000), (2000, 1)]
    assert len(plan(coils(0, 8), {"d": Shape(max_bits=8)})) == 2


def test_tables_intervals_and_devices_are_asked_apart() -> None:
    tags = [tag(0), tag(0, table=Table.INPUT), tag(1, interval_s=5.0), tag(1, device="e")]
    blocks = plan(tags, {"d": Shape(), "e": Shape()})
    check_plan(tags, blocks)
    assert len(blocks) == 4


def test_a_request_tells_its_range_to_people() -> None:
    (block,) = plan([tag(100), tag(110)], {"d": Shape()})
    assert str(block.request) == "unit 1 holding/100..110"


TYPES = [t for t in DataType if t is not DataType.BOOL]
TAGS = st.lists(
    st.builds(
        tag,
        st.integers(0, 2000),
        st.sampled_from(TYPES),
        st.sampled_from([Table.HOLDING, Table.INPUT]),
        st.sampled_from([1.0, 5.0]),
        st.sampled_from(["d", "e"]),
        st.integers(1, 16),
    ),
    max_size=80,
)
SHAPES = st.builds(
    Shape, st.integers(8, 125), st.integers(1, 2000), st.none() | st.integers(0, 9)
)


@given(TAGS, SHAPES)
def test_laws_of_every_plan(tags: list[Tag], shape: Shape) -> None:
    blocks = plan(tags, {"d": shape, "e": shape})
    check_plan(tags, blocks)
    for block in blocks:
        request = block.request
        assert request.count <= shape.max_registers
        for place in (t.address for t in block.tags):
            assert place.table == request.table
            assert request.offset <= place.offset <= place.end <= request.offset + request.count


@given(st.sets(st.integers(0, 60), min_size=1, max_size=12), st.integers(8, 20))
def test_no_plan_has_fewer_requests(offsets: set[int], limit: int) -> None:
    found = plan([tag(offset) for offset in offsets], {"d": Shape(limit, max_gap=125)})
    best: dict[int, int] = {}
    ordered = sorted(offsets)
    for end, last in enumerate(ordered):
        starts = [s for s in range(end + 1) if last - ordered[s] < limit]
        best[end] = min(best.get(s - 1, 0) + 1 for s in starts)
    assert len(found) == best[len(ordered) - 1]
