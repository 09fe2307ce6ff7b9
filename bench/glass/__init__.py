"""`thinair bench glass`: screen latency, read from the screen, of thinair and of its peers with the same pictures.

docs/measuring.md says where each figure begins and ends, and which rules make the rows comparable.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thinair.bench.analysis.summary import summary
from thinair.bench.glass.baselines import OURS, Peer, choose
from thinair.bench.glass.row import Row, Settings, measure, merged
from thinair.bench.harness.processes import PRIORITY, realtime
from thinair.link.errors import ConfigError, FileError
from thinair.link.options import parse_bitrate
from thinair.link.video_mode import Mode
from thinair.receiver.stats.run_conditions import ConditionsWatch, collect

SCHEMA = "thinair.bench-glass/1"
_TRIES = 3  # of a turn that was unfit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mode", default="1920x1080@25", metavar="WIDTHxHEIGHT@RATE", help="default 1920x1080@25")
    parser.add_argument("--seconds", type=float, default=15.0, help="per row, over all rounds; default 15")
    parser.add_argument(
        "--rounds", type=int, default=3, help="rows take turns this often, each 3 s to warm up; default 3"
    )
    parser.add_argument("--bitrate", default="8M", help="default 8M")
    parser.add_argument("--preset", default="ultrafast", help="x264's; default ultrafast")
    parser.add_argument("--peers", default="all", metavar="all|none|NAME,NAME", help="default all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON too")


def run(args: argparse.Namespace) -> int:
    """0 where our own row has figures, else 1. Raises ConfigError, FileError."""
    mode = Mode.parse(args.mode)
    try:
        peers = choose(args.peers)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if args.rounds < 1 or args.seconds <= 0:
        raise ConfigError("give --rounds of 1 or more and --seconds above 0")
    refused = realtime()
    settings = Settings(str(mode), mode.width, mode.height, parse_bitrate(args.bitrate), args.seconds / args.rounds,
                        0 if refused else PRIORITY, args.preset)  # fmt: skip
    conditions = collect(tools=True) | {
        "display": f"Xvfb {mode.width}x{mode.height}x24, no refresh",
        "mode": str(mode),
        "bitrate_bps": settings.bitrate_bps,
        "encoder": f"x264 {settings.preset}, key frame every second",
        "scheduling": f"ordinary ({refused})" if refused else f"SCHED_RR {PRIORITY} for every process of every row",
    }
    watch = ConditionsWatch()
    watch.start()
    runs: dict[str, list[Row]] = {peer.name: [] for peer in peers}
    print(heading(conditions), flush=True)
    for turn in range(1, args.rounds + 1):
        for peer in peers:
            print(f"\r\x1b[Kround {turn} of {args.rounds}: {peer.name}", end="", file=sys.stderr, flush=True)
            runs[peer.name].append(_fit_turn(peer, settings))
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    rows = [merged(turns) for turns in runs.values()]
    for row in rows:
        print(line(row.as_json()))
    conditions |= watch.stop()
    result = as_json(rows, conditions)
    print(footer(result))
    if args.json:
        try:
            args.json.write_text(json.dumps(result, indent=1) + "\n")
        except OSError as error:
            raise FileError(f"cannot write {args.json}: {error.strerror or error}") from error
    return 0 if rows[0].figures else 1


def _fit_turn(peer: Peer, settings: Settings) -> Row:
    """One turn; again where the machine was taken from it meanwhile, which says nothing about the row."""
    turns: list[Row] = []
    while len(turns) < _TRIES:
        turns.append(measure(peer, settings))
        if not turns[-1].unfit:
            break
    return min(turns, key=lambda row: len(row.unfit))


def as_json(rows: Sequence[Row], conditions: dict[str, Any]) -> dict[str, Any]:
    gaps = [gap for row in rows for gap in row.gaps_ms]
    return {
        "schema": SCHEMA,
        "conditions": conditions,
        "rows": [row.as_json() for row in rows],
        "against_best": against_best([row.as_json() for row in rows]),
        "sampling": {"gap_ms": summary(gaps), "rate_hz": round(1000 * len(gaps) / sum(gaps)) if gaps else None},
    }


def against_best(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Our figure divided by the best peer's, for each figure that is promised; {} without a peer."""
    ours, peers = rows[0], [row for row in rows if row["name"] not in OURS and row["screen_latency_ms"]["n"]]
    ratios: dict[str, dict[str, Any]] = {}
    for part in ("screen_latency_ms", "receive_ms"):
        for percent in ("p50", "p95"):
            if peers and ours[part]["n"]:
                best = min(peers, key=lambda row: float(row[part][percent]))
                ratio = round(ours[part][percent] / best[part][percent], 3)
                ratios[f"{part.removesuffix('_ms')}_{percent}"] = {"ratio": ratio, "peer": best["name"]}
    return ratios


_COLUMNS = ("p50", "p95", "p99", "max")


def heading(conditions: dict[str, Any]) -> str:
    return (
        f"{conditions['mode']}, {conditions['bitrate_bps'] / 1e6:g} Mbit/s, {conditions['encoder']}; "
        f"{conditions['cpu']} x {conditions['cores']}, kernel {conditions['kernel']}; {conditions['scheduling']}\n"
        f"{'':24}{'screen latency, ms':^36}{'encode':>9}{'minus encode':>16}{'shown/sent':>14}\n"
        f"{'':24}" + "".join(f"{name:>9}" for name in _COLUMNS) + f"{'p50':>9}{'p50':>8}{'p95':>8}"
    )


def line(row: dict[str, Any]) -> str:
    """A row of the table for people."""
    screen, encode, receive = row["screen_latency_ms"], row["encode_ms"], row["receive_ms"]
    if not screen["n"]:
        return f"{row['name']:24}{row['note']}"
    figures = "".join(f"{screen[name]:9.2f}" for name in _COLUMNS)
    rest = f"{_number(encode['p50'], 9)}{_number(receive['p50'], 8)}{_number(receive['p95'], 8)}"
    marks = f"  unfit: {'; '.join(row['unfit'])}" if row["unfit"] else ""
    return f"{row['name']:24}{figures}{rest}{row['shown']:>8}/{row['sent']}{marks}"


def footer(result: dict[str, Any]) -> str:
    gap, conditions = result["sampling"]["gap_ms"], result["conditions"]
    ratios = result["against_best"]
    lines = []
    if ratios:
        names = {"screen_latency": "screen", "receive": "minus encode"}
        said = (f"{names[key[:-4]]} {key[-3:]} {one['ratio']:.2f} of {one['peer']}" for key, one in ratios.items())
        lines.append("thinair against the best peer: " + ", ".join(said))
    for row in result["rows"]:
        if difference := row.get("in_band_vs_screen_ms"):
            lines.append(
                f"in-band vs screen ({row['name']}): screen is later by p50 {difference['p50']:.2f} ms, "
                f"p95 {difference['p95']:.2f} ms, over {difference['n']} pictures"
            )
    if gap["n"]:
        lines.append(
            f"sampled {result['sampling']['rate_hz']} times a second; seen late by at most the gap between two looks: "
            f"p50 {gap['p50']:.2f}, p99 {gap['p99']:.2f}, max {gap['max']:.2f} ms"
        )
    lines.append(
        f"steal {conditions['steal_share']:.1%}, other programs {conditions['foreign_share']:.1%}, "
        f"load average before {conditions['load_average'][0]:g}"
        + (f"; unfit: {'; '.join(conditions['unfit'])}" if conditions["unfit"] else "")
    )
    return "\n".join(lines)


def _number(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.2f}"
