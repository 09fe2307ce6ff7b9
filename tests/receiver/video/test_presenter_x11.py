"""The XShm window itself: memory, time stamps, a server that does not answer."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.conftest import Glass
from tests.support.paths import ROOT
from tests.support.screens import eventually, grey
from thinair import _native
from thinair.link.native import X11Presenter, now_us
from thinair.receiver.video.presenter_factory import open_presenter

pytestmark = pytest.mark.display
WIDTH, HEIGHT = 320, 240


@pytest.fixture
def window(glass: Glass) -> Iterator[X11Presenter]:
    presenter = X11Presenter(width=WIDTH, height=HEIGHT)
    yield presenter
    presenter.close()


def show(presenter: X11Presenter, width: int = WIDTH, height: int = HEIGHT, level: int = 235, **more: Any) -> int:
    y, c = bytes([level]) * (width * height), bytes([128]) * (((width + 1) // 2) * ((height + 1) // 2))
    half = (width + 1) // 2
    return presenter.present(y, c, c, width, half, half, width, height, bt709=True, full_range=False, **more)


def segments() -> set[str]:
    listed = subprocess.run(["ipcs", "-m"], check=True, capture_output=True, text=True).stdout.splitlines()
    return {line.split()[1] for line in listed if line.startswith("0x")}


def test_no_shared_memory_outlives_the_window_or_a_killed_process(glass: Glass) -> None:
    before = segments()
    presenter = X11Presenter(width=WIDTH, height=HEIGHT)
    show(presenter)
    show(presenter, 1000, 700)  # larger than the first segment
    presenter.close()
    code = (
        "import time; from thinair.link.native import X11Presenter; "
        "w = X11Presenter(width=64, height=64); print(1, flush=True)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code + "; time.sleep(60)"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "1\n"
        assert segments() - before  # it has one now
        other.kill()
    assert eventually(lambda: segments() <= before)


def test_the_stamp_lies_within_the_call_and_the_picture_is_on_the_screen_by_then(
    glass: Glass, window: X11Presenter
) -> None:
    for level in (235, 16) * 10:
        began_us = now_us()
        stamp_us = show(window, level=level)
        assert began_us <= stamp_us <= now_us()
        shown = glass.pixels()[280:520, 480:800]
        assert shown.min() == shown.max() == (255 if level == 235 else 0)


def test_a_picture_larger_than_the_window_shows_its_middle(glass: Glass, window: X11Presenter) -> None:
    show(window, 1000, 700)
    pixels = glass.pixels()
    assert pixels[280:520, 480:800].min() == 255
    assert not pixels[:280].any()


def test_odd_sizes_reach_the_screen_whole(glass: Glass, window: X11Presenter) -> None:
    show(window, 101, 51)
    lit = (glass.pixels()[..., 0] == 255).nonzero()
    assert (len(set(lit[1].tolist())), len(set(lit[0].tolist()))) == (101, 51)


def test_a_window_is_never_larger_than_its_monitor(glass: Glass) -> None:
    presenter = X11Presenter(width=3840, height=2160)
    assert presenter.size == (1280, 720)
    presenter.close()


def test_a_server_that_stands_still_is_an_error_that_can_pass(glass: Glass, window: X11Presenter) -> None:
    show(window)
    glass.signal(signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError, match="does not answer"):
            show(window)
    finally:
        glass.signal(signal.SIGCONT)

    def shows_again() -> bool:
        with suppress(TimeoutError):
            return show(window) > 0
        return False

    assert eventually(shows_again)


def test_python_runs_while_a_picture_waits_for_the_server(glass: Glass, window: X11Presenter) -> None:
    show(window)
    glass.signal(signal.SIGSTOP)
    thread = threading.Thread(target=show, args=(window,))
    try:
        thread.start()
        assert sum(range(100_000)) == 4_999_950_000  # while the other thread is in its call
        assert thread.is_alive()
    finally:
        glass.signal(signal.SIGCONT)
        thread.join()


def test_a_destroyed_window_closes_and_takes_no_more_pictures(glass: Glass, window: X11Presenter) -> None:
    found = subprocess.run(["xdotool", "search", "--class", "thinair"], check=True, capture_output=True, text=True)
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = ctypes.c_void_p(x11.XOpenDisplay(None))
    x11.XDestroyWindow(display, ctypes.c_ulong(int(found.stdout.split()[-1])))
    x11.XCloseDisplay(display)
    assert eventually(lambda: ("close", None) in window.events())
    with pytest.raises(OSError, match="window destroyed"):
        show(window)


def test_a_compositor_lowers_the_quality_of_the_stamp(glass: Glass) -> None:
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = ctypes.c_void_p(x11.XOpenDisplay(None))
    root = ctypes.c_ulong(x11.XDefaultRootWindow(display))
    selection = ctypes.c_ulong(x11.XInternAtom(display, b"_NET_WM_CM_S0", 0))
    x11.XSetSelectionOwner(display, selection, root, ctypes.c_ulong(0))
    x11.XSync(display, 0)
    presenter = open_presenter("x11", width=64, height=64)
    assert presenter.stamp_quality == "submitted"
    presenter.close()
    x11.XCloseDisplay(display)
    presenter = open_presenter("x11", width=64, height=64)
    assert presenter.stamp_quality == "swap_done"
    presenter.close()


def test_a_closed_window_stays_closed(window: X11Presenter) -> None:
    window.close()
    window.close()
    for act in (lambda: show(window), window.events, lambda: window.set_fullscreen(True), lambda: window.size):
        with pytest.raises(ValueError, match="closed"):
            act()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [({"width": 0}, ValueError), ({"height": -1}, ValueError), ({"width": 8193}, ValueError),
     ({"monitor": 1}, ValueError), ({"display": ":9998"}, OSError)],
)  # fmt: skip
def test_what_cannot_be_opened_says_why(glass: Glass, wrong: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^\D.{15,}"):
        X11Presenter(**({"width": 64, "height": 64} | wrong))


def test_planes_and_masks_that_are_too_small_are_refused(window: X11Presenter) -> None:
    with pytest.raises(ValueError, match="do not hold a picture of 64x64"):
        window.present(b"1" * 4095, b"1" * 1024, b"1" * 1024, 64, 32, 32, 64, 64, bt709=True, full_range=False)
    with pytest.raises(ValueError, match="mask is smaller than 10x10"):
        window.overlay(b"1" * 99, 10, 10, 0, 0)
    with pytest.raises(TypeError):
        window.present(b"1", b"1", b"1", 1, 1, 1, 1, 1)  # type: ignore[call-arg]  # wrong on purpose


def test_text_larger_than_the_picture_is_cut(glass: Glass, window: X11Presenter) -> None:
    window.overlay(bytes([255]) * 4000, 4000, 1, -5, 10)
    show(window, level=16)
    assert glass.pixels()[290, 480 : 480 + WIDTH - 5].min() == 255
    window.overlay(bytes([255]) * 4000, 1, 4000, 10, -5)
    show(window, 101, 51, level=16)
    window.overlay(None, 0, 0, 0, 0)


def test_a_display_of_sixteen_bits_is_refused_in_words() -> None:
    read_fd, write_fd = os.pipe()
    words = ["Xvfb", "-displayfd", str(write_fd), "-screen", "0", "640x480x16", "-nolisten", "tcp"]
    with (
        subprocess.Popen(words, pass_fds=[write_fd], stderr=subprocess.DEVNULL) as server,
        os.fdopen(read_fd, "rb") as told,
    ):
        os.close(write_fd)
        try:
            name = ":" + told.readline().decode().strip()
            with pytest.raises(OSError, match="no 24-bit visual"):
                X11Presenter(display=name, width=64, height=64)
        finally:
            server.terminate()


def test_the_extension_links_no_x_library() -> None:
    listed = subprocess.run(["ldd", str(_native.__file__)], check=True, capture_output=True, text=True)
    assert "xcb" not in listed.stdout
    assert "X11" not in listed.stdout


def test_scaled_and_unscaled_pictures_show_the_same_grey(glass: Glass) -> None:
    presenter = open_presenter("x11", width=640, height=360)
    for size in ((640, 360), (1920, 1080), (64, 36)):
        presenter.present(grey(*size, 126))
        assert set(glass.pixels()[300:500, 400:880].ravel().tolist()) == {128}
    presenter.close()
    assert os.environ["DISPLAY"] == glass.name
