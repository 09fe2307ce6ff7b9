"""`thinair bench loop`: a code goes round the whole chain, and one clock times it.

The player's window stands on the screen that the sender grabs: what the bench draws beside it comes back in it. The
same pictures are timed by the player itself, and by a code that the sender draws into them; the three must agree.
docs/measuring.md says where each figure begins and ends."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from thinair.bench.analysis import recorded_run
from thinair.bench.analysis.recorded_run import Run
from thinair.bench.analysis.summary import read_frames as read_numbers
from thinair.bench.harness.processes import PRIORITY, realtime
from thinair.bench.harness.xvfb_screen import ScreenError
from thinair.bench.loop.board import Outside
from thinair.bench.loop.board import laps as laps_outside
from thinair.bench.loop.board import run as run_outside
from thinair.bench.loop.cost import cost
from thinair.bench.loop.figures import Lap, agreement, laps
from thinair.bench.loop.ring import SLOWED, Round, Setting, Slowed
from thinair.bench.loop.ring import run as run_ring
from thinair.bench.report import outputs
from thinair.bench.report.frame_timeline import by_frame, read_pcap, worst
from thinair.commands.demo import merge
from thinair.link.errors import ConfigError, DeviceError, Exit
from thinair.link.files import check_writable
from thinair.link.options import parse_bitrate
from thinair.link.video_mode import Mode
from thinair.receiver.stats.run_conditions import ConditionsWatch, collect
from thinair.sender.sources.visual_code import Geometry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mode", default="1920x1080@25", metavar="WIDTHxHEIGHT@RATE", help="default 1920x1080@25")
    parser.add_argument("--seconds", type=float, default=30.0, help="of pictures, over all rounds; default 30")
    parser.add_argument("--rounds", type=int, default=1, help="so often all starts anew; compare wants 6; default 1")
    parser.add_argument("--bitrate", default="8M", help="default 8M")
    parser.add_argument(
        "--board",
        metavar="STRIP,WINDOW",
        help="the sender is a board whose HDMI input is cabled to monitor STRIP; its picture comes to monitor WINDOW",
    )
    parser.add_argument("--listen", default="5004", metavar="[HOST:]PORT", help="of --board: where it sends to")
    parser.add_argument("--cost", action="store_true", help="what the bench itself adds: rounds with it and without")
    parser.add_argument("--slow", metavar="STAGE=US", help=f"a regression on purpose, in one of {', '.join(SLOWED)}")
    parser.add_argument("--wire-us", type=int, help="a wire of this length between both ends, not sealed")
    parser.add_argument("--lossy", action="store_true", help="on that wire each frame loses a packet, and waits for it")
    parser.add_argument("--pcap", type=Path, metavar="FILE.pcap", help="the packets of the last round")
    outputs.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """0 where the three agree, else 1. Raises ConfigError, DeviceError, FileError."""
    if args.rounds < 1 or args.seconds <= 0:
        raise ConfigError("give --rounds of 1 or more and --seconds above 0")
    check_writable(args.json, args.html, args.csv, args.pcap)
    mode, outside = Mode.parse(args.mode), None
    if args.board is not None:
        if args.slow or args.cost or args.wire_us is not None:
            raise ConfigError("--board measures what is there: without --slow, --cost and --wire-us")
        outside = Outside.of(args.board, os.environ.get("DISPLAY", ":0"), args.listen)
        mode = replace(mode, width=outside.strip.width, height=outside.strip.height)
    try:
        Geometry(mode.width, mode.height)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    setting = Setting(mode, args.seconds / args.rounds, parse_bitrate(args.bitrate), 0, _slowed(args))
    refused = realtime()
    setting = setting.with_priority(0 if refused else PRIORITY)
    if args.cost:
        return cost(setting, args.rounds, args.json)
    try:
        found = _measure(setting, args.rounds, refused, args.pcap, outside)
    except ScreenError as error:
        raise DeviceError(str(error)) from error
    assert found.loop is not None
    for line in lines(found.loop):
        print(line)
    for why in found.report["conditions"]["unfit"]:
        print(f"unfit: {why}")
    outputs.write(found, args)
    faults = [*found.faults(), *found.loop["faults"]]
    for fault in faults:
        print(f"fault: {fault}")
    return int(Exit.FAULTS if faults else Exit.OK)


def _slowed(args: argparse.Namespace) -> Slowed:
    stage, us = "", 0
    if args.slow:
        stage, _, text = args.slow.partition("=")
        if stage not in SLOWED or not text.isdecimal():
            raise ConfigError(f"--slow {args.slow!r}: write STAGE=US, STAGE being one of {', '.join(SLOWED)}")
        us = int(text)
    if stage in {"air", "repair"} and args.wire_us is None:
        raise ConfigError(f"--slow {stage} needs --wire-us, so that the run that it is compared with has a wire too")
    return Slowed(stage, us, args.wire_us, args.lossy)


def _measure(setting: Setting, rounds: int, refused: str | None, pcap: Path | None, outside: Outside | None) -> Run:
    conditions = collect() | {
        "display": f"Xvfb, {setting.mode.width} wide, no refresh" if outside is None else outside.display,
        "scheduling": f"ordinary ({refused})" if refused else f"SCHED_RR {PRIORITY} for all processes",
    }
    watch = ConditionsWatch()
    watch.start()
    frames: list[dict[str, Any]] = []
    stories: list[dict[str, Any]] = []
    all_laps: list[Lap] = []
    gaps = array("I")
    reports = []
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="thinair-loop-") as folder:
            home = Path(folder)
            words = ["--packets", str(home / "player.pcap")]
            found = run_ring(setting, home, words) if outside is None else run_outside(outside, setting, home, words)
            if found.trouble:
                raise DeviceError(found.trouble)
            mine, rows = _joined(found, number, outside)
            all_laps += mine
            gaps += found.gaps_us
            frames += rows
            stories += worst(rows, by_frame(read_pcap(home / "player.pcap")))
            sender = {} if outside is not None else recorded_run.read_json(home / "sender.json")
            reports.append(merge(recorded_run.read_json(home / "player.json"), sender, {}))
            if pcap is not None and number == rounds - 1:
                shutil.copyfile(home / "player.pcap", pcap)
    report = reports[-1] | {"conditions": {**reports[-1]["conditions"], **conditions, **watch.stop()}}
    for section in ("frames", "drops", "recovery"):
        report[section] = _summed([one.get(section) or {} for one in reports], report.get(section) or {})
    stories.sort(key=lambda story: -(story["late_ms"] or 1e9))
    return Run("loop", report, frames, stories[:10], agreement(all_laps, gaps, _refresh_ms(reports[-1], outside)))


def _joined(found: Round, number: int, outside: Outside | None) -> tuple[list[Lap], list[dict[str, Any]]]:
    rows = recorded_run.read_frames(found.home / "player.csv")
    sent = [] if outside is not None else read_numbers(found.home / "sender.csv")
    mine = laps(found, sent, rows) if outside is None else laps_outside(found, rows)
    loop_us = {lap.frame_id: round(lap.loop_us) for lap in mine}
    first, last = found.window_us
    known = [row["frame_id"] for row in rows if row["capture_us"] is not None and first <= row["capture_us"] < last]
    kept = [row for row in rows if known and known[0] <= row["frame_id"] <= known[-1]]
    return mine, [row | {"round": number, "loop_us": loop_us.get(row["frame_id"])} for row in kept]


def _refresh_ms(report: dict[str, Any], outside: Outside | None) -> float:
    """Both displays' refreshes: the strip waits for its own, the window for its."""
    hz = (report.get("conditions") or {}).get("refresh_hz") or 60.0
    return 0.0 if outside is None else 2 * 1000 / hz


