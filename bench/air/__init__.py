"""`thinair bench air`: channel models over real sockets, in real time, with pictures checked by their pixels.

docs/transport.md says where each figure begins and ends."""

from __future__ import annotations

import argparse
import sys

from thinair.bench.air.row import SETUPS, AirRow, Settings, measure
from thinair.bench.analysis.run_files import write_json
from thinair.bench.harness.options import add_baselines, add_bitrate, add_json, add_mode
from thinair.bench.harness.processes import PRIORITY, realtime
from thinair.bench.harness.run_conditions import RunConditions, scheduling
from thinair.bench.network import MODELS
from thinair.link.errors import ConfigError
from thinair.link.options import parse_bitrate
from thinair.link.video_mode import Mode

SCHEMA = "thinair.bench-air/1"
SUITE = ("clean", "A", "B", "C", "GE", "D", "E")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--suite", default="all", metavar="all|NAME,NAME",
        help=f"channel models; default all, which are {', '.join(SUITE)}",
    )  # fmt: skip
    add_baselines(parser, [name for name in SETUPS if name != "thinair"])
    add_mode(parser)
    add_bitrate(parser, "6M")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="length of a row; default 20 s")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the models; default 1")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """0 where every row of thinair has figures, else 1. Raises ConfigError, FileError."""
    mode = Mode.parse(args.mode)
    models = list(SUITE) if args.suite == "all" else args.suite.split(",")
    chosen = {"all": list(SETUPS), "none": []}.get(args.baselines, args.baselines.split(","))
    for name in models:
        if name not in MODELS:
            raise ConfigError(f"channel model {name!r} is not known: use {', '.join(MODELS)}")
    for name in chosen:
        if name not in SETUPS:
            raise ConfigError(f"baseline {name!r} is not known: use {', '.join(SETUPS)}")
    if args.seconds <= 0:
        raise ConfigError("--seconds must be above 0")
    names = list(dict.fromkeys(["thinair", *chosen]))
    refused = realtime()
    conditions = RunConditions({"scheduling": scheduling(refused, PRIORITY), "mode": str(mode)}, tools=True)
    settings = Settings(
        mode=str(mode),
        width=mode.width,
        height=mode.height,
        interval_us=float(mode.interval_us),
        bitrate_bps=parse_bitrate(args.bitrate),
        seconds=args.seconds,
        seed=args.seed,
        realtime=not refused,
    )
    print(
        f"{mode}, {settings.bitrate_bps / 1e6:g} Mbit/s, seed {args.seed}, {args.seconds:g} s a row; thinair encrypted"
    )
    print(
        f"{'model':6} {'player':18} {'screen ms p50/p95/p99':>24} {'intact':>7} {'age of intact ms p50/p99/max':>30} "
        "damaged stale  relay late p95, limits"
    )
    rows: list[AirRow] = []
    for model in models:
        for name in names:
            print(f"\r\x1b[K{model}: {name}", end="", file=sys.stderr, flush=True)
            rows.append(measure(name, MODELS[model], settings))
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            print(line(rows[-1]), flush=True)
    write_json(args.json, {"schema": SCHEMA, "conditions": conditions.finish(), "rows": rows})
    return 0 if all(row["pictures"] is not None for row in rows if row["name"] == "thinair") else 1


def line(row: AirRow) -> str:
    """A row of the table for the terminal."""
    pictures = row["pictures"]
    if pictures is None or pictures["intact_share"] is None:
        return f"{row['model']:6} {row['name']:18} {row['note']}"
    screen, age = pictures["screen_ms"], pictures["intact_age_ms"]
    latencies = "/".join(map(_number, (screen["p50"], screen["p95"], screen["p99"])))
    ages = "/".join(map(_number, (age["p50"], age["p99"], age["max"])))
    late = _number(row["relay_late_us"]["p95"])
    return (
        f"{row['model']:6} {row['name']:18} {latencies:>24} {100 * pictures['intact_share']:6.1f}% {ages:>30} "
        f"{pictures['damaged']:7} {pictures['stale']:5} {late:>9} us  {limits(row)}"
    )


def limits(row: AirRow) -> str:
    """What this row did not do, in this run and in general."""
    parts, pictures = [], row["pictures"]
    if pictures is not None:
        if (missed := pictures["sent"] - pictures["intact"]) > 0:
            parts.append(f"{missed} of {pictures['sent']} pictures not intact")
        if pictures["freezes"]:
            parts.append(f"{pictures['freezes']} freezes, {pictures['freeze_s']:.1f} s")
    return "; ".join([*parts, *filter(None, [row.get("cannot")])])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
