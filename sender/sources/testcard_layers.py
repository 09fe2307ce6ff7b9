"""What is on the test card. Strips are drawn once; a picture copies windows of them.

Static: colour bars (75 %), grey steps, multiburst, labels. Moving: noise (new in each picture), a turning zone plate,
scrolling text, ramps of light and hue, bars with a ball, clock and picture number.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from thinair.link.video_mode import Mode
from thinair.sender.sources.visual_code import ROWS, Geometry

Samples = npt.NDArray[np.uint8]

_GROUND, _RULE, _INK = 38, 110, 228  # luma of the ground, of thin lines, of text
_ZONE_PHASES = 24
_SEED = 1  # of the noise: every run shows the same pictures
_TEXT = (
    "Fine print scrolls by: is every letter whole, is every edge clean?",
    "Access unit, slice, macroblock, quantiser; what moves costs bits.",
    "0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyz",
    "HDMI, out of thin air: capture, encode, pace, air, decode, present.",
    "iIl1| oO0Q 8B 5S 2Z rn m cl d vv w .,:;!? ()[]{} <> /\\ + - = * # @",
    "A picture that is late is worth less than one that says how late.",
    "Grass, water, confetti and a scrolling page are an encoder's worst day.",
)


@dataclass(frozen=True, slots=True)
class Canvas:
    """Writable planes of a yuv420p frame, cut to the picture."""

    y: Samples
    u: Samples
    v: Samples

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Canvas:
        def plane(index: int) -> Samples:
            p = frame.planes[index]
            return np.frombuffer(p, np.uint8).reshape(p.height, p.line_size)[:, : p.width]  # type: ignore[call-overload, no-any-return]  # numpy's stubs know no av.VideoPlane

        return cls(plane(0), plane(1), plane(2))


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in luma pixels, all even."""

    x: int
    y: int
    w: int
    h: int

    def inset(self, margin: int) -> Box:
        return Box(self.x + margin, self.y + margin, self.w - 2 * margin, self.h - 2 * margin)

    def luma(self) -> tuple[slice, slice]:
        return slice(self.y, self.y + self.h), slice(self.x, self.x + self.w)

    def chroma(self) -> tuple[slice, slice]:
        return slice(self.y // 2, (self.y + self.h) // 2), slice(self.x // 2, (self.x + self.w) // 2)


class Moving(Protocol):
    def draw(self, canvas: Canvas, index: int) -> None: ...


class Card:
    """The test card of a mode: `background` once into each frame of a pool, then `animate` for every picture."""

    def __init__(self, mode: Mode) -> None:
        geometry = Geometry(mode.width, mode.height)
        self._mode = mode
        self._boxes = _layout(geometry)
        self._clock = _Clock(self._boxes["clock"], mode)
        self._moving: tuple[Moving, ...] = (
            _Noise(self._boxes["noise"]),
            _ZonePlate(self._boxes["zone"]),
            _text(self._boxes["text"]),
            _ramp(self._boxes["ramp"], mode.width),
            _bars(self._boxes["lane"], mode),
            _Ball(self._boxes["lane"], mode),
            self._clock,
        )

    def background(self, canvas: Canvas) -> None:
        canvas.y[:] = _GROUND
        canvas.u[:] = canvas.v[:] = 128
        for name, box in self._boxes.items():
            if name not in ("label", "clock"):
                canvas.y[box.inset(-2).luma()] = _RULE
        _colour_bars(canvas, self._boxes["bars"])
        _grey_steps(canvas, self._boxes["steps"])
        _multiburst(canvas, self._boxes["burst"])
        _label(canvas, self._boxes["label"], self._mode)
        self._clock.static(canvas)

    def animate(self, canvas: Canvas, index: int) -> None:
        for part in self._moving:
            part.draw(canvas, index)


def _layout(geometry: Geometry) -> dict[str, Box]:
    """Bands between the two codes, as shares of the height that is left; panels as shares of the width."""
    width = geometry.width
    top, bottom = geometry.top + ROWS * geometry.cell, geometry.bottom
    gap = max(4, geometry.height // 180 // 2 * 2)
    bands = (
        (0.15, (("label", 0.56), ("clock", 0.44))),
        (0.20, (("bars", 0.72), ("steps", 0.28))),
        (0.33, (("noise", 0.22), ("zone", 0.36), ("text", 0.42))),
        (0.12, (("ramp", 1.0),)),
        (0.08, (("burst", 1.0),)),
        (0.12, (("lane", 1.0),)),
    )
    boxes, y = {}, float(top)
    for share, panels in bands:
        height = share * (bottom - top)
        x = 0.0
        for name, part in panels:
            left, upper = _even(x) + gap, _even(y) + gap
            boxes[name] = Box(left, upper, _even(x + part * width) - gap - left, _even(y + height) - gap - upper)
            x += part * width
        y += height
    return boxes


def _even(value: float) -> int:
    return round(value) // 2 * 2


def _yuv(red: float, green: float, blue: float) -> tuple[int, int, int]:
    """R'G'B' 0..1 to 8-bit limited range (ITU-R BT.709-6, items 3.2 to 3.4)."""
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return (round(16 + 219 * luma), round(128 + 224 * (blue - luma) / 1.8556), round(128 + 224 * (red - luma) / 1.5748))


def _fill(canvas: Canvas, box: Box, colour: tuple[int, int, int]) -> None:
    canvas.y[box.luma()] = colour[0]
    canvas.u[box.chroma()] = colour[1]
    canvas.v[box.chroma()] = colour[2]


def _columns(box: Box, count: int) -> list[Box]:
    edges = [box.x + _even(box.w * i / count) for i in range(count + 1)]
    return [Box(a, box.y, b - a, box.h) for a, b in pairwise(edges)]


def _colour_bars(canvas: Canvas, box: Box) -> None:
    colours = ((1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0))
    for column, (red, green, blue) in zip(_columns(box, len(colours)), colours, strict=True):
        _fill(canvas, column, _yuv(0.75 * red, 0.75 * green, 0.75 * blue))


def _grey_steps(canvas: Canvas, box: Box) -> None:
    steps = 11
    for i, column in enumerate(_columns(box, steps)):
        _fill(canvas, column, (16 + round(219 * i / (steps - 1)), 128, 128))


def _multiburst(canvas: Canvas, box: Box) -> None:
    """Vertical gratings of 16, 8, 6, 4, 3 and 2 px per cycle."""
    for period, column in zip((16, 8, 6, 4, 3, 2), _columns(box, 6), strict=True):
        wave = np.sin((np.arange(column.w) + 0.5) * 2 * np.pi / period)
        canvas.y[column.luma()] = np.clip(np.round(126 + 80 * wave), 16, 235).astype(np.uint8)


def _label(canvas: Canvas, box: Box, mode: Mode) -> None:
    big, small = _font(box.h * 0.74), _font(box.h * 0.24)
    name = _print("thinair", big)
    _stamp(canvas, name, box.x + box.h // 4, box.y + (box.h - name.shape[0]) // 2)
    lines = (f"{mode.width} x {mode.height}", f"{float(mode.rate):.5g} pictures/s", "BT.709  16-235")
    x = box.x + box.h // 4 + name.shape[1] + box.h // 2
    for i, line in enumerate(lines):
        mask = _print(line, small)
        if x + mask.shape[1] <= box.x + box.w:
            _stamp(canvas, mask, x, box.y + int(box.h * (0.06 + 0.31 * i)))


def _font(height: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(max(8, round(height)))
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _print(text: str, font: ImageFont.FreeTypeFont, width: int = 0) -> Samples:
    """Coverage 0..255 of one line, ascenders and descenders included. `width` > 0 centres it in so many pixels."""
    ascent, descent = font.getmetrics()
    length = round(font.getlength(text))
    image = Image.new("L", (width or length, ascent + descent))
    ImageDraw.Draw(image).text(((width - length) // 2 if width else 0, 0), text, 255, font=font)
    return np.asarray(image, np.uint8)


def _ink(mask: Samples, ground: int = _GROUND, ink: int = _INK) -> Samples:
    return (ground + mask.astype(np.int32) * (ink - ground) // 255).astype(np.uint8)


def _stamp(canvas: Canvas, mask: Samples, x: int, y: int) -> None:
    canvas.y[y : y + mask.shape[0], x : x + mask.shape[1]] = _ink(mask)


class _Noise:
    """White noise of moderate contrast: nothing in it can be predicted from the picture before."""

    def __init__(self, box: Box) -> None:
        self._target = box.luma()
        self._size = box.h, box.w
        self._field = (
            np.random.default_rng(_SEED).normal(126, 20, (box.h + 97, box.w + 89)).clip(16, 235).astype(np.uint8)
        )

    def draw(self, canvas: Canvas, index: int) -> None:
        y, x = index * 31 % 97, index * 53 % 89
        canvas.y[self._target] = self._field[y : y + self._size[0], x : x + self._size[1]]


class _ZonePlate:
    """Rings whose frequency grows with the radius up to a third of a cycle per pixel, running outwards."""

    def __init__(self, box: Box) -> None:
        self._target = box.luma()
        y, x = np.mgrid[0 : box.h, 0 : box.w].astype(np.float32)
        square = (x - box.w / 2) ** 2 + (y - box.h / 2) ** 2
        reach = min(box.w, box.h) / 2
        phase = np.pi * square / (3.0 * reach)
        fade = np.clip(1.6 - np.sqrt(square) / reach, 0, 1)
        turn = 2 * np.pi / _ZONE_PHASES
        self._plates = [
            np.round(126 + 90 * fade * np.cos(phase - i * turn)).astype(np.uint8) for i in range(_ZONE_PHASES)
        ]

    def draw(self, canvas: Canvas, index: int) -> None:
        canvas.y[self._target] = self._plates[index % _ZONE_PHASES]


class _Window:
    """A window that runs along a strip by (dx, dy) a picture; the strip repeats after `period` in that direction."""

    def __init__(self, box: Box, strip: tuple[Samples, ...], *, dx: int = 0, dy: int = 0, period: int) -> None:
        self._box, self._strip, self._dx, self._dy, self._period = box, strip, dx, dy, period

    def draw(self, canvas: Canvas, index: int) -> None:
        box, x, y = self._box, index * self._dx % self._period, index * self._dy % self._period
        canvas.y[box.luma()] = self._strip[0][y : y + box.h, x : x + box.w]
        if len(self._strip) == 3:
            source = slice(y // 2, (y + box.h) // 2), slice(x // 2, (x + box.w) // 2)
            canvas.u[box.chroma()] = self._strip[1][source]
            canvas.v[box.chroma()] = self._strip[2][source]


def _text(box: Box) -> _Window:
    """Small print, dark on light, that runs up by two pixels a picture."""
    font = _font(max(11, box.h / 18))
    lines = [_print("  -  ".join(_TEXT[(i + 3 * n) % len(_TEXT)] for n in range(5)), font) for i in range(len(_TEXT))]
    pitch = lines[0].shape[0]
    period = pitch * len(lines)
    strip = np.full((box.h + period, box.w), 200, np.uint8)
    for top in range(0, strip.shape[0] - pitch, pitch):
        mask = lines[top // pitch % len(lines)][:, : box.w - 16]
        strip[top : top + pitch, 8 : 8 + mask.shape[1]] = _ink(mask, 200, 30)
    return _Window(box, (strip,), dy=2, period=period)


def _ramp(box: Box, period: int) -> _Window:
    """A soft wave of light over a slow round of hues; banding shows here first."""
    x = np.arange(box.w + period)
    light = 126 + 84 * np.sin(2 * np.pi * x / period)
    hue = 2 * np.pi * x[::2] / period
    planes = (light, 128 + 36 * np.cos(hue), 128 + 36 * np.sin(hue))
    heights = (box.h, box.h // 2, box.h // 2)
    strip = tuple(
        np.tile(np.round(line).astype(np.uint8), (height, 1)) for line, height in zip(planes, heights, strict=True)
    )
    return _Window(box, strip, dx=2, period=period)


def _step(mode: Mode) -> int:
    """Pixels a picture for things that cross the whole width in about four seconds."""
    return max(2, _even(mode.width / 4 / float(mode.rate)))


def _bars(box: Box, mode: Mode) -> _Window:
    """Upright bars in muted colours with hard edges, running left."""
    colours = (
        (0.85, 0.85, 0.85),
        (0.1, 0.15, 0.35),
        (0.8, 0.55, 0.1),
        (0.1, 0.1, 0.1),
        (0.1, 0.45, 0.4),
        (0.6, 0.15, 0.2),
    )
    pitch = max(16, box.h // 2 // 2 * 2)
    period = pitch * len(colours)
    columns = np.arange(box.w + period) // pitch % len(colours)
    table = np.array([_yuv(*colour) for colour in colours], np.uint8)
    strip = (
        np.tile(table[columns, 0], (box.h, 1)),
        np.tile(table[columns[::2], 1], (box.h // 2, 1)),
        np.tile(table[columns[::2], 2], (box.h // 2, 1)),
    )
    return _Window(box, strip, dx=_step(mode) // 2 // 2 * 2 or 2, period=period)


class _Ball:
    """A shaded ball that runs to and fro over the bars."""

    def __init__(self, box: Box, mode: Mode) -> None:
        size = box.h // 4 * 4
        self._box, self._size = box, size
        self._step, self._travel = _step(mode), (box.w - size) // 2 * 2
        y, x = (np.mgrid[0:size, 0:size] + 0.5 - size / 2) / (size / 2)
        self._inside = x * x + y * y < 1
        light = np.clip(1 - 0.6 * ((x + 0.35) ** 2 + (y + 0.35) ** 2), 0.15, 1)
        self._luma = (40 + 185 * light).astype(np.uint8)
        self._inside_chroma = self._inside[::2, ::2]
        self._u, self._v = _yuv(1.0, 0.5, 0.05)[1:]

    def draw(self, canvas: Canvas, index: int) -> None:
        way = index * self._step % (2 * self._travel)
        x = self._box.x + min(way, 2 * self._travel - way) // 2 * 2
        y, size = self._box.y + (self._box.h - self._size) // 4 * 2, self._size
        np.copyto(canvas.y[y : y + size, x : x + size], self._luma, where=self._inside)
        target = slice(y // 2, (y + size) // 2), slice(x // 2, (x + size) // 2)
        canvas.u[target][self._inside_chroma] = self._u
        canvas.v[target][self._inside_chroma] = self._v


class _Clock:
    """Time since the start and the number of the picture, in digits for people."""

    def __init__(self, box: Box, mode: Mode) -> None:
        self._mode = mode
        font = _font(min(box.h * 0.62, box.w / 13))
        small = _font(box.h * 0.2)
        width = max(round(font.getlength(digit)) for digit in "0123456789")
        self._glyphs = {char: _ink(_print(char, font, width)) for char in "0123456789"}
        self._glyphs |= {char: _ink(_print(char, font, width // 2)) for char in ":."}
        self._height = self._glyphs["0"].shape[0]
        self._labels = _print("min:s.ms", small), _print("picture", small)
        self._x = box.x, box.x + box.w - 7 * width - box.h // 8
        self._y = box.y + box.h - self._height
        self._label_y = box.y + int(box.h * 0.04)

    def static(self, canvas: Canvas) -> None:
        for x, mask in zip(self._x, self._labels, strict=True):
            if self._label_y + mask.shape[0] <= self._y:  # small pictures have no room for them
                _stamp(canvas, mask, x, self._label_y)

    def draw(self, canvas: Canvas, index: int) -> None:
        ms = int(index * 1000 / self._mode.rate)
        self._write(canvas, self._x[0], f"{ms // 60000 % 100:02}:{ms // 1000 % 60:02}.{ms % 1000:03}")
        self._write(canvas, self._x[1], f"{index % 10_000_000:07}")

    def _write(self, canvas: Canvas, x: int, text: str) -> None:
        for char in text:
            glyph = self._glyphs[char]
            canvas.y[self._y : self._y + self._height, x : x + glyph.shape[1]] = glyph
            x += glyph.shape[1]
