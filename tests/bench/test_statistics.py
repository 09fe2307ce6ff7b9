"""thinair.bench.analysis.statistics: intervals that hold as often as they say, differences that are found."""

from __future__ import annotations

import numpy as np
import pytest

from thinair.bench.analysis.statistics import compare, needed, quantile

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("percent", [50, 95, 99])
def test_a_percentile_needs_as_many_samples_as_its_interval_and_one_fewer_gives_none(percent: int) -> None:
    least = needed(percent)
    assert quantile(range(least - 1), percent) is None
    assert quantile(range(least), percent) is not None


@pytest.mark.slow
@pytest.mark.parametrize("percent", [50, 95, 99])
def test_the_interval_of_a_percentile_holds_the_true_one_in_95_percent_of_many_samples(percent: int) -> None:
    print("seed 7")
    rng = np.random.default_rng(7)
    true = -np.log(1 - percent / 100)  # of the exponential distribution
    found = [quantile(rng.exponential(size=600), percent) for _ in range(1000)]
    held = sum(one is not None and one.low <= true <= one.high for one in found) / len(found)
    assert 0.94 <= held <= 0.995
    assert all(one is not None and one.low <= one.value <= one.high for one in found)


def test_a_percentile_is_the_nearest_rank() -> None:
    found = quantile(range(1, 1001), 95)
    assert found is not None
    assert found.value == 950


def rounds(rng: np.random.Generator, middle_ms: float, count: int = 6, n: int = 250) -> list[np.ndarray]:
    """A run of rounds whose starts differ, whose neighbours resemble each other, and which have a tail."""
    out = []
    for _ in range(count):
        drift = np.cumsum(rng.normal(0, 0.02, n))
        drift -= drift.mean()
        out.append(middle_ms + rng.normal(0, 0.12) + drift + rng.gamma(2, 0.4, n))
    return out


@pytest.mark.slow
def test_a_millisecond_more_is_found_and_no_change_raises_no_alarm() -> None:
    print("seed 11")
    rng = np.random.default_rng(11)
    for _ in range(20):
        base = rounds(rng, 10.0)
        same, slower = compare(base, rounds(rng, 10.0), block=25), compare(base, rounds(rng, 11.0), block=25)
        assert same is not None
        assert slower is not None
        assert same.low <= 0.3
        assert slower.low > 0.3
        assert slower.ratio_low > 1


@pytest.mark.slow
def test_the_interval_of_a_difference_holds_the_truth_though_starts_differ() -> None:
    print("seed 13")
    rng = np.random.default_rng(13)
    held = 0
    for _ in range(200):
        found = compare(rounds(rng, 10.0), rounds(rng, 10.4), block=25)
        assert found is not None
        held += found.low <= 0.4 <= found.high
    assert held >= 0.95 * 200


def test_one_round_that_was_disturbed_makes_the_interval_wide_not_the_verdict_wrong() -> None:
    rng = np.random.default_rng(17)
    disturbed = rounds(rng, 10.0)
    disturbed[2] = disturbed[2] + 4
    found = compare(rounds(rng, 10.0), disturbed, block=25)
    assert found is not None
    assert found.low < 0.3 < found.high


def test_too_few_frames_give_no_verdict() -> None:
    assert compare([np.zeros(10)], [np.zeros(1000)], block=25) is None
    assert compare([], [np.zeros(1000)], block=25) is None


def test_a_stage_of_nothing_but_zeros_has_a_difference_and_no_ratio() -> None:
    found = compare([np.zeros(100)], [np.zeros(100)], block=10)
    assert found is not None
    assert (found.low, found.high) == (0, 0)
    assert np.isnan(found.ratio_low)
