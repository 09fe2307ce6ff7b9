"""`thinair bench players`: what recorder, dashboard and viewers cost the picture, and how fast a browser joins.

Rows in turns as in `thinair bench glass`: screen latency read from the screen, relative to the row without workers."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

from thinair.bench.analysis.run_files import write_json
from thinair.bench.analysis.summary import COLUMNS
from thinair.bench.glass.baselines import Place, PlayerSpec
from thinair.bench.glass.row import Row, RowFigures, Settings, measure, merged, sender_command
from thinair.bench.harness.chromium import QUIET, answers, chromium
from thinair.bench.harness.free_ports import free_port, free_tcp_port
from thinair.bench.harness.options import add_bitrate, add_json, add_mode
from thinair.bench.harness.processes import PRIORITY, process, realtime
from thinair.bench.harness.run_conditions import Conditions, RunConditions
from thinair.bench.players import recovery_time
from thinair.bench.players.player_process import KINDS
from thinair.link.child_process import python_module
from thinair.link.errors import ConfigError, DeviceError
from thinair.link.options import parse_bitrate
from thinair.link.video_mode import Mode

SCHEMA = "thinair.bench-players/1"
_TRIES = 3
_JOIN_TIMEOUT_MS = 20_000
Shares = dict[str, float]  # worker → share of a core


class Table(TypedDict):
    """`against_off_ms`: percentile → ms above the row "off". `returns_ms`: recovery times by what was gone."""

    schema: str
    conditions: Conditions
    rows: dict[str, RowFigures]
    against_off_ms: dict[str, dict[str, float]]
    joins_ms: list[int]
    returns_ms: dict[str, list[float]]
    shares: dict[str, Shares]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_mode(parser, "1920x1080@30")
    parser.add_argument(
        "--seconds", type=float, default=75.0, metavar="S", help="length of a row, all rounds together; default 75 s"
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each row; default 5")
    parser.add_argument("--rows", default=",".join(KINDS), metavar="NAME,NAME", help=f"{', '.join(KINDS)}; default all")
    add_bitrate(parser)
    parser.add_argument("--joins", type=int, default=10, metavar="N", help="joins of a browser, 0 for none; default 10")
    parser.add_argument(
        "--returns", type=int, default=5, metavar="N", help="returns of sender, player and path, 0 for none; default 5"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """0 where every row has figures. Raises ConfigError, DeviceError, FileError."""
    mode = Mode.parse(args.mode)
    kinds = [name.strip() for name in args.rows.split(",")]
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ConfigError(f"row {unknown[0]!r} is not known: use some of {', '.join(KINDS)}")
    if ("browser" in kinds or args.joins) and chromium() is None:
        raise DeviceError(
            "Chromium is not installed: run make bench-setup, or use --rows without browser and --joins 0"
        )
    if args.joins and find_spec("playwright") is None:
        raise DeviceError("playwright is not installed: run make bench-setup, or use --joins 0")
    refused = realtime()
    settings = Settings(
        str(mode), mode.width, mode.height, parse_bitrate(args.bitrate), args.seconds / args.rounds,
        0 if refused else PRIORITY,
    )  # fmt: skip
    conditions = RunConditions({"mode": str(mode), "bitrate_bps": settings.bitrate_bps}, tools=True)
    shares: dict[str, list[Shares]] = {kind: [] for kind in kinds}
    turns: dict[str, list[Row]] = {kind: [] for kind in kinds}
    for turn in range(1, args.rounds + 1):
        for kind in kinds:
            print(f"\r\x1b[Kround {turn} of {args.rounds}: {kind}", end="", file=sys.stderr, flush=True)
            turns[kind].append(_turn(kind, settings, shares[kind]))
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))  # a browser gets no real-time priority in real use
    joins_ms = _joins(settings, args.joins) if args.joins else []
    returns_ms = {
        kind: sorted(recovery_time.times_ms(kind, settings, args.returns))
        for kind in recovery_time.KINDS
        if args.returns
    }
    table: Table = {
        "schema": SCHEMA,
        "conditions": conditions.finish(),
        "rows": {kind: merged(turns[kind]).as_json() for kind in kinds},
        "against_off_ms": {kind: _against(turns[kind], turns["off"]) for kind in kinds if "off" in turns},
        "joins_ms": joins_ms,
        "returns_ms": returns_ms,
        "shares": {kind: _medians(shares[kind]) for kind in kinds},
    }
    print("\n".join(lines(table)))
    write_json(args.json, table)
    return 0 if all(row["screen_latency_ms"]["n"] for row in table["rows"].values()) else 1


def _turn(kind: str, settings: Settings, shares: list[Shares]) -> Row:
    """One turn, repeated where the machine was busy."""
    best: tuple[Row, Shares] | None = None
    for _ in range(_TRIES):
        with tempfile.NamedTemporaryFile(suffix=".json") as kept:
            row = measure(_player(kind, Path(kept.name)), settings)
            text = Path(kept.name).read_text()
        found: Shares = json.loads(text) if text else {}
        if best is None or len(row.unfit) < len(best[0].unfit):
            best = row, found
        if not row.unfit:
            break
    assert best is not None
    shares.append(best[1])
    return best[0]


def _player(kind: str, kept: Path) -> PlayerSpec:
    def command(place: Place) -> list[str]:
        # The row's home is removed at the end of measure(): a link there leads the shares to a file that stays.
        link = place.home / "shares.json"
        if not link.is_symlink():
            link.symlink_to(kept)
        module = "thinair.bench.players.player_process"
        return python_module(module, kind, str(place.port), place.display, str(place.home))

    return PlayerSpec(kind, KINDS[kind], "thinair", command)


def _joins(settings: Settings, count: int) -> list[int]:
    """ms from the navigation to the first picture, by the clock of the page, each in a new window."""
    from playwright.sync_api import sync_playwright

    found: list[int] = []
    media, page_port = free_port(), free_tcp_port()
    player = python_module("thinair", "play", "--headless", "--listen", f"127.0.0.1:{media}")
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        with (
            process([*player, "--dashboard", str(page_port)], folder / "play.log", {}),
            process(sender_command("thinair", media, settings, folder / "s.csv"), folder / "send.log", {}),
            sync_playwright() as playwright,
        ):
            while not answers(page_port):
                time.sleep(0.1)
            browser = playwright.chromium.launch(executable_path=chromium(), args=[*QUIET])
            for index in range(count + 1):
                print(f"\r\x1b[Kjoin {index} of {count}", end="", file=sys.stderr, flush=True)
                page = browser.new_page()
                page.goto(f"http://127.0.0.1:{page_port}/")
                page.locator("body[data-joined]").wait_for(timeout=_JOIN_TIMEOUT_MS)
                if index:  # the first one loads Chromium itself
                    found.append(int(page.get_attribute("body", "data-joined") or 0))
                page.wait_for_timeout(500)
                page.close()
            browser.close()
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return sorted(found)


def _against(turns: Sequence[Row], off: Sequence[Row]) -> dict[str, float]:
    """Percentile → median over the rounds of its difference to the same round without workers: a moment on a busy
    machine disturbs one round, not the figure."""
    pairs = [
        (one.as_json()["screen_latency_ms"], other.as_json()["screen_latency_ms"])
        for one, other in zip(turns, off, strict=True)
    ]
    found: dict[str, float] = {}
    for name in COLUMNS[:3]:
        differences = [a - b for one, other in pairs if (a := one[name]) is not None and (b := other[name]) is not None]
        if differences:
            found[name] = round(statistics.median(differences), 2)
    return found


def _medians(shares: list[Shares]) -> Shares:
    names = {name for one in shares for name in one}
    return {name: statistics.median(one[name] for one in shares if name in one) for name in sorted(names)}


def lines(table: Table) -> list[str]:
    """The table for the terminal; differences are to the row "off", medians over the rounds."""
    conditions, rows = table["conditions"], table["rows"]
    machine = f"{conditions['cpu']} x {conditions['cores']}"
    out = [
        f"{conditions['mode']}, {conditions['bitrate_bps'] / 1e6:g} Mbit/s, {machine}",
        f"{'':10}{'screen latency, ms':^36}{'above off':>20}{'share of a core':>24}{'shown/sent':>14}",
        f"{'':10}" + "".join(f"{name:>9}" for name in COLUMNS) + f"{'p50':>10}{'p99':>10}{'recorder':>12}{'page':>12}",
    ]
    for kind, row in rows.items():
        latency = row["screen_latency_ms"]
        if not latency["n"]:
            out.append(f"{kind:10}{row['note']}")
            continue
        against = table["against_off_ms"].get(kind, {})
        more = "".join(f"{against[one]:+10.2f}" if one in against else f"{'-':>10}" for one in ("p50", "p99"))
        share = table["shares"][kind]
        cores = "".join(f"{share[one]:12.1%}" if one in share else f"{'-':>12}" for one in ("record", "dashboard"))
        marks = f"  unfit: {'; '.join(row['unfit'])}" if row["unfit"] else ""
        figures = "".join(f"{latency[name]:9.2f}" for name in COLUMNS)
        out.append(f"{kind:10}{figures}{more}{cores}{row['shown']:>8}/{row['sent']}{marks}")
    if joins := table["joins_ms"]:
        out.append(f"a browser's join: p50 {statistics.median(joins):.0f} ms, max {max(joins)} ms, n {len(joins)}")
    for kind, times in table["returns_ms"].items():
        if times:
            figures = f"p50 {statistics.median(times):.0f} ms, max {max(times):.0f} ms, n {len(times)}"
            out.append(f"first current picture after the return of the {kind}: {figures}")
    out += [f"  {kind}: {KINDS[kind]}" for kind in rows]
    out.append(f"steal {conditions['steal_share']:.1%}, other programs {conditions['foreign_share']:.1%}")
    return out
