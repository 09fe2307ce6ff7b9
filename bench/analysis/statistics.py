"""Confidence intervals of percentiles, and of the difference of two runs. docs/measuring.md has the reasons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
CONFIDENCE = 0.95  # of percentiles
COMPARED = 0.99  # of differences: a comparison has a dozen of them
RESAMPLES = 2000
BLOCK_S = 1.0  # neighbouring frames are correlated, neighbouring seconds much less


@dataclass(frozen=True, slots=True)
class Quantile:
    """A percentile by nearest rank and where the true one lies with 95 % confidence, whatever the distribution: the
    ranks are those of a binomial variable (David and Nagaraja, Order Statistics, 7.1)."""

    value: float
    low: float
    high: float


def needed(percent: float, confidence: float = CONFIDENCE) -> int:
    """The fewest samples with which a percentile's interval lies within the sample."""
    p, miss = percent / 100, (1 - confidence) / 2
    return max(math.ceil(math.log(miss) / math.log(p)), math.ceil(math.log(miss) / math.log(1 - p)))


def quantile(values: Sequence[float] | Values, percent: float) -> Quantile | None:
    """None: too few samples for that percentile."""
    ordered = np.sort(np.asarray(values, np.float64))
    n = len(ordered)
    if n < needed(percent):
        return None
    low, high = _ranks(n, percent)
    middle = max(0, math.ceil(n * percent / 100) - 1)
    return Quantile(float(ordered[middle]), float(ordered[low]), float(ordered[high]))


@cache
def _ranks(n: int, percent: float) -> tuple[int, int]:
    p, miss = percent / 100, (1 - CONFIDENCE) / 2
    k = np.arange(n + 1)
    logs = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, n + 1)))))
    mass = np.exp(logs[n] - logs[k] - logs[n - k] + k * math.log(p) + (n - k) * math.log(1 - p))
    below = np.cumsum(mass)
    low = int(np.searchsorted(below, miss, side="right"))
    high = int(np.searchsorted(below, 1 - miss, side="left"))
    return max(0, low - 1), min(n - 1, high)


@dataclass(frozen=True, slots=True)
class Difference:
    """Of the medians of two runs, b against a, with 99 % intervals."""

    a: float
    b: float
    ratio: float
    ratio_low: float
    ratio_high: float
    difference: float
    low: float
    high: float
    n: tuple[int, int]
    rounds: tuple[int, int]


def compare(a: Sequence[Values], b: Sequence[Values], *, block: int, seed: int = 1) -> Difference | None:
    """The difference of two runs, given as rounds in order of time. Resamples rounds, and within a round blocks
    of `block` neighbours (a moving-block bootstrap): the interval covers both differences between starts and slow
    drift. None where a run has no more than one block."""
    if any(sum(map(len, run)) < 2 * block for run in (a, b)):
        return None
    rng = np.random.default_rng(seed)
    middle_a, middle_b = _centre(a), _centre(b)
    drawn_a, drawn_b = _drawn(a, block, rng), _drawn(b, block, rng)
    low, high = _bounds(drawn_b - drawn_a)
    ratios = (np.nan, np.nan)
    ratio = math.nan
    if middle_a > 0 and np.all(drawn_a > 0):
        ratios, ratio = _bounds(drawn_b / drawn_a), middle_b / middle_a
    n = sum(map(len, a)), sum(map(len, b))
    return Difference(middle_a, middle_b, ratio, *ratios, middle_b - middle_a, low, high, n, (len(a), len(b)))


def _centre(run: Sequence[Values]) -> float:
    """Mean of the rounds' medians: a disturbed round has only its share of the weight."""
    return float(np.mean([np.median(one) for one in run if len(one)]))


def _drawn(run: Sequence[Values], block: int, rng: np.random.Generator) -> Values:
    """The centres of RESAMPLES resampled runs."""
    rounds = [one for one in run if len(one)]
    medians = np.empty((len(rounds), RESAMPLES))
    for index, one in enumerate(rounds):
        size = min(block, len(one))
        count = -(-len(one) // size)
        starts = rng.integers(0, len(one) - size + 1, (RESAMPLES, count))
        picked = (starts[:, :, None] + np.arange(size)).reshape(RESAMPLES, -1)[:, : len(one)]
        medians[index] = np.median(one[picked], axis=1)
    if len(rounds) == 1:
        return np.asarray(medians[0], np.float64)
    which = rng.integers(0, len(rounds), (RESAMPLES, len(rounds)))
    centres: Values = medians[which, np.arange(RESAMPLES)[:, None]].mean(axis=1)
    # Means of few rounds spread too little by (k - 1) / k of their variance.
    k = len(rounds)
    middle = centres.mean()
    return np.asarray(middle + (centres - middle) * math.sqrt(k / (k - 1)), np.float64)


def _bounds(values: Values) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - COMPARED) / 2, 1 - (1 - COMPARED) / 2])
    return float(low), float(high)
