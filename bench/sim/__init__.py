"""`thinair bench sim`: a link in virtual time, with thinair's own core, sessions and congestion control at both ends,
beside the strategies of other designs. docs/transport.md defines every figure."""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import Pool
from pathlib import Path
from typing import TypedDict

from thinair.bench.network import MODELS, Model, read_trace
from thinair.bench.sim.baseline_strategies import BASELINES
from thinair.bench.sim.figures import Row, Shapes, row
from thinair.bench.sim.simulator import INTERVAL_US, World
from thinair.bench.sim.thinair_strategy import Receiver, Sender
from thinair.link.errors import ConfigError, FileError
from thinair.link.options import parse_bitrate

SCHEMA = "thinair.bench-sim/1"
_LOSS = ("clean", "ge", "burst1", "burst5", "burst10")
SUITES: dict[str, tuple[str, ...]] = {
    "loss": _LOSS,
    "far": tuple(f"{name}-far" for name in _LOSS),
    "rate": ("steps", "E"),
    "radio": ("scan", "scans", "powersave", "halfduplex", "fades", "reorder"),
    "air": ("A", "B", "C", "GE", "D", "E"),
}
SUITES["all"] = tuple(dict.fromkeys(name for suite in ("loss", "far", "rate", "radio") for name in SUITES[suite]))
STRATEGIES = ("thinair", *BASELINES)
_TRACE_S = 290.0


@dataclass(frozen=True, slots=True)
class Job:
    strategy: str
    model: Model
    seed: int
    frames: int
    interval_us: float = INTERVAL_US


class Folded(TypedDict):
    """The runs of one strategy over one model: means, and of latencies (ms) the worst."""

    failed: float
    overhead: float
    p50: float
    p95: float
    p99: float
    age: float
    freezes: float
    longest: float
    unforced: float
    used: float
    keys: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--suite", metavar="NAME,NAME",
        help=f"suites ({', '.join(SUITES)}) or single channel models; default all, none with --trace",
    )  # fmt: skip
    parser.add_argument(
        "--strategy", default="all", metavar="all|NAME,NAME", help=f"{', '.join(STRATEGIES)}; default all"
    )
    parser.add_argument("--frames", type=int, default=10_000, metavar="N", help="frames per run; default 10000")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="runs of each model; default 5")
    parser.add_argument(
        "--trace", type=Path, action="append", default=[], metavar="FILE",
        help="capacity trace with lines of seconds and Mbit/s; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--scale", type=float, default=1.0, metavar="FACTOR", help="factor on the traces' rates; default 1"
    )
    parser.add_argument("--rate", type=int, default=30, metavar="FPS", help="picture rate; default 30")
    parser.add_argument("--bitrate", metavar="BPS", help="sender's bitrate, such as 8M; default the model's")
    parser.add_argument("--json", metavar="FILE|-", nargs="?", const="-", help="output: the rows as JSON")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="output: the rows as CSV")
    parser.add_argument("--html", type=Path, metavar="FILE", help="output: a page with plots; needs make bench-setup")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes; default one per core"
    )


def run(args: argparse.Namespace) -> int:
    """0. Raises ConfigError, FileError."""
    jobs = _jobs(args)
    out = sys.stderr if args.json == "-" else sys.stdout
    print(f"{len(jobs)} runs of {args.frames} frames at {args.rate} per second, seeds 0 to {args.seeds - 1}", file=out)
    results = []
    with Pool(max(1, args.jobs)) as pool:
        for done, result in enumerate(pool.imap(simulate, jobs, chunksize=1), 1):
            results.append(result)
            print(f"\r\x1b[K{done} of {len(jobs)}", end="", file=sys.stderr, flush=True)
    print("\r\x1b[K", end="", file=sys.stderr)
    rows = [result[0] for result in results]
    print(table(rows), file=out)
    _write(args, rows, results)
    return 0


def simulate(job: Job) -> tuple[Row, Shapes]:
    """The row of a run, and its plots' data."""
    world = World(job.model, job.seed, job.frames, job.interval_us)
    if job.strategy == "thinair":
        world.run(Sender(world), Receiver(world))
    else:
        world.run(*BASELINES[job.strategy](world))
    line = world.timeline
    shapes: Shapes = {
        "latency_ms": [round(value / 1000, 2) for value in line.latencies_us()],
        "age_ms": [round(float(value) / 1000, 2) for value in line.glass_ages_us()[::17]],
        "rate": [(round(at, 3), round(target, 3)) for at, target, _ in world.rate[::5]],
        "available": list(job.model.rate.steps),
    }
    return row(job.strategy, job.model, job.seed, line, world.result()), shapes


def _jobs(args: argparse.Namespace) -> list[Job]:
    strategies = STRATEGIES if args.strategy == "all" else tuple(args.strategy.split(","))
    for name in strategies:
        if name not in STRATEGIES:
            raise ConfigError(f"strategy {name!r} is not known: use {', '.join(STRATEGIES)}")
    if args.frames < 100 or args.seeds < 1 or args.scale <= 0 or not 1 <= args.rate <= 120:
        raise ConfigError("--frames must be 100 or more, --seeds 1 or more, --rate 1 to 120, --scale above 0")
    bitrate_bps = parse_bitrate(args.bitrate) if args.bitrate is not None else None
    interval_us = 1e6 / args.rate
    jobs = []
    for path in args.trace:
        rate = read_trace(path).scaled(args.scale)
        name = path.name.split(".")[0] + (f" x{args.scale:g}" if args.scale != 1 else "")
        model = MODELS["steps"].as_traced(name, rate)
        frames = int(min(rate.seconds, _TRACE_S) * 1e6 / interval_us)
        jobs += [Job(strategy, _at(model, bitrate_bps), 0, frames, interval_us) for strategy in strategies]
    suite = args.suite if args.suite is not None else "" if args.trace else "all"
    for word in filter(None, suite.split(",")):
        for name in SUITES.get(word, (word,)):
            if name not in MODELS:
                raise ConfigError(f"model {name!r} is not known: use {', '.join([*SUITES, *MODELS])}")
            model, seeds = _at(MODELS[name], bitrate_bps), range(args.seeds)
            jobs += [Job(one, model, seed, args.frames, interval_us) for one in strategies for seed in seeds]
    return jobs


