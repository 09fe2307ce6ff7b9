"""A recorded run: its report, a row for each frame, and the timelines of the worst frames.

`thinair bench loop` records runs; `thinair bench report` makes them of what `thinair demo|play --report --frames
--packets` wrote; report, compare and gate read them (thinair.bench.analysis.run_files)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

import numpy as np

from thinair.bench.analysis.statistics import Values
from thinair.bench.analysis.summary import Intervals, Percentiles
from thinair.bench.harness.run_conditions import Conditions
from thinair.link.protocol.frame_trace import STAGE_STAMPS, STAGES

LATENCY = "capture_to_present"
_ROUNDING_US = 2  # the latency and the stamps are rounded to µs, each by itself
Way = Literal["loop", "screen", "in_band"]  # how the loop times a picture
WAYS: tuple[Way, ...] = ("loop", "screen", "in_band")


@dataclass(frozen=True, slots=True)
class Frame:
    """One row of a player's frame log (docs/report.md). Times are µs on the player's clock; None is unknown."""

    frame_id: int
    outcome: str
    capture_us: int | None = None
    dequeue_us: int | None = None
    encode_in_us: int | None = None
    encode_out_us: int | None = None
    first_send_us: int | None = None
    last_send_us: int | None = None
    first_packet_us: int | None = None
    last_packet_us: int | None = None
    repaired_us: int | None = None
    taken_us: int | None = None
    decoded_us: int | None = None
    present_in_us: int | None = None
    presented_us: int | None = None
    capture_to_present_us: int | None = None
    bound_us: int | None = None
    bytes: int | None = None
    packets: int | None = None
    key: int | None = None
    gap: int | None = None
    round: int = 0
    loop_us: int | None = None  # from the screen back to the same screen: bench loop

    @property
    def shown_us(self) -> int:
        """When it was presented; 0 where it was not."""
        return self.presented_us or 0


FRAME_COLUMNS = tuple(field.name for field in dataclasses.fields(Frame))


class ModeSection(TypedDict):
    width: int
    height: int
    rate: str | None  # a fraction, such as 30000/1001


class PresenterSection(TypedDict, total=False):
    name: str | None
    why: str | None


class Report(TypedDict, total=False):
    """What the benches read of a player's report (docs/report.md); the other keys are kept as they are."""

    mode: ModeSection | None
    encrypted: bool | None
    conditions: Conditions
    presenter: PresenterSection
    stamp_quality: str | None
    latency_ms: dict[str, Percentiles]
    frames: dict[str, int | None]
    drops: dict[str, int | None]
    recovery: dict[str, int | None]


class FrameTimeline(TypedDict):
    """The packets and events of one frame, in order. `events`: (ms since capture, kind, text)."""

    frame_id: int
    round: int
    outcome: str
    latency_ms: float | None
    bytes: int | None
    packets: int
    key: bool
    stages_ms: dict[str, float | None]
    lost: list[int]  # indices of packets that were not received
    events: list[tuple[float, str, str]]
    summary: str


class WayPair(TypedDict):
    """Two ways to time the same pictures: the mean of their difference, and the bound that it is held to, ms."""

    mean_ms: float
    bound_ms: float


class LoopResult(TypedDict, total=False):
    """What the loop found. All but `n` and `faults` are missing where no picture was timed."""

    n: int
    faults: list[str]
    loop_ms: Intervals
    screen_ms: Intervals
    in_band_ms: Intervals
    means_ms: dict[Way, float]
    pairs: dict[str, WayPair]
    wait_ms: float
    half_step_ms: float
    grab_ms: float
    clock_bound_ms: float
    sampling_gap_ms: float


