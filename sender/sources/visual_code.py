"""The visual code: frame id and capture time as black and white cells at the top and at the bottom of a picture.

Each place holds two rows of 34 cells: a white and a black reference cell, then 32 bits, most significant first. Row 0
is the frame id (16 bits) and a CRC-16/CCITT-FALSE over the other 48 bits; row 1 is the capture time, µs modulo 2**32
(71 minutes). Cells are whole macroblocks on neutral colour, so 4:2:0 and coarse quantisers leave their centres alone.
Top and bottom carry the same bits: where they differ, the picture on the screen is torn.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

BLACK, WHITE = 16, 235
MIN_WIDTH, MIN_HEIGHT = 640, 360
_MACROBLOCK = 16
CELLS = 34  # white, black, 32 bits
ROWS = 2
_MIN_CONTRAST = 80  # between the reference cells, of 219
_CRC_START = 0xFFFF


@dataclass(frozen=True, slots=True)
class Code:
    frame_id: int  # 16 bits
    time_us: int  # 32 bits

    def near(self, now_us: int) -> int:
        """The whole time of which `time_us` is the low part, given a moment at most 35 minutes off."""
        return now_us + ((self.time_us - now_us + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the cells of a picture of this size stand. Raises ValueError below 640x360."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < MIN_WIDTH or self.height < MIN_HEIGHT:
            raise ValueError(f"a picture of {self.width}x{self.height} is too small for the visual code (640x360)")

    @property
    def cell(self) -> int:
        """Side of a cell: a multiple of the 16 px of a macroblock."""
        return 16 * max(1, min(round(self.height / 720 + 0.01), self.width // (CELLS * 16)))

    @property
    def left(self) -> int:
        return (self.width - CELLS * self.cell) // 2 // 16 * 16

    @property
    def top(self) -> int:
        return 0

    @property
    def bottom(self) -> int:
        """First luma row of the lower code."""
        return self.height // 16 * 16 - ROWS * self.cell

    def places(self) -> tuple[int, int]:
        return self.top, self.bottom


def pack(frame_id: int, time_us: int) -> bytes:
    """The eight bytes of both rows."""
    body = (frame_id & 0xFFFF).to_bytes(2) + (time_us & 0xFFFF_FFFF).to_bytes(4)
    return body[:2] + binascii.crc_hqx(body, _CRC_START).to_bytes(2) + body[2:]


class Painter:
    """Draws codes into luma planes (uint8, height x at least width) of one size."""

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._levels = np.array([BLACK, WHITE], np.uint8)
        self._cells = np.empty((ROWS, CELLS), np.uint8)
        self._cells[:] = BLACK
        self._cells[:, 0] = WHITE

    def draw(self, y_plane: npt.NDArray[np.uint8], frame_id: int, time_us: int) -> None:
        lines = self._lines(frame_id, time_us)
        for place in self._geometry.places():
            self._put(place, y_plane, lines)

    def draw_at(self, place: int, y_plane: npt.NDArray[np.uint8], frame_id: int, time_us: int) -> None:
        """One of the two: `place` is its first luma row."""
        self._put(place, y_plane, self._lines(frame_id, time_us))

    def _lines(self, frame_id: int, time_us: int) -> npt.NDArray[np.uint8]:
        bits = np.unpackbits(np.frombuffer(pack(frame_id, time_us), np.uint8)).reshape(ROWS, 32)
        self._cells[:, 2:] = self._levels[bits]
        return np.repeat(self._cells, self._geometry.cell, axis=1)

    def _put(self, place: int, y_plane: npt.NDArray[np.uint8], lines: npt.NDArray[np.uint8]) -> None:
        g = self._geometry
        for row in range(ROWS):
            y = place + row * g.cell
            y_plane[y : y + g.cell, g.left : g.left + CELLS * g.cell] = lines[row]


def decode(samples: bytes) -> Code | None:
    """The code of 68 brightness samples (row 0, then row 1), or None where references or check value do not fit."""
    if len(samples) != ROWS * CELLS:
        return None
    first, second = samples[:CELLS], samples[CELLS:]
    if min(first[0] - first[1], second[0] - second[1]) < _MIN_CONTRAST:
        return None
    head = int(first[2:].translate(_slicer((first[0] + first[1]) // 2)), 2)
    time_us = int(second[2:].translate(_slicer((second[0] + second[1]) // 2)), 2)
    frame_id = head >> 16
    if binascii.crc_hqx((frame_id << 32 | time_us).to_bytes(6), _CRC_START) != head & 0xFFFF:
        return None
    return Code(frame_id, time_us)


class Reader:
    """Reads codes from pixels in memory: BGRX of a framebuffer (pixel_bytes 4) or a luma plane (pixel_bytes 1).

    `stride` is the bytes from one line to the next; the picture's corner stands at pixel (x, y) of the buffer, `offset`
    bytes in. One byte per cell centre is read, of BGRX the green one, by strided slices: `buffer` must support them
    (bytes, mmap, memoryview of bytes).
    """

    def __init__(
        self, geometry: Geometry, stride: int, *, x: int = 0, y: int = 0, offset: int = 0, pixel_bytes: int = 4
    ) -> None:
        step = geometry.cell * pixel_bytes
        centre = (x + geometry.left + geometry.cell // 2) * pixel_bytes + (1 if pixel_bytes == 4 else 0)

        def line(row: int) -> slice:
            start = offset + (y + row) * stride + centre
            return slice(start, start + (CELLS - 1) * step + 1, step)

        half, cell = geometry.cell // 2, geometry.cell
        self._top, self._bottom = (
            (line(place + half), line(place + cell + half)) for place in (geometry.top, geometry.bottom)
        )

    @property
    def places(self) -> tuple[tuple[int, int], tuple[int, int], int]:
        """Byte offsets of the first cell of both rows at the top and at the bottom, and the bytes from cell to cell."""
        (a, b), (c, d) = self._top, self._bottom
        return (a.start, b.start), (c.start, d.start), a.step

    def top(self, buffer: bytes | memoryview) -> Code | None:
        return decode(bytes(buffer[self._top[0]]) + bytes(buffer[self._top[1]]))

    def bottom(self, buffer: bytes | memoryview) -> Code | None:
        return decode(bytes(buffer[self._bottom[0]]) + bytes(buffer[self._bottom[1]]))


@cache
def _slicer(threshold: int) -> bytes:
    """Translation table: samples to the digits 0 and 1."""
    return bytes(b"01"[value > threshold] for value in range(256))


class Witness:
    """Cells in each row of macroblocks, dark or light by picture and place: whatever part of a picture is lost or stale
    shows in the pixels."""

    COLUMNS = 8
    _PATTERNS = 256  # pictures until they come again
    _DARK, _LIGHT = 50, 200

    def __init__(self, geometry: Geometry) -> None:
        begin, end = geometry.top + ROWS * geometry.cell, geometry.bottom
        self._rows = range(-(-begin // _MACROBLOCK) * _MACROBLOCK, end - _MACROBLOCK + 1, _MACROBLOCK)
        step = geometry.width // self.COLUMNS // _MACROBLOCK * _MACROBLOCK
        self._columns = [step // 2 // _MACROBLOCK * _MACROBLOCK + step * column for column in range(self.COLUMNS)]
        shape = (self._PATTERNS, len(self._rows), self.COLUMNS)
        self._light = np.random.default_rng(1).integers(0, 2, shape, np.uint8).astype(bool)

    def draw(self, y_plane: npt.NDArray[np.uint8], frame_id: int) -> None:
        levels = np.where(self._light[frame_id % self._PATTERNS], self._LIGHT, self._DARK).astype(np.uint8)
        tall = np.repeat(levels, _MACROBLOCK, axis=0)
        for x, column in zip(self._columns, tall.T, strict=True):
            y_plane[self._rows.start : self._rows.start + len(column), x : x + _MACROBLOCK] = column[:, None]

    def wrong(self, pixels: npt.NDArray[np.uint8], frame_id: int) -> int:
        """How many cells of a picture (brightness, height x width) are not those of this picture."""
        middle, count = _MACROBLOCK // 2 - 2, len(self._rows)
        first, last = self._rows.start + middle, self._rows.stop + _MACROBLOCK
        cells = [pixels[first:last:_MACROBLOCK, x + middle : x + middle + 4] for x in self._columns]
        seen = np.stack([cell.mean(axis=1)[:count] for cell in cells], axis=1)
        return int(np.count_nonzero((seen > (self._DARK + self._LIGHT) / 2) != self._light[frame_id % self._PATTERNS]))
