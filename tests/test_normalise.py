"""From raw values to values in a unit: no wrong value, and never a value that is not usable."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Conversion, DataType, Quality, Scalar, Scale, Tag
from gateway.normalise import Normaliser, convert, raw_of

TENTH = Conversion(scale=Scale(1, 0, 10))


def tag(conversion: Conversion | None = None, kind: DataType = DataType.INT16) -> Tag:
    return Tag("t", "d", None, kind, conversion=conversion)


def one(
    raw: Scalar, conversion: Conversion, kind: DataType = DataType.INT16
) -> tuple[Scalar, int]:
    values, quality = Normaliser([tag(conversion, kind)]).apply([raw])
    return values[0], quality[0] if quality else 0


def test_a_factor_of_a_tenth_gives_the_nearest_double() -> None:
    assert one(3, TENTH) == (0.3, Quality.GOOD)
    assert one(258, TENTH) == (25.8, Quality.GOOD)


@given(st.integers(-(2**63), 2**64 - 1), st.integers(-999, 999), st.integers(1, 10**6))
def test_scaling_an_integer_is_exact_to_the_last_bit(
    raw: int, offset: int, divisor: int
) -> None:
    value, _ = one(raw, Conversion(scale=Scale(3, offset, divisor)), DataType.INT64)
    assert value == float(Fraction(raw * 3 + offset, divisor))


def test_64_bit_integers_without_scale_stay_integers() -> None:
    assert one(2**64 - 1, Conversion(), DataType.UINT64) == (2**64 - 1, Quality.GOOD)


@pytest.mark.parametrize("raw", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_bad_and_none(raw: float) -> None:
    expected = (None, Quality.BAD_NOT_FINITE)
    assert one(raw, Conversion(), DataType.FLOAT32) == expected
    assert one(raw, TENTH, DataType.FLOAT64) == expected


def test_one_unusable_value_leaves_its_neighbours_as_they_are() -> None:
    tags = [tag(kind=DataType.FLOAT32)] * 3
    values, quality = Normaliser(tags).apply([1.5, math.nan, -2.0])
    assert list(values) == [1.5, None, -2.0]
    assert quality == bytes([0, Quality.BAD_NOT_FINITE, 0])


def test_finite_values_whose_sum_overflows_are_good() -> None:
    tags = [tag(kind=DataType.FLOAT64)] * 2
    values, quality = Normaliser(tags).apply([1.7e308, 1.7e308])
    assert list(values) == [1.7e308, 1.7e308]
    assert quality is None


def test_a_text_among_the_tags_lets_no_number_through_that_is_not_finite() -> None:
    tags = [tag(kind=DataType.STRING), tag(kind=DataType.FLOAT32)]
    values, quality = Normaliser(tags).apply(["a", math.nan])
    assert list(values) == ["a", None]
    assert quality == bytes([0, Quality.BAD_NOT_FINITE])


def test_a_scale_that_overflows_gives_no_infinity() -> None:
    wide = Conversion(scale=Scale(10**6, 0, 1))
    assert one(1e305, wide, DataType.FLOAT64) == (None, Quality.BAD_NOT_FINITE)


def test_a_sentinel_is_a_broken_sensor() -> None:
    assert one(-32768, Conversion(sentinels=frozenset({-32768}))) == (None, Quality.BAD_SENSOR)


@pytest.mark.parametrize(
    ("current", "quality"),
    [
        (3.5, Quality.BAD_SENSOR),
        (3.7, Quality.UNCERTAIN_SENSOR),
        (4.0, Quality.GOOD),
        (20.4, Quality.GOOD),
        (20.8, Quality.UNCERTAIN_SENSOR),
        (21.1, Quality.BAD_SENSOR),
    ],
)
def test_a_current_loop_is_judged_by_namur_ne_43(current: float, quality: Quality) -> None:
    # 4 to 20 mA as 0 to 27648 (Siemens analogue modules).
    raw = round((current - 4) / 16 * 27648)
    scale = Scale(16, 0, 276480, raw=(0, 27648))
    value, found = one(raw, Conversion(scale=scale))
    assert found == quality
    assert (value is None) == (quality >= Quality.BAD)


def test_outside_the_range_a_value_is_uncertain_or_cut() -> None:
    wide = Conversion(range=(0, 10))
    assert one(11, wide) == (11, Quality.UNCERTAIN_OUT_OF_RANGE)
    assert one(11, Conversion(range=(0, 10), clamp=True)) == (10, Quality.GOOD)
    assert one(-1, Conversion(range=(0, 10), clamp=True)) == (0, Quality.GOOD)


def test_an_enum_gives_words_and_a_number_without_word_is_bad() -> None:
    states = Conversion(enum={0: "off", 1: "on"})
    assert one(1, states) == ("on", Quality.GOOD)
    assert one(7, states) == (None, Quality.BAD_CONFIGURATION)


def test_invert_swaps_true_and_false() -> None:
    assert one(True, Conversion(invert=True), DataType.BOOL) == (False, Quality.GOOD)


def test_what_could_not_be_decoded_is_bad() -> None:
    assert one(None, TENTH) == (None, Quality.BAD)


CONVERSIONS = st.sampled_from(
    [
        None,
        TENTH,
        Conversion(range=(0, 100)),
        Conversion(scale=Scale(1, 5, 4), range=(-10, 50), clamp=True),
        Conversion(sentinels=frozenset({7.0})),
        Conversion(enum={1: "one"}),
    ]
)
KINDS = st.sampled_from([DataType.INT16, DataType.FLOAT32, DataType.FLOAT64])
RAW = st.one_of(st.none(), st.integers(-100, 100), st.floats())


@given(st.lists(st.tuples(CONVERSIONS, KINDS, RAW), min_size=1, max_size=20))
def test_by_column_and_by_row_give_the_same(
    rows: list[tuple[Conversion | None, DataType, Scalar]],
) -> None:
    rows = [
        (
            c,
            k,
            int(r) if k is DataType.INT16 and isinstance(r, float) and math.isfinite(r) else r,
        )
        for c, k, r in rows
        if k is not DataType.INT16 or not isinstance(r, float) or math.isfinite(r)
    ]
    tags = [tag(c, k) for c, k, _ in rows]
    values, quality = Normaliser(tags).apply([raw for _, _, raw in rows])
    expected = [
        convert(raw, c or Conversion(), is_float=k is not DataType.INT16) for c, k, raw in rows
    ]
    assert list(values) == [value for value, _ in expected]
    assert list(quality or bytes(len(rows))) == [q for _, q in expected]
    assert all((value is None) == (q >= Quality.BAD) for value, q in expected)


@given(st.integers(-1000, 1000))
def test_raw_of_undoes_a_conversion(raw: int) -> None:
    value, _ = one(raw, Conversion(scale=Scale(1, 3, 7)))
    assert raw_of(tag(Conversion(scale=Scale(1, 3, 7))), value) == raw
