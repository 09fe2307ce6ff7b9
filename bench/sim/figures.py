"""Figures of a simulated run, from capture, send and completion times: the definitions of docs/transport.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from thinair.bench.network import Model

FREEZE_US = 100_000  # a picture that stays longer than this beyond its interval
FORCING_MBPS = 0.5  # a link below this forces a freeze
CAP_MBPS = 12.0  # what a sender of this kind could use of a link


@dataclass(slots=True)
class Timeline:
    """Every encoded frame, in order. Times in µs; None: never."""

    interval_us: float
    capture_us: list[float] = field(default_factory=list)
    key: list[bool] = field(default_factory=list)
    sent_us: list[float | None] = field(default_factory=list)  # first packet
    complete_us: list[float | None] = field(default_factory=list)
    release_us: list[float | None] = field(default_factory=list)  # of a receiver that delays frames on purpose
    skipped: int = 0  # pictures not encoded

    def decodable_us(self) -> list[float | None]:
        """When each frame and the frames that it refers to are complete."""
        out: list[float | None] = []
        before: float | None = None
        for key, complete, release in zip(self.key, self.complete_us, self.release_us, strict=True):
            if complete is None or (before is None and not key):
                before = None
            else:
                ready = complete if release is None else max(complete, release)
                before = ready if key or before is None else max(before, ready)
            out.append(before)
        return out

    def failed_share(self) -> float:
        """Not complete one interval after the first packet was sent."""
        pairs = zip(self.sent_us, self.complete_us, strict=True)
        failed = [done is None or done - sent > self.interval_us for sent, done in pairs if sent is not None]
        return sum(failed) / max(1, len(failed))

    def latencies_us(self) -> list[float]:
        """From a frame's first packet to when it, or a newer one, can be decoded. Leaves out the last second; a frame
        that is never decodable counts up to the end."""
        decodable = self.decodable_us()
        out: list[float] = []
        newer = self.end_us
        for sent, done in zip(reversed(self.sent_us), reversed(decodable), strict=True):
            newer = newer if done is None else min(newer, done)
            if sent is not None and sent < self.end_us - 1e6:
                out.append(newer - sent)
        return out

    @property
    def end_us(self) -> float:
        return self.capture_us[-1] if self.capture_us else 0.0

    def shown(self) -> list[tuple[float, float]]:
        """(when, capture time) of each picture on the screen: never an older one after a newer one."""
        decoded = sorted(
            (done, number) for number, done in enumerate(self.decodable_us()) if done is not None and done < self.end_us
        )
        out, newest = [], -1
        for when, number in decoded:
            if number > newest:
                newest = number
                out.append((when, self.capture_us[number]))
        return out

    def glass_ages_us(self) -> npt.NDArray[np.float64]:
        """Age of the picture on the screen, each millisecond from the first picture on."""
        shown = self.shown()
        if not shown:
            return np.array([self.end_us])
        when, capture = np.array(shown).T
        ticks = np.arange(when[0], self.end_us, 1000.0)
        ages: npt.NDArray[np.float64] = ticks - capture[np.searchsorted(when, ticks, side="right") - 1]
        return ages

    def freezes(self) -> list[tuple[float, float]]:
        """(start, length beyond the interval) of each picture that stayed too long."""
        shown = [when for when, _ in self.shown()] + [self.end_us]
        gaps = ((when, later - when - self.interval_us) for when, later in pairwise(shown))
        return [(when, gap) for when, gap in gaps if gap > FREEZE_US]


@dataclass(frozen=True, slots=True)
class Sent:
    media_bytes: int  # first transmissions
    other_bytes: int  # repair symbols, retransmissions
    feedback_bytes: int  # from the receiver

    @property
    def overhead_share(self) -> float:
        return self.other_bytes / max(1, self.media_bytes)


class LatencyPercentiles(TypedDict):
    """ms; None without values."""

    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


class Row(TypedDict):
    """One run of one strategy over one channel model."""

    strategy: str
    model: str
    seed: int
    frames: int
    failed_share: float
    overhead_share: float
    feedback_share: float
    latency_ms: LatencyPercentiles
    glass_age_ms: LatencyPercentiles
    freezes: int
    freeze_s: float
    longest_freeze_ms: float
    longest_unforced_ms: float
    used_share: float
    key_frames: int
    skipped: int


class Shapes(TypedDict):
    """What the plots of a run need: ms, and (s, Mbit/s)."""

    latency_ms: list[float]
    age_ms: list[float]
    rate: list[tuple[float, float]]
    available: list[tuple[float, float]]


def row(strategy: str, model: Model, seed: int, timeline: Timeline, sent: Sent) -> Row:
    seconds = timeline.end_us / 1e6
    usable = model.rate.usable_bits(seconds, CAP_MBPS)
    times = timeline.freezes()
    freezes = [gap for _, gap in times]
    unforced = [gap for when, gap in times if model.rate.lowest(when / 1e6, (when + gap) / 1e6) >= FORCING_MBPS]
    return {
        "strategy": strategy,
        "model": model.name,
        "seed": seed,
        "frames": len(timeline.key),
        "failed_share": round(timeline.failed_share(), 7),
        "overhead_share": round(sent.overhead_share, 5),
        "feedback_share": round(sent.feedback_bytes / max(1, sent.media_bytes), 5),
        "latency_ms": percentiles(np.array(timeline.latencies_us())),
        "glass_age_ms": percentiles(timeline.glass_ages_us()),
        "freezes": len(freezes),
        "freeze_s": round(sum(freezes) / 1e6, 3),
        "longest_freeze_ms": round(max(freezes, default=0.0) / 1e3, 1),
        "longest_unforced_ms": round(max(unforced, default=0.0) / 1e3, 1),
        "used_share": round(8 * (sent.media_bytes + sent.other_bytes) / max(1.0, usable), 4),
        "key_frames": sum(timeline.key),
        "skipped": timeline.skipped,
    }


def percentiles(values: npt.NDArray[np.float64]) -> LatencyPercentiles:
    """`values`: µs."""
    if not len(values):
        return {"p50": None, "p95": None, "p99": None, "max": None}
    p50, p95, p99 = np.percentile(values, [50, 95, 99], method="inverted_cdf") / 1000
    return {
        "p50": round(float(p50), 3),
        "p95": round(float(p95), 3),
        "p99": round(float(p99), 3),
        "max": round(float(values.max()) / 1000, 3),
    }
