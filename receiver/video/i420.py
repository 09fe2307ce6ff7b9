"""What a presenter draws: a decoded frame made 8-bit 4:2:0, scaled to the window, its matrix and range known."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av
    from av.video.plane import VideoPlane

# ISO/IEC 23091-4 (H.273) matrix coefficients, as AVColorSpace numbers them
_BT709_LIKE = frozenset({1, 7, 9, 10})  # BT.709, SMPTE 240M, BT.2020: nearer to BT.709 than to BT.601
_BT601_LIKE = frozenset({4, 5, 6})  # FCC, BT.470BG, SMPTE 170M
_LIMITED_RANGE, _FULL_RANGE = 1, 2  # AVCOL_RANGE_MPEG, _JPEG
_BT709, _BT601 = 1, 5  # what PyAV's reformatter takes
_PLANAR_420 = frozenset({"yuv420p", "yuvj420p"})


@dataclass(frozen=True, slots=True)
class Colour:
    bt709: bool  # else BT.601
    full_range: bool  # else 16..235


def colour_of(frame: av.VideoFrame) -> Colour:
    """As the frame says it; where it says nothing BT.709 from 720 lines on, else BT.601, limited range."""
    matrix = int(frame.colorspace)
    known = matrix in _BT709_LIKE or matrix in _BT601_LIKE
    bt709 = matrix in _BT709_LIKE if known else frame.height >= 720
    full = int(frame.color_range) == _FULL_RANGE or frame.format.name.startswith("yuvj")
    return Colour(bt709, full)


def fit(picture: tuple[int, int], window: tuple[int, int]) -> tuple[int, int]:
    """Largest even size of the picture's shape inside the window, pixels; the picture's own size where that is it."""
    width, height = picture
    room_x, room_y = max(2, window[0]), max(2, window[1])
    if width * room_y >= room_x * height:
        fitted = room_x, round(room_x * height / width)
    else:
        fitted = round(room_y * width / height), room_y
    return picture if fitted == picture else (max(2, fitted[0] & ~1), max(2, fitted[1] & ~1))


class Preparer:
    """Keeps the scaler's state between pictures."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._threads = min(4, os.cpu_count() or 1)

    def prepare(self, frame: av.VideoFrame, size: tuple[int, int] | None = None) -> tuple[av.VideoFrame, Colour]:
        """4:2:0 of `size` (None: the frame's own). The frame itself where it is that already."""
        colour = colour_of(frame)
        width, height = size or (frame.width, frame.height)
        if frame.format.name in _PLANAR_420 and (width, height) == (frame.width, frame.height):
            return frame, colour
        from_rgb = frame.format.is_rgb  # is of full range, whatever it says
        colour = Colour(colour.bt709, colour.full_range and not from_rgb)
        matrix, extent = _BT709 if colour.bt709 else _BT601, _FULL_RANGE if colour.full_range else _LIMITED_RANGE
        prepared = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="yuv420p",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=_FULL_RANGE if from_rgb else extent,
            dst_color_range=extent,
            interpolation="FAST_BILINEAR",
            threads=self._threads,
        )
        return prepared, colour


def planes(frame: av.VideoFrame) -> tuple[VideoPlane, VideoPlane, VideoPlane]:
    y, u, v = frame.planes
    return y, u, v
