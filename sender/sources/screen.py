"""An X11 screen as a source, grabbed by libavdevice (MIT-SHM, pointer drawn)."""

from __future__ import annotations

import re
from fractions import Fraction

import av
import av.container

from thinair.link.errors import ConfigError, DeviceError
from thinair.link.native import now_us, sleep_until_us
from thinair.link.video_mode import Mode
from thinair.sender.picture import Colour, NewMode, Picture
from thinair.sender.sources.base import Pace
from thinair.sender.sources.scale import Fitter
from thinair.sender.sources.testcard_layers import Canvas
from thinair.sender.sources.visual_code import Geometry, Painter

_SPEC = re.compile(r"(\w*:\d+(?:\.\d+)?)(?:\+(\d+),(\d+))?(\+code)?")
_RATE = Fraction(25)
_SPIN_US = 100


class Screen:
    """See Source. `spec` is `:0`, `:0.1` or `:0+X,Y`: with X,Y and a mode the region of the mode's size there,
    otherwise the whole screen, scaled to the mode where it differs. `+code` at its end: the bottom of each picture
    carries the visual code with `seq` and `capture_us`, for benches."""

    name = "screen"
    colour = Colour()

    def __init__(self, spec: str, mode: Mode | None = None) -> None:
        match = _SPEC.fullmatch(spec)
        if match is None:
            raise ConfigError(f"screen {spec!r} is not understood: write screen::0, screen::0.1 or screen::0+X,Y")
        self._code = bool(match[4])
        self._display, self._at = match[1], (match[2], match[3]) if match[2] else None
        self._wanted = mode
        self._pace: Pace | None = None
        self._seq = 0

    def open(self) -> None:
        # The device waits by itself to keep a rate; at its highest it never does, and the pace is ours.
        options = {"framerate": "1000"}
        url = self._display
        if self._at:
            url += f"+{self._at[0]},{self._at[1]}"
            if self._wanted:
                options["video_size"] = f"{self._wanted.width}x{self._wanted.height}"
        try:
            self._container: av.container.InputContainer = av.open(url, format="x11grab", options=options)
        except (av.FFmpegError, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DeviceError(f"cannot grab screen {url}: {reason}; is there such a display, and as large?") from error
        stream = self._container.streams.video[0]
        self.mode = self._wanted or Mode(stream.width // 2 * 2, stream.height // 2 * 2, _RATE)
        self._fitter = Fitter(self.mode.width, self.mode.height)
        if self._code:
            try:
                geometry = Geometry(self.mode.width, self.mode.height)
                self._painter, self._bottom = Painter(geometry), geometry.bottom
            except ValueError as error:
                raise ConfigError(str(error)) from error
        self._frames = self._container.decode(stream)

    def request_mode(self, mode: Mode) -> NewMode:
        self.close()
        before, self._wanted, self._pace = self._wanted, mode, None
        try:
            self.open()
        except DeviceError as error:
            self._wanted = before
            self.open()
            raise ConfigError(str(error)) from error
        return NewMode(self.mode, self.colour)

    def next(self) -> Picture | None:
        if self._pace is None:
            self._pace = Pace(self.mode.rate, now_us())
        due_us, skipped = self._pace.take(now_us())
        sleep_until_us(due_us, _SPIN_US)
        capture_us = now_us()
        try:
            grabbed = next(self._frames)
        except (av.FFmpegError, OSError, StopIteration) as error:
            raise DeviceError(f"screen {self._display} is gone: {error}") from error
        frame = self._fitter.fit(grabbed)
        if self._code:
            self._painter.draw_at(self._bottom, Canvas.of(frame).y, self._seq, capture_us)
        picture = Picture(frame, self._seq, capture_us, now_us(), skipped)
        self._seq += 1
        return picture

    def close(self) -> None:
        self._container.close()
