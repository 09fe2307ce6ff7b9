"""I420 to BGRX against the formulas in floating point."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from thinair.link.native import i420_to_bgrx

pytestmark = pytest.mark.quick
MATRICES = [(bt709, full) for bt709 in (False, True) for full in (False, True)]


def rgb_of(y: NDArray[Any], u: NDArray[Any], v: NDArray[Any], bt709: bool, full: bool) -> NDArray[np.float64]:
    """ITU-T H.273 8.3: exact red, green, blue of planes of one size, 0..255."""
    red, blue = (0.2126, 0.0722) if bt709 else (0.299, 0.114)
    green = 1 - red - blue
    luma = y.astype(float) if full else (y.astype(float) - 16) * 255 / 219
    cb, cr = ((plane.astype(float) - 128) * (1 if full else 255 / 224) for plane in (u, v))
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / green
    return np.clip(np.stack([r, g, b], axis=-1), 0, 255)


def convert(
    planes: tuple[NDArray[np.uint8], ...], width: int, height: int, bt709: bool, full: bool
) -> NDArray[np.uint8]:
    y, u, v = planes
    strides = y.shape[1], u.shape[1], v.shape[1]
    data = i420_to_bgrx(y.data, u.data, v.data, *strides, width, height, bt709=bt709, full_range=full)
    return np.frombuffer(data, np.uint8).reshape(height, width, 4)


def error(planes: tuple[NDArray[np.uint8], ...], width: int, height: int, bt709: bool, full: bool) -> int:
    """Largest distance from the exact value, rounded; the fourth byte must be 255."""
    y, u, v = planes
    chroma = [plane.repeat(2, axis=0).repeat(2, axis=1)[:height, :width] for plane in (u, v)]
    wanted = np.rint(rgb_of(y[:height, :width], chroma[0], chroma[1], bt709, full))
    got = convert(planes, width, height, bt709, full)
    assert (got[:, :, 3] == 255).all()
    return int(np.abs(got[:, :, 2::-1] - wanted).max())


def noise(seed: int, width: int, height: int, slack: tuple[int, int, int] = (0, 0, 0)) -> tuple[NDArray[np.uint8], ...]:
    generator = np.random.default_rng(seed)
    shapes = [(height, width + slack[0])] + [((height + 1) // 2, (width + 1) // 2 + extra) for extra in slack[1:]]
    return tuple(generator.integers(0, 256, shape, np.uint8) for shape in shapes)


@pytest.mark.parametrize(("bt709", "full"), MATRICES)
def test_every_chroma_pair_and_many_lumas_stay_within_one_step_of_the_exact_colour(bt709: bool, full: bool) -> None:
    u, v = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    for seed in range(3):
        y = np.random.default_rng(seed).integers(0, 256, (512, 512), np.uint8)
        assert error((y, np.ascontiguousarray(u), np.ascontiguousarray(v)), 512, 512, bt709, full) <= 1, f"seed {seed}"


@pytest.mark.parametrize(("bt709", "full"), MATRICES)
def test_greys_stay_grey_and_black_and_white_are_reached(bt709: bool, full: bool) -> None:
    y = np.repeat(np.arange(256, dtype=np.uint8)[None], 2, axis=0)
    grey = np.full((1, 128), 128, np.uint8)
    got = convert((y, grey, grey), 256, 2, bt709, full)[0, :, :3].astype(int)
    assert (got == got[:, :1]).all()
    black, white = (0, 255) if full else (16, 235)
    assert (got[: black + 1] == 0).all()
    assert (got[white:] == 255).all()
    assert (np.diff(got[black : white + 1, 0]) >= 1).all()


@pytest.mark.parametrize("width", [1, 2, 3, 15, 16, 17, 31, 33, 64, 65, 2047, 2049, 4099])
@pytest.mark.parametrize("height", [1, 2, 3, 5])
def test_every_size_is_right_to_its_last_pixel(width: int, height: int) -> None:
    seed = width * 16 + height
    assert error(noise(seed, width, height), width, height, True, False) <= 1, f"seed {seed}"


@pytest.mark.parametrize("slack", [(1, 0, 0), (0, 3, 1), (32, 16, 16), (7, 5, 3)])
def test_strides_may_be_longer_than_lines_and_differ_between_planes(slack: tuple[int, int, int]) -> None:
    assert error(noise(7, 100, 50, slack), 100, 50, False, True) <= 1


def test_the_last_line_may_end_with_its_last_pixel() -> None:
    y, u, v = noise(9, 60, 4, (4, 2, 2))
    flat = y.tobytes()[:-4], u.tobytes()[:-2], v.tobytes()[:-2]
    got = i420_to_bgrx(*flat, 64, 32, 32, 60, 4, bt709=True, full_range=False)
    assert got == convert((y, u, v), 60, 4, True, False).tobytes()


@pytest.mark.parametrize(
    ("strides", "width", "height"),
    [((63, 32, 32), 64, 4), ((64, 31, 32), 64, 4), ((64, 32, 32), 64, 5), ((64, 32, 32), 0, 4), ((64, 32, 32), 64, -4),
     ((64, 32, 32), 8194, 2), ((-64, 32, 32), 64, 4), ((2**62, 32, 32), 64, 4)],
)  # fmt: skip
def test_planes_that_do_not_hold_the_picture_are_refused(
    strides: tuple[int, int, int], width: int, height: int
) -> None:
    y, u, v = (plane.data for plane in noise(1, 64, 4))
    with pytest.raises(ValueError, match="do not hold a picture"):
        i420_to_bgrx(y, u, v, *strides, width, height, bt709=True, full_range=False)