def way_ms(loop: LoopResult, way: Way) -> Intervals:
    """Percentiles of one way to time the pictures."""
    return {"loop": loop.get("loop_ms"), "screen": loop.get("screen_ms"), "in_band": loop.get("in_band_ms")}[way] or {
        "n": 0, "max": None, "p50": None, "p95": None, "p99": None,
        "p50_interval": None, "p95_interval": None, "p99_interval": None,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class RecordedRun:
    kind: str  # loop, demo, play
    report: Report
    frames: Sequence[Frame]
    timelines: Sequence[FrameTimeline] = ()
    loop: LoopResult | None = None

    @property
    def shown(self) -> list[Frame]:
        return [frame for frame in self.frames if frame.outcome == "presented" and frame.presented_us is not None]

    @property
    def mode(self) -> str:
        """`1920x1080@25`; "" where it is not known."""
        mode = self.report.get("mode")
        return f"{mode['width']}x{mode['height']}@{mode['rate']}" if mode else ""

    @property
    def unfit(self) -> Sequence[str]:
        """Why the machine was too busy for this run; empty where it was not."""
        return self.report.get("conditions", {}).get("unfit", [])

    @property
    def interval_us(self) -> float:
        """Of the mode; where that is not known, of most of the pictures shown."""
        mode = self.report.get("mode")
        if mode and mode["rate"]:
            above, _, below = mode["rate"].partition("/")
            return 1e6 * float(below or 1) / float(above)
        gaps = np.diff([frame.shown_us for frame in self.shown])
        return float(np.median(gaps)) if len(gaps) else 40_000.0

    def series(self, stage: str) -> list[Values]:
        """ms, round by round in order of time, of the frames shown that have it."""
        rounds: dict[int, list[float]] = {}
        for frame in self.shown:
            if (value := stage_us(frame, stage)) is not None:
                rounds.setdefault(frame.round, []).append(value / 1000)
        return [np.array(values) for _, values in sorted(rounds.items())]

    def glass_age(self, step_us: float = 1e6 / 60) -> list[tuple[float, float]]:
        """(s since the run's first picture, age in ms of the picture on the screen) at each refresh of 60 Hz. Rounds
        follow each other without what lay between them."""
        out: list[tuple[float, float]] = []
        ahead_s = 0.0
        for number in sorted({frame.round for frame in self.shown}):
            known = [(f.shown_us, f.capture_us) for f in self.shown if f.round == number and f.capture_us is not None]
            if len(known) < 2:
                continue
            known.sort()
            at, captured = np.array(known, np.float64).T
            ticks = np.arange(at[0], at[-1], step_us)
            ages = ticks - captured[np.searchsorted(at, ticks, side="right") - 1]
            out += zip((ahead_s + (ticks - at[0]) / 1e6).tolist(), (ages / 1000).tolist(), strict=True)
            ahead_s += float(at[-1] - at[0]) / 1e6
        return out

    def sum_error_us(self) -> tuple[float, int]:
        """(largest difference between the sum of a frame's stages and its latency, frames that have all of them)."""
        errors = []
        for frame in self.shown:
            parts = [stage_us(frame, name) for name in STAGES]
            latency = frame.capture_to_present_us
            if latency is not None and all(part is not None for part in parts):
                errors.append(abs(math.fsum(part for part in parts if part is not None) - latency))
        return max(errors, default=0.0), len(errors)

    def faults(self) -> list[str]:
        """Why the figures of this run must not be used; empty where they may."""
        error_us, n = self.sum_error_us()
        if not self.shown:
            return ["the run is empty: no frame was shown"]
        if not n:
            return ["no frame has all stamps: the clock was never locked, or the input is plain"]
        if error_us > _ROUNDING_US:
            return [f"the stages of a frame do not add up to its latency: they differ by {error_us:.0f} us"]
        return []


def stage_us(frame: Frame, stage: str) -> float | None:
    """µs of a stage (thinair.link.protocol.frame_trace.STAGES), of LATENCY, or of `loop`."""
    if stage == LATENCY:
        return frame.capture_to_present_us
    if stage == "loop":
        return frame.loop_us
    start, end = (_stamp(frame, name) for name in STAGE_STAMPS[stage])
    return None if start is None or end is None else end - start


def _stamp(frame: Frame, name: str) -> int | None:
    value: int | None = getattr(frame, name)
    return value


def row_of(frame: Frame) -> Mapping[str, int | str | None]:
    """Column → value."""
    return {name: getattr(frame, name) for name in FRAME_COLUMNS}
