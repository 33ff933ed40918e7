"""Which readings of a poll are worth a record."""

from __future__ import annotations

from typing import Any

from gateway.model import Batch, Block, Quality
from gateway.rules import ImageRule, SubscribedRule
from tests.fakes import tags

S = 10**9


def rule(count: int = 3, **more: Any) -> tuple[ImageRule, Block[None]]:
    block = Block("pump", tuple(tags("pump", count, **more)), 1.0, None)
    return ImageRule(block), block


def rows(batch: Batch | None) -> list[int] | None:
    if batch is None:
        return None
    return list(range(len(batch))) if batch.index is None else list(batch.index)


def test_without_a_dead_band_every_poll_is_reported() -> None:
    image, block = rule()
    for second in range(3):
        assert image.report(Batch(block, second * S, [1, 1, 1])) is not None


def test_with_dead_band_zero_only_what_changed_is_reported() -> None:
    image, block = rule(deadband=0)
    assert rows(image.report(Batch(block, 0, [1, 2, 3]))) == [0, 1, 2]
    assert image.report(Batch(block, S, [1, 2, 3])) is None
    assert rows(image.report(Batch(block, 2 * S, [1, 9, 3]))) == [1]
    assert image.report(Batch(block, 3 * S, [1, 9, 3])) is None


def test_a_slow_drift_is_measured_against_what_was_last_reported() -> None:
    image, block = rule(1, deadband=1.0)
    image.report(Batch(block, 0, [10.0]))
    assert image.report(Batch(block, S, [10.6])) is None
    assert image.report(Batch(block, 2 * S, [10.9])) is None
    assert rows(image.report(Batch(block, 3 * S, [11.1]))) == [0]


def test_a_change_of_quality_is_news() -> None:
    image, block = rule(1, deadband=5)
    image.report(Batch(block, 0, [1.0]))
    bad = bytes([Quality.BAD_SENSOR])
    assert rows(image.report(Batch(block, S, [None], bad))) == [0]
    assert image.report(Batch(block, 2 * S, [None], bad)) is None


def test_everything_is_reported_at_least_every_max_silence_and_after_an_outage() -> None:
    image, block = rule(deadband=0, max_silence_s=5.0)
    reported = [image.report(Batch(block, t * S, [1, 1, 1])) for t in range(11)]
    assert [t for t, batch in enumerate(reported) if batch] == [0, 5, 10]
    image.forget()
    assert rows(image.report(Batch(block, 11 * S, [1, 1, 1]))) == [0, 1, 2]


def test_a_clock_that_steps_back_does_not_silence_a_block() -> None:
    image, block = rule(deadband=0)
    image.report(Batch(block, 100 * S, [1, 1, 1]))
    assert image.report(Batch(block, 10 * S, [1, 1, 1])) is not None


def test_a_piece_of_a_block_has_an_image_of_its_own_and_then_reports_what_changed() -> None:
    image, block = rule(deadband=0, max_silence_s=5.0)
    image.report(Batch(block, 0, [1, 2, 3]))
    reported = [rows(image.report(Batch(block, t * S, [2, 3], index=[1, 2]))) for t in range(7)]
    assert reported == [[1, 2], None, None, None, None, [1, 2], None]
    assert rows(image.report(Batch(block, 7 * S, [2, 9], index=[1, 2]))) == [2]


def test_what_is_lost_has_no_value_and_is_reported_in_full_when_it_returns() -> None:
    image, block = rule(deadband=0)
    image.report(Batch(block, 0, [1, 2, 3]))
    image.lose(block.bad(Quality.BAD_NO_COMMUNICATION, S))
    assert list(image.latest()[0]) == [None, None, None]
    assert rows(image.report(Batch(block, 2 * S, [1, 2, 3]))) == [0, 1, 2]


def subscribed(count: int = 3, **more: Any) -> tuple[SubscribedRule, Block[None]]:
    block = Block("pump", tuple(tags("pump", count, **more)), 1.0, None, subscribed=True)
    return SubscribedRule(block), block


def word(block: Block[None], time_s: float, **values: float) -> Batch:
    rows = [int(name[1:]) for name in values]
    return Batch(block, int(time_s * 1e9), list(values.values()), None, rows)


def test_what_a_subscribed_device_says_is_reported_beyond_the_dead_band() -> None:
    rule, block = subscribed(deadband=1.0)
    heard = [
        rule.report(word(block, at, t0=value)) for at, value in ((0, 5.0), (1, 5.5), (2, 7.0))
    ]
    assert [batch and list(batch.values) for batch in heard] == [[5.0], None, [7.0]]


def test_a_quiet_subscribed_device_gives_the_image_of_its_newest_values_in_time() -> None:
    rule, block = subscribed(deadband=1.0, max_silence_s=10.0)
    rule.report(word(block, 0, t0=5.0, t2=1.0))
    rule.report(word(block, 1, t0=5.5))
    assert rule.image(word(block, 9)) is None
    image = rule.image(word(block, 10))
    assert image is not None
    assert (list(image.values), image.index) == ([5.5, 1.0], [0, 2])
    assert rule.image(word(block, 11)) is None


def test_after_an_outage_every_subscribed_tag_is_reported_at_its_next_word() -> None:
    rule, block = subscribed(deadband=1.0)
    rule.report(word(block, 0, t0=5.0, t1=5.0))
    rule.lose(block.bad(Quality.BAD_NO_COMMUNICATION, S))
    first, second = (rule.report(word(block, 1, **{name: 5.0})) for name in ("t0", "t1"))
    assert first is not None
    assert second is not None


def test_after_lost_changes_a_tag_is_reported_at_its_next_word_and_the_others_are_not() -> None:
    rule, block = subscribed(deadband=1.0)
    rule.report(word(block, 0, t0=5.0, t1=5.0))
    rule.unhear([1])
    news = rule.report(word(block, 1, t0=5.1, t1=5.1))
    assert news is not None
    assert (list(news.values), news.index) == ([5.1], [1])


def test_a_gap_elsewhere_brings_the_image_of_what_is_known_and_forgets_no_quiet_tag() -> None:
    rule, block = subscribed(deadband=1.0)
    rule.report(word(block, 0, t0=5.0, t1=6.0))
    rule.forget()
    rule.report(word(block, 1, t0=5.1))
    image = rule.image(word(block, 1))
    assert image is not None
    assert (list(image.values), image.index) == ([5.1, 6.0], [0, 1])
