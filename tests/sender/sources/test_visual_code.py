"""The code in the picture: every bit survives, damage is refused, tearing shows."""

from __future__ import annotations

import binascii
import random

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter

from thinair.link.native import i420_to_bgrx
from thinair.link.video_mode import Mode
from thinair.sender.encoders import EncoderConfig
from thinair.sender.encoders.x264 import X264
from thinair.sender.picture import Picture
from thinair.sender.sources import testcard
from thinair.sender.sources.visual_code import CELLS, ROWS, Code, Geometry, Painter, Reader, decode, pack

SIZES = [(640, 360), (848, 480), (1024, 576), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160)]


def _plane(width: int, height: int, frame_id: int, time_us: int) -> npt.NDArray[np.uint8]:
    plane = np.full((height, width), 77, np.uint8)
    Painter(Geometry(width, height)).draw(plane, frame_id, time_us)
    return plane


def _luma_reader(width: int, height: int) -> Reader:
    return Reader(Geometry(width, height), width, pixel_bytes=1)


@pytest.mark.quick
def test_every_single_bit_round_trips() -> None:
    reader = _luma_reader(640, 360)
    plane = np.full((360, 640), 128, np.uint8)
    painter = Painter(Geometry(640, 360))
    codes = [(1 << i, 0) for i in range(16)] + [(0, 1 << i) for i in range(32)] + [(0, 0), (0xFFFF, 0xFFFFFFFF)]
    for frame_id, time_us in codes:
        painter.draw(plane, frame_id, time_us)
        assert reader.top(plane.tobytes()) == reader.bottom(plane.tobytes()) == Code(frame_id, time_us)


@pytest.mark.quick
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_cells_are_whole_macroblocks_inside_the_picture(width: int, height: int) -> None:
    g = Geometry(width, height)
    assert g.cell >= 16
    assert g.cell % 16 == g.left % 16 == g.top % 16 == g.bottom % 16 == 0
    assert 0 <= g.left <= width - CELLS * g.cell
    assert height - 16 < g.bottom + ROWS * g.cell <= height
    code = Code(width, height * 1000)
    data = _plane(width, height, width, height * 1000).tobytes()
    assert _luma_reader(width, height).top(data) == _luma_reader(width, height).bottom(data) == code


@pytest.mark.quick
def test_a_picture_too_small_for_the_code_is_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        Geometry(638, 360)


@pytest.mark.quick
def test_one_wrong_or_grey_cell_is_refused_by_the_check_value() -> None:
    geometry = Geometry(640, 360)
    plane = _plane(640, 360, 0xA5C3, 0x12345678)
    reader = _luma_reader(640, 360)
    for row in range(ROWS):
        for cell in range(CELLS):
            damaged = plane.copy()
            y, x = row * geometry.cell, geometry.left + cell * geometry.cell
            damaged[y : y + geometry.cell, x : x + geometry.cell] = 251 - damaged[y, x]
            assert reader.top(damaged.tobytes()) is None, f"row {row} cell {cell}"
            assert reader.bottom(damaged.tobytes()) == Code(0xA5C3, 0x12345678)


@pytest.mark.quick
def test_random_pixels_and_flat_pictures_hold_no_code() -> None:
    seed = 7
    print(f"seed {seed}")
    rng = random.Random(seed)
    assert sum(decode(rng.randbytes(ROWS * CELLS)) is not None for _ in range(20_000)) <= 1
    assert all(decode(bytes([level]) * ROWS * CELLS) is None for level in range(256))
    assert decode(b"") is None


@pytest.mark.quick
def test_a_torn_picture_shows_two_codes() -> None:
    old, new = _plane(1280, 720, 41, 1000), _plane(1280, 720, 42, 41_000)
    torn = np.concatenate([new[:300], old[300:]]).tobytes()
    reader = _luma_reader(1280, 720)
    assert (reader.top(torn), reader.bottom(torn)) == (Code(42, 41_000), Code(41, 1000))
    inside = np.concatenate([new[:16], old[16:]]).tobytes()  # the tear runs between the two rows of the upper code
    assert reader.top(inside) is None


@pytest.mark.quick
def test_noise_and_blur_leave_the_code_readable() -> None:
    seed = 3
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    reader = _luma_reader(640, 360)
    for i in range(120):
        picture = Image.fromarray(_plane(640, 360, i, i * 33_333)).filter(ImageFilter.BoxBlur(6))
        noise = rng.integers(-30, 31, (360, 640), np.int16)
        data = (np.asarray(picture) + noise).clip(0, 255).astype(np.uint8).tobytes()
        assert reader.top(data) == reader.bottom(data) == Code(i, i * 33_333)


@pytest.mark.quick
def test_time_is_completed_from_a_near_moment() -> None:
    for true_us in (5, 0xFFFF_FFFF, 0x1_0000_0005, 123_456_789_012):
        code = Code(0, true_us & 0xFFFF_FFFF)
        for off_us in (-1_000_000_000, -1, 0, 1, 1_000_000_000):
            assert code.near(true_us + off_us) == true_us


@pytest.mark.quick
def test_packed_bytes_are_frozen() -> None:
    assert binascii.crc_hqx(b"123456789", 0xFFFF) == 0x29B1  # CRC-16/CCITT-FALSE of the usual check string
    assert pack(0x0102, 0x03040506).hex() == "0102d71c03040506"


@pytest.mark.parametrize("mode", ["1920x1080@25", "1280x720@60", "640x360@30"])
def test_code_survives_x264_at_two_megabits_and_the_way_to_the_screen(mode: str) -> None:
    """120 pictures of the moving test card, decoded, converted to BGRX as the window does, read as the bench does."""
    wanted = Mode.parse(mode)
    card = testcard.Testcard(wanted)
    card.open()
    encoder = X264(EncoderConfig(wanted, 2_000_000))
    encoder.open()
    decoder = av.CodecContext.create("h264", "r")
    reader = Reader(Geometry(wanted.width, wanted.height), wanted.width * 4)
    for i in range(120):
        time_us = 0xFFFF_0000 + i * 40_011
        frame = card.draw(i, i * 547, time_us)
        unit = encoder.encode(Picture(frame, i, time_us, time_us, 0))
        (shown,) = decoder.decode(av.Packet(unit.data))
        y, u, v = (bytes(plane) for plane in shown.planes)
        y_stride, u_stride, v_stride = (plane.line_size for plane in shown.planes)
        pixels = i420_to_bgrx(
            y, u, v, y_stride, u_stride, v_stride, shown.width, shown.height, bt709=True, full_range=False
        )
        code = Code(i * 547 & 0xFFFF, time_us & 0xFFFF_FFFF)
        assert reader.top(pixels) == reader.bottom(pixels) == code, f"picture {i}"
