"""The verdict on a soak: drift, memory, descriptors, lost and stale pictures, and how soon each fault was over."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from statistics import median
from typing import Any

import numpy as np

from thinair.bench.analysis.recorded_run import summary
from thinair.bench.harness.xvfb_screen import Announcement
from thinair.bench.soak.faults import Fault
from thinair.bench.soak.rig import Life
from thinair.link.protocol.percentiles import nearest_rank

DRIFT_MS, GROWTH_KB, RECOVERY_MS, DESCRIPTORS = 0.3, 4096, 1000.0, 2
LOST_SHARE = 0.005
_LIVE_US = 250_000  # a picture this young is a live one
_SETTLE_US = 5_000_000  # after a fault: not counted as its absence
_ENDS_US = 300_000_000  # compared: the first and last five minutes; of short runs their quarters
_WARM_S = 150.0  # of a process's life: the first time of each fault loads what it needs
_LEAST_SAMPLES = 20
_PIECE_US, _APART_US = 20_000_000, 1_000_000
_LEAST_PIECES = 2
_DRAWN = 2000
_Seen = tuple[int, int, int]  # when, captured when (both µs), frame number


@dataclass(frozen=True, slots=True)
class _Piece:
    """A quiet stretch: what was late at p50, and what the yardstick's work took meanwhile."""

    late_ms: float
    work_ms: float


@dataclass(frozen=True, slots=True)
class Soak:
    """Times are µs of CLOCK_MONOTONIC, which all on this machine share."""

    began_us: int
    ended_us: int
    sightings: Sequence[Announcement]
    faults: Sequence[Fault]
    lives: Sequence[Life]
    yardstick: Sequence[tuple[int, int]]  # when, and what the same work took, µs
    ended: str = ""  # which process ended by itself, and with what words


