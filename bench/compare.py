"""`thinair bench compare A.json B.json`: whether B is slower than A, stage by stage, or benchmark by benchmark.

A verdict rests on an interval, never on a percentage: something is slower where the interval of the difference lies
above what two runs of the same program differ by. docs/measuring.md."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from thinair.bench.analysis.recorded_run import LATENCY, RecordedRun
from thinair.bench.analysis.run_files import SCHEMA as RUN
from thinair.bench.analysis.run_files import read_json, read_run, write_json
from thinair.bench.analysis.statistics import BLOCK_S, Difference, compare
from thinair.link.errors import ConfigError, Exit
from thinair.link.protocol.frame_trace import STAGES

SCHEMA = "thinair.compare/1"
FLOOR_MS = 0.3  # two runs of one program differ by less: docs/measuring.md
FLOOR_RATIO = 0.30  # of benchmark times: memory placement differs from process to process; instructions tell the rest
INSTRUCTIONS_RATIO = 0.01
_WIDEST_MS = 0.5  # an interval that reaches further beyond the floor allows no verdict
_BLOCK_CALLS = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    name: str
    unit: str
    verdict: Literal["slower", "faster", "same", "unknown"]
    text: str
    figures: Difference | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", type=Path, metavar="A.json", help="before: file of bench loop, bench report or make bench")
    parser.add_argument("b", type=Path, metavar="B.json", help="after: file of the same kind")
    parser.add_argument(
        "--floor-ms", type=float, default=FLOOR_MS, metavar="MS",
        help="difference that still counts as the same; default %(default)g ms",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="output: the verdicts")


def run(args: argparse.Namespace) -> int:
    """0, or 1 where something is slower. Raises ConfigError, FileError."""
    if args.floor_ms < 0:
        raise ConfigError("--floor-ms must be 0 or more")
    a, b = read_json(args.a), read_json(args.b)
    kinds = ["run" if one.get("schema") == RUN else "suite" if "benchmarks" in one else "" for one in (a, b)]
    for kind, path in zip(kinds, (args.a, args.b), strict=True):
        if not kind:
            raise ConfigError(f"{path} is neither a run nor a file of make bench: it has nothing to compare")
    if kinds[0] != kinds[1]:
        raise ConfigError(f"{args.a} is a {kinds[0]} and {args.b} a {kinds[1]}: compare files of one kind")
    if kinds[0] == "run":
        verdicts, notes = compare_runs(read_run(args.a), read_run(args.b), args.floor_ms)
    else:
        verdicts, notes = compare_suites(read_suite(a), read_suite(b))
    for verdict in verdicts:
        print(f"{verdict.verdict:8}{verdict.name:24}{verdict.text}")
    for note in notes:
        print(f"note: {note}")
    slower = [verdict.name for verdict in verdicts if verdict.verdict == "slower"]
    print(f"B is slower in {', '.join(slower)}" if slower else "nothing in B is slower")
    write_json(args.json, {"schema": SCHEMA, "verdicts": [asdict(one) for one in verdicts], "notes": notes})
    return int(Exit.FAULTS if slower else Exit.OK)


# ---- runs ---------------------------------------------------------------------------------------------------------


def compare_runs(a: RecordedRun, b: RecordedRun, floor_ms: float = FLOOR_MS) -> tuple[list[Verdict], list[str]]:
    """One verdict for the loop, the latency and each stage; notes. Raises ConfigError where a run is empty or their
    modes differ."""
    for name, one in (("A", a), ("B", b)):
        if not one.shown:
            raise ConfigError(f"{name} is empty: no frame was shown")
    if a.mode != b.mode:
        raise ConfigError(f"A is {a.mode or 'unknown'} and B is {b.mode or 'unknown'}: compare runs of one video mode")
    notes = [
        f"the machine was too busy during {name}: {why}" for name, one in (("A", a), ("B", b)) for why in one.unfit
    ]
    if min(len(a.series(LATENCY)), len(b.series(LATENCY))) < 2:
        notes.append("a run of one round does not show how starts differ: record with --rounds 6")
    block = max(2, round(BLOCK_S * 1e6 / a.interval_us))
    verdicts = []
    for name in ("loop", LATENCY, *STAGES):
        before, after = a.series(name), b.series(name)
        if name == "loop" and not (before and after):
            continue
        verdicts.append(_verdict(name, compare(before, after, block=block), floor_ms))
    return verdicts, notes


def _verdict(name: str, found: Difference | None, floor_ms: float) -> Verdict:
    if found is None:
        return Verdict(name, "ms", "unknown", "too few frames: two seconds of each run are needed")
    interval = f"{found.low:+.2f} to {found.high:+.2f} ms"
    ratio = "" if np.isnan(found.ratio_low) else f", ratio {found.ratio_low:.3f} to {found.ratio_high:.3f}"
    text = f"{found.a:.2f} → {found.b:.2f} ms: {interval}{ratio}"
    if found.low > floor_ms:
        return Verdict(name, "ms", "slower", text, found)
    if found.high < -floor_ms:
        return Verdict(name, "ms", "faster", text, found)
    if found.high > floor_ms + _WIDEST_MS or found.low < -floor_ms - _WIDEST_MS:
        return Verdict(name, "ms", "unknown", f"{text}: interval too wide, record longer runs", found)
    return Verdict(name, "ms", "same", text, found)


# ---- suites -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Of pytest-benchmark. `times_s`: one per call; `instructions`: 0 where not counted."""

    times_s: list[float]
    instructions: int


