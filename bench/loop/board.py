"""The loop through a board of its own: the sender's HDMI input is cabled to one monitor of this machine, the player's
window fills another. The strip is drawn on the first and read off the second, so one clock times the way round.

Nothing is known of the sender but what the player says, so there are two figures instead of three; and both displays'
refreshes lie between them."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import av
import numpy as np

from thinair.bench.harness.processes import Process, above, ended, process
from thinair.bench.harness.unreadable_code import why_unread
from thinair.bench.loop.figures import Lap
from thinair.bench.loop.ring import (
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
_LATE_US = 3_000  # the eye may see a picture this long before the player's stamp
_USUAL_HZ = 60.0


@dataclass(frozen=True, slots=True)
class Monitor:
    number: int
    width: int
    height: int
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Outside:
    display: str
    strip: Monitor  # cabled to the sender's input
    window: Monitor
    listen: str

    @classmethod
    def of(cls, words: str, display: str, listen: str) -> Outside:
        """`words`: STRIP,WINDOW, numbers of monitors. Raises ConfigError, DeviceError."""
        numbers = re.fullmatch(r"(\d+),(\d+)", words)
        if numbers is None or numbers[1] == numbers[2]:
            raise ConfigError(
                f"--board {words!r}: write STRIP,WINDOW, two monitors as xrandr --listmonitors counts them"
            )
        found = {one.number: one for one in monitors(display)}
        for number in (int(numbers[1]), int(numbers[2])):
            if number not in found:
                raise DeviceError(f"there is no monitor {number}: {display} has {', '.join(map(str, found)) or 'none'}")
        strip, window = found[int(numbers[1])], found[int(numbers[2])]
        if (strip.width, strip.height) != (window.width, window.height):
            sizes = f"{strip.width}x{strip.height} and {window.width}x{window.height}"
            raise ConfigError(f"the monitors are {sizes}: set both to the camera's mode, so that nothing is scaled")
        return cls(display, strip, window, listen)


def monitors(display: str) -> list[Monitor]:
    """Raises DeviceError."""
    try:
        said = subprocess.run(["xrandr", "-d", display, "--listmonitors"], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise DeviceError("xrandr is not installed; make bench-setup") from error
    if said.returncode:
        raise DeviceError(f"cannot look at display {display}: {said.stderr.strip()}")
    return [Monitor(*map(int, found)) for found in _MONITOR.findall(said.stdout)]


class _Eye:
    """Grabs the first lines of the player's window, as often as the server gives them."""

    def __init__(self, outside: Outside, mode: Mode) -> None:
        at, height = outside.window, strip_height(mode)
        self._whole = f"{outside.display}+{at.x},{at.y}", f"{mode.width}x{mode.height}"
        options = {"framerate": "1000", "video_size": f"{mode.width}x{height}", "draw_mouse": "0"}
        try:
            self._container = av.open(self._whole[0], format="x11grab", options=options)
        except (av.FFmpegError, OSError) as error:
            raise DeviceError(f"cannot look at {self._whole[0]}: {error}") from error
        self._frames = self._container.decode(video=0)
        self._geometry = Geometry(mode.width, mode.height)
        self._last: int | None = None
        self._looked_us = now_us()

    def look(self, found: Round) -> None:
        frame = next(self._frames)
        seen_us = now_us()
        found.gaps_us.append(min(seen_us - self._looked_us, 0xFFFFFFFF))
        self._looked_us = seen_us
        plane = frame.planes[0]
        code = Reader(self._geometry, plane.line_size).top(memoryview(bytes(plane)))
        if code is not None and code.frame_id != self._last:
            self._last = code.frame_id
            found.seen.append(Seen(0, 0, code.frame_id, seen_us))

    def why(self) -> str:
        """Why no code is read there."""
        url, size = self._whole
        with av.open(url, format="x11grab", options={"video_size": size}) as container:
            frame = next(container.decode(video=0))
        lines: Any = np.frombuffer(bytes(frame.planes[0]), np.uint8).reshape(frame.height, -1, 4)
        return why_unread(np.ascontiguousarray(lines[:, : frame.width, 1]), frame.width, frame.height)

    def close(self) -> None:
        self._container.close()


def run(outside: Outside, setting: Setting, home: Path, words: Sequence[str]) -> Round:
    """One round; the sender is there, or comes. Raises DeviceError."""
    found, mode = Round(home=home), setting.mode
    player = [
        *(*python_module("thinair"), "play", "--listen", outside.listen, "--display", outside.display),
        *("--fullscreen", "--monitor", str(outside.window.number), "--dashboard", "off", "--hud", "off"),
        *("--report", str(home / "player.json"), "--frames", str(home / "player.csv"), *words),
    ]
    with ExitStack() as stack:
        strip = Strip(outside.display, mode, outside.strip.number, whole=True)
        stack.callback(strip.close)
        running = {"player": stack.enter_context(process(player, home / "player.log", {"DISPLAY": outside.display}))}
        eye = _Eye(outside, mode)
        stack.callback(eye.close)
        stop = threading.Event()

        def look() -> None:
            with above(setting.priority):
                while not stop.is_set():
                    eye.look(found)

        thread = threading.Thread(target=look, name="eye")
        thread.start()
        try:
            _emit(found, strip, setting.seconds, running)
        finally:
            stop.set()
            thread.join()
        if not found.seen and not found.trouble:
            found.trouble = f"the code did not come round within {FIRST_PICTURE_S:g} s: {eye.why()}"
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


def laps(found: Round, player: Sequence[Mapping[str, Any]]) -> list[Lap]:
    """Each code that came round within the window, with what the player says of the picture that it came in: the newest
    that was on the screen by then."""
    shown = sorted((row for row in player if row.get("capture_to_present_us") is not None), key=_presented)
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
        said, bound = frame["capture_to_present_us"], frame["bound_us"] or 0
        out.append(Lap(frame["frame_id"], seen.seen_us - middle, None, said, bound, None, None, half))
    return out


def _presented(row: Mapping[str, Any]) -> int:
    return int(row["presented_us"])
