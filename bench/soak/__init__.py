"""`thinair bench soak`: hours of picture, with a fault every few seconds, and a verdict at the end.

Sender and player run as a user runs them, encrypted, with a relay between them at an address of its own. The picture is
read from the screen, on one clock. docs/measuring.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from thinair.bench.analysis.run_files import write_json
from thinair.bench.harness.processes import PRIORITY, realtime
from thinair.bench.harness.run_conditions import RunConditions, scheduling
from thinair.bench.harness.xvfb_screen import ScreenError
from thinair.bench.soak.faults import KILLS, KINDS, Fault, Faults
from thinair.bench.soak.rig import SoakRig
from thinair.bench.soak.verdict import Soak, Verdict, verdict
from thinair.link.errors import ConfigError, DeviceError, Exit
from thinair.link.files import check_writable
from thinair.link.native import now_us
from thinair.link.options import parse_bitrate
from thinair.link.video_mode import Mode

SCHEMA = "thinair.soak/1"
_FIRST_PICTURE_S, _WARM_UP_S = 15.0, 5.0
_SAMPLE_S = 1.0
_GROWTH_SHOWS_S = 900.0  # of a soak in which processes can be seen to grow
_OLD_NAMES = {"air changes": "channel loss", "receiver killed": "player killed"}
_LEAST_PERIOD_S = 10.0  # a fault and its aftermath


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hours", type=float, default=0.5, metavar="H", help="length; default 0.5 h")
    parser.add_argument(
        "--every", type=float, default=20.0, metavar="SECONDS", help="period of the faults; default 20 s"
    )
    parser.add_argument(
        "--faults", default="all", metavar="all|none|NAME,NAME", help=f"{', '.join(KINDS)}; default all"
    )
    parser.add_argument(
        "--mode", default="1920x1080@25", metavar="WIDTHxHEIGHT@RATE", help="video mode; default 1920x1080@25"
    )
    parser.add_argument("--bitrate", default="8M", metavar="BPS", help="sender's bitrate; default 8M")
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="output: the verdict and each fault")


def run(args: argparse.Namespace) -> int:
    """0, or 1 where the verdict has failures. Raises ConfigError, DeviceError, FileError."""
    kinds = _kinds(args.faults)
    if args.hours <= 0 or args.every < _LEAST_PERIOD_S:
        raise ConfigError(f"--hours must be above 0, and --every at least {_LEAST_PERIOD_S:g} seconds")
    check_writable(args.json)
    refused = realtime()
    mode = Mode.parse(args.mode)
    conditions = RunConditions({"scheduling": scheduling(refused, PRIORITY)})
    with tempfile.TemporaryDirectory(prefix="thinair-soak-") as folder:
        try:
            with SoakRig(mode, parse_bitrate(args.bitrate), Path(folder), 0 if refused else PRIORITY) as rig:
                soak = _soak(rig, args.hours * 3600, args.every, kinds)
        except ScreenError as error:
            raise DeviceError(str(error)) from error
    found, finished = verdict(soak), conditions.finish()
    print("\n".join(lines(found)))
    content = {"schema": SCHEMA, "mode": str(mode), "every_s": args.every, "conditions": finished, **found}
    write_json(args.json, content)
    for why in finished["unfit"]:
        print(f"unfit: {why}")
    return int(Exit.FAULTS if found["failed"] else Exit.OK)


def _kinds(text: str) -> tuple[str, ...]:
    if text in {"all", "none"}:
        return KINDS if text == "all" else ()
    names = tuple(_OLD_NAMES.get(name.strip(), name.strip()) for name in text.split(","))
    for name in names:
        if name not in KINDS:
            raise ConfigError(f"fault {name!r} is not known: use all, none, or some of {', '.join(KINDS)}")
    return names


def _soak(rig: SoakRig, seconds: float, every_s: float, kinds: tuple[str, ...]) -> Soak:
    faults, found = Faults(rig), list[Fault]()
    until = time.monotonic() + _FIRST_PICTURE_S
    while not rig.sightings:
        if (ended := rig.ended()) or time.monotonic() > until:
            raise DeviceError(ended or f"no picture within {_FIRST_PICTURE_S:g} s")
        time.sleep(0.05)
    time.sleep(_WARM_UP_S)
    began = time.monotonic()
    began_us, due, ended = now_us(), began + every_s, ""
    while (now := time.monotonic()) < began + seconds:
        if ended := rig.ended():
            break  # the soak ends here, with what it has
        rig.sample()
        if now >= due:
            due += every_s
            if not kinds or now > began + seconds - every_s / 2:
                continue
            share = (now - began) / seconds if seconds >= _GROWTH_SHOWS_S else 0.0
            found.append(faults.do(_next(kinds, len(found), middle=1 / 6 < share < 5 / 6)))
            _show(found[-1], now - began)
        time.sleep(max(0.0, min(_SAMPLE_S, due - time.monotonic())))
    return Soak(began_us, now_us(), rig.sightings, found, rig.lives, rig.reference_load(), ended)


def _next(kinds: tuple[str, ...], number: int, *, middle: bool) -> str:
    """In turn; in the middle of the soak none that ends a process, so that processes live long enough to grow."""
    mild = tuple(kind for kind in kinds if kind not in KILLS)
    chosen = mild if middle and mild else kinds
    return chosen[number % len(chosen)]


def _show(fault: Fault, at_s: float) -> None:
    if sys.stderr.isatty():
        print(f"{at_s:8.0f} s  {fault.kind}{': ' if fault.note else ''}{fault.note}", file=sys.stderr, flush=True)


def _drift(found: Verdict) -> str:
    parts = ["unknown"]
    if found["drift_ms"] is not None and found["drift_interval_ms"] is not None:
        low, high = found["drift_interval_ms"]
        parts = [f"{found['drift_ms']:+.2f} ms, 95 % interval {low:+.2f} to {high:+.2f}"]
    if found["difference_ms"] is not None:
        parts.append(f"with the machine's own change: {found['difference_ms']:+.2f} ms")
    return "; ".join(parts)


def lines(found: Verdict) -> list[str]:
    """The table for the terminal."""
    out = [f"{found['seconds'] / 60:.1f} minutes, {found['pictures']} pictures seen on the screen"]
    out.append(f"{'latency, ms':22}{'p50':>9}{'p95':>9}{'p99':>9}{'n':>9}")
    for name, figures in found["latency_ms"].items():
        values = [figures["p50"], figures["p95"], figures["p99"]]
        cells = "".join(f"{'-':>9}" if value is None else f"{value:9.2f}" for value in values)
        out.append(f"{name:22}{cells}{figures['n']:>9}")
    out.append(f"drift of p50: {_drift(found)}")
    out.append(f"stale {found['stale']}; lost {found['lost']} ({found['lost_share']:.3%})")
    for what, growth in (("memory growth, kB", found["memory_growth_kb"]), ("descriptors", found["descriptor_growth"])):
        parts = (f"{name} {'unknown' if grown is None else f'{grown:+d}'}" for name, grown in growth.items())
        out.append(f"{what}: {', '.join(parts)}")
    for kind, one in found["faults"].items():
        recovery = ""
        if one["p50_ms"] is not None:
            recovery = f"recovery p50 {one['p50_ms']:.0f} ms, max {one['max_ms'] or 0:.0f} ms"
        out.append(
            f"{kind:18}{one['recovered']:>3} of {one['n']:<4}{'; '.join(filter(None, [recovery, *one['notes']]))}"
        )
    out += [f"FAILED: {why}" for why in found["failed"]] or ["passed"]
    return out
