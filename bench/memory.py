"""Resident memory of sender and player over a run of the demo: `thinair bench memory --seconds 600`.

Growth is the median of the last tenth less the median of the second tenth: by then all buffers are full. Huge pages are
off for both: the kernel fills one up behind a process's back, which shows as 2 MB that nobody asked for."""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import time
from pathlib import Path
from statistics import median

from thinair.link.child_process import python_module
from thinair.link.errors import Exit

_INTERVAL_S = 1.0
_PR_SET_THP_DISABLE = 41  # linux/prctl.h; children have it too
LIMIT_KB = 1024  # what counts as growth: an access unit leaked each second would be 36 kB x 540


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=600.0, help="length of the run (default 600)")
    parser.add_argument("--mode", default="1920x1080@30", help="default 1920x1080@30")
    parser.add_argument("--headless", action="store_true", help="without a window, even where there is a display")
    parser.add_argument("--json", type=Path, help="write the series too")


def run(arguments: argparse.Namespace) -> int:
    words = ["demo", "--dashboard", "off", "--mode", arguments.mode, "--seconds", str(arguments.seconds)]
    words += ["--headless"] if arguments.headless else []
    ctypes.CDLL(None).prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)
    with subprocess.Popen(python_module("thinair", *words), stdout=subprocess.DEVNULL) as demo:
        series = _watch(demo)
    if demo.returncode != Exit.OK:
        return int(demo.returncode)
    grown = {name: growth_kb(samples) for name, samples in series.items()}
    for name, samples in sorted(series.items()):
        ages = f"{samples[len(samples) // 10]} kB after a tenth, {samples[-1]} kB at the end"
        print(f"{name:8} {ages}, growth {grown[name]:+.0f} kB, n {len(samples)}")
    if arguments.json:
        content = {"schema": "thinair.bench-memory/1", "rss_kb": series, "growth_kb": grown, "limit_kb": LIMIT_KB}
        arguments.json.write_text(json.dumps(content) + "\n")
    return 0 if grown and max(grown.values()) <= LIMIT_KB else 1


def growth_kb(samples: list[int]) -> float:
    tenth = max(1, len(samples) // 10)
    return median(samples[-tenth:]) - median(samples[tenth : 2 * tenth])


def _watch(demo: subprocess.Popen[bytes]) -> dict[str, list[int]]:
    series: dict[str, list[int]] = {}
    while demo.poll() is None:
        for child in _children(demo.pid):
            words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
            name = "sender" if "send" in words else "player"
            series.setdefault(name, []).append(_rss_kb(child))
        time.sleep(_INTERVAL_S)
    return {name: samples[:-1] for name, samples in series.items()}  # the last one may be of a process that ends


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _rss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0
