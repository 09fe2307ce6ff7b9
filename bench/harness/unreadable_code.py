"""Why no visual code can be read in a picture: it is scaled, moved, cropped, smeared, torn, or not there."""

from __future__ import annotations

import mmap
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from thinair.bench.harness.xvfb_screen import Framebuffer
from thinair.sender.sources.visual_code import CELLS, ROWS, Code, Geometry, decode

Lines = npt.NDArray[np.uint8]
_FLAT = 12  # a smaller spread of brightness is no picture
_CONTRAST = 60  # of the reference cells, out of 219: less than the reader needs
_SCALES = [scale for scale in np.arange(0.25, 3.001, 0.005) if abs(scale - 1) > 1e-6]
_MOVE, _STEP = 400, 4


def why_unread(lines: Lines, width: int, height: int) -> str:
    """`lines`: brightness, height x width of the screen; the picture is `width` x `height` and should fill it."""
    geometry = Geometry(width, height)
    if float(lines.std()) < _FLAT:
        return "there is no picture, only one colour"
    top, bottom = (_read(lines, geometry, place) for place in geometry.places())
    if top is not None and bottom is not None:
        return "" if top == bottom else "the picture is torn: top and bottom are of different pictures"
    if top is not None or bottom is not None:
        missing = "bottom" if bottom is None else "top"
        return f"the picture is cropped or covered at the {missing}: the code there cannot be read"
    return _elsewhere(lines, geometry)


def _elsewhere(lines: Lines, geometry: Geometry) -> str:
    """Neither code is where it should be."""
    if (found := _scaled(lines, geometry)) is not None:
        return f"the picture is scaled to {100 * found:.0f} %: it must be shown 1:1"
    if (moved := _moved(lines, geometry)) is not None:
        return f"the picture is moved by about {moved[0]}, {moved[1]} px, or cropped: it must fill the screen"
    if any(_references(lines, geometry, place) for place in geometry.places()):
        return "the code is smeared: the bitrate is too low, or the picture is damaged"
    return "the picture has no code"


def why_unread_on(file: Path, width: int, height: int, *, y: int = 0) -> str:
    """The same of an X server's framebuffer file, where the picture should begin at line `y`."""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as pixels:
        where = Framebuffer.parse(pixels[:100])
        data = np.frombuffer(pixels[where.offset :], np.uint8, where.stride * where.height)
    green = data.reshape(where.height, where.stride // 4, 4)[:, : where.width, 1]
    return why_unread(np.ascontiguousarray(green[y:]), width, height)


def _samples(
    lines: Lines, geometry: Geometry, place: float, scale: float = 1.0, at: tuple[float, float] = (0.0, 0.0)
) -> bytes | None:
    """The cells' centres of a picture that is scaled and begins at (x, y) `at`."""
    columns = (geometry.left + (np.arange(CELLS) + 0.5) * geometry.cell) * scale + at[0]
    rows = (place + (np.arange(ROWS) + 0.5) * geometry.cell) * scale + at[1]
    if columns[0] < 0 or rows[0] < 0 or columns[-1] >= lines.shape[1] or rows[-1] >= lines.shape[0]:
        return None
    return bytes(lines[np.ix_(rows.astype(int), columns.astype(int))].tobytes())


def _read(
    lines: Lines, geometry: Geometry, place: float, scale: float = 1.0, at: tuple[float, float] = (0.0, 0.0)
) -> Code | None:
    samples = _samples(lines, geometry, place, scale, at)
    return None if samples is None else decode(samples)


def _references(lines: Lines, geometry: Geometry, place: float) -> bool:
    samples = _samples(lines, geometry, place)
    return samples is not None and min(samples[0] - samples[1], samples[CELLS] - samples[CELLS + 1]) >= _CONTRAST


def _scaled(lines: Lines, geometry: Geometry) -> float | None:
    """At the screen's corner or in its middle; the middle of all scales at which the code can be read."""
    found: dict[bool, list[float]] = {False: [], True: []}
    for scale in _SCALES:
        size = geometry.width * scale, geometry.height * scale
        middle = (lines.shape[1] - size[0]) / 2, (lines.shape[0] - size[1]) / 2
        for centred, at in ((False, (0.0, 0.0)), (True, middle)):
            if _read(lines, geometry, geometry.top, scale, at) is not None:
                found[centred].append(float(scale))
    most = max(found.values(), key=len)
    return median(most) if most else None


def _moved(lines: Lines, geometry: Geometry) -> tuple[int, int] | None:
    reach = range(-_MOVE, _MOVE + 1, _STEP)
    for place in geometry.places():
        found = [(x, y) for y in reach for x in reach if _read(lines, geometry, place, 1.0, (x, y)) is not None]
        if found:
            return round(median(x for x, _ in found)), round(median(y for _, y in found))
    return None
