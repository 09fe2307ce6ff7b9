"""What both presenters must do, read back from a real screen; and the choice between them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Glass
from tests.support.paths import ROOT
from tests.support.screens import BARS, MATRIX, RANGE, TOLERANCE, bars, cells, eventually, grey
from thinair.link.errors import ConfigError, DeviceError
from thinair.receiver.video.i420 import Colour, Preparer, colour_of, fit
from thinair.receiver.video.presenter import NullPresenter, Overlay, Presenter
from thinair.receiver.video.presenter_factory import open_presenter

WIDTH, HEIGHT = 640, 384
both = pytest.mark.parametrize("kind", ["x11", "sdl"])
display = pytest.mark.display
MIDDLE = ((1280 - WIDTH) // 2, (800 - HEIGHT) // 2)  # where the window opens on the screen of 1280x800


@contextmanager
def window(kind: str, width: int = WIDTH, height: int = HEIGHT, **options: Any) -> Iterator[Presenter]:
    presenter = open_presenter(kind, width=width, height=height, **options)
    try:
        yield presenter
    finally:
        presenter.close()


@display
@both
@pytest.mark.parametrize("matrix", MATRIX)
@pytest.mark.parametrize("extent", RANGE)
def test_colour_bars_come_out_in_their_colours(glass: Glass, kind: str, matrix: str, extent: str) -> None:
    with window(kind) as presenter:
        presenter.present(bars(WIDTH, HEIGHT, matrix, extent))
        shown = cells(glass.pixels(), *MIDDLE, WIDTH, HEIGHT)
    assert np.abs(shown - BARS).max() <= TOLERANCE, shown - BARS


@display
@both
def test_a_stream_that_changes_matrix_and_range_changes_colours_nowhere(glass: Glass, kind: str) -> None:
    with window(kind) as presenter:
        for matrix in MATRIX:
            for extent in RANGE:
                presenter.present(bars(WIDTH, HEIGHT, matrix, extent))
                shown = cells(glass.pixels(), *MIDDLE, WIDTH, HEIGHT)
                assert np.abs(shown - BARS).max() <= TOLERANCE, (matrix, extent)


@display
@both
@pytest.mark.parametrize("pixel_format", ["yuvj420p", "yuv422p", "yuv444p", "nv12", "rgb24", "gbrp"])
def test_other_pixel_formats_keep_their_colours(glass: Glass, kind: str, pixel_format: str) -> None:
    extent = "full" if pixel_format == "yuvj420p" else "limited"
    frame = bars(WIDTH, HEIGHT, "bt709", extent)
    rgb = pixel_format in {"rgb24", "gbrp"}
    other = frame.reformat(
        format=pixel_format, src_colorspace=1, dst_colorspace=1, src_color_range=RANGE[extent],
        dst_color_range=2 if rgb else RANGE[extent],
    )  # fmt: skip
    if not rgb:
        other.colorspace = 1
    with window(kind) as presenter:
        presenter.present(other)
        shown = cells(glass.pixels(), *MIDDLE, WIDTH, HEIGHT)
    assert np.abs(shown - BARS).max() <= TOLERANCE + 2 * rgb, shown - BARS


@display
@both
def test_full_screen_keeps_the_shape_between_black_bars_and_goes_back(glass: Glass, kind: str) -> None:
    picture = bars(WIDTH, HEIGHT, "bt601", "limited")  # 5:3 on 8:5: black above and below
    with window(kind) as presenter:
        presenter.present(picture)
        presenter.set_fullscreen(True)
        assert eventually(lambda: ("resize", (1280, 800)) in presenter.events())
        presenter.present(picture)
        pixels = glass.pixels()
        assert np.abs(cells(pixels, 0, 16, 1280, 768) - BARS).max() <= TOLERANCE
        assert not pixels[:16].any()
        assert not pixels[784:].any()
        presenter.set_fullscreen(False)
        assert eventually(lambda: ("resize", (WIDTH, HEIGHT)) in presenter.events())
        presenter.present(picture)
        assert np.abs(cells(glass.pixels(), *MIDDLE, WIDTH, HEIGHT) - BARS).max() <= TOLERANCE


@display
@both
def test_opened_in_full_screen_it_covers_the_screen(glass: Glass, kind: str) -> None:
    with window(kind, fullscreen=True) as presenter:
        assert eventually(lambda: bool(presenter.events()) and presenter.size == (1280, 800))
        presenter.present(grey(1280, 800, 235))
        assert glass.pixels().min() >= 253


@display
@both
def test_a_resized_window_shows_the_whole_picture_and_nothing_of_the_old_one(glass: Glass, kind: str) -> None:
    picture = bars(WIDTH, HEIGHT, "bt601", "limited")
    with window(kind) as presenter:
        presenter.present(picture)
        found = subprocess.run(
            ["xdotool", "search", "--class", "^thinair$"], check=True, capture_output=True, text=True
        )
        resize = ["xdotool", "windowsize", found.stdout.split()[-1], "500", "700"]
        subprocess.run([*resize, "windowmove", found.stdout.split()[-1], "0", "0"], check=True)
        assert eventually(lambda: bool(presenter.events()) and presenter.size == (500, 700))
        presenter.present(picture)
        pixels = glass.pixels()
        top = (700 - 300) // 2
        assert np.abs(cells(pixels, 0, top, 500, 300) - BARS).max() <= TOLERANCE
        assert not pixels[: top - 1, :500].any()
        assert not pixels[top + 301 : 700, :500].any()


@display
@both
def test_keys_arrive_by_name(glass: Glass, kind: str) -> None:
    keys = ["q", "f", "h", "Escape", "s", "question", "F1", "space", "2"]
    with window(kind) as presenter:
        presenter.present(grey(WIDTH, HEIGHT))
        subprocess.run(["xdotool", "mousemove", "640", "400", "key", *keys, "Q"], check=True)
        seen: list[str] = []

        def arrived() -> bool:
            seen.extend(value for kind, value in presenter.events() if kind == "key")
            return len(seen) > len(keys)

        assert eventually(arrived), seen
        assert seen == [*keys, "q"]


@display
@both
def test_overlays_of_two_slots_stand_together_and_go_one_by_one(glass: Glass, kind: str) -> None:
    x, y = MIDDLE
    with window(kind) as presenter:
        for slot, across in ((0, 20), (3, 120)):
            presenter.overlay(Overlay(bytes([255]) * 100, 10, 10, x=across, y=30), slot)

        def lit() -> list[bool]:
            presenter.present(grey(WIDTH, HEIGHT, 16))
            row = glass.pixels()[y + 35, x : x + WIDTH, 0]
            return [bool(row[across + 5] > 128) for across in (20, 120)]

        assert lit() == [True, True]
        presenter.overlay(None)
        assert lit() == [False, True]
        presenter.overlay(None, 3)
        assert lit() == [False, False]


@display
@both
def test_text_and_border_lie_over_the_picture_and_go_again(glass: Glass, kind: str) -> None:
    x, y = MIDDLE
    with window(kind) as presenter:
        presenter.overlay(Overlay(bytes([0, 255]) * 50 * 10, 100, 10, x=20, y=30, ground=51))
        presenter.present(grey(WIDTH, HEIGHT, 235), border=0xE03010, dim=128)
        pixels = glass.pixels()[y : y + HEIGHT, x : x + WIDTH].astype(int)
        assert np.abs(pixels[0, 0] - (0xE0, 0x30, 0x10)).max() <= 1
        assert np.abs(pixels[-1, -1] - (0xE0, 0x30, 0x10)).max() <= 1
        assert np.abs(pixels[100, 300] - 128).max() <= 2  # dimmed
        assert np.abs(pixels[30, 20] - 128 * 51 // 255).max() <= 2  # the text's ground
        assert pixels[30, 21].min() >= 253  # the text
        presenter.overlay(Overlay(bytes([255]) * 100, 10, 10, x=-5, y=-7))
        presenter.present(grey(WIDTH, HEIGHT, 16))
        lit = np.argwhere(glass.pixels()[y : y + HEIGHT, x : x + WIDTH, 0] > 128)
        assert lit.min(axis=0).tolist() == [HEIGHT - 7 - 10, WIDTH - 5 - 10]
        assert lit.max(axis=0).tolist() == [HEIGHT - 7 - 1, WIDTH - 5 - 1]
        presenter.overlay(None)
        presenter.present(grey(WIDTH, HEIGHT, 235))
        assert glass.pixels()[y : y + HEIGHT, x : x + WIDTH].min() >= 253


_SURVIVOR = """
import sys
from thinair.receiver.video.presenter_factory import open_presenter
from tests.support.screens import grey
presenter = open_presenter(sys.argv[1], width=320, height=240)
presenter.present(grey(320, 240))
print("shown", flush=True)
sys.stdin.readline()
for act in (lambda: presenter.present(grey(320, 240)), presenter.events, lambda: presenter.set_fullscreen(True)):
    try:
        act()
    except OSError:
        print("OSError")
