"""thinair.receiver.dashboard.jpeg: pictures for browsers without H.264, of genuine access units."""

from __future__ import annotations

import contextlib
import queue
from dataclasses import replace

import pytest

from tests.support.pictures import unit
from thinair.receiver.dashboard.jpeg import JpegMaker
from thinair.receiver.workers.ipc import Unit

pytestmark = pytest.mark.quick


def maker() -> tuple[JpegMaker, queue.Queue[tuple[int, bytes]]]:
    made: queue.Queue[tuple[int, bytes]] = queue.Queue()
    return JpegMaker(lambda one, data: made.put((one.frame_id, data))), made


def picture(index: int) -> Unit:
    return unit(index, at_us=1_000_000 + index * 33_333)


def test_the_first_picture_is_a_key_frame_s_and_a_jpeg() -> None:
    jpeg, made = maker()
    for index in (28, 29, 30):
        jpeg.unit(picture(index))
    frame_id, data = made.get(timeout=10)
    assert frame_id == 30
    assert data[:3] == b"\xff\xd8\xff"


def test_after_a_pause_nothing_is_shown_before_a_key_frame() -> None:
    jpeg, made = maker()
    jpeg.unit(picture(0))
    assert made.get(timeout=10)[0] == 0
    jpeg.pause()
    for index in range(50, 300):
        jpeg.unit(picture(index))
        with contextlib.suppress(queue.Empty):  # a picture each tenth of a second
            assert made.get(timeout=0.02)[0] >= 60
            return
    raise AssertionError("no picture came")


def test_what_the_player_refuses_is_not_decoded_here_either() -> None:
    jpeg, made = maker()
    ten_bits = bytearray(picture(0).data)
    at = ten_bits.index(b"\x00\x00\x01\x67") + 4
    ten_bits[at : at + 3] = b"\xf4\x00\x28"  # High 4:4:4: what follows reads as another stream
    jpeg.unit(replace(picture(0), data=bytes(ten_bits)))
    jpeg.unit(picture(1))
    jpeg.unit(picture(30))
    assert made.get(timeout=10)[0] == 30
