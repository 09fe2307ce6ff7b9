"""Percentiles of a list, and the whole numbers of a frame log."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from thinair.link.protocol.percentiles import Series


def summary(values: Sequence[float], digits: int = 3) -> dict[str, float | None]:
    """p50, p95, p99 by nearest rank, max and n. All but n are None where there are no values."""
    series = Series(len(values) or 1)
    for value in values:
        series.add(round(value, digits))
    return series.summary().as_dict()


def read_frames(file: Path) -> list[dict[str, int]]:
    """Rows of a frame log: the columns that hold whole numbers. [] where the file is missing."""
    if not file.exists():
        return []
    with file.open(newline="") as opened:
        return [{key: int(text) for key, text in row.items() if _whole(text)} for row in csv.DictReader(opened)]


def _whole(text: str | None) -> bool:
    return bool(text) and text is not None and text.lstrip("-").isdigit()
