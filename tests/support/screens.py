"""Pictures with known colours, for the tests of presenters."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tests.support.processes import HANG_S

if TYPE_CHECKING:
    import av

# BT.709's bars of 75 %, those of 100 %, and a grey ramp: rows of eight cells
_75 = 191
BARS = np.array(
    [
        [[a * ((7 - i) >> 1 & 1), a * ((7 - i) >> 2 & 1), a * ((7 - i) & 1)] for i in range(8)] for a in (_75, 255)
    ]
    + [[[36 * i] * 3 for i in range(8)]],
    float,
)  # fmt: skip
MATRIX = {"bt709": (1, 0.2126, 0.0722), "bt601": (6, 0.299, 0.114)}  # AVColorSpace, Kr, Kb
RANGE = {"limited": 1, "full": 2}  # AVColorRange
TOLERANCE = 2


def bars(width: int, height: int, matrix: str, extent: str, *, tagged: bool = True) -> av.VideoFrame:
    """BARS as 4:2:0, cells of equal size; width divisible by 16, height by 6."""
    import av

    space, kr, kb = MATRIX[matrix]
    red, green, blue = BARS[..., 0], BARS[..., 1], BARS[..., 2]
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    if extent == "limited":
        luma, cb, cr = luma * 219 / 255 + 16, cb * 224 / 255, cr * 224 / 255
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, values in zip(frame.planes, (luma, cb + 128, cr + 128), strict=True):
        cells = np.clip(np.rint(values), 0, 255).astype(np.uint8)
        lines = cells.repeat(plane.height // 3, axis=0).repeat(plane.width // 8, axis=1)
        padded = np.zeros((plane.height, plane.line_size), np.uint8)
        padded[:, : plane.width] = lines
        plane.update(padded.tobytes())
    if tagged:
        frame.colorspace, frame.color_range = space, RANGE[extent]
    return frame


def grey(width: int, height: int, level: int = 128) -> av.VideoFrame:
    import av

    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, value in zip(frame.planes, (level, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    return frame


def cells(pixels: NDArray[np.uint8], x: int, y: int, width: int, height: int) -> NDArray[Any]:
    """Centre colours of BARS' cells, drawn at this place."""
    rows, columns = BARS.shape[:2]
    down = y + np.arange(1, 2 * rows, 2) * height // (2 * rows)
    across = x + np.arange(1, 2 * columns, 2) * width // (2 * columns)
    return pixels[np.ix_(down, across)].astype(float)


def eventually(true: Callable[[], bool], seconds: float = HANG_S) -> bool:
    """Another process acts, in its own time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
