"""`thinair bench report`: a run as a page, as JSON and as CSV, from what demo, play or bench loop wrote."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from thinair.bench.analysis.recorded_run import LATENCY, RecordedRun
from thinair.bench.analysis.run_files import read_run
from thinair.bench.analysis.summary import COLUMNS, intervals
from thinair.bench.report import outputs
from thinair.bench.report.frame_timeline import by_frame, read_pcap, worst
from thinair.link.errors import Exit
from thinair.link.protocol.frame_trace import STAGES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="FILE.json", help="run of bench loop, or report of demo or play")
    parser.add_argument("--frames", type=Path, metavar="FILE.csv", help="frame log of the same demo or play")
    parser.add_argument("--packets", type=Path, metavar="FILE.pcap", help="packet file of the same demo or play")
    outputs.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """0, or 1 where the run has faults. Raises ConfigError, FileError."""
    found = read_run(args.run, args.frames)
    if args.packets is not None:
        found = replace(found, timelines=worst(found.frames, by_frame(read_pcap(args.packets))))
    for line in lines(found):
        print(line)
    outputs.write(found, args)
    faults = found.faults()
    for fault in faults:
        print(f"fault: {fault}")
    return int(Exit.FAULTS if faults else Exit.OK)


def lines(found: RecordedRun) -> list[str]:
    """The table for the terminal."""
    out = [f"{'ms':20}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}{'n':>8}"]
    for name in (LATENCY, *STAGES):
        figures = intervals(np.concatenate(found.series(name) or [np.array([])]))
        values = [figures[column] for column in COLUMNS]
        cells = "".join(f"{'-':>9}" if value is None else f"{value:9.2f}" for value in values)
        too_few = f"  {figures['too_few']}" if "too_few" in figures and name == LATENCY else ""
        out.append(f"{name.replace('_', ' '):20}{cells}{figures['n']:8}{too_few}")
    error_us, n = found.sum_error_us()
    out.append(f"sum of the stages: equals the latency in {n} frames, within {error_us:.0f} us")
    for timeline in found.timelines[:3]:
        latency = "not shown" if timeline["latency_ms"] is None else f"{timeline['latency_ms']:.2f} ms"
        out.append(f"frame {timeline['frame_id']}, {latency}: {timeline['summary']}")
    return out
