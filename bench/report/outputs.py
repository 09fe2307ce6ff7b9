"""The output options of every bench that records a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from thinair.bench.analysis.recorded_run import RecordedRun
from thinair.bench.analysis.run_files import write_csv, write_run, write_text
from thinair.bench.report.page import page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="output: the run, for report, compare and gate")
    parser.add_argument("--html", type=Path, metavar="FILE.html", help="output: a self-contained page")
    parser.add_argument("--csv", type=Path, metavar="FILE.csv", help="output: one row per frame")


def write(run: RecordedRun, args: argparse.Namespace) -> None:
    """Raises FileError."""
    if args.json is not None:
        write_run(args.json, run)
    if args.html is not None:
        write_text(args.html, page(run))
    if args.csv is not None:
        write_csv(args.csv, run.frames)