def _at(model: Model, bitrate_bps: int | None) -> Model:
    return model if bitrate_bps is None else replace(model, max_bps=bitrate_bps)


def table(rows: Sequence[Row]) -> str:
    """Means of the seeds, and the worst latencies; then thinair against the best baseline with no more overhead."""
    lines = [
        f"{'model':18} {'strategy':10} {'failed':>9} {'overhead':>8} {'latency ms p50/p95/p99':>24} {'age p99':>8} "
        f"{'freezes':>7} {'longest/unforced':>18} {'used':>5} {'keys':>6}"
    ]
    for model in dict.fromkeys(one["model"] for one in rows):
        folded = {name: fold(same) for name, same in _by_strategy(rows, model)}
        for name, one in folded.items():
            latency = f"{one['p50']:.1f}/{one['p95']:.1f}/{one['p99']:.1f}"
            freeze = f"{one['longest']:.0f}/{one['unforced']:.0f} ms"
            lines.append(
                f"{model:18} {name:10} {100 * one['failed']:8.4f}% {100 * one['overhead']:7.1f}% {latency:>24} "
                f"{one['age']:8.1f} {one['freezes']:7.1f} {freeze:>18} {one['used']:5.2f} {one['keys']:6.1f}"
            )
        if "thinair" in folded and (against := against_best(folded)):
            lines.append(f"{'':18} {against}")
    return "\n".join(lines)


def fold(rows: Sequence[Row]) -> Folded:
    def mean(values: Iterable[float]) -> float:
        listed = list(values)
        return sum(listed) / len(listed)

    return {
        "failed": mean(one["failed_share"] for one in rows),
        "overhead": mean(one["overhead_share"] for one in rows),
        "p50": max(one["latency_ms"]["p50"] or 0.0 for one in rows),
        "p95": max(one["latency_ms"]["p95"] or 0.0 for one in rows),
        "p99": max(one["latency_ms"]["p99"] or 0.0 for one in rows),
        "age": max(one["glass_age_ms"]["p99"] or 0.0 for one in rows),
        "freezes": mean(one["freezes"] for one in rows),
        "longest": max(one["longest_freeze_ms"] for one in rows),
        "unforced": max(one["longest_unforced_ms"] for one in rows),
        "used": mean(one["used_share"] for one in rows),
        "keys": mean(one["key_frames"] for one in rows),
    }


def best_baseline(folded: Mapping[str, Folded]) -> str | None:
    """The baseline that fails least among those with no more overhead than thinair; None: there is none."""
    ours = folded["thinair"]
    names = [name for name, one in folded.items() if name != "thinair" and one["overhead"] <= ours["overhead"]]
    return min(names, key=lambda name: folded[name]["failed"], default=None)


def against_best(folded: Mapping[str, Folded]) -> str:
    """thinair beside the best baseline, in words; "" where there is none."""
    name = best_baseline(folded)
    if name is None:
        return ""
    ours, best = folded["thinair"]["failed"], folded[name]
    ratio = f"{best['failed'] / ours:.1f} times fewer failed frames" if ours else "no failed frame"
    return f"→ against {name} ({100 * best['failed']:.3f} % failed at {100 * best['overhead']:.1f} %): {ratio}"


def _by_strategy(rows: Sequence[Row], model: str) -> list[tuple[str, list[Row]]]:
    names = dict.fromkeys(one["strategy"] for one in rows if one["model"] == model)
    return [(name, [one for one in rows if (one["model"], one["strategy"]) == (model, name)]) for name in names]


def _write(args: argparse.Namespace, rows: list[Row], results: list[tuple[Row, Shapes]]) -> None:
    if args.json == "-":
        print(json.dumps({"schema": SCHEMA, "rows": rows}, indent=1))
    try:
        if args.json not in {None, "-"}:
            Path(args.json).write_text(json.dumps({"schema": SCHEMA, "rows": rows}, indent=1) + "\n")
        if args.csv is not None:
            with args.csv.open("w", newline="") as file:
                flat = [_flat(one) for one in rows]
                writer = csv.DictWriter(file, flat[0])
                writer.writeheader()
                writer.writerows(flat)
        if args.html is not None:
            from thinair.bench.sim.page import page  # loads matplotlib

            args.html.write_text(page(results, table(rows)))
    except OSError as error:
        raise FileError(f"cannot write {error.filename}: {error.strerror or error}") from error
    except ImportError as error:
        raise ConfigError("--html needs matplotlib: make bench-setup") from error


def _flat(one: Row) -> dict[str, object]:
    out: dict[str, object] = {}
    for key, value in one.items():
        out |= {f"{key}_{part}": number for part, number in value.items()} if isinstance(value, dict) else {key: value}
    return out
