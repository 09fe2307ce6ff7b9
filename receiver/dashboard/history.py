"""What the player tells, second by second: percentiles of each stage, and counters as they grow."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from thinair.link.protocol.frame_trace import STAGE_STAMPS
from thinair.link.protocol.percentiles import nearest_rank
from thinair.receiver.stats.frame_table import COLUMNS

KEPT_S = 900
_AT = {name: index for index, name in enumerate(COLUMNS)}


class History:
    def __init__(self) -> None:
        self.seconds: deque[dict[str, Any]] = deque(maxlen=KEPT_S)
        self._rows: list[Sequence[Any]] = []
        self._before: dict[str, Any] | None = None
        self._ages: list[float] = []

    def rows(self, rows: Sequence[Sequence[Any]]) -> None:
        self._rows += rows

    def state(self, state: dict[str, Any]) -> dict[str, Any] | None:
        """A second's summary where one has passed with this state."""
        before = self._before
        if state["age_us"] is not None:
            self._ages.append(state["age_us"])
        if before is not None and 0 <= state["now_us"] - before["now_us"] < 1_000_000:
            return None
        self._before = state
        rows, self._rows = self._rows, []
        ages, self._ages = self._ages, []
        if before is None or state["now_us"] < before["now_us"]:
            return None
        second = _summary(rows, ages, before, state)
        self.seconds.append(second)
        return second


def _summary(
    rows: Sequence[Sequence[Any]], ages: list[float], before: dict[str, Any], state: dict[str, Any]
) -> dict[str, Any]:
    shown = [row for row in rows if row[_AT["outcome"]] == "presented"]
    late = sorted(row[_AT["capture_to_present_us"]] for row in shown if row[_AT["capture_to_present_us"]] != "")
    stages = {
        name: _median([row[_AT[end]] - row[_AT[start]] for row in shown if row[_AT[start]] != "" != row[_AT[end]]])
        for name, (start, end) in STAGE_STAMPS.items()
    }

    seconds = max(1e-3, (state["now_us"] - before["now_us"]) / 1e6)

    def per_second(section: str, key: str) -> float:
        return float(round(((state[section].get(key) or 0) - (before[section].get(key) or 0)) / seconds, 2))

    return {
        "now_us": state["now_us"],
        "late_ms": [_ms(nearest_rank(late, percent)) for percent in (50, 95, 99)],
        "stages_ms": {name: _ms(value) for name, value in stages.items()},
        "age_ms": _ms(max([*_ages(shown), *ages], default=None)),
        "shown": round(len(shown) / seconds, 2),
        "lost": per_second("frames", "lost"),
        "repaired": per_second("frames", "repaired"),
        "skipped": per_second("frames", "skipped"),
        "superseded": per_second("frames", "superseded"),
        "packets": round((state["packets"] - before["packets"]) / seconds, 1),
        "restored": per_second("recovery", "restored"),
        "bitrate_bps": round(state["bitrate_bps"] or 0),
        "target_bps": state["target_bps"],
        "capacity_bps": state["capacity_bps"],
        "repair_share": state["repair_share"],
        "rtt_ms": _ms(state["rtt_us"]),
        "bound_ms": _ms(state["bound_us"]),
    }


def _ages(shown: Sequence[Sequence[Any]]) -> list[float]:
    """What each picture's age had become when the next one took its place, µs."""
    known = [row for row in shown if row[_AT["capture_us"]] != ""]
    ends = [row[_AT["presented_us"]] for row in known[1:]]
    return [end - row[_AT["capture_us"]] for row, end in zip(known, ends, strict=False)]


def _median(values: list[int]) -> float | None:
    return nearest_rank(sorted(values), 50)


def _ms(us: float | None) -> float | None:
    return None if us is None else round(us / 1000, 3)
