"""`thinair bench report`: a run as a page, as JSON and as CSV, from what demo, play or bench loop have written."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from thinair.bench.analysis.recorded_run import WHOLE, Run, read_run, summary
from thinair.bench.report import outputs
from thinair.bench.report.frame_timeline import by_frame, read_pcap, worst
from thinair.link.errors import Exit
from thinair.link.protocol.frame_trace import STAGES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="FILE.json", help="of bench loop, or of demo and play --report")
    parser.add_argument("--frames", type=Path, metavar="FILE.csv", help="of the same demo or play --frames")
    parser.add_argument("--packets", type=Path, metavar="FILE.pcap", help="of the same demo or play --packets")
    outputs.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """0 where the run is evidence, else 1. Raises ConfigError, FileError."""
    found = read_run(args.run, args.frames)
    if args.packets is not None:
        stories = worst(found.frames, by_frame(read_pcap(args.packets)))
        found = Run(found.kind, found.report, found.frames, stories, found.loop)
    for line in lines(found):
        print(line)
    outputs.write(found, args)
    faults = found.faults()
    for fault in faults:
        print(f"fault: {fault}")
    return int(Exit.FAULTS if faults else Exit.OK)


def lines(found: Run) -> list[str]:
    """The table for people."""
    out = [f"{'ms':20}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}{'n':>8}"]
    for name in (WHOLE, *STAGES):
        figures = summary(np.concatenate(found.series(name) or [np.array([])]))
        cells = "".join(
            f"{'-':>9}" if figures[key] is None else f"{figures[key]:9.2f}" for key in ("p50", "p95", "p99", "max")
        )
        few = f"  {figures['too_few']}" if "too_few" in figures and name == WHOLE else ""
        out.append(f"{name.replace('_', ' '):20}{cells}{figures['n']:8}{few}")
    error_us, n = found.sum_error_us()
    out.append(f"the stages add up to the whole in {n} frames, to {error_us:.0f} us")
    for story in found.stories[:3]:
        late = "not shown" if story["late_ms"] is None else f"{story['late_ms']:.2f} ms"
        out.append(f"frame {story['frame_id']}, {late}: {story['words']}")
    return out
