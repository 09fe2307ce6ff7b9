"""The loop's rig: a strip with a visual code on a screen, a sender that grabs it together with the player's window
below it, and the player whose window that is. The code returns in the first lines of the window; one process draws it
and sees it again.

    +-----------------------+
    | strip: code, its time |  grabbed as the first lines of the picture
    +-----------------------+
    | player's window:      |  where the picture begins: the code again, one loop later. The grab contains this too,
    |  code, one loop later |  so further down the same code appears after two loops, and so on
    |  ...                  |
    |  code of the grab     |  drawn into the picture by the sender: its number and its time
    +-----------------------+
"""

from __future__ import annotations

import mmap
import subprocess
import threading
from array import array
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import numpy as np

from thinair.bench.harness.free_ports import free_port
from thinair.bench.harness.processes import Process, above, ended, process, wait_for_port
from thinair.bench.harness.unreadable_code import why_unread_on
from thinair.bench.harness.xvfb_screen import Framebuffer, ScreenError, xvfb
from thinair.link.child_process import python_module
from thinair.link.native import CodeWatcher, X11Presenter, now_us, sleep_until_us
from thinair.link.video_mode import Mode
from thinair.sender.sources.testcard_layers import Canvas
from thinair.sender.sources.visual_code import CELLS, ROWS, Geometry, Painter, Reader

# Which program delays a stage: sender or player by thinair.bench.loop.inject_delay, the path by
# thinair.bench.loop.delay_relay.
SENDER_STAGES = ("capture", "wait", "encode", "pace")
PATH_STAGES = ("network", "repair")
PLAYER_STAGES = ("decode", "hold", "present")
DELAYABLE = (*SENDER_STAGES, *PATH_STAGES, *PLAYER_STAGES)
EMIT_US = 4_370  # between two codes: no simple fraction of a frame interval, so that the phases spread evenly
_SAMPLE_US = 200
_NOISE = np.random.default_rng(1).normal(126, 24, (320, 2400)).clip(16, 235).astype(np.uint8)
_XWD_HEADER = 100
WARM_UP_S = 3.0
FIRST_PICTURE_S = 15.0
TAIL_S = 0.5


@dataclass(frozen=True, slots=True)
class Injected:
    """A delay on purpose. `path_us`: delay of the relay between both ends, None without a relay."""

    stage: str = ""  # of thinair.link.protocol.frame_trace.STAGES
    us: int = 0
    path_us: int | None = None
    lossy: bool = False

    def program(self, stages: Sequence[str]) -> list[str]:
        """The command that starts thinair."""
        if self.stage in stages:
            return python_module("thinair.bench.loop.inject_delay", self.stage, str(self.us))
        return python_module("thinair")

    def relay(self) -> list[str]:
        """The last three arguments of thinair.bench.loop.delay_relay."""
        assert self.path_us is not None
        delay_us = self.path_us + (self.us if self.stage == "network" else 0)
        return [str(delay_us), str(self.us if self.stage == "repair" else 0), str(int(self.lossy))]


@dataclass(frozen=True, slots=True)
class Setting:
    mode: Mode
    seconds: float
    bitrate_bps: int
    priority: int = 0  # of all processes; the screen sampler has one more
    injected: Injected = Injected()

    def with_priority(self, priority: int) -> Setting:
        return replace(self, priority=priority)


@dataclass(frozen=True, slots=True)
class Seen:
    """A complete picture on the screen: number and time of the grab from its last lines, the strip's code from its
    first."""

    seq: int  # 16 bits
    capture_us: int  # 32 bits
    code: int  # 16 bits
    seen_us: int


@dataclass(slots=True)
class Round:
    """What one round recorded. Times are µs of CLOCK_MONOTONIC, in `seen` partly their low 32 bits."""

    emitted: list[tuple[int, int]] = field(default_factory=list)  # code n appeared on the screen between these two
    seen: list[Seen] = field(default_factory=list)
    gaps_us: array[int] = field(default_factory=lambda: array("I"))
    window_us: tuple[int, int] = (0, 0)
    home: Path = Path()
    trouble: str = ""


