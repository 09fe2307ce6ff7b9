"""`thinair bench encryption`: time to the first picture of paired ends, and the cost of sealing packets."""

from __future__ import annotations

import argparse
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from thinair.bench.analysis.run_files import write_json
from thinair.bench.glass.row import Settings
from thinair.bench.harness.free_ports import free_port
from thinair.bench.harness.options import add_json
from thinair.bench.harness.run_conditions import RunConditions
from thinair.bench.players.recovery_time import GONE_S, first_current, playing, sending
from thinair.link.child_process import python_module
from thinair.link.native import Seal

SCHEMA = "thinair.bench-encryption/1"
HANDSHAKE_MS, RESTART_MS = 300, 500
LIMITS: dict[str, tuple[int, str]] = {
    "sender starts": (HANDSHAKE_MS, "beside a running player; from when its session server listens"),
    "player starts": (HANDSHAKE_MS, "beside a running sender; from when it listens"),
    "player restarts": (RESTART_MS, "after it was killed; from when it listens"),
    "player restarts, with its start": (RESTART_MS, "the same, from the start of its process"),
}
_SHOWS_S = 1.5
_PACKET, _PACKETS = 1200, 20_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--count", type=int, default=10, metavar="N", help="repetitions of each row; default %(default)s"
    )
    add_json(parser, "all times")


def run(arguments: argparse.Namespace) -> int:
    """0, or 1 where a median is above its limit. Raises FileError."""
    settings = Settings("1280x720@30", 1280, 720, 4_000_000, 0.0, 0)
    conditions = RunConditions()
    found = {name: sorted(times) for name, times in _all(settings, arguments.count).items()}
    rate = seal_rate_bps()
    print(f"{'first picture after, ms':34}{'p50':>8}{'max':>8}{'n':>5}{'limit':>8}")
    over = False
    for name, (limit_ms, what) in LIMITS.items():
        times = found[name]
        middle = median(times) if times else float("nan")
        over |= not times or middle > limit_ms
        print(f"{name:34}{middle:8.0f}{max(times, default=0):8.0f}{len(times):5}{limit_ms:8}  {what}")
    print(f"sealing of packets of {_PACKET} bytes: {rate / 1e9:.2f} Gbit/s per core")
    content = {"schema": SCHEMA, "conditions": conditions.finish(), "first_picture_ms": found, "seal_bps": rate}
    write_json(arguments.json, content)
    return int(over)


def _all(settings: Settings, count: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in LIMITS}
    with tempfile.TemporaryDirectory(prefix="thinair-encryption-") as folder:
        home, port, returns = Path(folder), free_port(), []
        with playing(home, port) as frames:
            for _ in range(count):
                with sending(home, port, settings) as (_one, ready_us):
                    returns.append(ready_us)
                    time.sleep(_SHOWS_S)
                time.sleep(GONE_S)
        found["sender starts"] = first_current(frames, returns)
        with sending(home, port, settings):
            for at in range(count):
                with playing(home, port, f"{at}.csv") as frames:
                    ready_us = time.monotonic_ns() // 1000
                    time.sleep(_SHOWS_S)
                found["player starts"] += first_current(frames, [ready_us])
                time.sleep(GONE_S)
                _kill_one(port)
                began_us = time.monotonic_ns() // 1000
                with playing(home, port, f"again-{at}.csv") as frames:
                    ready_us = time.monotonic_ns() // 1000
                    time.sleep(_SHOWS_S)
                found["player restarts"] += first_current(frames, [ready_us])
                found["player restarts, with its start"] += first_current(frames, [began_us])
                time.sleep(GONE_S)
    return found


def _kill_one(port: int) -> None:
    """A player that shows the picture, and is killed before it can send BYE."""
    arguments = ["play", "--headless", "--dashboard", "off", "--listen", f"127.0.0.1:{port}", "--priority", "0"]
    with subprocess.Popen(
        python_module("thinair", *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as one:
        time.sleep(_SHOWS_S)
        one.send_signal(signal.SIGKILL)


def seal_rate_bps() -> float:
    """Payload bits per second, one call from Python per packet included."""
    seal = Seal()
    seal.install(bytes(range(88)), bytes(range(88)), 0)
    packets = [b"\x80\x60" + at.to_bytes(2) + bytes(8) + bytes(_PACKET) for at in range(_PACKETS)]
    began = time.perf_counter()
    for packet in packets:
        seal.seal_rtp(packet)
    return 8 * _PACKET * _PACKETS / (time.perf_counter() - began)
