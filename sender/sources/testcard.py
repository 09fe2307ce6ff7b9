"""The test card as a source: any size from 640x360 up, any rate, paced against absolute times."""

from __future__ import annotations

import av

from thinair.link.errors import ConfigError
from thinair.link.native import now_us, sleep_until_us
from thinair.link.video_mode import Mode
from thinair.sender.picture import Colour, NewMode, Picture
from thinair.sender.sources.base import Pace
from thinair.sender.sources.testcard_layers import Canvas, Card
from thinair.sender.sources.visual_code import MIN_HEIGHT, MIN_WIDTH, Geometry, Painter, Witness

_POOL = 3  # frames: one may be with the encoder while the next is drawn
_SPIN_US = 100
_AHEAD_US = 2_000  # the scene is drawn this long before its time: it takes 0.5 ms at 1080p
_CODE_US = 150  # to draw the code, where the scene was late


class Testcard:
    """See Source. Scene and code, with `seq` and `capture_us` in it, are drawn just ahead of their time, as they stand
    before a camera; capture begins at that time."""

    name = "testcard"
    colour = Colour()

    def __init__(self, mode: Mode, *, visual_code: bool = True, witness: bool = False) -> None:
        """`witness`: cells all over the picture tell for each part of it of which picture it is."""
        _check(mode)
        self.mode = mode
        self._visual_code = visual_code
        self._witness = Witness(Geometry(mode.width, mode.height)) if witness else None
        self._pool: list[tuple[av.VideoFrame, Canvas]] = []
        self._pace: Pace | None = None
        self._seq = 0

    def open(self) -> None:
        self._card = Card(self.mode)
        self._painter = Painter(Geometry(self.mode.width, self.mode.height))
        for _ in range(_POOL):
            frame = av.VideoFrame(self.mode.width, self.mode.height, "yuv420p")
            canvas = Canvas.of(frame)
            self._card.background(canvas)
            self._pool.append((frame, canvas))

    def request_mode(self, mode: Mode) -> NewMode:
        _check(mode)
        self.close()
        self.mode, self._pace = mode, None
        if self._witness is not None:
            self._witness = Witness(Geometry(mode.width, mode.height))
        self.open()
        return NewMode(mode, self.colour)

    def next(self) -> Picture | None:
        if self._pace is None:
            self._pace = Pace(self.mode.rate, now_us() + _AHEAD_US)
        due_us, skipped = self._pace.take(now_us())
        sleep_until_us(due_us - _AHEAD_US)
        frame, canvas = self._scene(self._pace.index, self._seq)
        capture_us = max(due_us, now_us() + _CODE_US)
        self._code(canvas, self._seq, capture_us)
        sleep_until_us(capture_us, _SPIN_US)
        picture = Picture(frame, self._seq, capture_us, now_us(), skipped)
        self._seq += 1
        return picture

    def draw(self, index: int, frame_id: int, time_us: int) -> av.VideoFrame:
        """The card of time slot `index`, at once and without waiting, for benches and tests."""
        frame, canvas = self._scene(index, frame_id)
        self._code(canvas, frame_id, time_us)
        return frame

    def _scene(self, index: int, frame_id: int) -> tuple[av.VideoFrame, Canvas]:
        frame, canvas = self._pool[frame_id % _POOL]
        self._card.animate(canvas, index)
        if self._witness is not None:
            self._witness.draw(canvas.y, frame_id)
        return frame, canvas

    def _code(self, canvas: Canvas, frame_id: int, time_us: int) -> None:
        if self._visual_code:
            self._painter.draw(canvas.y, frame_id, time_us)

    def close(self) -> None:
        self._pool.clear()


def _check(mode: Mode) -> None:
    if mode.width < MIN_WIDTH or mode.height < MIN_HEIGHT:
        raise ConfigError(f"mode {mode}: the test card needs at least {MIN_WIDTH}x{MIN_HEIGHT}")
