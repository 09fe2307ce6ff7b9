"""The loop through a separate board: the sender's HDMI input is cabled to one monitor of this machine, the player's
window fills another. The strip is drawn on the first and read from the second, so one clock times the loop.

Of the sender only the player's own figure is known, so there are two ways instead of three; and the refreshes of both
displays lie between them."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import av
import numpy as np

from thinair.bench.analysis.recorded_run import Frame
from thinair.bench.harness.processes import Process, above, ended, process
from thinair.bench.harness.unreadable_code import why_unread
from thinair.bench.loop.figures import Lap
from thinair.bench.loop.rig import (
    FIRST_PICTURE_S,
    TAIL_S,
    WARM_UP_S,
    Round,
    Seen,
    Setting,
    Strip,
    strip_height,
    unwrapped,
)
from thinair.link.child_process import python_module
from thinair.link.errors import ConfigError, DeviceError
from thinair.link.native import now_us, sleep_until_us
from thinair.link.video_mode import Mode
from thinair.sender.sources.visual_code import Geometry, Reader

_MONITOR = re.compile(r"^\s*(\d+): \S+ (\d+)/\d+x(\d+)/\d+\+(\d+)\+(\d+)", re.MULTILINE)
_LATE_US = 3_000  # the sampler may see a picture this long before the player's stamp
_USUAL_HZ = 60.0


@dataclass(frozen=True, slots=True)
class Monitor:
    number: int
    width: int
    height: int
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Board:
    display: str
    strip: Monitor  # cabled to the sender's input
    window: Monitor
    listen: str

    @classmethod
    def of(cls, text: str, display: str, listen: str) -> Board:
        """`text`: STRIP,WINDOW, numbers of monitors. Raises ConfigError, DeviceError."""
        numbers = re.fullmatch(r"(\d+),(\d+)", text)
        if numbers is None or numbers[1] == numbers[2]:
            raise ConfigError(f"--board {text!r}: write STRIP,WINDOW, two monitor numbers of xrandr --listmonitors")
        found = {one.number: one for one in monitors(display)}
        for number in (int(numbers[1]), int(numbers[2])):
            if number not in found:
                raise DeviceError(
                    f"monitor {number} does not exist: {display} has {', '.join(map(str, found)) or 'none'}"
                )
        strip, window = found[int(numbers[1])], found[int(numbers[2])]
        if (strip.width, strip.height) != (window.width, window.height):
            sizes = f"{strip.width}x{strip.height} and {window.width}x{window.height}"
            raise ConfigError(f"the monitors are {sizes}: set both to the camera's video mode")
        return cls(display, strip, window, listen)


def monitors(display: str) -> list[Monitor]:
    """Raises DeviceError."""
    try:
        said = subprocess.run(["xrandr", "-d", display, "--listmonitors"], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise DeviceError("xrandr is not installed: run make bench-setup") from error
    if said.returncode:
        raise DeviceError(f"cannot list the monitors of {display}: {said.stderr.strip()}")
    return [Monitor(*map(int, found)) for found in _MONITOR.findall(said.stdout)]


class _WindowSampler:
    """Grabs the first lines of the player's window, as often as the X server allows."""

    def __init__(self, board: Board, mode: Mode) -> None:
        at, height = board.window, strip_height(mode)
        self._whole = f"{board.display}+{at.x},{at.y}", f"{mode.width}x{mode.height}"
        options = {"framerate": "1000", "video_size": f"{mode.width}x{height}", "draw_mouse": "0"}
        try:
            self._container = av.open(self._whole[0], format="x11grab", options=options)
        except (av.FFmpegError, OSError) as error:
            raise DeviceError(f"cannot grab {self._whole[0]}: {error}") from error
        self._frames = self._container.decode(video=0)
        self._geometry = Geometry(mode.width, mode.height)
        self._last: int | None = None
        self._sampled_us = now_us()

    def sample(self, found: Round) -> None:
        frame = next(self._frames)
        seen_us = now_us()
        found.gaps_us.append(min(seen_us - self._sampled_us, 0xFFFFFFFF))
        self._sampled_us = seen_us
        plane = frame.planes[0]
        code = Reader(self._geometry, plane.line_size).top(memoryview(bytes(plane)))
        if code is not None and code.frame_id != self._last:
            self._last = code.frame_id
            found.seen.append(Seen(0, 0, code.frame_id, seen_us))

    def why(self) -> str:
        """Why no code can be read."""
        url, size = self._whole
        with av.open(url, format="x11grab", options={"video_size": size}) as container:
            frame = next(container.decode(video=0))
        lines = np.frombuffer(bytes(frame.planes[0]), np.uint8).reshape(frame.height, -1, 4)
        return why_unread(np.ascontiguousarray(lines[:, : frame.width, 1]), frame.width, frame.height)

    def close(self) -> None:
        self._container.close()


