"""Raw pictures to I420 against the slow converter of tests/oracle."""

from __future__ import annotations

import random
import sys

import pytest

from tests.oracle import raw
from thinair.link.native import raw_to_i420

pytestmark = pytest.mark.quick
FOURCCS = ("UYVY", "YUYV", "NV12")
GUARD = 0xA5  # what the target held before


def noise(fourcc: str, stride: int, width: int, height: int, seed: int) -> bytes:
    """As short as the picture allows: the last line ends with its last pixel."""
    pairs = (width + 1) // 2
    lines, last = (height + (height + 1) // 2, 2 * pairs) if fourcc == "NV12" else (height, 4 * pairs)
    return random.Random(seed).randbytes(stride * (lines - 1) + last)


def least_stride(fourcc: str, width: int) -> int:
    return (width + 1) // 2 * (2 if fourcc == "NV12" else 4)


def convert(
    data: bytes, fourcc: str, stride: int, width: int, height: int, *, slack: tuple[int, int, int] = (0, 0, 0)
) -> tuple[list[bytes], ...]:
    """Lines of the three planes; what lies between and after them must be untouched."""
    sizes = [(width, height)] + [((width + 1) // 2, (height + 1) // 2)] * 2
    strides = [columns + extra for (columns, _), extra in zip(sizes, slack, strict=True)]
    planes = [
        bytearray([GUARD]) * (step * (lines - 1) + columns)
        for (columns, lines), step in zip(sizes, strides, strict=True)
    ]
    raw_to_i420(
        data, fourcc, stride, width, height, planes[0], planes[1], planes[2], strides[0], strides[1], strides[2]
    )
    out = []
    for plane, (columns, lines), step in zip(planes, sizes, strides, strict=True):
        assert all(set(plane[y * step + columns : (y + 1) * step]) <= {GUARD} for y in range(lines))
        out.append([bytes(plane[y * step : y * step + columns]) for y in range(lines)])
    return tuple(out)


@pytest.mark.parametrize("fourcc", FOURCCS)
@pytest.mark.parametrize("height", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("width", [1, 2, 3, 7, 16, 31, 32, 33, 64, 65, 2047, 2048, 2049, 2051])
def test_every_parity_and_block_edge_is_as_the_slow_converter_has_it(fourcc: str, width: int, height: int) -> None:
    seed, stride = width * 8 + height, least_stride(fourcc, width)
    data = noise(fourcc, stride, width, height, seed)
    assert convert(data, fourcc, stride, width, height) == raw.to_i420(data, fourcc, stride, width, height), seed


@pytest.mark.parametrize("fourcc", FOURCCS)
@pytest.mark.parametrize("slack", [(1, 0, 0), (0, 3, 1), (32, 16, 16), (7, 5, 3)])
@pytest.mark.parametrize("padding", [0, 1, 32, 61])
def test_strides_may_be_longer_than_lines_and_differ_between_planes(
    fourcc: str, slack: tuple[int, int, int], padding: int
) -> None:
    stride = least_stride(fourcc, 50) + padding
    data = noise(fourcc, stride, 50, 9, padding)
    assert convert(data, fourcc, stride, 50, 9, slack=slack) == raw.to_i420(data, fourcc, stride, 50, 9)


@pytest.mark.parametrize("fourcc", FOURCCS)
def test_a_random_size_is_right_too(fourcc: str) -> None:
    for seed in range(20):
        pick = random.Random(seed)
        width, height = pick.randint(1, 200), pick.randint(1, 12)
        stride = least_stride(fourcc, width) + pick.randint(0, 40)
        data = noise(fourcc, stride, width, height, seed)
        assert convert(data, fourcc, stride, width, height) == raw.to_i420(data, fourcc, stride, width, height), seed


@pytest.mark.parametrize("fourcc", FOURCCS)
def test_a_buffer_one_byte_short_is_refused(fourcc: str) -> None:
    stride = least_stride(fourcc, 34)
    data = noise(fourcc, stride, 34, 6, 1)
    with pytest.raises(ValueError, match="do not match"):
        convert(data[:-1], fourcc, stride, 34, 6)


@pytest.mark.parametrize("plane", range(3))
def test_a_plane_one_byte_short_is_refused(plane: int) -> None:
    planes = [bytearray(size - (i == plane)) for i, size in enumerate((32 * 4, 16 * 2, 16 * 2))]
    with pytest.raises(ValueError, match="do not match"):
        raw_to_i420(bytes(64 * 4), "UYVY", 64, 32, 4, planes[0], planes[1], planes[2], 32, 16, 16)
    assert all(set(bytes(content)) <= {0} for content in planes)


@pytest.mark.parametrize(
    ("fourcc", "stride", "width", "height", "strides"),
    [
        ("RGB3", 64, 32, 4, (32, 16, 16)),
        ("UYVY", 63, 32, 4, (32, 16, 16)),
        ("UYVY", 0, 32, 4, (32, 16, 16)),
        ("UYVY", -64, 32, 4, (32, 16, 16)),
        ("UYVY", sys.maxsize // 2, 32, 1, (32, 16, 16)),
        ("UYVY", 64, 0, 4, (32, 16, 16)),
        ("UYVY", 64, 32, 0, (32, 16, 16)),
        ("UYVY", 64, 8194, 2, (8194, 4097, 4097)),
        ("NV12", 31, 32, 4, (32, 16, 16)),
        ("UYVY", 64, 32, 4, (31, 16, 16)),
        ("UYVY", 64, 32, 4, (32, 15, 16)),
        ("UYVY", 64, 32, 4, (32, 16, -16)),
    ],
)
def test_sizes_that_lie_are_refused(
    fourcc: str, stride: int, width: int, height: int, strides: tuple[int, int, int]
) -> None:
    planes = bytearray(40000), bytearray(20000), bytearray(20000)
    with pytest.raises(ValueError, match="do not match"):
        raw_to_i420(bytes(100_000), fourcc, stride, width, height, *planes, *strides)
