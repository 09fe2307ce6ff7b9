"""x264 as the link needs it: one unit per picture, bounded size, rate and key frames on request."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.processes import environment
from thinair.link.errors import ConfigError, DeviceError
from thinair.link.native import parse_sps, realtime, split_nals
from thinair.link.video_mode import Mode
from thinair.sender.encoders import AccessUnitOut, EncoderConfig, open_encoder
from thinair.sender.encoders.x264 import X264
from thinair.sender.picture import Colour, Picture
from thinair.sender.sources import testcard
from thinair.sender.sources.testcard_layers import Canvas

SMALL = Mode(640, 360, Fraction(25))
SEED = 11


class _Noise:
    """Eight pictures of noise in turn: nothing in them can be predicted."""

    def __init__(self, mode: Mode) -> None:
        print(f"seed {SEED}")
        rng = np.random.default_rng(SEED)
        self._frames = []
        for _ in range(8):
            frame = av.VideoFrame(mode.width, mode.height, "yuv420p")
            canvas = Canvas.of(frame)
            canvas.y[:] = rng.integers(60, 190, canvas.y.shape, np.uint8)
            canvas.u[:] = canvas.v[:] = 128
            self._frames.append(frame)
        self._seq = 0

    def next(self) -> Picture:
        self._seq += 1
        return Picture(self._frames[self._seq % 8], self._seq, 0, 0, 0)


def _encoder(mode: Mode, bitrate_bps: int, **more: object) -> X264:
    encoder = X264(EncoderConfig(mode, bitrate_bps, **more))  # type: ignore[arg-type]  # object by name
    encoder.open()
    return encoder


def _tasks() -> set[int]:
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


def _types(unit: AccessUnitOut) -> list[int]:
    return [unit.data[offset] & 31 for offset, _ in split_nals(unit.data)]


@pytest.mark.quick
def test_each_picture_gives_one_unit_and_only_the_first_is_a_key_frame() -> None:
    encoder, noise = _encoder(SMALL, 2_000_000), _Noise(SMALL)
    units = [encoder.encode(noise.next()) for _ in range(30)]
    assert [unit.key for unit in units] == [True] + [False] * 29
    assert all(unit.encode_in_us <= unit.encode_out_us for unit in units)
    assert encoder.delay_frames == 0


@pytest.mark.quick
def test_a_key_frame_by_request_is_the_very_next_unit_and_carries_its_headers() -> None:
    encoder, noise = _encoder(SMALL, 2_000_000), _Noise(SMALL)
    for i in range(12):
        if i in (5, 6):
            encoder.request_key_frame()
        unit = encoder.encode(noise.next())
        assert unit.key == (i in (0, 5, 6))
        assert ({7, 8, 5} <= set(_types(unit))) == unit.key
        assert 9 not in _types(unit)


@pytest.mark.quick
def test_key_frames_come_by_themselves_after_the_interval() -> None:
    encoder, noise = _encoder(SMALL, 2_000_000, key_interval_us=1), _Noise(SMALL)
    assert all(encoder.encode(noise.next()).key for _ in range(4))


@pytest.mark.quick
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(60)])
def test_no_unit_exceeds_one_frame_of_the_bitrate_by_more_than_a_seventh(rate: Fraction) -> None:
    mode = Mode(640, 360, rate)
    encoder, noise = _encoder(mode, 3_000_000), _Noise(mode)
    for i in range(120):
        if i % 30 == 17:
            encoder.request_key_frame()
        assert len(encoder.encode(noise.next()).data) <= 1.15 * 3_000_000 / 8 / rate, f"picture {i}"


def test_a_new_bitrate_is_obeyed_at_once_within_a_tenth() -> None:
    mode = Mode(1280, 720, Fraction(25))
    encoder, noise = _encoder(mode, 8_000_000), _Noise(mode)
    for bitrate_bps in (8_000_000, 3_000_000, 6_000_000):
        encoder.set_bitrate(bitrate_bps)
        budget = bitrate_bps / 8 / 25
        units = [encoder.encode(noise.next()) for _ in range(50)]
        assert units[0].key
        assert not any(unit.key for unit in units[1:])
        assert sum(len(unit.data) for unit in units) / 50 == pytest.approx(budget, rel=0.1)
        assert max(len(unit.data) for unit in units) <= 1.15 * budget


def test_the_test_card_comes_out_near_its_bitrate_in_units_of_like_size() -> None:
    mode = Mode(1280, 720, Fraction(25))
    card = testcard.Testcard(mode)
    card.open()
    encoder = _encoder(mode, 4_000_000)
    sizes = [len(encoder.encode(Picture(card.draw(i, i, i), i, 0, 0, 0)).data) for i in range(75)]
    budget = 4_000_000 / 8 / 25
    assert (
        0.65 * budget < sum(sizes) / 75 < 1.1 * budget
    )  # slices that run at different times share the bits differently
    assert max(sizes) <= 1.15 * budget
    assert np.percentile(sizes[5:], 5) > 0.45 * budget


@pytest.mark.quick
@pytest.mark.parametrize("colour", [Colour(), Colour(bt709=False), Colour(full_range=True)])
def test_colour_and_size_stand_in_the_sps(colour: Colour) -> None:
    encoder, noise = _encoder(SMALL, 2_000_000, colour=colour), _Noise(SMALL)
    data = encoder.encode(noise.next()).data
    (sps,) = [parse_sps(data[offset : offset + size]) for offset, size in split_nals(data) if data[offset] & 31 == 7]
    assert (sps["width"], sps["height"]) == (640, 360)
    assert sps["matrix"] == (1 if colour.bt709 else 6)
    assert bool(sps["video_full_range"]) == colour.full_range


@pytest.mark.quick
def test_threads_of_x264_share_the_priority_of_the_thread_that_encodes() -> None:
    policies: list[int] = []
    refusals: list[str | None] = []

    def encode() -> None:
        refusals.append(realtime(5))
        before = _tasks()
        encoder.encode(noise.next())
        policies.extend(os.sched_getscheduler(task) for task in _tasks() - before)

    encoder, noise = _encoder(SMALL, 2_000_000), _Noise(SMALL)
    thread = threading.Thread(target=encode)
    thread.start()
    thread.join()
    assert len(policies) >= 2
    assert set(policies) == {os.SCHED_OTHER if refusals[0] else os.SCHED_FIFO}


@pytest.mark.quick
def test_what_cannot_be_encoded_is_said_in_one_line() -> None:
    with pytest.raises(ConfigError, match="bitrate"):
        X264(EncoderConfig(SMALL, 1000))
    with pytest.raises(DeviceError, match="x264"):
        open_encoder(EncoderConfig(SMALL, 2_000_000), preset="no-such-preset")


@pytest.mark.quick
def test_an_encoder_that_holds_pictures_back_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thinair.sender.encoders.x264._TUNE", "film")
    with pytest.raises(DeviceError, match="hold none back"):
        open_encoder(EncoderConfig(SMALL, 2_000_000), preset="medium")


def test_a_change_of_mode_leaves_no_memory_behind() -> None:
    """Opened and closed again and again among other pictures, as a camera's modes come and go."""
    code = """
from pathlib import Path
from thinair.link.native import map_large_blocks
from thinair.sender.encoders.base import EncoderConfig
from thinair.sender.encoders.x264 import X264
from thinair.link.video_mode import Mode
from thinair.sender.sources.testcard import Testcard

def rss_kb():
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0])

modes = Mode.parse("1280x720@60"), Mode.parse("1280x720@50")
card = Testcard(modes[0])
card.open()
for turn in range(24):
    if turn == 6:
        before = rss_kb()
    map_large_blocks(True)  # as the pipeline does
    card.request_mode(modes[turn % 2])
    encoder = X264(EncoderConfig(modes[turn % 2], 4_000_000))
    encoder.open()
    for _ in range(6):
        encoder.encode(card.next())
    encoder.close()
print(rss_kb() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    assert int(done.stdout) < 4_096
