"""The verdict on a soak: drift, memory, descriptors, lost and stale pictures, and how soon each fault was over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from bench.evidence import summary
from bench.glass.screen import Sighting
from bench.soak.faults import Fault
from bench.soak.stage import Life
from link.stats import nearest_rank

DRIFT_MS, GROWTH_KB, RECOVERY_MS, DESCRIPTORS = 0.3, 4096, 1000.0, 2
LOST_SHARE = 0.005
_LIVE_US = 250_000  # a picture this young is a live one
_SETTLE_US = 5_000_000  # after a fault: not counted as its absence
_ENDS_US = 300_000_000  # compared: the first and last five minutes; of short runs their quarters
_WARM_S = 150.0  # of a process's life: the first time of each fault loads what it needs
_LEAST_SAMPLES = 20


@dataclass(frozen=True, slots=True)
class Soak:
    """Times are µs of CLOCK_MONOTONIC, which all on this machine share."""

    began_us: int
    ended_us: int
    sightings: Sequence[Sighting]
    faults: Sequence[Fault]
    lives: Sequence[Life]
    yardstick: Sequence[tuple[int, int]]  # when, and what the same work took, µs
    ended: str = ""  # which process ended by itself, and with what words


def judge(soak: Soak) -> dict[str, Any]:
    """Figures, and `failed`: sentences, none where all is well."""
    seen = [(one.seen_us, one.code.near(one.seen_us), one.code.frame_id) for one in soak.sightings]
    quiet = [one for one in seen if not _disturbed(one[0], soak.faults)]
    ends_us = min(_ENDS_US, (soak.ended_us - soak.began_us) // 4)
    # Another rate has other latencies: drift is told of the mode that the soak began with.
    same = [one for one in quiet if not _in_other_mode(one[0], soak.faults)]
    ends = ((0, soak.began_us + ends_us), (soak.ended_us - ends_us, soak.ended_us))
    first, last = ([one for one in same if since <= one[0] < until] for since, until in ends)
    parts = {"first": first, "last": last, "all": quiet}
    latency = {name: summary([(at - captured) / 1000 for at, captured, _ in part]) for name, part in parts.items()}
    work = [one for one in soak.yardstick if not _disturbed(one[0], soak.faults)]
    paces = [[took for at, took in work if since <= at < until] for since, until in ends]
    drift, machine = _drift(latency["first"]["p50"], latency["last"]["p50"], *paces)
    stale = sum(later[1] < earlier[1] for earlier, later in pairwise(seen))
    recovered = [_recovery(fault, seen) for fault in soak.faults]
    lost, expected = _lost(quiet)
    figures = {
        "seconds": round((soak.ended_us - soak.began_us) / 1e6, 1),
        "pictures": len(seen),
        "latency_ms": latency,
        "drift_ms": drift,
        "machine_ms": machine,
        "stale": stale,
        "lost": lost,
        "lost_share": round(lost / max(1, expected), 5),
        "p50_ms_by_minute": _by_minute([(at, at - captured) for at, captured, _ in same], soak.began_us),
        "yardstick_p50_ms_by_minute": _by_minute(work, soak.began_us),
        "memory_growth_kb": _growth(soak.lives, "rss_kb"),
        "descriptor_growth": _growth(soak.lives, "descriptors"),
        "faults": _by_kind(recovered),
        "each_fault": recovered,
    }
    ended = [soak.ended] if soak.ended else []
    return figures | {"failed": [*ended, *_failed(figures)]}


def _disturbed(at_us: int, faults: Sequence[Fault]) -> bool:
    return any(fault.began_us <= at_us < fault.over_us + _SETTLE_US for fault in faults)


def _in_other_mode(at_us: int, faults: Sequence[Fault]) -> bool:
    """Each change of the source takes the other of two modes (bench.soak.faults)."""
    return sum(one.kind == "source changes" and not one.note and one.began_us <= at_us for one in faults) % 2 == 1


def _drift(
    first_ms: float | None, last_ms: float | None, first_us: Sequence[int], last_us: Sequence[int]
) -> tuple[float | None, float | None]:
    """ms by which the picture came later at the end, and what of the whole is the machine's: by as much as the same
    work took longer, as a ratio."""
    if first_ms is None or last_ms is None or min(len(first_us), len(last_us)) < _LEAST_SAMPLES:
        return None, None
    machine_ms = first_ms * (median(last_us) / median(first_us) - 1)
    return round(last_ms - first_ms - machine_ms, 3), round(machine_ms, 3)


def _by_minute(times: Sequence[tuple[int, int]], began_us: int) -> list[float | None]:
    """Of (when, µs). None for a minute without any."""
    minutes: dict[int, list[float]] = defaultdict(list)
    for at, took_us in times:
        if at >= began_us:
            minutes[(at - began_us) // 60_000_000].append(took_us / 1000)
    return [round(median(minutes[n]), 2) if n in minutes else None for n in range(max(minutes, default=-1) + 1)]


def _recovery(fault: Fault, seen: Sequence[tuple[int, int, int]]) -> dict[str, Any]:
    """ms from the fault's end to the first picture on the screen that is younger than a quarter of a second. What never
    stopped has recovered at once."""
    after = next((at for at, captured, _ in seen if at >= fault.over_us and at - captured < _LIVE_US), None)
    took = None if after is None or fault.note else round((after - fault.over_us) / 1000, 1)
    return {"kind": fault.kind, "at_us": fault.began_us, "recovered_ms": took, "note": fault.note}


def _lost(quiet: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
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
        out.append(f"latency drifted by {drift:+.2f} ms at p50, {DRIFT_MS} allowed")
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
