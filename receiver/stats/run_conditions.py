"""What a run stood on: machine, versions, and what else used the processor meanwhile.

The one place that reads /proc and /sys for this. Standard library only, so that the plain sender may use it too.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TypedDict

# Above these a run is marked unfit: its times then say more about the neighbours than about us.
STEAL_LIMIT = 0.02  # share of all processor time taken by the hypervisor
FOREIGN_LIMIT = 0.10  # share of all processor time used by processes that are not ours

_TOOLS = {
    "ffmpeg": (["ffmpeg", "-version"], r"ffmpeg version (\S+)"),
    "ffplay": (["ffplay", "-version"], r"ffplay version (\S+)"),
    "mpv": (["mpv", "--no-config", "--version"], r"mpv v?(\S+)"),
    "gstreamer": (["gst-launch-1.0", "--version"], r"GStreamer (\S+)"),
}


class Machine(TypedDict):
    """What the machine is; None is unknown."""

    kernel: str
    machine: str
    cpu: str | None
    cores: int | None
    governor: str | None
    load_average: list[float]
    radio: dict[str, float] | None  # signal level in dBm, by interface
    display: str | None
    refresh_hz: float | None
    versions: dict[str, str | None]


class Shares(TypedDict):
    """Of all processor time, 0 to 1, over `seconds`."""

    seconds: float
    steal_share: float
    own_share: float
    foreign_share: float
    unfit: list[str]  # why the run should not be believed; empty for a good one


class Conditions(Machine, Shares):
    """What a run stood on."""


def conditions(watch: ConditionsWatch, *, tools: bool = False) -> Conditions:
    """At the end of a run."""
    return {**collect(tools=tools), **watch.stop()}


def collect(*, tools: bool = False, root: Path = Path("/")) -> Machine:
    """What the machine is, as plain JSON values; what cannot be known is None. `tools`: the peers' versions too, for
    which each of them is started once."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    versions |= {name: _package(name) for name in ("thinair", "av", "numpy")}
    if tools:
        versions |= {name: _tool(*how) for name, how in _TOOLS.items()}
    return {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpu": _cpu(_read(root / "proc/cpuinfo")),
        "cores": os.cpu_count(),
        "governor": _read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None,
        "load_average": [float(word) for word in _read(root / "proc/loadavg").split()[:3]],
        "radio": _radio(_read(root / "proc/net/wireless")),
        "display": os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY") or None,
        "refresh_hz": None,  # known to whoever opened the window
        "versions": versions,
    }


@dataclass(slots=True)
class ConditionsWatch:
    """Processor time between start() and stop(): stolen, ours, and everybody else's.

    Ours is the process tree under `pid`, those that ended included.
    """

    pid: int = field(default_factory=os.getpid)
    root: Path = Path("/")
    _before: tuple[int, int, int, int] | None = None
    _began: float = 0.0

    def start(self) -> None:
        self._before, self._began = self._read_all(), time.monotonic()

    def stop(self) -> Shares:
        """Shares of all processor time (0..1) and `unfit`: the reasons why the run should not be believed, or []."""
        if self._before is None:
            raise RuntimeError("ConditionsWatch.stop() before start()")
        total, busy, steal, own = (b - a for a, b in zip(self._before, self._read_all(), strict=True))
        whole = max(total, 1)
        steal_share, foreign_share = round(steal / whole, 4), round(max(busy - own, 0) / whole, 4)
        return {
            "seconds": round(time.monotonic() - self._began, 1),
            "steal_share": steal_share,
            "own_share": round(own / whole, 4),
            "foreign_share": foreign_share,
            "unfit": unfit(steal_share=steal_share, foreign_share=foreign_share),
        }

    def _read_all(self) -> tuple[int, int, int, int]:
        # Own time first: what runs between the two reads then counts as foreign, never as less than nothing.
        own = tree_ticks(self.pid, self.root)
        return *parse_stat(_read(self.root / "proc/stat")), own


def unfit(*, steal_share: float, foreign_share: float) -> list[str]:
    """The sentences that mark a run as unfit; empty for a good one."""
    reasons = []
    if steal_share > STEAL_LIMIT:
        reasons.append(f"steal time {steal_share:.1%} of the processor, limit {STEAL_LIMIT:.0%}")
    if foreign_share > FOREIGN_LIMIT:
        reasons.append(f"other programs used {foreign_share:.1%} of the processor, limit {FOREIGN_LIMIT:.0%}")
    return reasons


def parse_stat(text: str) -> tuple[int, int, int]:
    """(total, busy, steal) in clock ticks over all processors, from /proc/stat (proc(5)); busy: user, nice, system."""
    for line in text.splitlines():
        if line.startswith("cpu "):
            user, nice, system, idle, iowait, irq, softirq, steal = [*map(int, line.split()[1:]), *[0] * 8][:8]
            total = user + nice + system + idle + iowait + irq + softirq + steal
            return total, user + nice + system, steal
    return 0, 0, 0


def tree_ticks(pid: int, root: Path = Path("/")) -> int:
    """Clock ticks used by a process, its descendants, and those of them that have ended and been waited for."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for entry in (root / "proc").glob("[0-9]*/stat"):
        # The name in brackets may hold anything; the fields after it are plain (proc(5)).
        words = _read(entry).rpartition(")")[2].split()
        if len(words) > 14:
            number = int(entry.parent.name)
            parents[number] = int(words[1])
            ticks[number] = sum(map(int, words[11:15]))  # utime, stime, cutime, cstime
    ours, todo = 0, [pid]
    while todo:
        number = todo.pop()
        ours += ticks.get(number, 0)
        todo += [child for child, parent in parents.items() if parent == number]
    return ours


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _cpu(cpuinfo: str) -> str | None:
    for key in ("model name", "Model", "Hardware"):
        if found := re.search(rf"^{key}\s*:\s*(.+)$", cpuinfo, re.MULTILINE):
            return found[1].strip()
    return None


def _radio(wireless: str) -> dict[str, float] | None:
    """Signal level in dBm by interface, from /proc/net/wireless."""
    levels = {}
    for line in wireless.splitlines()[2:]:
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) > 2:
            levels[name.strip()] = float(words[2])
    return levels or None


def _package(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        loaded = sys.modules.get(name)  # from a source tree
        return getattr(loaded, "__version__", None)


def _tool(command: list[str], pattern: str) -> str | None:
    if not shutil.which(command[0]):
        return None
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(pattern, said.stdout)
    return found[1] if found else None
