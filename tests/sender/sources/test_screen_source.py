"""Grabbing a screen: what stands on it comes out, right in place, colour and size."""

from __future__ import annotations

import signal
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from tests.support.virtual_clock import VirtualClock
from thinair.link.errors import ConfigError, DeviceError
from thinair.link.native import X11Presenter
from thinair.link.video_mode import Mode
from thinair.sender.sources import Picture, open_source, screen, testcard
from thinair.sender.sources.screen import Screen
from thinair.sender.sources.testcard_layers import Canvas
from thinair.sender.sources.visual_code import Code, Geometry, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av

    from tests.conftest import Glass

HD = Mode(1280, 720, Fraction(30))


@pytest.fixture
def shown(glass: Glass) -> Iterator[av.VideoFrame]:
    """The test card with code (4711, 99) in a window of 1280x720 on a screen of 1280x800."""
    card = testcard.Testcard(HD)
    card.open()
    frame = card.draw(3, 4711, 99)
    window = X11Presenter(display=glass.name, width=HD.width, height=HD.height)
    planes = [bytes(plane) for plane in frame.planes]
    strides = [plane.line_size for plane in frame.planes]
    for _ in range(2):
        window.events()
        window.present(
            planes[0], planes[1], planes[2], strides[0], strides[1], strides[2], HD.width, HD.height,
            bt709=True, full_range=False,
        )  # fmt: skip
    yield frame
    window.close()


@pytest.mark.display
def test_the_grabbed_region_is_what_the_screen_shows(glass: Glass, shown: av.VideoFrame) -> None:
    source = open_source(f"screen:{glass.name}+0,40", HD)  # without a window manager the window stands in the middle
    assert source.mode == HD
    pictures = [source.next() for _ in range(5)]
    source.close()
    assert [picture.seq for picture in pictures if isinstance(picture, Picture)] == [0, 1, 2, 3, 4]
    picture = pictures[-1]
    assert isinstance(picture, Picture)
    assert picture.capture_us <= picture.dequeue_us
    y = bytes(picture.frame.planes[0])
    reader = Reader(Geometry(1280, 720), picture.frame.planes[0].line_size, pixel_bytes=1)
    assert reader.top(y) == reader.bottom(y) == Code(4711, 99)
    grabbed, drawn = Canvas.of(picture.frame), Canvas.of(shown)
    for one, other in ((grabbed.y, drawn.y), (grabbed.u, drawn.u), (grabbed.v, drawn.v)):
        bars = slice(one.shape[0] // 5, one.shape[0] // 3), slice(8, one.shape[1] // 2)
        difference = abs(one[bars].astype(int) - other[bars])
        assert difference.mean() < 1.5


@pytest.mark.display
def test_a_whole_screen_is_scaled_to_the_mode_with_its_shape_kept(glass: Glass, shown: av.VideoFrame) -> None:
    source = open_source(f"screen:{glass.name}", Mode(640, 360, Fraction(50)))
    picture = source.next()
    source.close()
    assert isinstance(picture, Picture)
    canvas = Canvas.of(picture.frame)
    assert canvas.y.shape == (360, 640)
    assert (canvas.y[:, :30] == 16).all()  # 1280x800 fits as 576x360
    assert (canvas.y[:, -30:] == 16).all()
    assert canvas.y[:320, 40:600].max() > 200


@pytest.mark.display
def test_without_a_mode_the_screen_keeps_its_size(glass: Glass) -> None:
    source = open_source(f"screen:{glass.name}.0")
    source.close()
    assert (source.mode.width, source.mode.height) == (1280, 800)


@pytest.mark.display
def test_grabs_keep_their_pace(glass: Glass, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = VirtualClock(monkeypatch, screen)
    source = open_source(f"screen:{glass.name}", Mode(640, 360, Fraction(50)))
    pictures = []
    for n in range(20):
        if n == 10:
            clock.now += 65_000
        if isinstance(picture := source.next(), Picture):
            pictures.append(picture)
    source.close()
    assert [picture.skipped for picture in pictures] == [0] * 10 + [2] + [0] * 9
    at = [picture.capture_us - pictures[0].capture_us for picture in pictures]
    assert at[:10] == pytest.approx([n * 20_000 for n in range(10)], abs=5)
    assert at[11:] == pytest.approx([(n + 2) * 20_000 for n in range(11, 20)], abs=5)


@pytest.mark.display
def test_a_display_that_dies_is_said_in_one_line(glass: Glass) -> None:
    source = open_source(f"screen:{glass.name}", Mode(640, 360, Fraction(50)))
    assert isinstance(source.next(), Picture)
    glass.signal(signal.SIGKILL)
    with pytest.raises(DeviceError, match="is gone") as caught:
        [source.next() for _ in range(5)]
    assert "\n" not in str(caught.value)
    source.close()


@pytest.mark.display
def test_a_region_beyond_the_screen_is_said_in_one_line(glass: Glass) -> None:
    with pytest.raises(DeviceError, match="cannot grab") as caught:
        open_source(f"screen:{glass.name}+900,0", HD)
    assert "\n" not in str(caught.value)


@pytest.mark.quick
def test_a_missing_display_is_said_in_one_line() -> None:
    with pytest.raises(DeviceError, match="cannot grab") as caught:
        open_source("screen::4999")
    assert "\n" not in str(caught.value)


@pytest.mark.quick
@pytest.mark.parametrize("spec", ["", "0", ":x", ":0+1", ":0+-1,2", ":0 ", ":0.1+1,2,3"])
def test_a_screen_misspelled_is_refused(spec: str) -> None:
    with pytest.raises(ConfigError, match="not understood"):
        Screen(spec)
