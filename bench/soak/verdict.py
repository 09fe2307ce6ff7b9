"""The verdict on a soak: drift, memory, descriptors, lost and stale pictures, and the recovery time of each fault."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from statistics import median
from typing import TypedDict

import numpy as np

from thinair.bench.analysis.summary import Intervals, intervals
from thinair.bench.harness.xvfb_screen import Sighting
from thinair.bench.soak.faults import Fault
from thinair.bench.soak.rig import MEASURED, ProcessLife
from thinair.link.protocol.percentiles import nearest_rank

DRIFT_MS, GROWTH_KB, RECOVERY_MS, DESCRIPTORS = 0.3, 4096, 1000.0, 2
LOST_SHARE = 0.005
_CURRENT_US = 250_000  # a picture younger than this is current
_SETTLE_US = 5_000_000  # after a fault: not counted as undisturbed
_ENDS_US = 300_000_000  # compared: the first and last five minutes; of short soaks the first and last quarter
_WARM_UP_S = 150.0  # of a process: the first fault of each kind loads what it needs
_LEAST_SAMPLES = 20
_PIECE_US, _APART_US = 20_000_000, 1_000_000
_LEAST_PIECES = 2
_RESAMPLES = 2000
_Seen = tuple[int, int, int]  # when seen, when captured (both µs), frame number


class Recovery(TypedDict):
    """Of one fault. `recovered_ms`: None where no picture came back, or where the fault was refused (`note`)."""

    kind: str
    at_us: int
    recovered_ms: float | None
    note: str


class Recoveries(TypedDict):
    """Of all faults of one kind. `notes`: why the system refused some."""

    n: int
    recovered: int
    p50_ms: float | None
    max_ms: float | None
    notes: list[str]


class Figures(TypedDict):
    """docs/report.md, `thinair.soak/1`."""

    seconds: float
    pictures: int
    latency_ms: dict[str, Intervals]  # first, last, all
    drift_ms: float | None
    drift_interval_ms: tuple[float, float] | None
    difference_ms: float | None
    stale: int
    lost: int
    lost_share: float
    p50_ms_by_minute: list[float | None]
    reference_load_p50_ms_by_minute: list[float | None]
    memory_growth_kb: dict[str, int | None]  # by process; None: it lived too short
    descriptor_growth: dict[str, int | None]
    faults: dict[str, Recoveries]
    each_fault: list[Recovery]


class Verdict(Figures):
    failed: list[str]  # a sentence per failure; empty for a good soak


@dataclass(frozen=True, slots=True)
class _Piece:
    """An undisturbed stretch: p50 of the latency, and of the reference load meanwhile."""

    latency_ms: float
    load_ms: float


@dataclass(frozen=True, slots=True)
class Soak:
    """What was recorded. Times are µs of CLOCK_MONOTONIC, which all processes share."""

    began_us: int
    ended_us: int
    sightings: Sequence[Sighting]
    faults: Sequence[Fault]
    lives: Sequence[ProcessLife]
    reference_load: Sequence[tuple[int, int]]  # start and duration of the same work, µs
    ended: str = ""  # which process ended by itself, with its last line


def verdict(soak: Soak) -> Verdict:
    """Figures, and what failed."""
    seen = [(one.seen_us, one.code.near(one.seen_us), one.code.frame_id) for one in soak.sightings]
    quiet = _quiet(seen, soak.faults)
    ends_us = min(_ENDS_US, (soak.ended_us - soak.began_us) // 4)
    # Another picture rate has another latency: drift is that of the first mode.
    same = _in_first_mode(quiet, soak.faults)
    ends = ((0, soak.began_us + ends_us), (soak.ended_us - ends_us, soak.ended_us))
    first, last = ([one for one in same if since <= one[0] < until] for since, until in ends)
    parts = {"first": first, "last": last, "all": quiet}
    latency = {name: intervals([(at - captured) / 1000 for at, captured, _ in part]) for name, part in parts.items()}
    pieces = [_pieces(part, soak.reference_load) for part in (first, last)]
    drift = _drift(*pieces)
    first_ms, last_ms = latency["first"]["p50"], latency["last"]["p50"]
    recovered = [_recovery(fault, seen) for fault in soak.faults]
    lost, expected = _lost(quiet)
    figures: Figures = {
        "seconds": round((soak.ended_us - soak.began_us) / 1e6, 1),
        "pictures": len(seen),
        "latency_ms": latency,
        "drift_ms": None if drift is None else drift[0],
        "drift_interval_ms": None if drift is None else drift[1:],
        "difference_ms": None if first_ms is None or last_ms is None else round(last_ms - first_ms, 3),
        "stale": sum(later[1] < earlier[1] for earlier, later in pairwise(seen)),
        "lost": lost,
        "lost_share": round(lost / max(1, expected), 5),
        "p50_ms_by_minute": _by_minute([(at, at - captured) for at, captured, _ in same], soak.began_us),
        "reference_load_p50_ms_by_minute": _by_minute(soak.reference_load, soak.began_us),
        "memory_growth_kb": _growth(soak.lives, "rss_kb"),
        "descriptor_growth": _growth(soak.lives, "descriptors"),
        "faults": _by_kind(recovered),
        "each_fault": recovered,
    }
    return {**figures, "failed": [*([soak.ended] if soak.ended else []), *_failures(figures)]}


def _quiet(seen: Sequence[_Seen], faults: Sequence[Fault]) -> list[_Seen]:
    """Pictures outside faults and their aftermath."""
    began = [fault.began_us for fault in faults]
    return [
        one
        for one in seen
        if not (before := bisect_right(began, one[0])) or one[0] >= faults[before - 1].over_us + _SETTLE_US
    ]


def _in_first_mode(seen: Sequence[_Seen], faults: Sequence[Fault]) -> list[_Seen]:
    """Each change of the source switches between two modes (thinair.bench.soak.faults)."""
    changes = [one.began_us for one in faults if one.kind == "source changes" and not one.note]
    return [one for one in seen if bisect_right(changes, one[0]) % 2 == 0]


def _drift(first: Sequence[_Piece], last: Sequence[_Piece]) -> tuple[float, float, float] | None:
    """Change of the latency from start to end in ms, as if at constant speed, and its 95 % interval (a bootstrap
    over pieces). One or two disturbed pieces do not move a median of pieces."""
    if min(len(first), len(last)) < _LEAST_PIECES:
        return None
    rng = np.random.default_rng(1)
    scale_ms = median(piece.load_ms for piece in first)
    ends = [np.array([piece.latency_ms / piece.load_ms for piece in part]) for part in (first, last)]
    before, after = (np.median(rng.choice(end, (_RESAMPLES, len(end))), axis=1) for end in ends)
    low, high = np.quantile(after - before, (0.025, 0.975)) * scale_ms
    drift = (np.median(ends[1]) - np.median(ends[0])) * scale_ms
    return round(float(drift), 3), round(float(low), 3), round(float(high), 3)


def _pieces(seen: Sequence[_Seen], load: Sequence[tuple[int, int]]) -> list[_Piece]:
    """Of undisturbed pictures: a piece ends at a fault, or after twenty seconds."""
    cuts = [0]
    for index in range(1, len(seen)):
        if seen[index][0] - seen[index - 1][0] > _APART_US or seen[index][0] - seen[cuts[-1]][0] > _PIECE_US:
            cuts.append(index)
    out = []
    for since, until in pairwise([*cuts, len(seen)]):
        part = seen[since:until]
        times = [duration / 1000 for at, duration in load if part and part[0][0] <= at <= part[-1][0]]
        if len(part) >= _LEAST_SAMPLES and len(times) >= _LEAST_SAMPLES:
            latency_ms = median(at - captured for at, captured, _ in part) / 1000
            out.append(_Piece(latency_ms, median(times)))
    return out


def _by_minute(times: Sequence[tuple[int, int]], began_us: int) -> list[float | None]:
    """p50 in ms for each minute, of (when, µs). None for a minute without values."""
    minutes: dict[int, list[float]] = defaultdict(list)
    for at, value_us in times:
        if at >= began_us:
            minutes[(at - began_us) // 60_000_000].append(value_us / 1000)
    return [round(median(minutes[n]), 2) if n in minutes else None for n in range(max(minutes, default=-1) + 1)]


def _recovery(fault: Fault, seen: Sequence[_Seen]) -> Recovery:
    """The time from the end of the fault to the first current picture on the screen; 0 where pictures never stopped."""
    since = bisect_left(seen, fault.over_us, key=lambda one: one[0])
    after = next((at for at, captured, _ in islice(seen, since, None) if at - captured < _CURRENT_US), None)
    took = None if after is None or fault.note else round((after - fault.over_us) / 1000, 1)
    return {"kind": fault.kind, "at_us": fault.began_us, "recovered_ms": took, "note": fault.note}


def _lost(quiet: Sequence[_Seen]) -> tuple[int, int]:
    """(pictures missing from undisturbed stretches, pictures expected there), by their numbers."""
    lost = expected = 0
    for (before_us, _, before), (at_us, _, number) in pairwise(quiet):
        if at_us - before_us > 1_000_000:
            continue  # a fault is between them
        step = number - before & 0xFFFF
        if 0 < step < 1000:
            expected += step
            lost += step - 1
    return lost, expected


def _growth(lives: Sequence[ProcessLife], what: str) -> dict[str, int | None]:
    """By process, of its longest life: median of the last tenth minus median of the first tenth after the warm-up."""
    out: dict[str, int | None] = {}
    for name in dict.fromkeys(life.name for life in lives if life.name in MEASURED):
        longest = max((life for life in lives if life.name == name), key=lambda life: len(getattr(life, what)))
        values = [value for age_s, value in getattr(longest, what) if age_s >= _WARM_UP_S]
        tenth = max(1, len(values) // 10)
        enough = len(values) >= _LEAST_SAMPLES
        out[name] = int(median(values[-tenth:]) - median(values[:tenth])) if enough else None
    return out


def _by_kind(recovered: Sequence[Recovery]) -> dict[str, Recoveries]:
    kinds: dict[str, list[Recovery]] = defaultdict(list)
    for one in recovered:
        kinds[one["kind"]].append(one)
    out: dict[str, Recoveries] = {}
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


def _failures(figures: Figures) -> list[str]:
    out = []
    drift, interval = figures["drift_ms"], figures["drift_interval_ms"]
    if drift is None or interval is None:
        out.append("drift unknown: too few pictures in the first or the last minutes")
    elif abs(drift) > DRIFT_MS:
        out.append(f"latency drift {drift:+.2f} ms at p50 ({interval[0]:+.2f} to {interval[1]:+.2f}), limit {DRIFT_MS}")
    if figures["stale"]:
        out.append(f"stale pictures: {figures['stale']} times an older one after a newer one")
    if figures["lost_share"] > LOST_SHARE:
        out.append(f"{figures['lost']} pictures lost between faults, limit {LOST_SHARE:.1%} of them")
    for growth, limit, unit in (
        (figures["memory_growth_kb"], GROWTH_KB, "kB of memory"),
        (figures["descriptor_growth"], DESCRIPTORS, "descriptors"),
    ):
        for name, grown in growth.items():
            if grown is not None and grown > limit:
                out.append(f"{name} grew by {grown} {unit}, limit {limit}")
    for kind, one in figures["faults"].items():
        if one["notes"]:
            continue  # the system refused it, which the table says
        if one["recovered"] < one["n"]:
            out.append(f"{kind}: no picture afterwards in {one['n'] - one['recovered']} of {one['n']} cases")
        if one["max_ms"] is not None and one["max_ms"] > RECOVERY_MS:
            out.append(f"{kind}: recovery took {one['max_ms']:.0f} ms, limit {RECOVERY_MS:.0f} ms")
    return out
