"""`thinair bench glass`: screen latency, read from the screen, of thinair and of baselines with the same pictures.

docs/measuring.md says where each figure begins and ends, and which rules make the rows comparable."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Literal, TypedDict

from thinair.bench.analysis.run_files import write_json
from thinair.bench.analysis.summary import COLUMNS, Percentiles, summary
from thinair.bench.glass.baselines import OPTIONAL, OURS, PlayerSpec, choose
from thinair.bench.glass.row import Row, RowFigures, Settings, measure, merged
from thinair.bench.harness.options import add_baselines, add_bitrate, add_json, add_mode
from thinair.bench.harness.processes import PRIORITY, realtime
from thinair.bench.harness.run_conditions import Conditions, RunConditions, scheduling
from thinair.link.errors import ConfigError
from thinair.link.options import parse_bitrate
from thinair.link.video_mode import Mode

SCHEMA = "thinair.bench-glass/1"
_TRIES = 3  # of a turn on a busy machine


class Ratio(TypedDict):
    """thinair's figure divided by that of the best baseline."""

    ratio: float
    baseline: str


class Sampling(TypedDict):
    gap_ms: Percentiles
    rate_hz: int | None


class Table(TypedDict):
    schema: str
    conditions: Conditions
    rows: list[RowFigures]
    against_best: dict[str, Ratio]
    sampling: Sampling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_mode(parser)
    parser.add_argument(
        "--seconds", type=float, default=15.0, metavar="S", help="length of a row, all rounds together; default 15 s"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="turns of each row, each with 3 s of warm-up; default 3"
    )
    add_bitrate(parser)
    parser.add_argument("--preset", default="ultrafast", metavar="NAME", help="preset of x264; default ultrafast")
    add_baselines(parser, OPTIONAL)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """0 where thinair's row has figures, else 1. Raises ConfigError, FileError."""
    mode = Mode.parse(args.mode)
    players = choose(args.baselines)
    if args.rounds < 1 or args.seconds <= 0:
        raise ConfigError("--rounds must be 1 or more, and --seconds above 0")
    refused = realtime()
    settings = Settings(str(mode), mode.width, mode.height, parse_bitrate(args.bitrate), args.seconds / args.rounds,
                        0 if refused else PRIORITY, args.preset)  # fmt: skip
    added: Conditions = {
        "display": f"Xvfb {mode.width}x{mode.height}x24, no refresh",
        "mode": str(mode),
        "bitrate_bps": settings.bitrate_bps,
        "encoder": f"x264 {settings.preset}, key frame every second",
        "scheduling": scheduling(refused, PRIORITY),
    }
    conditions = RunConditions(added, tools=True)
    turns: dict[str, list[Row]] = {player.name: [] for player in players}
    print(heading(conditions.machine), flush=True)
    for turn in range(1, args.rounds + 1):
        for player in players:
            print(f"\r\x1b[Kround {turn} of {args.rounds}: {player.name}", end="", file=sys.stderr, flush=True)
            turns[player.name].append(_turn(player, settings))
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    rows = [merged(one) for one in turns.values()]
    for row in rows:
        print(line(row.as_json()))
    result = table(rows, conditions.finish())
    print(footer(result))
    write_json(args.json, result)
    return 0 if rows[0].figures else 1


def _turn(player: PlayerSpec, settings: Settings) -> Row:
    """One turn, repeated where the machine was busy."""
    turns: list[Row] = []
    while len(turns) < _TRIES:
        turns.append(measure(player, settings))
        if not turns[-1].unfit:
            break
    return min(turns, key=lambda row: len(row.unfit))


def table(rows: Sequence[Row], conditions: Conditions) -> Table:
    """The result as JSON."""
    gaps = [gap for row in rows for gap in row.gaps_ms]
    figures = [row.as_json() for row in rows]
    return {
        "schema": SCHEMA,
        "conditions": conditions,
        "rows": figures,
        "against_best": against_best(figures),
        "sampling": {"gap_ms": summary(gaps), "rate_hz": round(1000 * len(gaps) / sum(gaps)) if gaps else None},
    }


def against_best(rows: Sequence[RowFigures]) -> dict[str, Ratio]:
    """thinair's figure divided by the best baseline's, for p50 and p95 of each; {} without a baseline."""
    ours, baselines = rows[0], [row for row in rows if row["name"] not in OURS and row["screen_latency_ms"]["n"]]
    ratios: dict[str, Ratio] = {}
    parts: tuple[Literal["screen_latency_ms", "receive_ms"], ...] = ("screen_latency_ms", "receive_ms")
    for part in parts:
        for column in COLUMNS[:2]:
            known = [(value, row["name"]) for row in baselines if (value := row[part][column]) is not None]
            mine = ours[part][column]
            if known and mine is not None:
                best, name = min(known)
                ratios[f"{part.removesuffix('_ms')}_{column}"] = {"ratio": round(mine / best, 3), "baseline": name}
    return ratios


def heading(conditions: Conditions) -> str:
    return (
        f"{conditions['mode']}, {conditions['bitrate_bps'] / 1e6:g} Mbit/s, {conditions['encoder']}; "
        f"{conditions['cpu']} x {conditions['cores']}, kernel {conditions['kernel']}; {conditions['scheduling']}\n"
        f"{'':24}{'screen latency, ms':^36}{'encode':>9}{'minus encode':>16}{'shown/sent':>14}\n"
        f"{'':24}" + "".join(f"{name:>9}" for name in COLUMNS) + f"{'p50':>9}{'p50':>8}{'p95':>8}"
    )


def line(row: RowFigures) -> str:
    """A row of the table for the terminal."""
    screen, encode, receive = row["screen_latency_ms"], row["encode_ms"], row["receive_ms"]
    if not screen["n"]:
        return f"{row['name']:24}{row['note']}"
    figures = "".join(_number(screen[name], 9) for name in COLUMNS)
    rest = f"{_number(encode['p50'], 9)}{_number(receive['p50'], 8)}{_number(receive['p95'], 8)}"
    marks = f"  unfit: {'; '.join(row['unfit'])}" if row["unfit"] else ""
    return f"{row['name']:24}{figures}{rest}{row['shown']:>8}/{row['sent']}{marks}"


def footer(result: Table) -> str:
    gap, conditions = result["sampling"]["gap_ms"], result["conditions"]
    lines = []
    if ratios := result["against_best"]:
        names = {"screen_latency": "screen", "receive": "minus encode"}
        parts = (f"{names[key[:-4]]} {key[-3:]} {one['ratio']:.2f} × {one['baseline']}" for key, one in ratios.items())
        lines.append("thinair, encrypted, relative to the best baseline: " + ", ".join(parts))
    for row in result["rows"]:
        if difference := row.get("in_band_vs_screen_ms"):
            lines.append(
                f"{row['name']}: screen minus in-band latency p50{_number(difference['p50'], 6)} ms, "
                f"p95{_number(difference['p95'], 6)} ms, over {difference['n']} pictures"
            )
    if gap["n"]:
        lines.append(
            f"screen sampled {result['sampling']['rate_hz']} times a second; largest error, the gap between two "
            f"samples: p50{_number(gap['p50'], 5)}, p99{_number(gap['p99'], 5)}, max{_number(gap['max'], 5)} ms"
        )
    lines.append(
        f"steal {conditions['steal_share']:.1%}, other programs {conditions['foreign_share']:.1%}, "
        f"load average before {conditions['load_average'][0]:g}"
        + (f"; unfit: {'; '.join(conditions['unfit'])}" if conditions["unfit"] else "")
    )
    return "\n".join(lines)


def _number(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.2f}"
