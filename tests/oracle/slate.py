"""Reads a slate: the font's shapes found again in the pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thinair.sender.pipeline.slate import FONT

_LETTERS = {tuple(int(digit, 32) for digit in glyph): letter for letter, glyph in FONT.items()}
_WEIGHTS = 1 << np.arange(4, -1, -1)


def read_slate(luma: NDArray[np.uint8]) -> list[str]:
    """The lines of a slate, which stand in the middle of the picture. Raises AssertionError where a shape is no letter,
    or something stands beside the words."""
    height = luma.shape[0]
    size = max(1, height // 144)
    ink = luma > 140
    inked = np.flatnonzero(ink.any(axis=1))
    for count in range(1, height // (8 * size) + 1):
        top = (height - count * 8 * size) // 2
        if inked.size and top <= inked[0] and inked[-1] < top + count * 8 * size:
            return [_line(ink[top + 8 * size * i :][: 8 * size], size) for i in range(count)]
    raise AssertionError("no words in the middle")


def _line(strip: NDArray[np.bool_], size: int) -> str:
    width = strip.shape[1]
    for count in range(1, width // (6 * size) + 1):
        left = (width - count * 6 * size) // 2
        cells = strip[:, left : left + count * 6 * size]
        dots = cells[size // 2 :: size, size // 2 :: size]
        whole = np.array_equal(cells, dots.repeat(size, axis=0).repeat(size, axis=1))
        if not whole or cells.sum() != strip.sum() or dots[:, 5::6].any() or dots[7].any():
            continue
        rows = dots[:7].reshape(7, count, 6)[:, :, :5] @ _WEIGHTS
        letters = [_LETTERS.get(tuple(int(row) for row in shape)) for shape in rows.T]
        if None not in letters and letters[0] != " " != letters[-1]:
            return "".join(letter for letter in letters if letter)
    raise AssertionError("no line of letters in the middle")
