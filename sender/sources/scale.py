"""Any picture to yuv420p of a wanted size, BT.709 limited range, aspect kept, black beside it."""

from __future__ import annotations

from fractions import Fraction

import av
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from thinair.sender.picture import Colour
from thinair.sender.sources.testcard_layers import Canvas

OUT = Colour()
_THREADS = 2
_POOL = 3


def colour_of(frame: av.VideoFrame) -> Colour:
    """What the frame says of itself; where it says nothing, small pictures are BT.601 and large ones BT.709."""
    matrix, full_range = int(frame.colorspace), int(frame.color_range) == int(ColorRange.JPEG)
    bt709 = matrix == int(Colorspace.ITU709) or (matrix not in (4, 5, 6, 7) and frame.height >= 720)
    return Colour(bt709, full_range or frame.format.name.startswith("yuvj"))


class Fitter:
    """Fits frames into width x height (even)."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._reformatter = VideoReformatter()
        self._pool: list[tuple[av.VideoFrame, Canvas]] = []
        self._count = 0

    def fit(self, frame: av.VideoFrame, pixel_aspect: Fraction = Fraction(1)) -> av.VideoFrame:
        shape = Fraction(frame.width, frame.height) * pixel_aspect
        width = min(self._width, _even(self._height * shape))
        height = min(self._height, _even(self._width / shape))
        source = colour_of(frame)
        rgb = frame.format.is_rgb
        scaled = self._reformatter.reformat(
            frame,
            width,
            height,
            "yuv420p",
            src_colorspace=Colorspace.ITU709 if rgb or source.bt709 else Colorspace.ITU601,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG if rgb or source.full_range else ColorRange.MPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BILINEAR,
            threads=_THREADS,
        )
        if (width, height) == (self._width, self._height):
            return scaled
        return self._centre(scaled)

    def _centre(self, frame: av.VideoFrame) -> av.VideoFrame:
        if not self._pool:
            for _ in range(_POOL):
                blank = av.VideoFrame(self._width, self._height, "yuv420p")
                canvas = Canvas.of(blank)
                canvas.y[:], canvas.u[:], canvas.v[:] = 16, 128, 128
                self._pool.append((blank, canvas))
        target, canvas = self._pool[self._count % _POOL]
        self._count += 1
        x, y = (self._width - frame.width) // 4 * 2, (self._height - frame.height) // 4 * 2
        source = Canvas.of(frame)
        canvas.y[y : y + frame.height, x : x + frame.width] = source.y
        chroma = slice(y // 2, (y + frame.height) // 2), slice(x // 2, (x + frame.width) // 2)
        canvas.u[chroma] = source.u
        canvas.v[chroma] = source.v
        return target


def _even(value: Fraction) -> int:
    return max(2, round(value) // 2 * 2)
