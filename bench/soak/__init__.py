"""`thinair bench soak`: hours of picture, with a fault every few seconds, and a verdict at the end.

Sender and player are what a user runs, sealed, with the air between them at an address of its own; the picture is read
off the screen, by one clock. docs/measuring.md."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from thinair.bench.analysis.recorded_run import write_text
from thinair.bench.harness.processes import PRIORITY, realtime
from thinair.bench.harness.xvfb_screen import ScreenError
from thinair.bench.soak.faults import KILLS, KINDS, Fault, Faults
from thinair.bench.soak.rig import Stage
from thinair.bench.soak.verdict import Soak, judge
from thinair.link.errors import ConfigError, DeviceError, Exit
from thinair.link.files import check_writable
from thinair.link.native import now_us
from thinair.link.options import parse_bitrate
from thinair.link.video_mode import Mode
from thinair.receiver.stats.run_conditions import ConditionsWatch, collect

SCHEMA = "thinair.soak/1"
_FIRST_S, _START_S = 15.0, 5.0
_SAMPLE_S = 1.0
_LONG_S = 900.0  # enough for a process to be seen to grow


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hours", type=float, default=0.5, help="default 0.5")
    parser.add_argument("--every", type=float, default=20.0, metavar="SECONDS", help="between two faults; default 20")
    parser.add_argument("--faults", default="all", metavar="all|none|NAME,NAME", help=f"of: {', '.join(KINDS)}")
    parser.add_argument("--mode", default="1920x1080@25", metavar="WIDTHxHEIGHT@RATE", help="default 1920x1080@25")
    parser.add_argument("--bitrate", default="8M", help="default 8M")
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="the verdict and each fault")


def run(args: argparse.Namespace) -> int:
    """0 where the verdict is good, else 1. Raises ConfigError, DeviceError, FileError."""
    kinds = _kinds(args.faults)
    if args.hours <= 0 or args.every < 10:
        raise ConfigError("give --hours above 0 and --every of 10 seconds or more: a fault needs its time")
    check_writable(args.json)
    refused = realtime()
    mode = Mode.parse(args.mode)
    watch = ConditionsWatch()
    watch.start()
    with tempfile.TemporaryDirectory(prefix="thinair-soak-") as folder:
        try:
            with Stage(mode, parse_bitrate(args.bitrate), Path(folder), 0 if refused else PRIORITY) as stage:
                soak = _soak(stage, args.hours * 3600, args.every, kinds)
        except ScreenError as error:
            raise DeviceError(str(error)) from error
    found = judge(soak)
    conditions = collect() | {"scheduling": refused or f"SCHED_RR {PRIORITY}", **watch.stop()}
    print("\n".join(lines(found)))
    if args.json is not None:
        content = {"schema": SCHEMA, "mode": str(mode), "every_s": args.every, "conditions": conditions, **found}
        write_text(args.json, json.dumps(content, indent=1) + "\n")
    for why in conditions["unfit"]:
        print(f"unfit: {why}")
    return int(Exit.FAULTS if found["failed"] else Exit.OK)


def _kinds(text: str) -> tuple[str, ...]:
    if text in {"all", "none"}:
        return KINDS if text == "all" else ()
    words = tuple(word.strip() for word in text.split(","))
    for word in words:
        if word not in KINDS:
            raise ConfigError(f"fault {word!r} is not known: use all, none, or some of {', '.join(KINDS)}")
    return words


def _soak(stage: Stage, seconds: float, every_s: float, kinds: tuple[str, ...]) -> Soak:
    faults, found = Faults(stage), list[Fault]()
    until = time.monotonic() + _FIRST_S
    while not stage.sightings:
        if (trouble := stage.trouble()) or time.monotonic() > until:
            raise DeviceError(trouble or f"no picture within {_FIRST_S:g} s")
        time.sleep(0.05)
    time.sleep(_START_S)
    began = time.monotonic()
    began_us, due, trouble = now_us(), began + every_s, ""
    while (now := time.monotonic()) < began + seconds:
        if trouble := stage.trouble():
            break  # by itself: the soak ends with what it has
        stage.sample()
        if now >= due:
            due += every_s
            if not kinds or now > began + seconds - every_s / 2:
                continue
            share = (now - began) / seconds if seconds >= _LONG_S else 0.0
            found.append(faults.do(_next(kinds, len(found), middle=1 / 6 < share < 5 / 6)))
            _tell(found[-1], now - began)
        time.sleep(max(0.0, min(_SAMPLE_S, due - time.monotonic())))
    return Soak(began_us, now_us(), stage.sightings, found, stage.lives, stage.yardstick(), trouble)


def _next(kinds: tuple[str, ...], number: int, *, middle: bool) -> str:
    """In turn; in the middle of the soak none that ends a process, so that each lives long enough to show growth."""
    mild = tuple(kind for kind in kinds if kind not in KILLS)
    chosen = mild if middle and mild else kinds
    return chosen[number % len(chosen)]


def _tell(fault: Fault, at_s: float) -> None:
    if sys.stderr.isatty():
        print(f"{at_s:8.0f} s  {fault.kind}{': ' if fault.note else ''}{fault.note}", file=sys.stderr, flush=True)


def _drift(found: dict[str, Any]) -> str:
    whole = "" if found["difference_ms"] is None else f"p50 of the last less the first {found['difference_ms']:+.2f} ms"
    if found["drift_ms"] is None:
        return f"not told{whole and '; '}{whole}"
    low, high = found["drift_interval_ms"]
    return (
        f"{found['drift_ms']:+.2f} ms, 95 % interval {low:+.2f} to {high:+.2f} ({whole}, the machine's share with it)"
    )


def lines(found: dict[str, Any]) -> list[str]:
    out = [f"{found['seconds'] / 60:.1f} minutes, {found['pictures']} pictures seen on the screen"]
    out.append(f"{'latency, ms':22}{'p50':>9}{'p95':>9}{'p99':>9}{'n':>9}")
    for name, figures in found["latency_ms"].items():
        values = [figures[key] for key in ("p50", "p95", "p99")]
        cells = "".join(f"{'-':>9}" if value is None else f"{value:9.2f}" for value in values)
        out.append(f"{name:22}{cells}{figures['n']:>9}")
    out.append(f"drift {_drift(found)}")
    out.append(f"stale {found['stale']}; lost {found['lost']} ({found['lost_share']:.3%})")
    for what in ("memory_growth_kb", "descriptor_growth"):
        words = ", ".join(f"{name} {'lived too short' if grown is None else f'{grown:+d}'}"
                          for name, grown in found[what].items())  # fmt: skip
        out.append(f"{what.replace('_', ' ')}: {words}")
    for kind, one in found["faults"].items():
        times = f"back after p50 {one['p50_ms']:.0f}, max {one['max_ms']:.0f} ms" if one["p50_ms"] is not None else ""
        out.append(f"{kind:18}{one['recovered']:>3} of {one['n']:<4}{times}{'; '.join(one['notes'])}")
    out += [f"FAILED: {why}" for why in found["failed"]] or ["passed"]
    return out
