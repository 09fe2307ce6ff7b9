"""From a ring's stamps to figures: three ways to time the same pictures, and whether they agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from thinair.bench.analysis.recorded_run import summary
from thinair.bench.loop.ring import Round, unwrapped

_MASK_32 = 0xFFFF_FFFF
LIMIT_MS = 1.5  # by which the three may differ at the mean


@dataclass(frozen=True, slots=True)
class Lap:
    """One picture timed three ways, µs. `loop`: from the strip's code coming to the screen to its coming round, half
    the time between two codes taken off, which the grab waited for it on average. `screen`: from the grab's stamp,
    read off the screen. `in_band`: what the player says."""

    frame_id: int
    loop_us: float
    screen_us: int | None  # None: the sender is a board of its own
    in_band_us: int
    bound_us: int  # of the player's clock for this frame
    grab_us: int | None  # from the grab's stamp until its picture was ready
    wait_us: float | None  # from the strip's code to the grab's stamp
    half_step_us: float  # half the time between this code and the next


def laps(found: Round, sender: Sequence[Mapping[str, Any]], player: Sequence[Mapping[str, Any]]) -> list[Lap]:
    """The pictures of the round's window that all three have seen."""
    sent = {row["capture_us"] & _MASK_32: row for row in sender if row.get("capture_us")}
    shown = {row["frame_id"]: row for row in player if row.get("capture_to_present_us") is not None}
    out = []
    for seen in found.seen:
        grabbed = sent.get(seen.capture_us)
        if grabbed is None or not found.window_us[0] <= grabbed["capture_us"] < found.window_us[1]:
            continue
        frame = shown.get(grabbed["frame_id"])
        number = unwrapped(seen.code, found.emitted, seen.seen_us)
        if frame is None or number is None:
            continue
        here, following = (fmean(found.emitted[n]) for n in (number, number + 1))
        out.append(
            Lap(
                grabbed["frame_id"],
                seen.seen_us - (here + following) / 2,
                seen.seen_us - grabbed["capture_us"],
                frame["capture_to_present_us"],
                frame["bound_us"] or 0,
                grabbed["dequeue_us"] - grabbed["capture_us"],
                grabbed["capture_us"] - here,
                (following - here) / 2,
            )
        )
    return out


def agreement(laps: Sequence[Lap], gaps_us: Sequence[int], refresh_ms: float = 0.0) -> dict[str, Any]:
    """Those that there are pairwise, ms, each with the bound that it is held to: its parts are docs/measuring.md's.
    `refresh_ms`: of displays that lie between loop and in-band."""
    n = len(laps)
    if not n:
        return {"n": 0, "faults": ["no picture was timed by all three"]}
    names = ("loop", "screen", "in_band") if laps[0].screen_us is not None else ("loop", "in_band")
    clock = median(lap.bound_us for lap in laps) / 1000
    eye = median(gaps_us) / 1000 if gaps_us else 0.0
    grab, wait = (fmean(getattr(lap, what) or 0 for lap in laps) / 1000 for what in ("grab_us", "wait_us"))
    # The strip's lines are read somewhere within the grab, and its code changed somewhere within a step.
    step = 2 * fmean(lap.half_step_us for lap in laps) / 1000 / math.sqrt(12 * n) * 2
    means = {name: fmean(getattr(lap, f"{name}_us") for lap in laps) / 1000 for name in names}
    bounds = {"loop_in_band": grab + step + clock + eye, "loop_screen": grab + step, "screen_in_band": clock + eye}
    pairs, faults = {}, []
    for name, bound in bounds.items():
        one, other = ("loop", name[5:]) if name.startswith("loop") else ("screen", "in_band")
        if one not in means or other not in means:
            continue
        difference, allowed = means[one] - means[other], min(bound, LIMIT_MS) + refresh_ms
        pairs[name] = {"mean_ms": round(difference, 3), "bound_ms": round(allowed, 3)}
        if abs(difference) > allowed:
            words = f"{one.replace('_', '-')} and {other.replace('_', '-')}"
            faults.append(f"{words} differ by {difference:+.2f} ms at the mean, {allowed:.2f} ms is their bound")
    return {
        "n": n,
        **{f"{name}_ms": summary([getattr(lap, f"{name}_us") / 1000 for lap in laps]) for name in means},
        "means_ms": {name: round(value, 3) for name, value in means.items()},
        "pairs": pairs,
        "wait_ms": round(wait, 3),
        "half_step_ms": round(fmean(lap.half_step_us for lap in laps) / 1000, 3),
        "grab_ms": round(grab, 3),
        "clock_bound_ms": round(clock, 3),
        "eye_gap_ms": round(eye, 3),
        "faults": faults,
    }