presenter.close()
print("alive")
"""


@display
@both
def test_a_dead_x_server_is_an_error_and_not_the_end_of_the_process(glass: Glass, kind: str) -> None:
    survivor = subprocess.Popen(
        [sys.executable, "-c", _SURVIVOR, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=ROOT,
    )  # fmt: skip
    assert survivor.stdout is not None
    with survivor:
        assert survivor.stdout.readline() == "shown\n"
        glass.signal(signal.SIGKILL)
        told, _ = survivor.communicate("\n", timeout=20)
    assert told.split() == ["OSError"] * 3 + ["alive"]
    assert survivor.returncode == 0


@display
@both
def test_a_thousand_pictures_take_no_memory(glass: Glass, kind: str) -> None:
    page = os.sysconf("SC_PAGE_SIZE")

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * page

    picture = bars(WIDTH, HEIGHT, "bt709", "limited")
    with window(kind) as presenter:
        for _ in range(100):
            presenter.present(picture)
            presenter.events()
        before = resident()
        for _ in range(1000):
            presenter.present(picture)
            presenter.events()
        assert resident() - before < 2**20


@display
def test_automatic_takes_x11_where_no_gpu_draws_and_says_so(glass: Glass) -> None:
    with window("auto") as presenter:
        assert presenter.name == "x11"
        assert presenter.stamp_quality == "swap_done"
        assert glass.name in presenter.reason


@display
@both
def test_a_monitor_that_is_not_there_is_named(glass: Glass, kind: str) -> None:
    with pytest.raises(DeviceError, match=r"no monitor 3: the display has 1\b"):
        open_presenter(kind, width=64, height=64, monitor=3)


@pytest.mark.quick
def test_without_any_display_automatic_counts_pictures_and_gives_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("thinair.receiver.video.presenter_factory._gpus", list)
    presenter = open_presenter("auto", width=64, height=48)
    assert isinstance(presenter, NullPresenter)
    assert "no display" in presenter.reason
    assert presenter.present(grey(64, 48)) <= presenter.present(grey(64, 48))
    assert presenter.presented == 2
    assert presenter.events() == []


@pytest.mark.quick
def test_a_display_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match='cannot open X display ":9999"'):
        open_presenter("x11", width=64, height=48, display=":9999")


@pytest.mark.quick
def test_an_unknown_presenter_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown presenter 'vga'"):
        open_presenter("vga", width=64, height=48)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("picture", "room", "fitted"),
    [
        ((1920, 1080), (1920, 1080), (1920, 1080)),
        ((1920, 1080), (1280, 1024), (1280, 720)),
        ((1920, 1080), (4000, 1080), (1920, 1080)),
        ((720, 576), (1920, 1080), (1350, 1080)),
        ((101, 55), (101, 55), (101, 55)),
        ((1920, 1080), (1, 1), (2, 2)),
        ((8192, 16), (100, 100), (100, 2)),
    ],
)
def test_a_picture_fits_its_window_in_its_own_shape(
    picture: tuple[int, int], room: tuple[int, int], fitted: tuple[int, int]
) -> None:
    assert fit(picture, room) == fitted


@pytest.mark.quick
@pytest.mark.parametrize(
    ("height", "space", "extent", "colour"),
    [(720, 2, 0, Colour(True, False)), (1080, 2, 0, Colour(True, False)), (576, 2, 0, Colour(False, False)),
     (480, 1, 2, Colour(True, True)), (1080, 6, 1, Colour(False, False)), (1080, 5, 2, Colour(False, True))],
)  # fmt: skip
def test_what_a_stream_does_not_say_follows_from_its_height(
    height: int, space: int, extent: int, colour: Colour
) -> None:
    frame = grey(64, height)
    frame.colorspace, frame.color_range = space, extent
    assert colour_of(frame) == colour


@pytest.mark.quick
def test_a_frame_that_fits_is_shown_without_a_copy() -> None:
    frame = grey(64, 48)
    assert Preparer().prepare(frame, (64, 48))[0] is frame
