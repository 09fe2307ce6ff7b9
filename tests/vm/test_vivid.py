"""What later tests rely on in vivid itself: text that can be read off its pictures."""

from __future__ import annotations

import numpy as np

from tests.vm import osd
from tests.vm.machine import Machine


def test_the_number_in_each_picture_can_be_read(vm: Machine, vivid: str) -> None:
    vm.run("v4l2-ctl", "-d", vivid, "-c", "dv_timings_signal_mode=4", "-c", "dv_timings=0")
    vm.run("v4l2-ctl", "-d", vivid, "--set-dv-bt-timings", "query", "--set-fmt-video", "pixelformat=UYVY")
    vm.run(
        "v4l2-ctl", "-d", vivid, "--stream-mmap", "--stream-skip=2", "--stream-count=4", "--stream-to=/share/pictures"
    )
    pictures = np.fromfile(vm.share / "pictures", np.uint8).reshape(4, 480, 640 * 2)
    readings = [osd.read(picture[:, 1::2]) for picture in pictures]
    numbers = [reading.number for reading in readings if reading is not None]
    assert len(numbers) == 4
    assert numbers == sorted(set(numbers))


def test_a_picture_without_text_gives_no_number() -> None:
    assert osd.read(np.full((480, 640), 16, np.uint8)) is None
    assert osd.read(np.random.default_rng(1).integers(0, 256, (480, 640), np.uint8)) is None
