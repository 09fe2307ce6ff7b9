"""thinair.link.protocol.percentiles: nearest-rank percentiles and glass age."""

import pytest

from thinair.link.protocol.percentiles import GlassAge, Series, Summary

pytestmark = pytest.mark.quick


def test_a_series_without_samples_has_no_figures() -> None:
    assert Series().summary() == Summary(0, None, None, None, None)


def test_percentiles_are_samples_by_nearest_rank() -> None:
    series = Series()
    for value in range(100, 0, -1):
        series.add(value)
    assert series.summary().as_dict() == {"n": 100, "p50": 50, "p95": 95, "p99": 99, "max": 100}
    single = Series()
    single.add(7.5)
    assert single.summary() == Summary(1, 7.5, 7.5, 7.5, 7.5)


def test_an_unknown_value_is_no_sample() -> None:
    series = Series()
    series.add(None)
    series.add(1.0)
    assert series.summary().n == 1


def test_a_series_is_bounded_and_still_knows_its_count_and_maximum() -> None:
    series = Series(capacity=10)
    series.add(1000)
    for value in range(100):
        series.add(value)
    assert len(series) == 10
    assert series.summary() == Summary(101, 94, 99, 99, 1000)


def test_the_newest_samples_can_be_summed_up_alone() -> None:
    series = Series(capacity=10)
    for value in range(25):
        series.add(value)
    assert series.summary(last=4) == Summary(4, 22, 24, 24, 24)


def test_glass_age_grows_while_the_picture_is_frozen() -> None:
    glass = GlassAge(interval_us=40_000)
    assert glass.tick(0) is None
    glass.shown(1000, now_us=11_000)
    assert [glass.tick(now) for now in (11_000, 27_000, 200_000)] == [10_000, 26_000, 199_000]
    assert glass.ages.summary().max == 199_000


def test_a_freeze_is_more_than_three_intervals_without_a_picture() -> None:
    glass = GlassAge(interval_us=40_000)
    glass.shown(0, 0)
    glass.shown(100_000, 120_000)
    assert not glass.stale(240_000)
    assert glass.stale(240_001)
    glass.shown(200_000, 300_000)
    assert (glass.freezes, glass.longest_freeze_us) == (1, 180_000)


def test_a_picture_of_unknown_age_is_not_counted_as_fresh() -> None:
    glass = GlassAge(interval_us=40_000)
    glass.shown(None, 10_000)
    assert glass.tick(20_000) is None
    assert glass.ages.summary().n == 0
