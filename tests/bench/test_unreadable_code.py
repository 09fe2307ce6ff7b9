"""A code that cannot be read says why."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from thinair.bench.harness.unreadable_code import why_unread
from thinair.sender.sources.visual_code import Geometry, Painter

pytestmark = [pytest.mark.quick, pytest.mark.slow]

WIDTH, HEIGHT = 1280, 720
Lines = npt.NDArray[np.uint8]


def picture() -> Lines:
    lines = np.random.default_rng(1).integers(60, 180, (HEIGHT, WIDTH), np.uint8)
    Painter(Geometry(WIDTH, HEIGHT)).draw(lines, 4711, 123_456)
    return lines


def shown(part: Lines, x: int, y: int) -> Lines:
    screen = np.zeros((HEIGHT, WIDTH), np.uint8)
    left, top = max(0, x), max(0, y)
    part = part[max(0, -y) : HEIGHT - top + max(0, -y), max(0, -x) : WIDTH - left + max(0, -x)]
    screen[top : top + part.shape[0], left : left + part.shape[1]] = part
    return screen


def test_a_code_that_can_be_read_has_no_reason() -> None:
    assert why_unread(picture(), WIDTH, HEIGHT) == ""


@pytest.mark.parametrize(("percent", "centred"), [(50, False), (75, True), (66, True)])
def test_a_scaled_picture_says_so(percent: int, centred: bool) -> None:
    size = WIDTH * percent // 100, HEIGHT * percent // 100
    small = np.asarray(Image.fromarray(picture()).resize(size, Image.Resampling.BILINEAR))
    at = ((WIDTH - size[0]) // 2, (HEIGHT - size[1]) // 2) if centred else (0, 0)
    assert why_unread(shown(small, *at), WIDTH, HEIGHT).startswith(f"the picture is scaled to {percent} %")


def test_a_moved_picture_says_by_how_much() -> None:
    said = re.search(r"moved by about (\d+), (\d+) px", why_unread(shown(picture(), 24, 40), WIDTH, HEIGHT))
    assert said is not None
    assert [int(word) for word in said.groups()] == pytest.approx([24, 40], abs=4)


def test_a_picture_cropped_below_says_where() -> None:
    lines = picture()
    lines[600:] = 0
    assert "cropped or covered at the bottom" in why_unread(lines, WIDTH, HEIGHT)


def test_a_torn_picture_says_so() -> None:
    lines, other = picture(), np.zeros((HEIGHT, WIDTH), np.uint8)
    Painter(Geometry(WIDTH, HEIGHT)).draw(other, 4712, 163_456)
    lines[400:] = other[400:]
    assert "torn" in why_unread(lines, WIDTH, HEIGHT)


def test_smeared_cells_say_so() -> None:
    lines, geometry = picture(), Geometry(WIDTH, HEIGHT)
    for place in geometry.places():  # the reference cells stand, the bits between them do not
        left = geometry.left + 2 * geometry.cell
        lines[place : place + 2 * geometry.cell, left : left + 32 * geometry.cell] = 120
    assert "smeared" in why_unread(lines, WIDTH, HEIGHT)


def test_a_picture_without_a_code_and_no_picture_at_all_are_told_apart() -> None:
    noise = np.random.default_rng(2).integers(0, 255, (HEIGHT, WIDTH), np.uint8)
    assert why_unread(noise, WIDTH, HEIGHT) == "the picture has no code"
    assert "no picture" in why_unread(np.zeros((HEIGHT, WIDTH), np.uint8), WIDTH, HEIGHT)
