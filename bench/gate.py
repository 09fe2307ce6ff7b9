"""`thinair bench gate --budget docs/latency-budget.toml [RUN.json ...]`: whether the limits of a budget are kept.

Without a run: instructions and the simulated link, which are the same on any machine. With runs of bench loop: also the
stages, whose times depend on the machine."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from thinair.bench.analysis.recorded_run import LATENCY, RecordedRun
from thinair.bench.analysis.run_files import read_run, write_json
from thinair.bench.analysis.summary import COLUMNS, Column, intervals
from thinair.bench.network import MODELS
from thinair.bench.sim import Folded, Job, fold, simulate
from thinair.bench.suite import instructions
from thinair.bench.suite.pieces import BY_NAME
from thinair.link.errors import ConfigError, Exit, FileError
from thinair.link.protocol.frame_trace import STAGES

SCHEMA = "thinair.gate/1"
_PARTS = ("instructions", "sim", "stages")
_SIM = ("failed_share", "overhead_share", "latency_p50_ms", "latency_p95_ms", "latency_p99_ms")
_FRAMES, _SEEDS = 3_000, 2
_PERCENTILES = COLUMNS[:3]


@dataclass(frozen=True, slots=True)
class Limit:
    what: str
    found: float | None  # None: it could not be measured, and is not kept
    limit: float
    unit: str
    why: str = ""

    @property
    def kept(self) -> bool:
        return self.found is not None and self.found <= self.limit

    def text(self) -> str:
        found = self.why if self.found is None else f"{self.found:,}"
        unit = f" {self.unit}" if self.unit else ""
        return f"{'kept' if self.kept else 'EXCEEDED':10}{self.what:62}{found}{unit}, limit {self.limit:,}"


@dataclass(frozen=True, slots=True)
class Budget:
    """docs/latency-budget.toml. `sim`: model → figure → limit; `stages`: video mode → stage → percentile → ms."""

    instructions: Mapping[str, float] = field(default_factory=dict)
    sim: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    stages: Mapping[str, Mapping[str, Mapping[Column, float]]] = field(default_factory=dict)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=Path, nargs="*", metavar="RUN.json", help="runs of bench loop or bench report")
    parser.add_argument("--budget", type=Path, required=True, metavar="FILE.toml", help="docs/latency-budget.toml")
    parser.add_argument("--only", metavar="PART,PART", help=f"parts out of {', '.join(_PARTS)}; default all possible")
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="output: the limits and what was found")


def run(args: argparse.Namespace) -> int:
    """0, or 1 where a limit is exceeded. Raises ConfigError, DeviceError, FileError."""
    budget = read_budget(args.budget)
    parts = _PARTS if args.only is None else tuple(args.only.split(","))
    for part in parts:
        if part not in _PARTS:
            raise ConfigError(f"--only {part!r} is not known: use {', '.join(_PARTS)}")
    runs = [(path, read_run(path)) for path in args.runs]
    if "stages" in parts and args.only is not None and not runs:
        raise ConfigError("--only stages needs a run: record one with thinair bench loop --json RUN.json")
    limits: list[Limit] = []
    if "instructions" in parts:
        limits += _printed(_counted(budget.instructions))
    if "sim" in parts:
        limits += _printed(_simulated(budget.sim))
    if "stages" in parts:
        for path, one in runs:
            limits += _printed(stages(one, budget, str(path)))
    exceeded = [limit for limit in limits if not limit.kept]
    write_json(args.json, {"schema": SCHEMA, "limits": [asdict(one) | {"kept": one.kept} for one in limits]})
    names = ", ".join(one.what for one in exceeded)
    print(f"exceeded: {names}" if exceeded else f"all {len(limits)} limits are kept")
    return int(Exit.FAULTS if exceeded else Exit.OK)


def read_budget(path: Path) -> Budget:
    """Raises FileError, ConfigError."""
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    if not content:
        raise ConfigError(f"{path} has no limits")
    try:
        if unknown := next(_unknown(content), None):
            raise ConfigError(f"{path}: {unknown}")
    except (AttributeError, TypeError) as error:
        raise ConfigError(f"{path}: a table is missing: see docs/latency-budget.toml") from error
    return Budget(**content)


def _unknown(budget: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    """What cannot be a limit, one sentence each. Raises AttributeError, TypeError where a table is none."""
    for part, content in budget.items():
        if part not in _PARTS or not isinstance(content, dict):
            yield f"[{part}] is not known: use {', '.join(_PARTS)}"
    for name, limit in budget.get("instructions", {}).items():
        if name not in BY_NAME or not _is_number(limit):
            yield f"[instructions] {name} is not known: use {', '.join(BY_NAME)}, each with a number"
    for model, limits in budget.get("sim", {}).items():
        if model not in MODELS:
            yield f"[sim.{model}] is not known: use {', '.join(MODELS)}"
        for name, limit in dict(limits).items():  # type: ignore[call-overload]  # whatever is none raises TypeError
            if name not in _SIM or not _is_number(limit):
                yield f"[sim.{model}] {name} is not known: use {', '.join(_SIM)}, each with a number"
    for mode, limits in budget.get("stages", {}).items():
        for name, percentiles in dict(limits).items():  # type: ignore[call-overload]  # likewise
            known = name in (*STAGES, LATENCY, "loop") and set(percentiles) <= set(_PERCENTILES)
            if not known or not all(map(_is_number, percentiles.values())):
                yield f"[stages.{mode}] {name}: use stages, and {', '.join(_PERCENTILES)} of them in ms"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _printed(limits: Iterator[Limit]) -> Iterator[Limit]:
    for limit in limits:
        print(limit.text(), flush=True)
        yield limit


def _counted(limits: Mapping[str, float]) -> Iterator[Limit]:
    found = instructions.count(limits) if limits else {}
    for name, limit in limits.items():
        yield Limit(f"{name}: {BY_NAME[name].what}", found[name], limit, "instructions")


def _simulated(limits: Mapping[str, Mapping[str, float]]) -> Iterator[Limit]:
    jobs = [Job("thinair", MODELS[model], seed, _FRAMES) for model in limits for seed in range(_SEEDS)]
    with Pool() as pool:
        rows = [row for row, _ in pool.imap(simulate, jobs)]
    for model, wanted in limits.items():
        found = _figures(fold([row for row in rows if row["model"] == model]))
        for name, limit in wanted.items():
            unit = "ms" if name.endswith("_ms") else ""
            yield Limit(f"sim {model}: {name}", round(found[name], 6), limit, unit)


def _figures(found: Folded) -> dict[str, float]:
    """By the budget's names."""
    latencies = {f"latency_{column}_ms": found[column] for column in _PERCENTILES if column != "max"}
    return {"failed_share": found["failed"], "overhead_share": found["overhead"], **latencies}


def stages(run: RecordedRun, budget: Budget, path: str = "") -> Iterator[Limit]:
    """The limits of this run's video mode. Raises ConfigError where there are none, or the run has faults."""
    if faults := run.faults():
        raise ConfigError(f"{path}: {'; '.join(faults)}")
    if run.mode not in budget.stages:
        raise ConfigError(
            f"{path} is {run.mode or 'of an unknown mode'}, for which the budget has no limits: it has "
            f"{', '.join(budget.stages)}"
        )
    for stage, percentiles in budget.stages[run.mode].items():
        figures = intervals(np.concatenate(run.series(stage) or [np.array([])]))
        for percentile, limit in percentiles.items():
            yield Limit(f"{stage} {percentile}", figures[percentile], limit, "ms", figures.get("too_few", ""))
