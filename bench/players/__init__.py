"""`thinair bench desk`: what recorder, dashboard and viewers cost the picture, and how fast a browser joins.

Rows in turns as `thinair bench glass` has them: screen latency read from the screen, beside the row with all of it off.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from thinair.bench.glass.baselines import Peer, Place
from thinair.bench.glass.row import Row, Settings, free_port, measure, merged, sender_command
from thinair.bench.harness.chromium import QUIET, answers, chromium, free_tcp_port
from thinair.bench.harness.processes import PRIORITY, process, realtime
from thinair.bench.players import recovery_time
from thinair.bench.players.player_process import KINDS
from thinair.link.child_process import python_module
from thinair.link.errors import ConfigError, DeviceError, FileError
from thinair.link.options import parse_bitrate
from thinair.link.video_mode import Mode
from thinair.receiver.stats.run_conditions import ConditionsWatch, collect

SCHEMA = "thinair.bench-desk/1"
_TRIES = 3
_COLUMNS = ("p50", "p95", "p99", "max")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mode", default="1920x1080@30", metavar="WIDTHxHEIGHT@RATE", help="default 1920x1080@30")
    parser.add_argument("--seconds", type=float, default=75.0, help="per row, over all rounds; default 75")
    parser.add_argument("--rounds", type=int, default=5, help="rows take turns this often; default 5")
    parser.add_argument("--rows", default=",".join(KINDS), help=f"some of {', '.join(KINDS)}; default all")
    parser.add_argument("--bitrate", default="8M", help="default 8M")
    parser.add_argument("--joins", type=int, default=10, help="how often a browser joins; 0: not measured; default 10")
    parser.add_argument("--returns", type=int, default=5, help="how often each end comes back; 0: not measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON too")


def run(args: argparse.Namespace) -> int:
    """0 where every row has figures. Raises ConfigError, DeviceError, FileError."""
    mode = Mode.parse(args.mode)
    kinds = [name.strip() for name in args.rows.split(",")]
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ConfigError(f"row {unknown[0]!r} is not known: use some of {', '.join(KINDS)}")
    if ("browser" in kinds or args.joins) and chromium() is None:
        raise DeviceError("Chromium is not installed: make bench-setup, or leave out the browser row and --joins 0")
    if args.joins and find_spec("playwright") is None:
        raise DeviceError("playwright is not installed: pip install 'thinair[bench]', or --joins 0")
    refused = realtime()
    settings = Settings(
        str(mode), mode.width, mode.height, parse_bitrate(args.bitrate), args.seconds / args.rounds,
        0 if refused else PRIORITY,
    )  # fmt: skip
    watch = ConditionsWatch()
    watch.start()
    shares: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    turns: dict[str, list[Row]] = {kind: [] for kind in kinds}
    for turn in range(1, args.rounds + 1):
        for kind in kinds:
            print(f"\r\x1b[Kround {turn} of {args.rounds}: {kind}", end="", file=sys.stderr, flush=True)
            turns[kind].append(_fit_turn(kind, settings, shares[kind]))
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    rows = {kind: merged(turns[kind]).as_json() for kind in kinds}
    against = {kind: _against([turn.as_json() for turn in turns[kind]], [turn.as_json() for turn in turns["off"]])
               for kind in kinds if "off" in turns}  # fmt: skip
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))  # a browser shares the machine with a real desk
    joins_ms = _joins(settings, args.joins) if args.joins else []
    returns_ms = {
        kind: sorted(recovery_time.times_ms(kind, settings, args.returns))
        for kind in recovery_time.KINDS
        if args.returns
    }
    conditions = collect(tools=True) | watch.stop() | {"mode": str(mode), "bitrate_bps": settings.bitrate_bps}
    content = {
        "schema": SCHEMA, "conditions": conditions, "rows": rows, "against_off_ms": against,
        "joins_ms": joins_ms, "returns_ms": returns_ms,
        "shares": {kind: _medians(shares[kind]) for kind in kinds},
    }  # fmt: skip
    print("\n".join(lines(content)))
    if args.json:
        try:
            args.json.write_text(json.dumps(content, indent=1) + "\n")
        except OSError as error:
            raise FileError(f"cannot write {args.json}: {error.strerror or error}") from error
    return 0 if all(row["screen_latency_ms"]["n"] for row in rows.values()) else 1


def _fit_turn(kind: str, settings: Settings, shares: list[dict[str, float]]) -> Row:
    """One turn; again where the machine was taken from it meanwhile."""
    best: tuple[Row, dict[str, float]] | None = None
    for _ in range(_TRIES):
        with tempfile.NamedTemporaryFile(suffix=".json") as kept:
            row = measure(_peer(kind, Path(kept.name)), settings)
            text = Path(kept.name).read_text()
        found: dict[str, float] = json.loads(text) if text else {}
        if best is None or len(row.unfit) < len(best[0].unfit):
            best = row, found
        if not row.unfit:
            break
    assert best is not None
    shares.append(best[1])
    return best[0]


def _peer(kind: str, kept: Path) -> Peer:
    def command(place: Place) -> list[str]:
        # The row's home is gone when measure() returns: the shares are written through a link to what stays.
        link = place.home / "shares.json"
        if not link.is_symlink():
            link.symlink_to(kept)
        return [
            *python_module("thinair.bench.players.player_process"),
            kind,
            str(place.port),
            place.display,
            str(place.home),
        ]

    return Peer(kind, KINDS[kind], "thinair", command)


def _joins(settings: Settings, count: int) -> list[int]:
    """From the navigation to the first picture, by the page's own clock, each time in a new window."""
    from playwright.sync_api import sync_playwright

    found: list[int] = []
    media, page_port = free_port(), free_tcp_port()
    words = python_module("thinair", "play", "--headless", "--listen", f"127.0.0.1:{media}")
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        with (
            process([*words, "--dashboard", str(page_port)], folder / "play.log", {}),
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
                page.locator("body[data-joined]").wait_for(timeout=20_000)
                if index:  # the first loads the program itself
                    found.append(int(page.get_attribute("body", "data-joined") or 0))
                page.wait_for_timeout(500)
                page.close()
            browser.close()
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return sorted(found)


def _against(turns: list[dict[str, Any]], off: list[dict[str, Any]]) -> dict[str, float]:
    """Median over the rounds of what a row's percentile is above that of the same round without anything: a machine
    that was taken away for a moment spoils one round, not the figure."""
    pairs = [
        (one["screen_latency_ms"], other["screen_latency_ms"])
        for one, other in zip(turns, off, strict=True)
        if one["screen_latency_ms"]["n"] and other["screen_latency_ms"]["n"]
    ]
    if not pairs:
        return {}
    return {name: round(statistics.median(one[name] - other[name] for one, other in pairs), 2) for name in _COLUMNS[:3]}


def _medians(shares: list[dict[str, float]]) -> dict[str, float]:
    names = {name for one in shares for name in one}
    return {name: statistics.median(one[name] for one in shares if name in one) for name in sorted(names)}


def lines(content: dict[str, Any]) -> list[str]:
    """The table for people; differences are to the row "off", medians over the rounds."""
    conditions, rows = content["conditions"], content["rows"]
    machine = f"{conditions['cpu']} x {conditions['cores']}"
    out = [
        f"{conditions['mode']}, {conditions['bitrate_bps'] / 1e6:g} Mbit/s, {machine}",
        f"{'':10}{'screen latency, ms':^36}{'against off':>20}{'of a core':>24}{'shown/sent':>14}",
        f"{'':10}" + "".join(f"{name:>9}" for name in _COLUMNS) + f"{'p50':>10}{'p99':>10}{'recorder':>12}{'page':>12}",
    ]
    for kind, row in rows.items():
        late = row["screen_latency_ms"]
        if not late["n"]:
            out.append(f"{kind:10}{row['note']}")
            continue
        against = content["against_off_ms"].get(kind, {})
        more = "".join(f"{against[one]:+10.2f}" if against else f"{'-':>10}" for one in ("p50", "p99"))
        share = content["shares"][kind]
        cores = "".join(f"{share[one]:12.1%}" if one in share else f"{'-':>12}" for one in ("record", "dashboard"))
        marks = f"  unfit: {'; '.join(row['unfit'])}" if row["unfit"] else ""
        figures = "".join(f"{late[name]:9.2f}" for name in _COLUMNS)
        out.append(f"{kind:10}{figures}{more}{cores}{row['shown']:>8}/{row['sent']}{marks}")
    if joins := content["joins_ms"]:
        out.append(f"a browser joins in {statistics.median(joins):.0f} ms p50, {max(joins)} ms at most, n {len(joins)}")
    for kind, times in content["returns_ms"].items():
        if times:
            said = f"{statistics.median(times):.0f} ms p50, {max(times):.0f} ms at most, n {len(times)}"
            out.append(f"a live picture after the {kind} is back: {said}")
    out += [f"  {kind}: {KINDS[kind]}" for kind in rows]
    out.append(f"steal {conditions['steal_share']:.1%}, other programs {conditions['foreign_share']:.1%}")
    return out
