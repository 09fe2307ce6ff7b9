"""`thinair bench loop`: a visual code goes through the end-to-end path and back to its own screen; one clock times it.

The player's window is on the screen that the sender grabs, so what the bench draws beside it returns in it. The same
pictures are timed by the player itself, and by a code that the sender draws into them; the three must agree.
docs/measuring.md says where each figure begins and ends."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from thinair.bench.analysis.recorded_run import WAYS, Frame, FrameTimeline, LoopResult, RecordedRun, Report, way_ms
from thinair.bench.analysis.run_files import read_frames, read_report
from thinair.bench.analysis.summary import COLUMNS
from thinair.bench.analysis.summary import read_frames as read_numbers
from thinair.bench.harness.options import add_bitrate, add_mode
from thinair.bench.harness.processes import PRIORITY, realtime
from thinair.bench.harness.run_conditions import Conditions, RunConditions, scheduling
from thinair.bench.harness.xvfb_screen import ScreenError
from thinair.bench.loop.board import Board
from thinair.bench.loop.board import laps as laps_of_board
from thinair.bench.loop.board import run as run_board
from thinair.bench.loop.cost import cost
from thinair.bench.loop.figures import Lap, agreement, laps
from thinair.bench.loop.rig import DELAYABLE, PATH_STAGES, Injected, Round, Setting
from thinair.bench.loop.rig import run as run_rig
from thinair.bench.report import outputs
from thinair.bench.report.frame_timeline import WORST, by_frame, read_pcap, worst
from thinair.commands.demo import merge
from thinair.link.errors import ConfigError, DeviceError, Exit
from thinair.link.files import check_writable
from thinair.link.options import parse_bitrate
from thinair.link.video_mode import Mode
from thinair.sender.sources.visual_code import Geometry

_USUAL_HZ = 60.0
_NOT_SHOWN_MS = 1e9  # in the order of timelines: before all that were shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_mode(parser)
    parser.add_argument(
        "--seconds", type=float, default=30.0, metavar="S", help="length of all rounds together; default 30 s"
    )
    parser.add_argument(
        "--rounds", type=int, default=1, metavar="N", help="starts of all programs; 6 for bench compare; default 1"
    )
    add_bitrate(parser)
    parser.add_argument(
        "--board", metavar="STRIP,WINDOW",
        help="a separate sender with its HDMI input cabled to monitor STRIP; its picture is shown on monitor WINDOW",
    )  # fmt: skip
    parser.add_argument(
        "--listen", default="5004", metavar="[HOST:]PORT", help="UDP address for --board to send to; default 5004"
    )
    parser.add_argument("--cost", action="store_true", help="the latency that the bench itself adds")
    parser.add_argument("--slow", metavar="STAGE=US", help=f"a delay on purpose in one stage: {', '.join(DELAYABLE)}")
    parser.add_argument(
        "--wire-us", type=int, metavar="US", help="a relay with this delay between both ends, unencrypted"
    )
    parser.add_argument("--lossy", action="store_true", help="loss of one packet per frame in that relay")
    parser.add_argument("--pcap", type=Path, metavar="FILE.pcap", help="output: the packets of the last round")
    outputs.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """0 where the three ways agree, else 1. Raises ConfigError, DeviceError, FileError."""
    if args.rounds < 1 or args.seconds <= 0:
        raise ConfigError("--rounds must be 1 or more, and --seconds above 0")
    check_writable(args.json, args.html, args.csv, args.pcap)
    mode, board = Mode.parse(args.mode), None
    if args.board is not None:
        if args.slow or args.cost or args.wire_us is not None:
            raise ConfigError("--board cannot be combined with --slow, --cost and --wire-us")
        board = Board.of(args.board, os.environ.get("DISPLAY", ":0"), args.listen)
        mode = replace(mode, width=board.strip.width, height=board.strip.height)
    try:
        Geometry(mode.width, mode.height)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    setting = Setting(mode, args.seconds / args.rounds, parse_bitrate(args.bitrate), 0, _injected(args))
    refused = realtime()
    setting = setting.with_priority(0 if refused else PRIORITY)
    if args.cost:
        return cost(setting, args.rounds, args.json)
    try:
        found = _measure(setting, args.rounds, refused, args.pcap, board)
    except ScreenError as error:
        raise DeviceError(str(error)) from error
    assert found.loop is not None
    for line in lines(found.loop):
        print(line)
    for why in found.unfit:
        print(f"unfit: {why}")
    outputs.write(found, args)
    faults = [*found.faults(), *found.loop["faults"]]
    for fault in faults:
        print(f"fault: {fault}")
    return int(Exit.FAULTS if faults else Exit.OK)


def _injected(args: argparse.Namespace) -> Injected:
    stage, us = "", 0
    if args.slow:
        stage, _, text = args.slow.partition("=")
        if stage not in DELAYABLE or not text.isdecimal():
            raise ConfigError(f"--slow {args.slow!r}: write STAGE=US with one of {', '.join(DELAYABLE)}")
        us = int(text)
    if stage in PATH_STAGES and args.wire_us is None:
        raise ConfigError(f"--slow {stage} needs --wire-us, in the run that it is compared with too")
    return Injected(stage, us, args.wire_us, args.lossy)


def _measure(setting: Setting, rounds: int, refused: str | None, pcap: Path | None, board: Board | None) -> RecordedRun:
    added: Conditions = {
        "display": f"Xvfb, {setting.mode.width} wide, no refresh" if board is None else board.display,
        "scheduling": scheduling(refused, PRIORITY),
    }
    conditions = RunConditions(added)
    frames: list[Frame] = []
    timelines: list[FrameTimeline] = []
    all_laps: list[Lap] = []
    gaps = array("I")
    reports: list[Report] = []
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="thinair-loop-") as folder:
            home = Path(folder)
            packets = ["--packets", str(home / "player.pcap")]
            found = run_rig(setting, home, packets) if board is None else run_board(board, setting, home, packets)
            if found.trouble:
                raise DeviceError(found.trouble)
            timed, rows = _joined(found, number, board)
            all_laps += timed
            gaps += found.gaps_us
            frames += rows
            timelines += worst(rows, by_frame(read_pcap(home / "player.pcap")))
            reports.append(_report(home, with_sender=board is None))
            if pcap is not None and number == rounds - 1:
                shutil.copyfile(home / "player.pcap", pcap)
    report = _of_all_rounds(reports, conditions.finish())
    timelines.sort(key=lambda one: -(one["latency_ms"] or _NOT_SHOWN_MS))
    result = agreement(all_laps, gaps, 0.0 if board is None else _refresh_ms(reports[-1]))
    return RecordedRun("loop", report, frames, timelines[:WORST], result)


def _joined(found: Round, number: int, board: Board | None) -> tuple[list[Lap], list[Frame]]:
    """What was timed in a round, and its frames within the window."""
    rows = read_frames(found.home / "player.csv")
    timed = laps(found, read_numbers(found.home / "sender.csv"), rows) if board is None else laps_of_board(found, rows)
    loop_us = {lap.frame_id: round(lap.loop_us) for lap in timed}
    first, last = found.window_us
    known = [row.frame_id for row in rows if row.capture_us is not None and first <= row.capture_us < last]
    kept = [row for row in rows if known and known[0] <= row.frame_id <= known[-1]]
    return timed, [replace(row, round=number, loop_us=loop_us.get(row.frame_id)) for row in kept]


def _report(home: Path, *, with_sender: bool) -> Report:
    """The player's, with the counts of the sender."""
    player = dict(read_report(home / "player.json"))
    sender = dict(read_report(home / "sender.json")) if with_sender else {}
    return cast("Report", merge(player, sender, {}))


