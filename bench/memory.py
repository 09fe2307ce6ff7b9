"""`thinair bench memory`: resident memory of sender and player over a run of the demo.

Growth is the median of the last tenth minus the median of the second tenth, when all buffers are full. Huge pages are
off for both: the kernel merges pages into them at any time, which would show as 2 MB of growth."""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import time
from pathlib import Path
from statistics import median

from thinair.bench.analysis.run_files import write_json
from thinair.bench.harness.options import add_json, add_mode
from thinair.link.child_process import python_module
from thinair.link.errors import Exit

SCHEMA = "thinair.bench-memory/1"
_INTERVAL_S = 1.0
_PR_SET_THP_DISABLE = 41  # linux/prctl.h; inherited by children
LIMIT_KB = 1024  # of growth: one leaked access unit per second would be 36 kB x 540


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=600.0, metavar="S", help="length of the run; default 600 s")
    add_mode(parser, "1920x1080@30")
    parser.add_argument("--headless", action="store_true", help="no window, even with a display")
    add_json(parser, "the samples as JSON")


def run(arguments: argparse.Namespace) -> int:
    """0, or 1 where a process grew. Raises FileError."""
    command = ["demo", "--dashboard", "off", "--mode", arguments.mode, "--seconds", str(arguments.seconds)]
    command += ["--headless"] if arguments.headless else []
    ctypes.CDLL(None).prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)
    with subprocess.Popen(python_module("thinair", *command), stdout=subprocess.DEVNULL) as demo:
        series = _watch(demo)
    if demo.returncode != Exit.OK:
        return int(demo.returncode)
    grown = {name: growth_kb(samples) for name, samples in series.items()}
    for name, samples in sorted(series.items()):
        sizes = f"{samples[len(samples) // 10]} kB after a tenth of the run, {samples[-1]} kB at the end"
        print(f"{name:8} {sizes}, growth {grown[name]:+.0f} kB, {len(samples)} samples")
    content = {"schema": SCHEMA, "rss_kb": series, "growth_kb": grown, "limit_kb": LIMIT_KB}
    write_json(arguments.json, content)
    return 0 if grown and max(grown.values()) <= LIMIT_KB else 1


def growth_kb(samples: list[int]) -> float:
    """From the second to the last tenth."""
    tenth = max(1, len(samples) // 10)
    return median(samples[-tenth:]) - median(samples[tenth : 2 * tenth])


def _watch(demo: subprocess.Popen[bytes]) -> dict[str, list[int]]:
    series: dict[str, list[int]] = {}
    while demo.poll() is None:
        for child in _children(demo.pid):
            command = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
            name = "sender" if "send" in command else "player"
            series.setdefault(name, []).append(_rss_kb(child))
        time.sleep(_INTERVAL_S)
    return {name: samples[:-1] for name, samples in series.items()}  # the last one may be of an ending process


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _rss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0
