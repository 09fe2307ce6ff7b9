"""Test card and clips: pace, contents, and what people get wrong."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.support.virtual_clock import VirtualClock
from thinair.link.errors import ConfigError, FileError
from thinair.link.video_mode import Mode
from thinair.sender.picture import Colour
from thinair.sender.sources import Picture, file, open_source, testcard
from thinair.sender.sources.base import Pace
from thinair.sender.sources.testcard_layers import Canvas
from thinair.sender.sources.visual_code import Code, Geometry, Reader

FAST = Mode(640, 360, Fraction(120))


def _clip(path: Path, *, size: tuple[int, int] = (320, 240), pictures: int = 12, rate: int = 60, codec: str = "libx264",
          bt709: bool = False) -> str:  # fmt: skip
    """A clip whose n-th picture is grey of level 40 + 10 n."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], "yuv420p"
        stream.codec_context.colorspace = 1 if bt709 else 6
        for i in range(pictures):
            frame = av.VideoFrame(*size, "yuv420p")
            canvas = Canvas.of(frame)
            canvas.y[:], canvas.u[:], canvas.v[:] = 40 + 10 * i, 128, 128
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return f"file:{path}"


def _take(spec: str, count: int, mode: Mode | None = None) -> tuple[list[tuple[Picture, int]], Mode, Colour]:
    """(picture, its grey level in the middle) of the first pictures."""
    source = open_source(spec, mode)
    taken = []
    for _ in range(count):
        picture = source.next()
        assert isinstance(picture, Picture)
        y = Canvas.of(picture.frame).y
        taken.append((picture, int(y[y.shape[0] // 2, y.shape[1] // 2])))
    source.close()
    return taken, source.mode, source.colour


# ---- pace ---------------------------------------------------------------------------------------------------------


@pytest.mark.quick
def test_a_rate_of_30000_1001_does_not_drift_in_a_day() -> None:
    pace = Pace(Fraction(30000, 1001), 1_000_000)
    day = 24 * 3600 * 30000 // 1001
    assert abs(pace.due_us(day) - 1_000_000 - Fraction(day * 1001, 30000) * 1_000_000) < 1
    assert pace.due_us(30000) == 1_000_000 + 1001 * 1_000_000


@pytest.mark.quick
def test_a_late_caller_gets_the_newest_slot_and_the_rest_is_counted() -> None:
    pace = Pace(Fraction(25), 0)
    assert pace.take(0) == (0, 0)
    assert pace.take(5_000) == (40_000, 0)
    assert pace.take(79_999) == (80_000, 0)
    assert pace.take(205_000) == (200_000, 2)
    assert pace.take(210_000) == (240_000, 0)


@pytest.mark.quick
def test_an_early_caller_waits_for_each_slot_in_turn() -> None:
    pace = Pace(Fraction(50), 7)
    assert [pace.take(7) for _ in range(4)] == [(7, 0), (20_007, 0), (40_007, 0), (60_007, 0)]


# ---- test card ------------------------------------------------------------------------------------------------------


@pytest.mark.quick
@pytest.mark.parametrize("size", [(640, 360), (720, 576), (1366, 768), (1920, 1080), (2048, 858)])
def test_the_card_fits_any_size_and_its_code_tells_picture_and_time(size: tuple[int, int]) -> None:
    card = testcard.Testcard(Mode(*size, Fraction(25)))
    card.open()
    for i in (0, 1, 499, 10**6):
        frame = card.draw(i, i, i * 40_000)
        assert (frame.width, frame.height) == size
        y = bytes(frame.planes[0])
        reader = Reader(Geometry(*size), frame.planes[0].line_size, pixel_bytes=1)
        assert reader.top(y) == reader.bottom(y) == Code(i & 0xFFFF, i * 40_000 & 0xFFFFFFFF)
        canvas = Canvas.of(frame)
        assert canvas.y.min() >= 16
        assert canvas.y.max() <= 235


@pytest.mark.quick
def test_a_frame_of_the_pool_drawn_again_shows_nothing_of_what_it_showed_before() -> None:
    used, fresh = testcard.Testcard(FAST), testcard.Testcard(FAST)
    used.open()
    fresh.open()
    for i in range(60):
        last = used.draw(i, i, i)
    one, other = Canvas.of(last), Canvas.of(fresh.draw(59, 59, 59))
    assert all(np.array_equal(a, b) for a, b in ((one.y, other.y), (one.u, other.u), (one.v, other.v)))


@pytest.mark.quick
def test_every_part_that_moves_does_move() -> None:
    card = testcard.Testcard(Mode(1280, 720, Fraction(25)))
    card.open()
    before = Canvas.of(card.draw(10, 10, 10)).y.copy()
    after = Canvas.of(card.draw(11, 11, 11)).y
    bands = (before != after).reshape(45, 16, 1280).any(axis=(1, 2))
    assert bands.sum() >= 26
    assert 0.15 < (before != after).mean() < 0.6


@pytest.mark.quick
def test_paced_pictures_carry_the_time_that_they_are_of(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = VirtualClock(monkeypatch, testcard)
    source = open_source("testcard", FAST)
    reader = Reader(Geometry(640, 360), 640, pixel_bytes=1)
    first_us = slot = 0
    for n in range(40):
        if n == 20:
            clock.now += 30_000  # the caller sleeps through three of the slots of 8.33 ms
        picture = source.next()
        assert isinstance(picture, Picture)
        first_us = first_us or picture.capture_us
        slot += picture.skipped + (n > 0)
        assert picture.seq == n
        assert picture.skipped == (2 if n == 20 else 0)
        assert picture.capture_us <= picture.dequeue_us
        assert picture.frame.planes[0].line_size == 640
        assert reader.top(bytes(picture.frame.planes[0])) == Code(n, picture.capture_us & 0xFFFFFFFF)
        if n != 20:
            assert picture.capture_us - first_us == pytest.approx(slot * 1_000_000 / 120, abs=5)
    source.close()


@pytest.mark.quick
def test_without_the_code_the_card_has_none() -> None:
    source = open_source("testcard", FAST, visual_code=False)
    picture = source.next()
    source.close()
    assert isinstance(picture, Picture)
    assert Reader(Geometry(640, 360), 640, pixel_bytes=1).top(bytes(picture.frame.planes[0])) is None


@pytest.mark.quick
def test_a_card_too_small_and_an_unknown_source_are_refused() -> None:
    with pytest.raises(ConfigError, match="640x360"):
        open_source("testcard", Mode(320, 240, Fraction(25)))
    for spec in ("", "camera", "testcard:7", "file", "file:"):
        with pytest.raises(ConfigError, match="is unknown"):
            open_source(spec)


# ---- clips ----------------------------------------------------------------------------------------------------------


def test_a_clip_runs_round_and_round_at_its_own_pace_without_a_hitch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    VirtualClock(monkeypatch, file)
    taken, mode, _ = _take(_clip(tmp_path / "a.mp4"), 30)
    assert mode == Mode(320, 240, Fraction(60))
    for n, (picture, level) in enumerate(taken):
        assert picture.skipped == 0
        assert round((level - 40) / 10) == n % 12
        assert picture.capture_us - taken[0][0].capture_us == pytest.approx(n * 1_000_000 / 60, abs=5)


def test_a_caller_that_sleeps_skips_pictures_and_never_gets_them_bunched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock(monkeypatch, file)
    source = open_source(_clip(tmp_path / "a.mkv"))
    first = source.next()
    clock.now += 95_000
    second, third = source.next(), source.next()
    clock.now += 60_000_000
    fourth, fifth = source.next(), source.next()
    source.close()
    assert isinstance(first, Picture)
    assert isinstance(second, Picture)
    assert isinstance(third, Picture)
    assert isinstance(fourth, Picture)
    assert isinstance(fifth, Picture)
    assert second.skipped == 4
    assert round((int(Canvas.of(second.frame).y[120, 160]) - 40) / 10) == 5
    assert third.skipped == fifth.skipped == 0
    assert fourth.skipped == 10, "a long sleep is not caught up by decoding all of it"
    assert fifth.capture_us - fourth.capture_us == pytest.approx(1_000_000 / 60, abs=1000)


def test_a_clip_is_fitted_into_the_mode_and_keeps_its_rate(tmp_path: Path) -> None:
    taken, mode, colour = _take(_clip(tmp_path / "a.mkv"), 3, Mode(640, 360, Fraction(25)))
    assert mode == Mode(640, 360, Fraction(60))
    assert colour == Colour()
    y = Canvas.of(taken[0][0].frame).y
    assert y.shape == (360, 640)
    assert (y[:, :78] == 16).all()  # 320x240 becomes 480x360
    assert abs(int(y[180, 320]) - 40) <= 2


@pytest.mark.parametrize("bt709", [False, True])
def test_a_clip_that_needs_no_scaling_keeps_its_colours_and_says_which(tmp_path: Path, bt709: bool) -> None:
    _, _, colour = _take(_clip(tmp_path / "a.mp4", bt709=bt709), 1)
    assert colour == Colour(bt709=bt709)


def test_a_single_picture_and_an_odd_size_play_too(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (333, 241), (255, 255, 255)).save(tmp_path / "still.png")
    taken, mode, _ = _take(f"file:{tmp_path / 'still.png'}", 3)
    assert (mode.width, mode.height) == (332, 240)
    assert [level for _, level in taken] == [235] * 3


@pytest.mark.quick
def test_files_that_cannot_be_played_are_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "junk.mp4").write_bytes(b"\x00\x01junk" * 5000)
    with av.open(str(tmp_path / "sound.wav"), "w") as out:
        stream: Any = out.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
    for name in ("missing.mp4", "empty.mp4", "junk.mp4", "sound.wav", "."):
        with pytest.raises(FileError, match="cannot play") as caught:
            open_source(f"file:{tmp_path / name}")
        assert "\n" not in str(caught.value)


def test_a_clip_cut_off_in_the_middle_plays_what_there_is(tmp_path: Path) -> None:
    spec = _clip(tmp_path / "whole.mkv", pictures=12)
    data = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) * 3 // 4])
    assert spec
    taken, _, _ = _take(f"file:{tmp_path / 'cut.mkv'}", 15)
    assert len(taken) == 15
