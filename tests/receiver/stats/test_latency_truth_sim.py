"""The latency that a report states against a known truth: five hundred runs over paths of the network model."""

from __future__ import annotations

from functools import cache
from statistics import median

from tests.support.known_latency import PERCENTS, Case, Found, World

RUNS = 500


@cache
def found(*, symmetric: bool) -> list[Found]:
    print(f"seeds 0..{RUNS - 1}, symmetric {symmetric}")
    return [World(Case.drawn(seed, symmetric=symmetric)).run() for seed in range(RUNS)]


def test_the_stated_percentiles_are_right_within_the_stated_bound_in_99_percent_of_the_runs() -> None:
    runs = found(symmetric=False)
    right = [all(run.error_ms(percent) <= run.bound_ms for percent in PERCENTS) for run in runs]
    assert sum(right) >= 0.99 * RUNS


def test_the_stated_bound_is_at_most_half_the_shortest_round_trip_and_a_fifth_of_a_millisecond() -> None:
    for symmetric in (False, True):
        assert max(run.bound_ms - run.rtt_min_ms / 2 for run in found(symmetric=symmetric)) <= 0.2


def test_on_a_symmetric_path_the_median_error_is_a_third_of_a_millisecond_at_most() -> None:
    for percent in PERCENTS:
        assert median(run.error_ms(percent) for run in found(symmetric=True)) <= 0.3