def run(board: Board, setting: Setting, home: Path, arguments: Sequence[str]) -> Round:
    """One round. The sender runs already, or starts meanwhile. Raises DeviceError."""
    found, mode = Round(home=home), setting.mode
    player = [
        *(*python_module("thinair"), "play", "--listen", board.listen, "--display", board.display),
        *("--fullscreen", "--monitor", str(board.window.number), "--dashboard", "off", "--hud", "off"),
        *("--report", str(home / "player.json"), "--frames", str(home / "player.csv"), *arguments),
    ]
    with ExitStack() as stack:
        strip = Strip(board.display, mode, board.strip.number, whole=True)
        stack.callback(strip.close)
        running = {"player": stack.enter_context(process(player, home / "player.log", {"DISPLAY": board.display}))}
        sampler = _WindowSampler(board, mode)
        stack.callback(sampler.close)
        stop = threading.Event()

        def sample() -> None:
            with above(setting.priority):
                while not stop.is_set():
                    sampler.sample(found)

        thread = threading.Thread(target=sample, name="sampler")
        thread.start()
        try:
            _emit(found, strip, setting.seconds, running)
        finally:
            stop.set()
            thread.join()
        if not found.seen and not found.trouble:
            found.trouble = f"the code did not return within {FIRST_PICTURE_S:g} s: {sampler.why()}"
    return found


def _emit(found: Round, strip: Strip, seconds: float, running: Mapping[str, Process]) -> None:
    """A code for each refresh of the strip's monitor."""
    step_us = 1e6 / (strip.refresh_hz or _USUAL_HZ)
    due_us = float(now_us())
    end_us = due_us + FIRST_PICTURE_S * 1e6
    while now_us() < end_us and not found.trouble:
        sleep_until_us(round(due_us))
        found.emitted.append(strip.emit())
        due_us = max(due_us + step_us, now_us())
        if not found.window_us[1] and found.seen:
            first_us = found.seen[0].seen_us + round(WARM_UP_S * 1e6)
            found.window_us = first_us, first_us + round(seconds * 1e6)
            end_us = found.window_us[1] + TAIL_S * 1e6
        if len(found.emitted) % 30 == 0:
            found.trouble = ended(running)


def laps(found: Round, player: Sequence[Frame]) -> list[Lap]:
    """Each code that returned within the window, with the player's figure for the picture that carried it: the newest
    that was on the screen by then."""
    shown = sorted((one for one in player if one.capture_to_present_us is not None), key=_presented)
    at, out = 0, []
    for seen in found.seen:
        if not found.window_us[0] <= seen.seen_us < found.window_us[1]:
            continue
        number = unwrapped(seen.code, found.emitted, seen.seen_us)
        while at + 1 < len(shown) and _presented(shown[at + 1]) <= seen.seen_us + _LATE_US:
            at += 1
        if number is None or not shown or _presented(shown[at]) > seen.seen_us + _LATE_US:
            continue
        frame, (here, following) = shown[at], (fmean(found.emitted[n]) for n in (number, number + 1))
        middle, half = (here + following) / 2, (following - here) / 2
        in_band, bound = frame.capture_to_present_us or 0, frame.bound_us or 0
        out.append(Lap(frame.frame_id, seen.seen_us - middle, None, in_band, bound, None, None, half))
    return out


def _presented(frame: Frame) -> int:
    return frame.shown_us
