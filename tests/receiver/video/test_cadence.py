"""The smooth mode in virtual time: pictures of a jittery network stand equally long, and none waits an interval."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest

from tests.support import seeds
from thinair.receiver.video.cadence import Cadence

pytestmark = pytest.mark.quick
INTERVAL_US = 40_000


def played(count: int, jitter_us: int, refresh_hz: float = 0.0, offset_us: int = 0) -> list[tuple[int, int, int]]:
    """(captured, ready, shown) of each picture after the first hundred."""
    chance = random.Random(seeds.seed())
    cadence = Cadence()
    rows = []
    for index in range(count):
        captured = index * INTERVAL_US
        ready = captured + 30_000 + chance.randrange(jitter_us + 1) + offset_us
        due = cadence.due(captured, ready, INTERVAL_US, refresh_hz)
        rows.append((captured, ready, due))
    return rows[100:]


@pytest.mark.parametrize("offset_us", [0, -9_000_000_000, 9_000_000_000])
def test_pictures_that_come_unevenly_are_shown_evenly(offset_us: int) -> None:
    shown = [due for _, _, due in played(600, 15_000, offset_us=offset_us)]
    assert max(abs(b - a - INTERVAL_US) for a, b in pairwise(shown)) < 1_000


def test_no_picture_is_shown_before_it_is_there_or_waits_longer_than_an_interval() -> None:
    for jitter_us in (0, 5_000, 30_000, 90_000):
        for refresh_hz in (0.0, 59.94, 60.0, 144.0):
            rows = played(600, jitter_us, refresh_hz)
            assert all(ready <= due <= ready + INTERVAL_US + 1 for _, ready, due in rows)


def test_without_jitter_nothing_is_added() -> None:
    assert all(due - ready <= 1 for _, ready, due in played(600, 0))


@pytest.mark.parametrize(("refresh_hz", "stands"), [(60.0, {2, 3}), (144.0, {5, 6}), (50.0, {2}), (75.0, {3})])
def test_on_a_display_of_another_rate_each_picture_stands_for_one_of_two_counts(
    refresh_hz: float, stands: set[int]
) -> None:
    period = 1e6 / refresh_hz
    shown = [due for _, _, due in played(900, 8_000, refresh_hz)]
    counts = Counter(round((b - a) / period) for a, b in pairwise(shown))
    assert set(counts) == stands
    even = INTERVAL_US / period
    whole = [round(sum((b - a) / period for a, b in pairwise(shown[at : at + 6]))) for at in range(0, 600, 5)]
    assert all(abs(count - 5 * even) <= 1 for count in whole)  # no two short ones in a row where one is due


def test_another_clock_begins_anew() -> None:
    cadence = Cadence()
    for index in range(200):
        cadence.due(index * INTERVAL_US, index * INTERVAL_US + 30_000 + index % 2 * 10_000, INTERVAL_US)
    ready = 200 * INTERVAL_US
    assert cadence.due(50_000_000_000, ready, INTERVAL_US) == ready
