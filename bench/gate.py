"""`thinair bench gate --budget docs/latency-budget.toml [RUN.json ...]`: whether what is promised is kept.

Without a run: instructions and the simulated link, the same on any machine. With runs of bench loop: also the stages,
whose times are the machine's. The first line of each broken promise names what broke it."""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np

from thinair.bench.analysis.recorded_run import WHOLE, Run, read_run, summary, write_text
from thinair.bench.network import MODELS
from thinair.bench.sim import Job, fold, simulate
from thinair.bench.suite import instructions
from thinair.bench.suite.pieces import BY_NAME
from thinair.link.errors import ConfigError, Exit, FileError
from thinair.link.protocol.frame_trace import STAGES

SCHEMA = "thinair.gate/1"
_PARTS = ("instructions", "sim", "stages")
_SIM = {
    "failed_share": "failed",
    "overhead_share": "overhead",
    "latency_p50_ms": "p50",
    "latency_p95_ms": "p95",
    "latency_p99_ms": "p99",
}
_FRAMES, _SEEDS = 3_000, 2
_PERCENTS = ("p50", "p95", "p99")


@dataclass(frozen=True, slots=True)
class Promise:
    what: str
    found: float | None  # None: it could not be found out; then it is not kept
    limit: float
    unit: str
    why: str = ""

    @property
    def kept(self) -> bool:
        return self.found is not None and self.found <= self.limit

    def words(self) -> str:
        found = self.why if self.found is None else f"{self.found:,}"
        unit = f" {self.unit}" if self.unit else ""
        return f"{'kept' if self.kept else 'BROKEN':8}{self.what:62}{found}{unit}, {self.limit:,} promised"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=Path, nargs="*", metavar="RUN.json", help="of bench loop or report: stages too")
    parser.add_argument("--budget", type=Path, required=True, metavar="FILE.toml", help="docs/latency-budget.toml")
    parser.add_argument("--only", metavar="PART,PART", help=f"of {', '.join(_PARTS)}; default all that can be had")
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="write the findings too")


def run(args: argparse.Namespace) -> int:
    """0 where all is kept, else 1. Raises ConfigError, DeviceError, FileError."""
    budget = read_budget(args.budget)
    parts = _PARTS if args.only is None else tuple(args.only.split(","))
    for part in parts:
        if part not in _PARTS:
            raise ConfigError(f"--only {part!r} is not known: use {', '.join(_PARTS)}")
    runs = [(path, read_run(path)) for path in args.runs]
    if "stages" in parts and args.only is not None and not runs:
        raise ConfigError("--only stages needs a run: thinair bench loop --json RUN.json, then give RUN.json here")
    promises: list[Promise] = []
    if "instructions" in parts:
        promises += _told(_counted(budget.get("instructions", {})))
    if "sim" in parts:
        promises += _told(_simulated(budget.get("sim", {})))
    if "stages" in parts:
        for path, one in runs:
            promises += _told(stages(one, budget.get("stages", {}), str(path)))
    broken = [promise for promise in promises if not promise.kept]
    if args.json is not None:
        content = {"schema": SCHEMA, "promises": [asdict(one) | {"kept": one.kept} for one in promises]}
        write_text(args.json, json.dumps(content, indent=1) + "\n")
    print(f"broken: {', '.join(one.what for one in broken)}" if broken else f"all {len(promises)} promises are kept")
    return int(Exit.FAULTS if broken else Exit.OK)


def read_budget(path: Path) -> dict[str, Any]:
    """Raises FileError, ConfigError."""
    try:
        budget = tomllib.loads(path.read_text())
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    if unknown := next(_unknown(budget), None):
        raise ConfigError(f"{path}: {unknown}")
    if not budget:
        raise ConfigError(f"{path} promises nothing")
    return budget


def _unknown(budget: Mapping[str, Any]) -> Iterator[str]:
    """What in it is no promise that can be held, in words."""
    for part, content in budget.items():
        if part not in _PARTS or not isinstance(content, dict):
            yield f"[{part}] is not known: use {', '.join(_PARTS)}"
    for name in budget.get("instructions", {}):
        if name not in BY_NAME:
            yield f"[instructions] {name} is not known: use {', '.join(BY_NAME)}"
    for model, limits in budget.get("sim", {}).items():
        if model not in MODELS:
            yield f"[sim.{model}] is not known: use {', '.join(MODELS)}"
        for name in limits:
            if name not in _SIM:
                yield f"[sim.{model}] {name} is not known: use {', '.join(_SIM)}"
    for mode, limits in budget.get("stages", {}).items():
        for name, percents in limits.items():
            if name not in (*STAGES, WHOLE, "loop") or not set(percents) <= set(_PERCENTS):
                yield f"[stages.{mode}] {name}: use stages, and {', '.join(_PERCENTS)} of them"


def _told(promises: Iterator[Promise]) -> Iterator[Promise]:
    for promise in promises:
        print(promise.words(), flush=True)
        yield promise


def _counted(limits: Mapping[str, float]) -> Iterator[Promise]:
    found = instructions.count(limits) if limits else {}
    for name, limit in limits.items():
        yield Promise(f"{name}: {BY_NAME[name].what}", found[name], limit, "instructions")


def _simulated(limits: Mapping[str, Mapping[str, float]]) -> Iterator[Promise]:
    jobs = [Job("thinair", MODELS[model], seed, _FRAMES) for model in limits for seed in range(_SEEDS)]
    with Pool() as pool:
        rows = [row for row, _ in pool.imap(simulate, jobs)]
    for model, wanted in limits.items():
        folded = fold([row for row in rows if row["model"] == model])
        for name, limit in wanted.items():
            unit = "ms" if name.endswith("_ms") else ""
            yield Promise(f"sim {model}: {name}", round(folded[_SIM[name]], 6), limit, unit)


def stages(run: Run, limits: Mapping[str, Mapping[str, Mapping[str, float]]], path: str = "") -> Iterator[Promise]:
    """What is promised of this run's mode. Raises ConfigError where nothing is, or the run is empty."""
    mode = run.report.get("mode") or {}
    name = f"{mode.get('width')}x{mode.get('height')}@{mode.get('rate')}"
    if faults := run.faults():
        raise ConfigError(f"{path}: {'; '.join(faults)}")
    if name not in limits:
        raise ConfigError(f"{path} is {name}, of which the budget promises nothing: it knows {', '.join(limits)}")
    for stage, percents in limits[name].items():
        figures = summary(np.concatenate(run.series(stage) or [np.array([])]))
        for percent, limit in percents.items():
            yield Promise(f"{stage} {percent}", figures[percent], limit, "ms", figures.get("too_few", ""))
