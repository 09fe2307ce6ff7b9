"""A clip as a source: anything libavformat opens, at its own pace, again and again."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import av.container

from thinair.link.errors import ConfigError, FileError
from thinair.link.native import now_us, sleep_until_us
from thinair.link.video_mode import Mode
from thinair.sender.picture import NewMode, Picture
from thinair.sender.sources.scale import OUT, Fitter, colour_of

_SPIN_US = 100
_LONGEST_SKIP = 10  # pictures; a machine that decodes slower than that plays the clip slower


class File:
    """See Source. A mode gives the size; the rate is the clip's own. Without one the size is the clip's, made even."""

    name = "file"

    def __init__(self, path: str, mode: Mode | None = None) -> None:
        self._path = path
        self._wanted = mode
        self._seq = 0
        self._start_us: int | None = None

    def open(self) -> None:
        try:
            self._container: av.container.InputContainer = av.open(self._path)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise FileError(f"cannot play {self._path}: {getattr(error, 'strerror', None) or error}") from error
        if not self._container.streams.video:
            raise FileError(f"cannot play {self._path}: there are no pictures in it")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        rate = self._stream.average_rate or self._stream.guessed_rate or Fraction(25)
        self._rate = min(max(Fraction(rate), Fraction(1)), Fraction(240))
        self._frames = self._timed_frames()
        self._ahead = next(self._frames)
        first = self._ahead[0]
        if self._wanted:
            width, height = self._wanted.width, self._wanted.height
        else:
            width, height = first.width // 2 * 2, first.height // 2 * 2
        self.mode = Mode(width, height, self._rate)
        as_it_is = first.format.name == "yuv420p" and (first.width, first.height) == (width, height)
        self._fitter = None if as_it_is else Fitter(width, height)
        self.colour = colour_of(first) if as_it_is else OUT

    def request_mode(self, mode: Mode) -> NewMode:
        raise ConfigError("a clip keeps its own")

    def next(self) -> Picture | None:
        """The picture after this one is decoded before the wait, so that decoding and the start of a new round cost no
        time at the due moment."""
        interval_us = int(self.mode.interval_us)
        skipped = 0
        if self._start_us is None:
            self._start_us = now_us()
        frame, at_us = self._ahead
        while (late_us := now_us() - self._start_us - at_us) > interval_us and skipped < _LONGEST_SKIP:
            frame, at_us = next(self._frames)
            skipped += 1
        if late_us > interval_us:
            self._start_us += late_us
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        ready = self._fitter.fit(frame, aspect) if self._fitter else frame
        self._ahead = next(self._frames)
        sleep_until_us(self._start_us + at_us, _SPIN_US)
        stamp_us = now_us()
        picture = Picture(ready, self._seq, stamp_us, stamp_us, skipped)
        self._seq += 1
        return picture

    def close(self) -> None:
        self._container.close()

    def _timed_frames(self) -> Iterator[tuple[av.VideoFrame, int]]:
        """(frame, µs since the first one), for ever. Raises FileError where nothing decodes."""
        step = 1 / self._rate
        base = Fraction(0)  # where the present round began
        while True:
            start: Fraction | None = None
            at = -step
            for frame in self._decoded():
                if frame.pts is not None and frame.time_base is not None:
                    time = frame.pts * Fraction(frame.time_base)
                    start = time - at - step if start is None else start
                    at = max(at, time - start)
                else:
                    at += step
                yield frame, int((base + at) * 1_000_000)
            if at < 0:
                raise FileError(f"cannot play {self._path}: no picture in it can be decoded")
            base += at + step
            try:
                self._container.seek(0)
            except (av.FFmpegError, OSError) as error:
                raise FileError(f"cannot play {self._path} again from its start: {error}") from error

    def _decoded(self) -> Iterator[av.VideoFrame]:
        try:
            yield from self._container.decode(self._stream)
        except av.FFmpegError as error:
            if self._seq == 0:
                raise FileError(f"cannot play {self._path}: {error}") from error
