"""What a soak runs on: a screen, a player, a relay, a sender; and the screen sampler, which outlives all of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from thinair.bench.harness.free_ports import free_port, free_tcp_port
from thinair.bench.harness.processes import above
from thinair.bench.harness.xvfb_screen import ScreenSampler, Sighting, VirtualScreen, XvfbProcess
from thinair.link.child_process import python_module
from thinair.link.native import now_us
from thinair.link.security import private_files
from thinair.link.security.pairing_store import Pairings
from thinair.link.video_mode import Mode
from thinair.receiver.commands.remote import Sender, choose

PLAYER_HOST = "127.0.0.2"  # the relay has all other addresses of this machine
MEASURED = ("player", "sender")  # processes whose memory and descriptors are sampled
_STOP_S = 5.0
_SAMPLE_US = 100_000


@dataclass(slots=True)
class ProcessLife:
    """One process from start to end, and what was measured of it: (age in s, value)."""

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


class SoakRig:
    """`sightings`: every picture seen on the screen so far. `lives`: every process started so far."""

    def __init__(self, mode: Mode, bitrate_bps: int, home: Path, priority: int) -> None:
        self.mode, self._bitrate_bps, self._home, self._priority = mode, bitrate_bps, home, priority
        self.port, self.session_port, self.control = free_port(), free_tcp_port(), free_tcp_port()
        self.lives: list[ProcessLife] = []
        self._screen: XvfbProcess | None = None
        self._running: dict[str, ProcessLife] = {}
        self.sightings: list[Sighting] = []
        self._sampling: threading.Thread | None = None
        self._stop_sampling = threading.Event()

    def __enter__(self) -> SoakRig:
        self.start_display()
        for name in ("player", "relay", "sender", "reference_load"):
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        for name in ("reference_load", "sender", "relay", "player"):
            self.stop(name)
        self.stop_display()

    # ---- processes --------------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        log = (self._home / f"{name}.log").open("ab")
        env = {**os.environ, "DISPLAY": self._screen.display if self._screen else ""}
        stdin = subprocess.PIPE if name == "relay" else subprocess.DEVNULL
        popen = subprocess.Popen(self._command(name), stdin=stdin, stdout=log, stderr=log, env=env)
        log.close()
        self._running[name] = ProcessLife(name, popen, now_us())
        self.lives.append(self._running[name])

    def _command(self, name: str) -> list[str]:
        thinair = python_module("thinair")
        if name == "player":
            return [
                *(*thinair, "play", "--listen", f"{PLAYER_HOST}:{self.port}", "--presenter", "x11", "--fullscreen"),
                *("--dashboard", "off", "--priority", "0"),
            ]
        if name == "relay":
            return python_module("thinair.bench.soak.relay", str(self.port), PLAYER_HOST)
        if name == "reference_load":
            return python_module("thinair.bench.soak.reference_load", str(self.mode), str(self._bitrate_bps))
        return [
            *(*thinair, "send", "--to", f"127.0.0.1:{self.port}"),
            *("--session-port", str(self.session_port), "--control", str(self.control), "--priority", "0"),
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
        for name in MEASURED:
            if name in self._running:
                self._running[name].sample()

    def reference_load(self) -> list[tuple[int, int]]:
        """(start, duration) in µs of each piece of thinair.bench.soak.reference_load."""
        lines = (self._home / "reference_load.log").read_text().split("\n")[:-1]  # without a partial last line
        return [(int(at), int(duration)) for at, duration in map(str.split, lines)]

    def ended(self) -> str:
        """Which process has ended by itself, with its last line; "" while all run."""
        for name, life in self._running.items():
            if life.popen.poll() is not None:
                lines = (self._home / f"{name}.log").read_text(errors="replace").strip().splitlines()
                return f"{name} ended with code {life.popen.returncode}: {lines[-1] if lines else ''}"
        return ""

    def command_relay(self, command: str) -> None:
        """A line of thinair.bench.soak.relay."""
        pipe = self._running["relay"].popen.stdin
        assert pipe is not None
        pipe.write(command.encode() + b"\n")
        pipe.flush()

    def set_mode(self, mode: Mode) -> None:
        """By the control API. Raises LinkError."""
        Sender(choose(Pairings(private_files.folder("receiver")).all(), "")).ask("PUT", "mode", {"mode": str(mode)})

    # ---- display ----------------------------------------------------------------------------------------------

    def start_display(self, number: str | None = None) -> None:
        self._screen = XvfbProcess(self.mode.width, self.mode.height, number)
        self._stop_sampling.clear()
        self._sampling = threading.Thread(target=self._sample_screen, args=(self._screen.screen,), name="sampler")
        self._sampling.start()

    def stop_display(self) -> str:
        """The display's number, for start_display."""
        assert self._screen is not None
        self._stop_sampling.set()
        if self._sampling is not None:
            self._sampling.join()
        number = self._screen.display
        self._screen.close()
        return number

    def _sample_screen(self, screen: VirtualScreen) -> None:
        sampler = ScreenSampler(screen.file, self.mode.width, self.mode.height)
        try:
            with above(self._priority):
                while not self._stop_sampling.is_set():
                    sampler.run(lambda _now: True, _SAMPLE_US)
                    self.sightings += sampler.sightings
                    sampler.sightings.clear()
                    sampler.forget_gaps()
        finally:
            sampler.close()