class Strip:
    """Draws codes on a monitor of its own. `whole`: the monitor has the size of a picture."""

    def __init__(self, display: str, mode: Mode, monitor: int, *, whole: bool = False) -> None:
        geometry = Geometry(mode.width, mode.height)
        self._frame = av.VideoFrame(mode.width, mode.height if whole else strip_height(mode), "yuv420p")
        self._canvas = Canvas.of(self._frame)
        self._canvas.y[:], self._canvas.u[:], self._canvas.v[:] = 16, 128, 128
        self._painter = Painter(geometry)
        # Noise beside the code, another part of it each time. It moves down the picture with each loop, so that the
        # encoder works as hard as with any moving picture.
        beside = (slice(0, geometry.left), slice(geometry.left + CELLS * geometry.cell, mode.width))
        self._beside = [self._canvas.y[: strip_height(mode), part] for part in beside]
        size = self._frame.width, self._frame.height
        self._window = X11Presenter(display=display, width=size[0], height=size[1], fullscreen=True, monitor=monitor)
        self.refresh_hz = self._window.refresh_hz
        self._count = 0

    def emit(self) -> tuple[int, int]:
        """Draws the next code: (before, after) it appeared on the screen."""
        began_us = now_us()
        for part in self._beside:
            height, width = part.shape
            y, x = self._count * 31 % (_NOISE.shape[0] - height), self._count * 53 % (_NOISE.shape[1] - width)
            part[:] = _NOISE[y : y + height, x : x + width]
        self._painter.draw_at(0, self._canvas.y, self._count, began_us)
        y, u, v = self._frame.planes
        before_us = now_us()
        after_us = self._window.present(
            *(y, u, v, y.line_size, u.line_size, v.line_size, self._frame.width, self._frame.height),
            bt709=True, full_range=False,
        )  # fmt: skip
        self._count += 1
        return before_us, after_us

    def close(self) -> None:
        self._window.close()


def strip_height(mode: Mode) -> int:
    return ROWS * Geometry(mode.width, mode.height).cell


def run(setting: Setting, home: Path, arguments: Sequence[str] = ()) -> Round:
    """One round of `seconds` after the warm-up. `arguments`: added to the player's. Raises ScreenError."""
    mode, strip = setting.mode, strip_height(setting.mode)
    found = Round(home=home)
    with ExitStack() as stack:
        screen = stack.enter_context(xvfb(mode.width, mode.height + strip))
        _monitors(screen.display, mode, strip)
        emitter = Strip(screen.display, mode, 0)
        stack.callback(emitter.close)
        sampler = LoopSampler(screen.file, mode, strip)
        stack.callback(sampler.close)
        with ExitStack() as processes:
            running = _start(processes, setting, screen.display, home, arguments)
            _watch(found, setting, emitter, sampler, running)
    return found


def _monitors(display: str, mode: Mode, strip: int) -> None:
    for name, height, y, output in (("STRIP", strip, 0, "screen"), ("WINDOW", mode.height, strip, "none")):
        place = f"{mode.width}/{mode.width}x{height}/{height}+0+{y}"
        argv = ["xrandr", "-d", display, "--setmonitor", name, place, output]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise ScreenError("xrandr is not installed: run make bench-setup") from error
        if done.returncode:
            raise ScreenError(f"Xvfb has no second monitor: {done.stderr.strip()}")


class LoopSampler:
    """Reads both codes of the player's window from the framebuffer."""

    def __init__(self, file: Path, mode: Mode, strip: int) -> None:
        self._file, self._size, self._strip = file, (mode.width, mode.height), strip
        with file.open("rb") as opened:
            self._map = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        where = Framebuffer.parse(self._map[:_XWD_HEADER])
        geometry = Geometry(mode.width, mode.height)
        top, bottom, step = Reader(geometry, where.stride, y=strip, offset=where.offset).places
        self._watcher = CodeWatcher(
            self._map, top=top, bottom=bottom, step=step, sleep_us=_SAMPLE_US, separate_codes=True
        )

    def sample(self, until_us: int) -> tuple[list[Seen], bytes]:
        seen, gaps = self._watcher.watch(until_us)
        return [Seen(seq, time_us, code, at_us) for seq, time_us, at_us, code, _ in seen], gaps

    def why(self) -> str:
        """Why no codes can be read."""
        return why_unread_on(self._file, *self._size, y=self._strip)

    def close(self) -> None:
        self._watcher.close()
        self._map.close()


