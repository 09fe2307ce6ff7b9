"""From the stamps of the loop to figures: three ways to time the same pictures, and whether they agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from thinair.bench.analysis.recorded_run import WAYS, Frame, LoopResult, Way, WayPair
from thinair.bench.analysis.summary import intervals
from thinair.bench.loop.rig import Round, unwrapped

_MASK_32 = 0xFFFF_FFFF
LIMIT_MS = 1.5  # by which the three may differ at the mean


@dataclass(frozen=True, slots=True)
class Lap:
    """One picture, timed in three ways, µs. `loop`: from the code's appearance in the strip to its return, minus half
    the time between two codes, for which the grab waited on average. `screen`: from the grab's stamp to the pixels.
    `in_band`: the player's own latency."""

    frame_id: int
    loop_us: float
    screen_us: int | None  # None: the sender is a separate board
    in_band_us: int
    bound_us: int  # of the player's clock for this frame
    grab_us: int | None  # from the grab's stamp to its complete picture
    wait_us: float | None  # from the strip's code to the grab's stamp
    half_step_us: float  # half the time between this code and the next


def laps(found: Round, sender: Sequence[Mapping[str, int]], player: Sequence[Frame]) -> list[Lap]:
    """The pictures of the round's window that all three ways have timed."""
    sent = {row["capture_us"] & _MASK_32: row for row in sender if row.get("capture_us")}
    shown = {frame.frame_id: frame for frame in player}
    out = []
    for seen in found.seen:
        grabbed = sent.get(seen.capture_us)
        if grabbed is None or not found.window_us[0] <= grabbed["capture_us"] < found.window_us[1]:
            continue
        frame = shown.get(grabbed["frame_id"])
        number = unwrapped(seen.code, found.emitted, seen.seen_us)
        if frame is None or frame.capture_to_present_us is None or number is None:
            continue
        here, following = (fmean(found.emitted[n]) for n in (number, number + 1))
        out.append(
            Lap(
                grabbed["frame_id"],
                seen.seen_us - (here + following) / 2,
                seen.seen_us - grabbed["capture_us"],
                frame.capture_to_present_us,
                frame.bound_us or 0,
                grabbed["dequeue_us"] - grabbed["capture_us"],
                grabbed["capture_us"] - here,
                (following - here) / 2,
            )
        )
    return out


def agreement(laps: Sequence[Lap], gaps_us: Sequence[int], refresh_ms: float = 0.0) -> LoopResult:
    """The ways in pairs, ms, each with its bound (docs/measuring.md). `refresh_ms`: of displays between loop and
    in-band."""
    n = len(laps)
    if not n:
        return {"n": 0, "faults": ["no picture was timed in all three ways"]}
    values: dict[Way, list[float]] = {
        "loop": [lap.loop_us / 1000 for lap in laps],
        "screen": [lap.screen_us / 1000 for lap in laps if lap.screen_us is not None],
        "in_band": [lap.in_band_us / 1000 for lap in laps],
    }
    means: dict[Way, float] = {way: fmean(values[way]) for way in WAYS if values[way]}
    clock = median(lap.bound_us for lap in laps) / 1000
    gap = median(gaps_us) / 1000 if gaps_us else 0.0
    grab = fmean(lap.grab_us or 0 for lap in laps) / 1000
    wait = fmean(lap.wait_us or 0 for lap in laps) / 1000
    half_step = fmean(lap.half_step_us for lap in laps) / 1000
    # The strip's lines are read somewhere within the grab, and its code changed somewhere within a step.
    step = 2 * half_step / math.sqrt(12 * n) * 2
    bounds: dict[tuple[Way, Way], float] = {
        ("loop", "in_band"): grab + step + clock + gap,
        ("loop", "screen"): grab + step,
        ("screen", "in_band"): clock + gap,
    }
    pairs: dict[str, WayPair] = {}
    faults = []
    for (one, other), bound in bounds.items():
        if one not in means or other not in means:
            continue
        difference, allowed = means[one] - means[other], min(bound, LIMIT_MS) + refresh_ms
        pairs[f"{one}_{other}"] = {"mean_ms": round(difference, 3), "bound_ms": round(allowed, 3)}
        if abs(difference) > allowed:
            names = f"{one.replace('_', '-')} and {other.replace('_', '-')}"
            faults.append(f"the means of {names} differ by {difference:+.2f} ms, bound {allowed:.2f} ms")
    result: LoopResult = {
        "n": n,
        "loop_ms": intervals(values["loop"]),
        "in_band_ms": intervals(values["in_band"]),
        "means_ms": {way: round(value, 3) for way, value in means.items()},
        "pairs": pairs,
        "wait_ms": round(wait, 3),
        "half_step_ms": round(half_step, 3),
        "grab_ms": round(grab, 3),
        "clock_bound_ms": round(clock, 3),
        "sampling_gap_ms": round(gap, 3),
        "faults": faults,
    }
    if values["screen"]:
        result["screen_ms"] = intervals(values["screen"])
    return result