def judge(soak: Soak) -> dict[str, Any]:
    """Figures, and `failed`: sentences, none where all is well."""
    seen = [(one.seen_us, one.code.near(one.seen_us), one.code.frame_id) for one in soak.sightings]
    quiet = _quiet(seen, soak.faults)
    ends_us = min(_ENDS_US, (soak.ended_us - soak.began_us) // 4)
    # Another rate has other latencies: drift is told of the mode that the soak began with.
    same = _in_first_mode(quiet, soak.faults)
    ends = ((0, soak.began_us + ends_us), (soak.ended_us - ends_us, soak.ended_us))
    first, last = ([one for one in same if since <= one[0] < until] for since, until in ends)
    parts = {"first": first, "last": last, "all": quiet}
    latency = {name: summary([(at - captured) / 1000 for at, captured, _ in part]) for name, part in parts.items()}
    pieces = [_pieces(part, soak.yardstick) for part in (first, last)]
    drift, whole = _drift(*pieces), None
    if latency["first"]["p50"] is not None and latency["last"]["p50"] is not None:
        whole = round(latency["last"]["p50"] - latency["first"]["p50"], 3)
    stale = sum(later[1] < earlier[1] for earlier, later in pairwise(seen))
    recovered = [_recovery(fault, seen) for fault in soak.faults]
    lost, expected = _lost(quiet)
    figures = {
        "seconds": round((soak.ended_us - soak.began_us) / 1e6, 1),
        "pictures": len(seen),
        "latency_ms": latency,
        "drift_ms": drift and drift[0],
        "drift_interval_ms": drift and drift[1:],
        "difference_ms": whole,
        "stale": stale,
        "lost": lost,
        "lost_share": round(lost / max(1, expected), 5),
        "p50_ms_by_minute": _by_minute([(at, at - captured) for at, captured, _ in same], soak.began_us),
        "yardstick_p50_ms_by_minute": _by_minute(soak.yardstick, soak.began_us),
        "memory_growth_kb": _growth(soak.lives, "rss_kb"),
        "descriptor_growth": _growth(soak.lives, "descriptors"),
        "faults": _by_kind(recovered),
        "each_fault": recovered,
    }
    ended = [soak.ended] if soak.ended else []
    return figures | {"failed": [*ended, *_failed(figures)]}


def _quiet(seen: Sequence[_Seen], faults: Sequence[Fault]) -> list[_Seen]:
    began = [fault.began_us for fault in faults]
    return [
        one
        for one in seen
        if not (before := bisect_right(began, one[0])) or one[0] >= faults[before - 1].over_us + _SETTLE_US
    ]


def _in_first_mode(seen: Sequence[_Seen], faults: Sequence[Fault]) -> list[_Seen]:
    """Each change of the source takes the other of two modes (thinair.bench.soak.faults)."""
    changes = [one.began_us for one in faults if one.kind == "source changes" and not one.note]
    return [one for one in seen if bisect_right(changes, one[0]) % 2 == 0]


def _drift(first: Sequence[_Piece], last: Sequence[_Piece]) -> tuple[float, float, float] | None:
    """ms by which the picture came later at the end, as if on a machine as fast as at the beginning, and where the true
    value lies with 95 % confidence (pieces drawn anew). A disturbed piece or two do not move a median of pieces."""
    if min(len(first), len(last)) < _LEAST_PIECES:
        return None
    rng = np.random.default_rng(1)
    scale_ms = median(piece.work_ms for piece in first)
    ends = [np.array([piece.late_ms / piece.work_ms for piece in part]) for part in (first, last)]
    before, after = (np.median(rng.choice(end, (_DRAWN, len(end))), axis=1) for end in ends)
    low, high = np.quantile(after - before, (0.025, 0.975)) * scale_ms
    drift = (np.median(ends[1]) - np.median(ends[0])) * scale_ms
    return round(float(drift), 3), round(float(low), 3), round(float(high), 3)


def _pieces(seen: Sequence[_Seen], work: Sequence[tuple[int, int]]) -> list[_Piece]:
    """Of quiet pictures: each ends with a fault, or after twenty seconds."""
    cuts = [0]
    for index in range(1, len(seen)):
        if seen[index][0] - seen[index - 1][0] > _APART_US or seen[index][0] - seen[cuts[-1]][0] > _PIECE_US:
            cuts.append(index)
    out = []
    for since, until in pairwise([*cuts, len(seen)]):
        part = seen[since:until]
        times = [took / 1000 for at, took in work if part and part[0][0] <= at <= part[-1][0]]
        if len(part) >= _LEAST_SAMPLES and len(times) >= _LEAST_SAMPLES:
            late_ms = median(at - captured for at, captured, _ in part) / 1000
            out.append(_Piece(late_ms, median(times)))
    return out


def _by_minute(times: Sequence[tuple[int, int]], began_us: int) -> list[float | None]:
    """Of (when, µs). None for a minute without any."""
    minutes: dict[int, list[float]] = defaultdict(list)
    for at, took_us in times:
        if at >= began_us:
            minutes[(at - began_us) // 60_000_000].append(took_us / 1000)
    return [round(median(minutes[n]), 2) if n in minutes else None for n in range(max(minutes, default=-1) + 1)]


def _recovery(fault: Fault, seen: Sequence[_Seen]) -> dict[str, Any]:
    """ms from the fault's end to the first picture on the screen that is younger than a quarter of a second. What never
    stopped has recovered at once."""
    since = bisect_left(seen, fault.over_us, key=lambda one: one[0])
    after = next((at for at, captured, _ in islice(seen, since, None) if at - captured < _LIVE_US), None)
    took = None if after is None or fault.note else round((after - fault.over_us) / 1000, 1)
    return {"kind": fault.kind, "at_us": fault.began_us, "recovered_ms": took, "note": fault.note}


def _lost(quiet: Sequence[_Seen]) -> tuple[int, int]:
    """Pictures that a quiet stretch left out, and how many it should have had: by their numbers."""
    lost = expected = 0
    for (before_us, _, before), (at_us, _, number) in pairwise(quiet):
        if at_us - before_us > 1_000_000:
            continue  # a fault lies between
        step = number - before & 0xFFFF
        if 0 < step < 1000:
            expected += step
            lost += step - 1
    return lost, expected


def _growth(lives: Sequence[Life], what: str) -> dict[str, int | None]:
    """By process, of its longest life: the median of its last tenth less that of the first tenth after warm-up."""
    out: dict[str, int | None] = {}
    for name in dict.fromkeys(life.name for life in lives if life.name in {"player", "sender"}):
        longest = max((life for life in lives if life.name == name), key=lambda life: len(getattr(life, what)))
        values = [value for age_s, value in getattr(longest, what) if age_s >= _WARM_S]
        tenth = max(1, len(values) // 10)
        enough = len(values) >= _LEAST_SAMPLES
        out[name] = int(median(values[-tenth:]) - median(values[:tenth])) if enough else None
    return out


def _by_kind(recovered: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in recovered:
        kinds[one["kind"]].append(one)
    out = {}
    for kind, ones in kinds.items():
        times = sorted(one["recovered_ms"] for one in ones if one["recovered_ms"] is not None)
        notes = sorted({one["note"] for one in ones if one["note"]})
        out[kind] = {
            "n": len(ones),
            "recovered": len(times),
            "p50_ms": nearest_rank(times, 50),
            "max_ms": max(times, default=None),
            "notes": notes,
        }
    return out


def _failed(figures: dict[str, Any]) -> list[str]:
    out = []
    drift = figures["drift_ms"]
    if drift is None:
        out.append("too few pictures at the beginning or at the end to tell drift")
    elif abs(drift) > DRIFT_MS:
        low, high = figures["drift_interval_ms"]
        out.append(f"latency drifted by {drift:+.2f} ms at p50 ({low:+.2f} to {high:+.2f}), {DRIFT_MS} allowed")
    if figures["stale"]:
        out.append(f"{figures['stale']} times an older picture came after a newer one")
    if figures["lost_share"] > LOST_SHARE:
        out.append(f"{figures['lost']} pictures lost while nothing was wrong, {LOST_SHARE:.1%} allowed")
    for what, limit, unit in (("memory_growth_kb", GROWTH_KB, "kB"), ("descriptor_growth", DESCRIPTORS, "descriptors")):
        for name, grown in figures[what].items():
            if grown is not None and grown > limit:
                out.append(f"{name} grew by {grown} {unit}, {limit} allowed")
    for kind, one in figures["faults"].items():
        if one["notes"]:
            continue  # it could not be done here, which the table says
        if one["recovered"] < one["n"]:
            out.append(f"{kind}: {one['n'] - one['recovered']} of {one['n']} times no picture came again")
        if one["max_ms"] is not None and one["max_ms"] > RECOVERY_MS:
            out.append(f"{kind}: {one['max_ms']:.0f} ms until the picture was back, {RECOVERY_MS:.0f} allowed")
    return out
