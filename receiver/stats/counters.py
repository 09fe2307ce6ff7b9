"""What the player counts of one run, and the rates and percentiles that follow from it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TypedDict

from thinair.link.protocol.frame_trace import STAGES, FrameTrace, Outcome
from thinair.link.protocol.percentiles import GlassAge, Series

RECENT_FRAMES = 250  # what live figures speak of
_RATE_INTERVAL_US = 1_000_000


class Percentiles(TypedDict):
    """Nearest rank, ms to the microsecond; without samples all but `n` are None. `n` and `max` are over all samples."""

    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None
    n: int


class FrameCounts(TypedDict):
    """Frames by what became of them. The first three are the sender's to know: None, until the demo fills them in."""

    captured: int | None
    encoded: int | None
    sent: int | None
    completed: int
    repaired: int
    decoded: int
    presented: int
    superseded: int
    skipped: int
    lost: int


@dataclass(slots=True)
class Figures:
    """Counts and series of one run. Times are µs."""

    interval_us: float = 40_000.0
    completed: int = 0
    repaired: int = 0
    decoded: int = 0
    presented: int = 0
    superseded: int = 0
    lost: int = 0
    skipped: int = 0  # completed, not decoded: after a loss, until the next key frame
    bytes: int = 0
    latency: Series = field(default_factory=Series)
    receive: Series = field(default_factory=Series)
    stages: dict[str, Series] = field(default_factory=lambda: {name: Series() for name in STAGES})
    glass: GlassAge = field(init=False)

    def __post_init__(self) -> None:
        self.glass = GlassAge(self.interval_us)

    def set_interval(self, interval_us: float) -> None:
        self.interval_us = interval_us
        self.glass.set_interval(interval_us)

    def add(self, trace: FrameTrace) -> None:
        if trace.outcome is not Outcome.PRESENTED:
            return
        self.latency.add(trace.capture_to_present_us)
        self.receive.add(trace.receive_us)
        for name, value in trace.stages().items():
            self.stages[name].add(value)

    def frames(self) -> FrameCounts:
        return {
            "captured": None,
            "encoded": None,
            "sent": None,
            "completed": self.completed,
            "repaired": self.repaired,
            "decoded": self.decoded,
            "presented": self.presented,
            "superseded": self.superseded,
            "skipped": self.skipped,
            "lost": self.lost,
        }


@dataclass(slots=True)
class Rates:
    """Pictures shown and bits received per second, between the last two updates."""

    fps: float | None = None
    bitrate_bps: float = 0.0
    _then: tuple[int, int, int] | None = None

    def update(self, figures: Figures, now_us: int) -> None:
        if self._then is not None and now_us - self._then[0] < _RATE_INTERVAL_US:
            return
        if self._then is not None:
            seconds = (now_us - self._then[0]) / 1e6
            self.fps = (figures.presented - self._then[1]) / seconds
            self.bitrate_bps = (figures.bytes - self._then[2]) * 8 / seconds
        self._then = (now_us, figures.presented, figures.bytes)


class Recent:
    """Latency of the last seconds as a graph of a hundred points, each the latest picture of its time."""

    _POINTS = 100

    def __init__(self, span_s: float) -> None:
        self._span_us = span_s * 1e6
        self._shown: deque[tuple[int, float]] = deque(maxlen=4096)

    def add(self, trace: FrameTrace) -> None:
        if trace.presented_us is not None and (late_us := trace.capture_to_present_us) is not None:
            self._shown.append((trace.presented_us, late_us))

    def graph(self, now_us: int) -> tuple[float | None, ...]:
        """Oldest first, ms; None where nothing was shown."""
        points: list[float | None] = [None] * self._POINTS
        while self._shown and now_us - self._shown[0][0] >= self._span_us:
            self._shown.popleft()
        for at_us, late_us in self._shown:
            index = self._POINTS - 1 - int((now_us - at_us) * self._POINTS / self._span_us)
            if 0 <= index < self._POINTS:
                points[index] = max(points[index] or 0.0, round(late_us / 1000, 1))
        return tuple(points)


def milliseconds(series: Series, last: int | None = None) -> Percentiles:
    """A series of µs, summarised in ms: all of it, or its newest `last` samples."""
    found = series.summary(last)
    return {
        "p50": _ms(found.p50),
        "p95": _ms(found.p95),
        "p99": _ms(found.p99),
        "max": _ms(found.max),
        "n": found.n,
    }


def _ms(value_us: float | None) -> float | None:
    return None if value_us is None else round(value_us / 1000, 3)


class Timing:
    """Percentiles of a run's times, read only. `last`: of the newest so many frames; None: of the whole run."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def latency(self, last: int | None = None) -> Percentiles:
        return milliseconds(self._figures.latency, last)

    def stages(self, last: int | None = None) -> dict[str, Percentiles]:
        """By stage, in order."""
        return {name: milliseconds(series, last) for name, series in self._figures.stages.items()}

    def receive(self) -> Percentiles:
        return milliseconds(self._figures.receive)

    def glass_age(self, last: int | None = None) -> Percentiles:
        return milliseconds(self._figures.glass.ages, last)
