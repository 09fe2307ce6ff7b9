"""What a soak runs on: a screen, a player, the air, a sender; and the eye, which outlives all of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from thinair.bench.glass.row import free_port
from thinair.bench.harness.chromium import free_tcp_port
from thinair.bench.harness.processes import above
from thinair.bench.harness.xvfb_screen import Sampler, Screen, Sighting, XvfbProcess
from thinair.link.child_process import python_module
from thinair.link.native import now_us
from thinair.link.security import private_files
from thinair.link.security.pairing_store import Pairings
from thinair.link.video_mode import Mode
from thinair.receiver.commands.remote import Sender, choose

PLAYER = "127.0.0.2"  # the relay has all other addresses of this machine
_STOP_S = 5.0
_LOOK_US = 100_000


@dataclass(slots=True)
class Life:
    """One process from its start to its end, and what was measured of it: (s, value)."""

    name: str
    popen: subprocess.Popen[bytes]
    began_us: int
    rss_kb: list[tuple[float, int]] = field(default_factory=list)
    descriptors: list[tuple[float, int]] = field(default_factory=list)

    def sample(self) -> None:
        age_s = (now_us() - self.began_us) / 1e6
        with contextlib.suppress(OSError, ValueError, IndexError):
            status = Path(f"/proc/{self.popen.pid}/status").read_text()
            self.rss_kb.append((age_s, int(status.partition("VmRSS:")[2].split()[0])))
            self.descriptors.append((age_s, len(list(Path(f"/proc/{self.popen.pid}/fd").iterdir()))))


class Stage:
    def __init__(self, mode: Mode, bitrate_bps: int, home: Path, priority: int) -> None:
        self.mode, self._bitrate_bps, self._home, self._priority = mode, bitrate_bps, home, priority
        self.port, self.door, self.control = free_port(), free_tcp_port(), free_tcp_port()
        self.lives: list[Life] = []
        self._screen: XvfbProcess | None = None
        self._running: dict[str, Life] = {}
        self.sightings: list[Sighting] = []
        self._eye: threading.Thread | None = None
        self._blind = threading.Event()

    def __enter__(self) -> Stage:
        self.start_display()
        self.start("player")
        self.start("relay")
        self.start("sender")
        self.start("yardstick")
        return self

    def __exit__(self, *_: object) -> None:
        for name in ("yardstick", "sender", "relay", "player"):
            self.stop(name)
        self.stop_display()

    # ---- processes --------------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        log = (self._home / f"{name}.log").open("ab")
        env = {**os.environ, "DISPLAY": self._screen.display if self._screen else ""}
        stdin = subprocess.PIPE if name == "relay" else subprocess.DEVNULL
        popen = subprocess.Popen(self._command(name), stdin=stdin, stdout=log, stderr=log, env=env)
        log.close()
        self._running[name] = Life(name, popen, now_us())
        self.lives.append(self._running[name])

    def _command(self, name: str) -> list[str]:
        thinair = python_module("thinair")
        if name == "player":
            return [
                *(*thinair, "play", "--listen", f"{PLAYER}:{self.port}", "--presenter", "x11", "--fullscreen"),
                *("--dashboard", "off", "--priority", "0"),
            ]
        if name == "relay":
            return python_module("thinair.bench.soak.relay", str(self.port), PLAYER)
        if name == "yardstick":
            return python_module("thinair.bench.soak.reference_load", str(self.mode), str(self._bitrate_bps))
        return [
            *(*thinair, "send", "--to", f"127.0.0.1:{self.port}"),
            *("--door", str(self.door), "--control", str(self.control), "--priority", "0"),
            *("--source", "testcard", "--mode", str(self.mode), "--bitrate", str(self._bitrate_bps)),
        ]

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        life = self._running.pop(name, None)
        if life is None:
            return
        if name == "relay" and life.popen.stdin is not None:
            life.popen.stdin.close()
        else:
            life.popen.send_signal(number)
        try:
            life.popen.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            life.popen.kill()
            life.popen.wait()

    def sample(self) -> None:
        for name in ("player", "sender"):
            if name in self._running:
                self._running[name].sample()

    def yardstick(self) -> list[tuple[int, int]]:
        """(when, how long), µs: thinair.bench.soak.reference_load."""
        lines = (self._home / "yardstick.log").read_text().split("\n")[:-1]  # the last is whole, or not there
        return [(int(at), int(took)) for at, took in map(str.split, lines)]

    def trouble(self) -> str:
        for name, life in self._running.items():
            if life.popen.poll() is not None:
                words = (self._home / f"{name}.log").read_text(errors="replace").strip().splitlines()
                return f"{name} ended with code {life.popen.returncode}: {words[-1] if words else ''}"
        return ""

    def tell_air(self, words: str) -> None:
        pipe = self._running["relay"].popen.stdin
        assert pipe is not None
        pipe.write(words.encode() + b"\n")
        pipe.flush()

    def ask_mode(self, mode: Mode) -> None:
        """By the control API. Raises LinkError."""
        Sender(choose(Pairings(private_files.folder("receiver")).all(), "")).ask("PUT", "mode", {"mode": str(mode)})

    # ---- display ----------------------------------------------------------------------------------------------

    def start_display(self, number: str | None = None) -> None:
        self._screen = XvfbProcess(self.mode.width, self.mode.height, number)
        self._blind.clear()
        self._eye = threading.Thread(target=self._look, args=(self._screen.screen,), name="eye")
        self._eye.start()

    def stop_display(self) -> str:
        """The display's number, under which it may come again."""
        assert self._screen is not None
        self._blind.set()
        if self._eye is not None:
            self._eye.join()
        number = self._screen.display
        self._screen.close()
        return number

    def _look(self, screen: Screen) -> None:
        sampler = Sampler(screen.file, self.mode.width, self.mode.height)
        try:
            with above(self._priority):
                while not self._blind.is_set():
                    sampler.run(lambda _now: True, _LOOK_US)
                    self.sightings += sampler.sightings
                    sampler.sightings.clear()
                    sampler.forget_gaps()
        finally:
            sampler.close()
