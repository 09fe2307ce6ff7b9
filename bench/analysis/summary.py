"""Percentiles of a list of values, plain or with their confidence intervals."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NotRequired, TypedDict

import numpy as np

from thinair.bench.analysis.statistics import Values, needed, quantile
from thinair.link.protocol.percentiles import Series

Column = Literal["p50", "p95", "p99", "max"]
COLUMNS: tuple[Column, ...] = ("p50", "p95", "p99", "max")


class Percentiles(TypedDict):
    """In the unit of the values; all but `n` are None where there are no values."""

    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None
    n: int


class Intervals(Percentiles):
    """Percentiles with their 95 % intervals. Those for which there are too few values are None."""

    p50_interval: list[float] | None
    p95_interval: list[float] | None
    p99_interval: list[float] | None
    too_few: NotRequired[str]  # how many values the missing ones need


def summary(values: Sequence[float], digits: int = 3) -> Percentiles:
    """p50, p95, p99 by nearest rank, max and n."""
    series = Series(len(values) or 1)
    for value in values:
        series.add(round(value, digits))
    found = series.summary()
    return {"p50": found.p50, "p95": found.p95, "p99": found.p99, "max": found.max, "n": found.n}


def intervals(values: Sequence[float] | Values) -> Intervals:
    """p50, p95 and p99 with their 95 % intervals, max and n."""
    values = np.asarray(values, np.float64)
    found = {percent: quantile(values, percent) for percent in (50, 95, 99)}
    p50, p95, p99 = found.values()
    out: Intervals = {
        "n": len(values),
        "max": round(float(values.max()), 3) if len(values) else None,
        "p50": None if p50 is None else round(p50.value, 3),
        "p95": None if p95 is None else round(p95.value, 3),
        "p99": None if p99 is None else round(p99.value, 3),
        "p50_interval": None if p50 is None else [round(p50.low, 3), round(p50.high, 3)],
        "p95_interval": None if p95 is None else [round(p95.low, 3), round(p95.high, 3)],
        "p99_interval": None if p99 is None else [round(p99.low, 3), round(p99.high, 3)],
    }
    if too_few := [f"p{percent} needs {needed(percent)}" for percent, one in found.items() if one is None]:
        out["too_few"] = f"{len(values)} samples: {', '.join(too_few)}"
    return out


def read_frames(file: Path) -> list[dict[str, int]]:
    """Rows of a frame log: the columns that hold integers. [] where the file is missing."""
    if not file.exists():
        return []
    with file.open(newline="") as opened:
        return [{key: int(text) for key, text in row.items() if _is_integer(text)} for row in csv.DictReader(opened)]


def _is_integer(text: str | None) -> bool:
    return bool(text) and text is not None and text.lstrip("-").isdigit()
