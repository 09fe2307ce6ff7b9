"""Where a run is written to: the same options for every bench that leaves one."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from thinair.bench.analysis.recorded_run import Run, write_csv, write_text
from thinair.bench.report.page import page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="the run, for report, compare and gate")
    parser.add_argument("--html", type=Path, metavar="FILE.html", help="a page that needs nothing else")
    parser.add_argument("--csv", type=Path, metavar="FILE.csv", help="a row per frame")


def write(run: Run, args: argparse.Namespace) -> None:
    """Raises FileError."""
    if args.json is not None:
        write_text(args.json, json.dumps(run.as_json()) + "\n")
    if args.html is not None:
        write_text(args.html, page(run))
    if args.csv is not None:
        write_csv(args.csv, run.frames)
