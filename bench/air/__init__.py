"""`thinair bench air`: the link models of thinair.bench.network over real sockets, in real time, with real pictures.

docs/transport.md says where each figure begins and ends.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from thinair.bench.air.row import PEERS, Run, measure
from thinair.bench.harness.processes import realtime
from thinair.bench.network import MODELS
from thinair.link.errors import ConfigError, FileError
from thinair.link.options import parse_bitrate
from thinair.link.video_mode import Mode
from thinair.receiver.stats.run_conditions import collect

SCHEMA = "thinair.bench-air/1"
SUITE = ("clean", "A", "B", "C", "GE", "D", "E")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--suite", default="all", metavar="all|NAME,NAME", help=f"models; all: {','.join(SUITE)}")
    parser.add_argument("--peers", default="all", metavar="all|none|NAME,NAME", help=", ".join(PEERS))
    parser.add_argument("--mode", default="1920x1080@25", metavar="WIDTHxHEIGHT@RATE", help="default 1920x1080@25")
    parser.add_argument("--bitrate", default="6M", help="the encoder's; default 6M, of which it makes 5.3")
    parser.add_argument("--seconds", type=float, default=20.0, help="per row; default 20")
    parser.add_argument("--seed", type=int, default=1, help="of the models; default 1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON too")


def run(args: argparse.Namespace) -> int:
    """0 where every row of ours has figures, else 1. Raises ConfigError, FileError."""
    mode = Mode.parse(args.mode)
    models = list(SUITE) if args.suite == "all" else args.suite.split(",")
    peers = list(PEERS) if args.peers == "all" else ["thinair"] if args.peers == "none" else args.peers.split(",")
    for name in models:
        if name not in MODELS:
            raise ConfigError(f"model {name!r} is not known: use {', '.join(MODELS)}")
    for name in peers:
        if name not in PEERS:
            raise ConfigError(f"peer {name!r} is not known: use {', '.join(PEERS)}")
    if args.seconds <= 0:
        raise ConfigError("give --seconds above 0")
    refused = realtime()
    setting = Run(
        mode=str(mode),
        width=mode.width,
        height=mode.height,
        interval_us=float(mode.interval_us),
        bitrate_bps=parse_bitrate(args.bitrate),
        seconds=args.seconds,
        seed=args.seed,
        realtime=not refused,
    )
    print(f"{mode}, {setting.bitrate_bps / 1e6:g} Mbit/s, seed {args.seed}, {args.seconds:g} s a row")
    print(
        f"{'model':6} {'peer':18} {'screen ms p50/p95/p99':>24} {'intact':>7} {'age of intact ms p50/p99/max':>30} "
        "damaged stale  relay late p95, could not"
    )
    rows: list[dict[str, Any]] = []
    for model in models:
        for peer in peers:
            print(f"\r\x1b[K{model}: {peer}", end="", file=sys.stderr, flush=True)
            rows.append(measure(peer, MODELS[model], setting))
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            print(line(rows[-1]), flush=True)
    if args.json:
        content = {"schema": SCHEMA, "conditions": collect(tools=True) | {"realtime": not refused}, "rows": rows}
        try:
            args.json.write_text(json.dumps(content, indent=1) + "\n")
        except OSError as error:
            raise FileError(f"cannot write {args.json}: {error.strerror or error}") from error
    ours = [row for row in rows if row["peer"] == "thinair"]
    return 0 if ours and all(row["intact_share"] is not None for row in ours) else 1


def line(row: dict[str, Any]) -> str:
    if row["intact_share"] is None:
        return f"{row['model']:6} {row['peer']:18} {row['note']}"
    screen, age = row["screen_ms"], row["intact_age_ms"]
    figures = "/".join(_number(screen[key]) for key in ("p50", "p95", "p99"))
    ages = "/".join(_number(age[key]) for key in ("p50", "p99", "max"))
    late = f"{row['relay_late_us']['p95']:g}"
    return (
        f"{row['model']:6} {row['peer']:18} {figures:>24} {100 * row['intact_share']:6.1f}% {ages:>30} "
        f"{row['damaged']:7} {row['stale']:5} {late:>9} us  {could_not(row)}"
    )


def could_not(row: dict[str, Any]) -> str:
    """What this row did not do, in this run and at all."""
    parts = []
    if (missed := row["sent"] - row["intact"]) > 0:
        parts.append(f"{missed} of {row['sent']} pictures not intact")
    if row["freezes"]:
        parts.append(f"froze {row['freezes']} times, {row['freeze_s']:.1f} s")
    return "; ".join([*parts, *filter(None, [row.get("cannot")])])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
