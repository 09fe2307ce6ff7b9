"""Reads what vivid writes into its pictures: " 00:00:12:345 678", its clock and the picture's number, in white on
black at (16, 16), in the kernel's 8x16 font (drivers/media/test-drivers/vivid/vivid-kthread-cap.c, vivid_fillbuff)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tests.vm.machine import MADE

LEFT, TOP = 16, 16
WIDTH, HEIGHT = 8, 16
LONGEST = 24  # characters
_CHARACTERS = " 0123456789:"
_WORST = 0.1  # share of a glyph's pixels that may be wrong


@dataclass(frozen=True, slots=True)
class Reading:
    clock_ms: int  # of vivid, since the stream's start
    number: int  # of the picture since the stream's start: the buffer's sequence


@cache
def _font() -> NDArray[np.bool_]:
    """Glyphs of _CHARACTERS, each 16 lines of 8 pixels."""
    source = (MADE / "sources/lib/fonts/font_8x16.c").read_text(encoding="utf-8", errors="replace")
    table = bytes(int(value, 16) for value in re.findall(r"^\t(0x[0-9a-f]{2}), /\*", source, re.M))
    assert len(table) == 256 * HEIGHT
    glyphs = [table[ord(character) * HEIGHT :][:HEIGHT] for character in _CHARACTERS]
    bits = np.unpackbits(np.frombuffer(b"".join(glyphs), np.uint8))
    return bits.reshape(len(_CHARACTERS), HEIGHT, WIDTH).astype(bool)


def read(luma: NDArray[np.uint8]) -> Reading | None:
    """`luma` is lines x at least 208 pixels. None: no such text there."""
    text = ""
    for place in range(LONGEST):
        left = LEFT + place * WIDTH
        cell = luma[TOP : TOP + HEIGHT, left : left + WIDTH] > 128
        wrong = (cell ^ _font()).mean(axis=(1, 2))
        best = int(wrong.argmin())
        if wrong[best] > _WORST:
            break
        text += _CHARACTERS[best]
    found = re.match(r" (\d\d):(\d\d):(\d\d):(\d\d\d) (\d+)", text)
    if found is None:
        return None
    hours, minutes, seconds, ms, number = map(int, found.groups())
    return Reading(((hours * 60 + minutes) * 60 + seconds) * 1000 + ms, number)
