"""The rate meter on made-up stamps."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from thinair.sender.hdmi.rate_meter import RateMeter, nearest_rate

pytestmark = pytest.mark.quick
RATES = [Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(50),
         Fraction(60000, 1001), Fraction(60)]  # fmt: skip
WINDOWS = 2 * 121  # pictures until two windows have been judged


def feed(
    meter: RateMeter,
    rate: Fraction,
    pictures: int,
    *,
    first: int = 0,
    jitter_us: int = 0,
    lost: float = 0,
    seed: int = 0,
) -> list[Fraction]:
    """What the meter says while `pictures` numbers pass at this rate, some of them lost."""
    noise = random.Random(seed)
    said = []
    for number in range(first, first + pictures):
        if noise.random() < lost:
            continue
        stamp_us = 5_000_000 + int(number * 1_000_000 / rate) + noise.randint(0, jitter_us)
        if (settled := meter.add(number, stamp_us)) is not None:
            said.append(settled)
    return said


@pytest.mark.parametrize("rate", RATES)
def test_the_true_rate_is_found_where_the_driver_says_the_next_whole_one(rate: Fraction) -> None:
    meter = RateMeter(Fraction(round(rate)))
    said = feed(meter, rate, WINDOWS)
    assert said == ([] if rate.denominator == 1 else [rate])
    assert meter.rate == rate


@pytest.mark.parametrize("rate", RATES)
def test_two_milliseconds_of_jitter_and_lost_pictures_do_not_mislead_it(rate: Fraction) -> None:
    for seed in range(8):
        meter = RateMeter(Fraction(round(rate)))
        said = feed(meter, rate, 20 * WINDOWS, jitter_us=2000, lost=0.2, seed=seed)
        assert said == ([] if rate.denominator == 1 else [rate]), f"seed {seed}"


@pytest.mark.parametrize("rate", [Fraction(30), Fraction(60000, 1001)])
def test_a_machine_that_stamps_ten_milliseconds_late_now_and_then_is_never_misread(rate: Fraction) -> None:
    for seed in range(8):
        meter = RateMeter(Fraction(round(rate)))
        said = feed(meter, rate, 3000, jitter_us=10_000, lost=0.3, seed=seed)
        assert said == ([] if rate.denominator == 1 else [rate]), f"seed {seed}"


def test_stamps_of_pure_noise_say_nothing() -> None:
    for seed in range(4):
        assert feed(RateMeter(Fraction(60)), Fraction(60000, 1001), 5000, jitter_us=200_000, seed=seed) == [], (
            f"seed {seed}"
        )


def test_gaps_of_the_sequence_are_pictures_that_passed() -> None:
    meter = RateMeter(Fraction(60))
    said = [meter.add(number, number * 1_001_000_000 // 60_000 // 1) for number in range(0, 400, 3)]
    assert [rate for rate in said if rate] == [Fraction(60000, 1001)]


def test_a_number_given_twice_counts_once() -> None:
    meter = RateMeter(Fraction(60))
    said = [meter.add(number // 2, number // 2 * 1_001_000_000 // 60_000) for number in range(2 * WINDOWS)]
    assert [rate for rate in said if rate] == [Fraction(60000, 1001)]


def test_one_window_is_not_enough() -> None:
    assert feed(RateMeter(Fraction(60)), Fraction(60000, 1001), WINDOWS - 1) == []


def test_a_rate_that_changes_is_followed_both_ways() -> None:
    meter = RateMeter(Fraction(30))
    assert feed(meter, Fraction(30), WINDOWS) == []
    assert feed(meter, Fraction(30000, 1001), 2 * WINDOWS, first=1000) == [Fraction(30000, 1001)]
    assert feed(meter, Fraction(30), 2 * WINDOWS, first=5000) == [Fraction(30)]


def test_a_grabber_that_halves_its_rate_in_the_dark_is_followed() -> None:
    assert feed(RateMeter(Fraction(30)), Fraction(15), WINDOWS) == [Fraction(15)]


def test_a_rate_that_is_none_of_the_known_ones_changes_nothing() -> None:
    assert feed(RateMeter(Fraction(25)), Fraction(49, 2), 10 * WINDOWS) == []


def test_a_restarted_sequence_and_a_pause_begin_anew() -> None:
    meter = RateMeter(Fraction(60))
    for round_ in range(8):  # each too short for a window, and none may count towards another's
        assert feed(meter, Fraction(60000, 1001), 100, first=0 if round_ % 2 else 10_000) == []
    assert meter.rate == 60


def test_stamps_that_stand_still_or_go_back_are_survived() -> None:
    meter = RateMeter(Fraction(60))
    noise = random.Random(3)
    said = [meter.add(number, noise.choice((0, 7, 7, 1_000_000))) for number in range(1000)]
    assert set(said) == {None}


def test_a_clock_that_is_100_ppm_off_still_tells_rates_apart() -> None:
    for rate in RATES:
        for ppm in (-100, 100):
            assert nearest_rate((1 + Fraction(ppm, 1_000_000)) * 1_000_000 / rate) == rate
