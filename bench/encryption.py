"""`thinair bench sealed`: how soon a paired receiver has a picture, and what the seal takes of this machine's core."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from thinair.bench.glass.row import Settings, free_port, sender_command
from thinair.bench.players.recovery_time import first_live, playing, started
from thinair.link.child_process import python_module
from thinair.link.errors import FileError
from thinair.link.native import Seal
from thinair.receiver.stats.run_conditions import ConditionsWatch, collect

SCHEMA = "thinair.bench-sealed/1"
HANDSHAKE_MS, RESTART_MS = 300, 500
LIMITS: dict[str, tuple[int, str]] = {
    "sender comes": (HANDSHAKE_MS, "both run; from the sender's word that its door is open"),
    "player comes": (HANDSHAKE_MS, "both run; from the player's word that it listens"),
    "player killed": (RESTART_MS, "a known player again; from its word that it listens"),
    "player killed, its start": (RESTART_MS, "the same, from the start of its process, Python's own included"),
}
_SHOWS_S, _GONE_S = 1.5, 2.5  # longer than either end's patience
_PACKET, _PACKETS = 1200, 20_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=10, help="of each kind; default %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="write all figures to this file")


def run(arguments: argparse.Namespace) -> int:
    """1 where a median is above its limit."""
    settings = Settings("1280x720@30", 1280, 720, 4_000_000, 0.0, 0)
    watch = ConditionsWatch()
    watch.start()
    found = {name: sorted(times) for name, times in _all(settings, arguments.count).items()}
    rate = seal_rate_bps()
    print(f"{'from … to the first picture, ms':32}{'p50':>8}{'max':>8}{'n':>5}{'limit':>8}")
    over = False
    for name, (limit_ms, what) in LIMITS.items():
        times = found[name]
        middle = median(times) if times else float("nan")
        over |= not times or middle > limit_ms
        print(f"{name:32}{middle:8.0f}{max(times, default=0):8.0f}{len(times):5}{limit_ms:8}  {what}")
    print(f"sealing packets of {_PACKET} bytes: {rate / 1e9:.2f} Gbit/s of one core")
    if arguments.json:
        conditions = {**collect(), **watch.stop()}
        content = {"schema": SCHEMA, "conditions": conditions, "first_picture_ms": found, "seal_bps": rate}
        try:
            arguments.json.write_text(json.dumps(content, indent=1) + "\n")
        except OSError as error:
            raise FileError(f"cannot write {arguments.json}: {error.strerror}") from error
    return int(over)


def _all(settings: Settings, count: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in LIMITS}
    with tempfile.TemporaryDirectory(prefix="thinair-sealed-") as folder:
        home, port, returns = Path(folder), free_port(), []
        sender = [*sender_command("thinair", port, settings, home / "sender.csv"), "--control", "off"]
        with playing(home, port) as frames:
            for _ in range(count):
                with started(sender, "session server at") as (_one, said_us):
                    returns.append(said_us)
                    time.sleep(_SHOWS_S)
                time.sleep(_GONE_S)
        found["sender comes"] = first_live(frames, returns)
        with started(sender, "session server at"):
            for at in range(count):
                with playing(home, port, f"{at}.csv") as frames:
                    said_us = time.monotonic_ns() // 1000
                    time.sleep(_SHOWS_S)
                found["player comes"] += first_live(frames, [said_us])
                time.sleep(_GONE_S)
                _kill_one(port)
                began_us = time.monotonic_ns() // 1000
                with playing(home, port, f"again-{at}.csv") as frames:
                    said_us = time.monotonic_ns() // 1000
                    time.sleep(_SHOWS_S)
                found["player killed"] += first_live(frames, [said_us])
                found["player killed, its start"] += first_live(frames, [began_us])
                time.sleep(_GONE_S)
    return found


def _kill_one(port: int) -> None:
    """A player that shows the picture, and then has no time to say so long."""
    words = ["play", "--headless", "--dashboard", "off", "--listen", f"127.0.0.1:{port}", "--priority", "0"]
    with subprocess.Popen(
        python_module("thinair", *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as one:
        time.sleep(_SHOWS_S)
        one.send_signal(signal.SIGKILL)


def seal_rate_bps() -> float:
    """Bits of payload a second, one call of Python for each packet included."""
    seal = Seal()
    seal.install(bytes(range(88)), bytes(range(88)), 0)
    packets = [b"\x80\x60" + at.to_bytes(2) + bytes(8) + bytes(_PACKET) for at in range(_PACKETS)]
    began = time.perf_counter()
    for packet in packets:
        seal.seal_rtp(packet)
    return 8 * _PACKET * _PACKETS / (time.perf_counter() - began)
