"""Slates: what is drawn can be read, in every format and size."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.oracle.slate import read_slate
from thinair.link.native import raw_to_i420
from thinair.sender.pipeline.slate import FONT, draw_slate

pytestmark = pytest.mark.quick

WORDS = "no HDMI cable at the camera for 12 s"


def planes(raw: bytes, fourcc: str, width: int, height: int) -> list[NDArray[np.uint8]]:
    """Y, U, V."""
    sizes = [(height, width), *[(height // 2, width // 2)] * 2]
    if fourcc == "YU12":
        assert len(raw) == width * height * 3 // 2
        cuts = np.cumsum([rows * columns for rows, columns in sizes])[:-1]
        parts = np.split(np.frombuffer(raw, np.uint8), cuts)
        return [part.reshape(size) for part, size in zip(parts, sizes, strict=True)]
    stride = width if fourcc == "NV12" else 2 * width
    y, u, v = (np.empty(size, np.uint8) for size in sizes)
    raw_to_i420(raw, fourcc, stride, width, height, y.data, u.data, v.data, width, width // 2, width // 2)
    return [y, u, v]


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (720, 576), (640, 480), (320, 240)])
@pytest.mark.parametrize("fourcc", ["YU12", "NV12", "UYVY", "YUYV"])
def test_the_words_stand_in_the_middle_and_can_be_read(fourcc: str, size: tuple[int, int]) -> None:
    y, u, v = planes(draw_slate(WORDS, *size, fourcc), fourcc, *size)
    assert " ".join(read_slate(y)) == WORDS
    assert set(np.unique(y)) == {16 + 48 * 219 // 255, 235}
    assert set(np.unique(u)) == set(np.unique(v)) == {128}


def test_every_format_gives_the_same_picture() -> None:
    first, *others = (planes(draw_slate(WORDS, 640, 360, f), f, 640, 360) for f in ("YU12", "NV12", "UYVY", "YUYV"))
    for other in others:
        assert all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_full_range_is_black_to_white() -> None:
    y, _, _ = planes(draw_slate(WORDS, 640, 360, "YU12", full_range=True), "YU12", 640, 360)
    assert set(np.unique(y)) == {48, 255}


def test_each_printable_letter_has_a_shape_of_its_own() -> None:
    assert "".join(FONT) == "".join(map(chr, range(32, 127)))
    assert len(set(FONT.values())) == len(FONT)
    letters = "".join(FONT).replace(" ", "")
    y, _, _ = planes(draw_slate(letters, 1280, 720, "YU12"), "YU12", 1280, 720)
    assert "".join(read_slate(y)) == letters


def test_what_the_font_lacks_is_a_question_mark() -> None:
    y, _, _ = planes(draw_slate("a Größe of 1 µs \U0001f4f7", 1280, 720, "YU12"), "YU12", 1280, 720)
    assert read_slate(y) == ["a Gr??e of 1 ?s ?"]


@pytest.mark.parametrize("words", ["", "x" * 5000, "word " * 2000])
@pytest.mark.parametrize("size", [(16, 16), (160, 120), (1280, 720)])
@pytest.mark.parametrize("fourcc", ["YU12", "UYVY"])
def test_words_without_end_or_beginning_still_fill_exactly_a_picture(
    fourcc: str, size: tuple[int, int], words: str
) -> None:
    y, _, _ = planes(draw_slate(words, *size, fourcc), fourcc, *size)
    assert y.shape == size[::-1]
    assert (y > 200).any() == bool(words)