def _refresh_ms(report: Report) -> float:
    """Of both displays: the strip waits for its own, the window for its."""
    return 2 * 1000 / (report["conditions"].get("refresh_hz") or _USUAL_HZ)


def _of_all_rounds(reports: Sequence[Report], conditions: Conditions) -> Report:
    """The last round's report with the counts of all rounds."""
    report = cast("Report", {**reports[-1], "conditions": {**reports[-1]["conditions"], **conditions}})
    report["frames"] = _summed([one.get("frames", {}) for one in reports])
    report["drops"] = _summed([one.get("drops", {}) for one in reports])
    report["recovery"] = _summed([one.get("recovery", {}) for one in reports])
    return report


def _summed(sections: Sequence[dict[str, int | None]]) -> dict[str, int | None]:
    """Counts of all rounds; what is no count (`_us`) is the last round's."""
    names = dict.fromkeys(name for one in sections for name in one)
    counts = {name: sum(one.get(name) or 0 for one in sections) for name in names if not name.endswith("_us")}
    return {**sections[-1], **counts}


def lines(found: LoopResult) -> list[str]:
    """The table for the terminal."""
    if not found["n"]:
        return ["no picture was timed"]
    out = [f"{'ms':12}{'mean':>9}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}  of {found['n']} pictures"]
    for way in WAYS:
        if way in found["means_ms"]:
            figures = way_ms(found, way)
            values = [found["means_ms"][way], *(figures[column] for column in COLUMNS)]
            cells = "".join(f"{'-':>9}" if value is None else f"{value:9.2f}" for value in values)
            out.append(
                f"{way.replace('_', '-'):12}{cells}" + (f"  {figures['too_few']}" if "too_few" in figures else "")
            )
    for name, pair in found["pairs"].items():
        one, other = ("loop", name[5:]) if name.startswith("loop") else ("screen", "in_band")
        names = f"{one} - {other.replace('_', '-')}"
        out.append(f"{names:22}{pair['mean_ms']:+7.2f} ms mean difference, bound {pair['bound_ms']:.2f} ms")
    if found["grab_ms"]:
        out.append(f"from strip to grab {found['wait_ms']:.2f} ms, grab {found['grab_ms']:.2f} ms on average")
    out.append(
        f"clock bound ±{found['clock_bound_ms']:.3f} ms, screen sampling gap {found['sampling_gap_ms']:.3f} ms, "
        f"half the time between two codes {found['half_step_ms']:.2f} ms"
    )
    return out