@dataclass(frozen=True, slots=True)
class Suite:
    machine: tuple[str, str]  # processor, architecture
    benchmarks: Mapping[str, Benchmark]


def read_suite(content: Mapping[str, object]) -> Suite:
    """Raises ConfigError."""
    try:
        found = content["benchmarks"]
        if not isinstance(found, list):
            raise TypeError("benchmarks is not a list")
        benchmarks = {}
        for one in found:
            times_s = [float(value) for value in (one.get("stats") or {}).get("data") or ()]
            count = int((one.get("extra_info") or {}).get("instructions") or 0)
            benchmarks[_plain(str(one["name"]))] = Benchmark(times_s, count)
        machine = content.get("machine_info") or {}
        if not isinstance(machine, Mapping):
            raise TypeError("machine_info is not an object")
        cpu = (machine.get("cpu") or {}).get("brand_raw")
        return Suite((str(cpu), str(machine.get("machine"))), benchmarks)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"a file of pytest-benchmark is damaged: {error}") from error


def compare_suites(a: Suite, b: Suite) -> tuple[list[Verdict], list[str]]:
    """One verdict for the times of each benchmark that both have, and one for its instructions; notes. Times of two
    machines are not compared. Raises ConfigError where they have no benchmark in common."""
    common = [name for name in a.benchmarks if name in b.benchmarks]
    if not common:
        raise ConfigError("the two files have no benchmark in common")
    only = sorted(a.benchmarks.keys() ^ b.benchmarks.keys())
    notes = [f"{name} is only in {'A' if name in a.benchmarks else 'B'}" for name in only]
    if a.machine != b.machine:
        notes.append("A and B are of two machines: only instructions are compared")
    verdicts: list[Verdict] = []
    for name in common:
        if a.machine == b.machine:
            verdicts += _times(name, a.benchmarks[name], b.benchmarks[name])
        verdicts += _instructions(name, a.benchmarks[name], b.benchmarks[name])
    return verdicts, notes


def _plain(name: str) -> str:
    """test_piece[scan] is scan, test_decode is decode."""
    return name.removeprefix("test_").removeprefix("piece[").removesuffix("]")


def _times(name: str, a: Benchmark, b: Benchmark) -> Iterator[Verdict]:
    if not a.times_s or not b.times_s:
        return
    found = compare([np.array(a.times_s) * 1e6], [np.array(b.times_s) * 1e6], block=_BLOCK_CALLS)
    if found is None:
        yield Verdict(name, "us", "unknown", "too few calls")
        return
    text = f"{found.a:.1f} → {found.b:.1f} us, ratio {found.ratio:.3f}, {found.ratio_low:.3f} to {found.ratio_high:.3f}"
    slower, faster = found.ratio_low > 1 + FLOOR_RATIO, found.ratio_high < 1 - FLOOR_RATIO
    yield Verdict(name, "us", "slower" if slower else "faster" if faster else "same", text, found)


def _instructions(name: str, a: Benchmark, b: Benchmark) -> Iterator[Verdict]:
    if not a.instructions or not b.instructions:
        return
    ratio = b.instructions / a.instructions
    slower, faster = ratio > 1 + INSTRUCTIONS_RATIO, ratio < 1 - INSTRUCTIONS_RATIO
    verdict: Literal["slower", "faster", "same"] = "slower" if slower else "faster" if faster else "same"
    text = f"{a.instructions:,} → {b.instructions:,}, ratio {ratio:.4f}"
    yield Verdict(f"{name} (counted)", "instructions", verdict, text)
