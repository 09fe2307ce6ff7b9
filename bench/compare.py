"""`thinair bench compare A.json B.json`: whether B is slower than A, stage by stage, or benchmark by benchmark.

The verdict is an interval's, never a percentage's: something is slower where the interval of the difference lies beyond
what two runs of the same program differ by. docs/measuring.md."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thinair.bench.analysis.recorded_run import SCHEMA as RUN
from thinair.bench.analysis.recorded_run import WHOLE, Run, read_json, read_run, write_text
from thinair.bench.analysis.statistics import BLOCK_S, Difference, compare
from thinair.link.errors import ConfigError, Exit
from thinair.link.protocol.frame_trace import STAGES

SCHEMA = "thinair.compare/1"
FLOOR_MS = 0.3  # two runs of one program differ by less: docs/measuring.md
FLOOR_RATIO = 0.30  # of benchmarks: memory lies elsewhere in each process, a fifth was seen; instructions tell the rest
INSTRUCTIONS_RATIO = 0.01
_BLOCK_CALLS = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    name: str
    unit: str
    verdict: str  # slower, faster, same, unknown
    words: str
    figures: Difference | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", type=Path, metavar="A.json", help="of bench loop, bench report, or make bench: before")
    parser.add_argument("b", type=Path, metavar="B.json", help="of the same: after")
    parser.add_argument(
        "--floor-ms", type=float, default=FLOOR_MS, help="a stage that differs by less is the same; default %(default)g"
    )
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="write the verdicts too")


def run(args: argparse.Namespace) -> int:
    """0 where nothing is slower, 1 where something is. Raises ConfigError, FileError."""
    if args.floor_ms < 0:
        raise ConfigError("give --floor-ms of 0 or more")
    a, b = read_json(args.a), read_json(args.b)
    kinds = ["run" if one.get("schema") == RUN else "suite" if "benchmarks" in one else "" for one in (a, b)]
    for kind, path in zip(kinds, (args.a, args.b), strict=True):
        if not kind:
            raise ConfigError(f"{path} is neither a run nor of make bench: there is nothing in it to compare")
    if kinds[0] != kinds[1]:
        raise ConfigError(f"{args.a} is a {kinds[0]} and {args.b} a {kinds[1]}: compare like with like")
    if kinds[0] == "run":
        verdicts, notes = compare_runs(read_run(args.a), read_run(args.b), args.floor_ms)
    else:
        verdicts, notes = compare_suites(a, b)
    for verdict in verdicts:
        print(f"{verdict.verdict:8}{verdict.name:24}{verdict.words}")
    for note in notes:
        print(f"note: {note}")
    slower = [verdict.name for verdict in verdicts if verdict.verdict == "slower"]
    print(f"B is slower in {', '.join(slower)}" if slower else "nothing in B is slower")
    if args.json is not None:
        content = {"schema": SCHEMA, "verdicts": [asdict(one) for one in verdicts], "notes": notes}
        write_text(args.json, json.dumps(content, indent=1) + "\n")
    return int(Exit.FAULTS if slower else Exit.OK)


# ---- runs ---------------------------------------------------------------------------------------------------------


def compare_runs(a: Run, b: Run, floor_ms: float = FLOOR_MS) -> tuple[list[Verdict], list[str]]:
    """One verdict for loop, whole and each stage. Raises ConfigError where a run is empty or of another mode."""
    for name, one in (("A", a), ("B", b)):
        if not one.shown:
            raise ConfigError(f"{name} is empty: no frame of it was shown")
    modes = [one.report.get("mode") for one in (a, b)]
    if modes[0] != modes[1]:
        raise ConfigError(f"A is {_mode(modes[0])} and B is {_mode(modes[1])}: compare runs of one mode")
    notes = [
        f"{name} was taken on an unfit machine: {why}" for name, one in (("A", a), ("B", b)) for why in _unfit(one)
    ]
    if min(len(a.series(WHOLE)), len(b.series(WHOLE))) < 2:
        notes.append("a run of one round knows nothing of how starts differ: --rounds 6 is better")
    block = max(2, round(BLOCK_S * 1e6 / a.interval_us))
    verdicts = []
    for name in ("loop", WHOLE, *STAGES):
        mine, others = a.series(name), b.series(name)
        if name == "loop" and not (mine and others):
            continue
        verdicts.append(_judge(name, compare(mine, others, block=block), floor_ms))
    return verdicts, notes


def _judge(name: str, found: Difference | None, floor_ms: float) -> Verdict:
    if found is None:
        return Verdict(name, "ms", "unknown", "too few frames: two seconds of each are needed")
    interval = f"{found.low:+.2f} to {found.high:+.2f} ms"
    ratio = "" if np.isnan(found.ratio_low) else f", ratio {found.ratio_low:.3f} to {found.ratio_high:.3f}"
    words = f"{found.a:.2f} → {found.b:.2f} ms: {interval}{ratio}"
    if found.low > floor_ms:
        return Verdict(name, "ms", "slower", words, found)
    if found.high < -floor_ms:
        return Verdict(name, "ms", "faster", words, found)
    if found.high > floor_ms + 0.5 or found.low < -floor_ms - 0.5:
        return Verdict(name, "ms", "unknown", f"{words}: too wide to say, a longer run may", found)
    return Verdict(name, "ms", "same", words, found)


def _unfit(run: Run) -> Sequence[str]:
    return (run.report.get("conditions") or {}).get("unfit") or []


def _mode(mode: Any) -> str:
    return f"{mode['width']}x{mode['height']}@{mode['rate']}" if mode else "of no known mode"


# ---- suites -------------------------------------------------------------------------------------------------------


def compare_suites(a: dict[str, Any], b: dict[str, Any]) -> tuple[list[Verdict], list[str]]:
    """One verdict for the times of each benchmark that both have, and one for its instructions. Times of two machines
    are not compared. Raises ConfigError where they have nothing in common."""
    ours, theirs = _benchmarks(a), _benchmarks(b)
    common = [name for name in ours if name in theirs]
    if not common:
        raise ConfigError("the two have no benchmark in common")
    notes = [f"{name} is only in {'A' if name in ours else 'B'}" for name in sorted(ours.keys() ^ theirs.keys())]
    one_machine = _machine(a) == _machine(b)
    if not one_machine:
        notes.append("A and B are of two machines: only instructions are compared")
    verdicts: list[Verdict] = []
    for name in common:
        if one_machine:
            verdicts += _times(name, ours[name], theirs[name])
        verdicts += _instructions(name, ours[name], theirs[name])
    return verdicts, notes


def _benchmarks(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    try:
        return {_plain(str(one["name"])): one for one in content["benchmarks"]}
    except (KeyError, TypeError) as error:
        raise ConfigError("this is no file of pytest-benchmark: it is damaged") from error


def _plain(name: str) -> str:
    """test_piece[scan] is scan, test_decode is decode."""
    return name.removeprefix("test_").removeprefix("piece[").removesuffix("]")


def _machine(content: dict[str, Any]) -> Any:
    machine = content.get("machine_info") or {}
    return (machine.get("cpu") or {}).get("brand_raw"), machine.get("machine")


def _times(name: str, a: dict[str, Any], b: dict[str, Any]) -> Iterator[Verdict]:
    data = [(one.get("stats") or {}).get("data") for one in (a, b)]
    if not all(data):
        return
    found = compare([np.array(data[0]) * 1e6], [np.array(data[1]) * 1e6], block=_BLOCK_CALLS)
    if found is None:
        yield Verdict(name, "us", "unknown", "too few calls")
        return
    words = (
        f"{found.a:.1f} → {found.b:.1f} us, ratio {found.ratio:.3f}, {found.ratio_low:.3f} to {found.ratio_high:.3f}"
    )
    slower, faster = found.ratio_low > 1 + FLOOR_RATIO, found.ratio_high < 1 - FLOOR_RATIO
    yield Verdict(name, "us", "slower" if slower else "faster" if faster else "same", words, found)


def _instructions(name: str, a: dict[str, Any], b: dict[str, Any]) -> Iterator[Verdict]:
    counts = [int((one.get("extra_info") or {}).get("instructions") or 0) for one in (a, b)]
    if not all(counts):
        return
    ratio = counts[1] / counts[0]
    verdict = "slower" if ratio > 1 + INSTRUCTIONS_RATIO else "faster" if ratio < 1 - INSTRUCTIONS_RATIO else "same"
    yield Verdict(f"{name} (counted)", "instructions", verdict, f"{counts[0]:,} → {counts[1]:,}, ratio {ratio:.4f}")