def _start(
    processes: ExitStack, setting: Setting, display: str, home: Path, arguments: Sequence[str]
) -> dict[str, Process]:
    injected, port, running = setting.injected, free_port(), {}

    def add(name: str, argv: Sequence[str], listens: int | None = None, **env: str) -> None:
        running[name] = processes.enter_context(process(argv, home / f"{name}.log", env))
        if listens is not None:
            wait_for_port(listens, running[name])

    # An encrypted link takes the address of its control connection for the media, and so bypasses the relay.
    unencrypted = [] if injected.path_us is None else ["--no-encryption"]
    player = [
        *(*injected.program(PLAYER_STAGES), "play", "--listen", f"127.0.0.1:{port}", "--presenter", "x11"),
        *("--display", display, "--fullscreen", "--monitor", "1", "--dashboard", "off", "--priority", "0"),
        *("--report", str(home / "player.json"), "--frames", str(home / "player.csv"), *unencrypted, *arguments),
    ]
    add("player", player, port, DISPLAY=display)
    entry = port
    if injected.path_us is not None:
        entry = free_port()
        add(
            "relay",
            python_module("thinair.bench.loop.delay_relay", str(entry), str(port), *injected.relay()),
            entry,
        )
    sender = [
        *(*injected.program(SENDER_STAGES), "send", "--to", f"127.0.0.1:{entry}"),
        *("--source", f"screen:{display}+0,0+code", "--mode", str(setting.mode), *unencrypted),
        *("--bitrate", str(setting.bitrate_bps), "--pace", "off", "--priority", "0"),
        *("--frames", str(home / "sender.csv"), "--report", str(home / "sender.json")),
    ]
    add("sender", sender)
    return running


def _watch(found: Round, setting: Setting, emitter: Strip, sampler: LoopSampler, running: dict[str, Process]) -> None:
    stop = threading.Event()

    def sample() -> None:
        with above(setting.priority):
            while not stop.is_set():
                seen, gaps = sampler.sample(now_us() + 100_000)
                found.seen += seen
                found.gaps_us.frombytes(gaps)

    thread = threading.Thread(target=sample, name="sampler")
    thread.start()
    try:
        began_us = due_us = now_us()
        end_us = began_us + round(FIRST_PICTURE_S * 1e6)
        while now_us() < end_us and not found.trouble:
            sleep_until_us(due_us)
            found.emitted.append(emitter.emit())
            due_us = max(due_us + EMIT_US, now_us())
            if not found.window_us[1] and found.seen:
                first_us = found.seen[0].seen_us + round(WARM_UP_S * 1e6)
                found.window_us = first_us, first_us + round(setting.seconds * 1e6)
                end_us = found.window_us[1] + round(TAIL_S * 1e6)
            if len(found.emitted) % 100 == 0:
                found.trouble = ended(running)
        if not found.seen and not found.trouble:
            why = sampler.why()
            found.trouble = f"the code did not return within {FIRST_PICTURE_S:g} s: {why}"
    finally:
        stop.set()
        thread.join()


def unwrapped(code: int, emitted: Sequence[tuple[int, int]], seen_us: int) -> int | None:
    """The number of the newest code with these low 16 bits that was on the screen before it was seen; None where the
    next code is not known."""
    number = len(emitted) - 1 - ((len(emitted) - 1 - code) & 0xFFFF)
    while number >= 0 and emitted[number][0] > seen_us:
        number -= 1 << 16
    return number if 0 <= number < len(emitted) - 1 else None
