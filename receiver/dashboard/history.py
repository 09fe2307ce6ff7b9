"""What the player tells, second by second: percentiles of each stage, and counters as they grow."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TypedDict

from thinair.link.protocol.frame_trace import STAGE_STAMPS
from thinair.link.protocol.percentiles import nearest_rank
from thinair.receiver.stats.frame_table import COLUMNS, FrameRow
from thinair.receiver.stats.live_state import LiveState

KEPT_S = 900
_AT = {name: index for index, name in enumerate(COLUMNS)}


class Second(TypedDict):
    """Of one second; its keys are the page's and those of /history.json. Counts are per second, None is unknown."""

    now_us: int
    latency_ms: list[float | None]  # p50, p95, p99
    stages_ms: dict[str, float | None]  # medians
    glass_age_ms: float | None  # of the picture on the screen, at its oldest
    shown: float
    lost: float
    repaired: float
    skipped: float
    superseded: float
    packets: float
    restored: float
    bitrate_bps: int
    target_bps: int | None
    capacity_bps: int | None
    repair_ratio: float | None
    rtt_ms: float | None
    clock_bound_ms: float | None


class History:
    def __init__(self) -> None:
        self.seconds: deque[Second] = deque(maxlen=KEPT_S)
        self._rows: list[FrameRow] = []
        self._before: LiveState | None = None
        self._ages: list[float] = []

    def rows(self, rows: Sequence[FrameRow]) -> None:
        self._rows += rows

    def state(self, state: LiveState) -> Second | None:
        """A second's summary where one has passed with this state."""
        before = self._before
        if state.glass_age_us is not None:
            self._ages.append(state.glass_age_us)
        if before is not None and 0 <= state.now_us - before.now_us < 1_000_000:
            return None
        self._before = state
        rows, self._rows = self._rows, []
        ages, self._ages = self._ages, []
        if before is None or state.now_us < before.now_us:
            return None
        second = _summary(rows, ages, before, state)
        self.seconds.append(second)
        return second


def _summary(rows: Sequence[FrameRow], ages: list[float], before: LiveState, state: LiveState) -> Second:
    shown = [row for row in rows if row[_AT["outcome"]] == "presented"]
    late = sorted(value for row in shown if (value := _value(row, "capture_to_present_us")) is not None)
    seconds = max(1e-3, (state.now_us - before.now_us) / 1e6)

    def rate(then: int, now: int) -> float:
        return round((now - then) / seconds, 2)

    return {
        "now_us": state.now_us,
        "latency_ms": [_ms(nearest_rank(late, percent)) for percent in (50, 95, 99)],
        "stages_ms": {name: _ms(_median(shown, start, end)) for name, (start, end) in STAGE_STAMPS.items()},
        "glass_age_ms": _ms(max([*_ages(shown), *ages], default=None)),
        "shown": round(len(shown) / seconds, 2),
        "lost": rate(before.frames["lost"], state.frames["lost"]),
        "repaired": rate(before.frames["repaired"], state.frames["repaired"]),
        "skipped": rate(before.frames["skipped"], state.frames["skipped"]),
        "superseded": rate(before.frames["superseded"], state.frames["superseded"]),
        "packets": round((state.packets - before.packets) / seconds, 1),
        "restored": rate(before.recovery.get("restored", 0), state.recovery.get("restored", 0)),
        "bitrate_bps": round(state.bitrate_bps),
        "target_bps": state.target_bps,
        "capacity_bps": state.capacity_bps,
        "repair_ratio": state.repair_ratio,
        "rtt_ms": _ms(state.rtt_us),
        "clock_bound_ms": _ms(state.clock_bound_us),
    }


def _value(row: FrameRow, name: str) -> float | None:
    value = row[_AT[name]]
    return None if isinstance(value, str) else float(value)


def _ages(shown: Sequence[FrameRow]) -> list[float]:
    """What each picture's age had become when the next one took its place, µs."""
    known = [row for row in shown if _value(row, "capture_us") is not None]
    ends = [_value(row, "presented_us") for row in known[1:]]
    starts = [_value(row, "capture_us") for row in known]
    return [end - start for start, end in zip(starts, ends, strict=False) if start is not None and end is not None]


def _median(shown: Sequence[FrameRow], start: str, end: str) -> float | None:
    pairs = [(_value(row, start), _value(row, end)) for row in shown]
    return nearest_rank(sorted(late - early for early, late in pairs if early is not None and late is not None), 50)


def _ms(us: float | None) -> float | None:
    return None if us is None else round(us / 1000, 3)