def _summed(sections: Sequence[dict[str, Any]], last: dict[str, Any]) -> dict[str, Any]:
    """Counts of all rounds; what is no count (round trip, guard, spacing) is the last round's."""
    counts = {
        name: sum(one.get(name) or 0 for one in sections)
        for name in {name for one in sections for name in one}
        if not name.endswith("_us")
    }
    return {**last, **counts}


def lines(found: Mapping[str, Any]) -> list[str]:
    if not found["n"]:
        return ["no picture was timed"]
    out = [f"{'':12}{'mean':>9}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}  ms, {found['n']} pictures"]
    for name, words in ((name, name.replace("_", "-")) for name in found["means_ms"]):
        figures = found[f"{name}_ms"]
        values = [found["means_ms"][name], *(figures[key] for key in ("p50", "p95", "p99", "max"))]
        cells = "".join(f"{'-':>9}" if value is None else f"{value:9.2f}" for value in values)
        out.append(f"{words:12}{cells}" + (f"  {figures['too_few']}" if "too_few" in figures else ""))
    for name, pair in found["pairs"].items():
        one, other = ("loop", name[5:]) if name.startswith("loop") else ("screen", "in_band")
        words = f"{one} - {other.replace('_', '-')}"
        out.append(f"{words:22}{pair['mean_ms']:+7.2f} ms at the mean, bound {pair['bound_ms']:.2f}")
    if found["grab_ms"]:
        out.append(f"strip to grab {found['wait_ms']:.2f} ms on average; a grab takes {found['grab_ms']:.2f}")
    known = f"clock ±{found['clock_bound_ms']:.3f}, eye {found['eye_gap_ms']:.3f}"
    out.append(f"half a step of the strip's code is {found['half_step_ms']:.2f} ms; {known}")
    return out
