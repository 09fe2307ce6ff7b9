"""The HDMI source on a port and a capture that play a script; tests/vm has it on a real driver."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from thinair.link.errors import DeviceError, FileError
from thinair.link.protocol.source_state import SourceCode, SourceState
from thinair.link.video_mode import Mode
from thinair.sender.hdmi.port import Start, Stop
from thinair.sender.picture import Colour, NewMode, NoPicture, Picture
from thinair.sender.sources import open_source
from thinair.sender.sources.hdmi import Hdmi, colour_of
from thinair.sender.sources.testcard_layers import Canvas

if TYPE_CHECKING:
    from thinair._native import CaptureFormat

pytestmark = pytest.mark.quick
MODE = Mode(64, 32, Fraction(60))
START = Start(MODE, "/dev/video0", "UYVY", "vivid")
NO_CABLE = NoPicture(SourceState(SourceCode.NO_CABLE, 7))


def form(fourcc: str = "UYVY", **fields: Any) -> CaptureFormat:
    granted: Any = {
        "width": 64, "height": 32, "fourcc": fourcc, "stride": 128, "size_image": 4096, "buffers": 4,
        "colorspace": 1, "ycbcr_enc": 0, "quantization": 0, "driver": "vivid",
    }  # fmt: skip
    return granted | fields  # type: ignore[no-any-return]  # a TypedDict's union


class Frame(bytearray):
    """A captured picture; UYVY of one luma unless it is given."""

    def __init__(
        self, sequence: int, data: bytes = b"", *, luma: int = 50, skipped: int = 0, corrupt: bool = False
    ) -> None:
        super().__init__(data or bytes([100, luma, 150, luma]) * (32 * 32))
        self.sequence, self.skipped, self.corrupt = sequence, skipped, corrupt
        self.capture_us = 1_000_000 + sequence * 1_001_000_000 // 60_000
        self.dequeue_us = self.capture_us + 500
        self.released = False

    def release(self) -> None:
        self.released = True


class Capture:
    def __init__(self, *frames: Frame | OSError, granted: CaptureFormat | None = None) -> None:
        self.format = granted or form()
        self.frames = deque(frames)
        self.closed = False

    def next(self, timeout_us: int, /) -> Frame | None:
        assert not self.closed
        assert timeout_us == 0, "the port has waited already"
        following = self.frames.popleft() if self.frames else None
        if isinstance(following, OSError):
            raise following
        return following

    def fileno(self) -> int:
        assert not self.closed
        return 42

    def close(self) -> None:
        self.closed = True


class Port:
    """Says its script, then nothing, as while pictures come; ends the test where the source waits for ever."""

    def __init__(self, *script: Sequence[Start | Stop | NoPicture]) -> None:
        self.notes: list[str] = []
        self.script = deque(script)
        self.seen: list[int] = []
        self.failures: list[OSError] = []
        self.descriptors: list[int] = []
        self.opened = self.closed = False

    def open(self) -> None:
        self.opened = True

    def request_mode(self, mode: Mode) -> None: ...

    def poll(self, timeout_us: int, capture_fd: int = -1, *, wake_fd: int = -1) -> Sequence[Start | Stop | NoPicture]:
        assert timeout_us > 0
        assert len(self.descriptors) < 5000, "the source asks for ever"
        self.descriptors.append(capture_fd)
        return self.script.popleft() if self.script else ()

    def picture_seen(self, at_us: int) -> None:
        self.seen.append(at_us)

    def capture_flows(self, at_us: int) -> None: ...
    def capture_silent(self, last_us: int) -> None: ...

    def failed(self, error: OSError) -> None:
        self.failures.append(error)

    def close(self) -> None:
        self.closed = True


def source(port: Port, *captures: Capture | OSError) -> Hdmi:
    waiting = deque(captures)

    def open_capture(start: Start) -> Capture:
        capture = waiting.popleft()
        if isinstance(capture, OSError):
            raise capture
        return capture

    made = Hdmi(port, MODE, open_capture)
    made.open()
    return made


def test_a_start_gives_the_mode_and_then_pictures_converted() -> None:
    port, first = Port([START]), Frame(0, luma=99)
    hdmi = source(port, Capture(first, Frame(1)))
    assert hdmi.next() == NewMode(MODE, Colour(bt709=False))
    picture = hdmi.next()
    assert isinstance(picture, Picture)
    canvas = Canvas.of(picture.frame)
    assert [set(plane.ravel()) for plane in (canvas.y, canvas.u, canvas.v)] == [{99}, {100}, {150}]
    assert (picture.seq, picture.capture_us, picture.dequeue_us) == (0, first.capture_us, first.dequeue_us)
    assert first.released
    assert port.seen == [first.dequeue_us]
    assert port.descriptors == [-1, 42]
    following = hdmi.next()
    assert isinstance(following, Picture)
    assert following.frame is not picture.frame, "the one before is still with the encoder"


def test_what_the_driver_lost_and_what_came_damaged_is_skipped() -> None:
    port = Port([START])
    hdmi = source(port, Capture(Frame(3, skipped=2, corrupt=True), Frame(5, skipped=1), Frame(6)))
    assert isinstance(hdmi.next(), NewMode)
    taken = [hdmi.next(), hdmi.next()]
    assert [(p.seq, p.skipped) for p in taken if isinstance(p, Picture)] == [(0, 4), (1, 0)]
    assert len(port.seen) == 2, "a damaged picture does not hold off the watchdog"


def test_states_are_handed_on_in_their_order() -> None:
    live = NoPicture(SourceState(SourceCode.LIVE, 9))
    port = Port([NO_CABLE], [NO_CABLE], [START], [live])
    hdmi = source(port, Capture(Frame(0)))
    assert [hdmi.next() for _ in range(4)] == [NO_CABLE, NO_CABLE, NewMode(MODE, Colour(bt709=False)), live]
    assert isinstance(hdmi.next(), Picture)


def test_a_stop_closes_the_capture_before_the_port_is_asked_again() -> None:
    port, capture = Port([START], [Stop(), NO_CABLE]), Capture()
    hdmi = source(port, capture)
    assert isinstance(hdmi.next(), NewMode)
    assert hdmi.next() == NO_CABLE
    assert capture.closed
    port.script.append([NO_CABLE])
    hdmi.next()
    assert port.descriptors == [-1, 42, -1]


def test_a_new_mode_opens_another_capture() -> None:
    small = Mode(32, 16, Fraction(50))
    port = Port([START], [Stop(), Start(small, "/dev/video0", "UYVY", "vivid")])
    hdmi = source(port, Capture(), Capture(Frame(0), granted=form(width=32, height=16, stride=64, colorspace=3)))
    assert isinstance(hdmi.next(), NewMode)
    assert hdmi.next() == NewMode(small, Colour(bt709=True))
    picture = hdmi.next()
    assert isinstance(picture, Picture)
    assert (picture.frame.width, picture.frame.height, hdmi.mode) == (32, 16, small)


def test_a_capture_that_cannot_be_opened_is_told_to_the_port() -> None:
    busy = OSError(16, "busy")
    port = Port([START], [NO_CABLE])
    hdmi = source(port, busy)
    assert hdmi.next() == NO_CABLE
    assert port.failures == [busy]
    assert port.descriptors == [-1, -1]


def test_a_capture_that_breaks_down_is_closed_first_and_then_told() -> None:
    gone = OSError(19, "gone")
    port, capture = Port([START]), Capture(Frame(0), gone)
    hdmi = source(port, capture, Capture(Frame(0)))
    assert isinstance(hdmi.next(), NewMode)
    assert isinstance(hdmi.next(), Picture)
    port.script.extend([[], [START]])
    assert isinstance(hdmi.next(), NewMode)
    assert (port.failures, capture.closed) == ([gone], True)
    assert isinstance(hdmi.next(), Picture)


def test_the_true_rate_is_announced_and_kept_for_the_next_start() -> None:
    port = Port([START])
    hdmi = source(port, Capture(*(Frame(n) for n in range(400))), Capture())
    taken = [hdmi.next() for _ in range(300)]
    true = NewMode(Mode(64, 32, Fraction(60000, 1001)), Colour(bt709=False))
    assert [item for item in taken if isinstance(item, NewMode)] == [NewMode(MODE, Colour(bt709=False)), true]
    port.script.append([Stop(), START])
    assert hdmi.next() == true


def test_close_lets_go_of_everything_at_any_time() -> None:
    port, capture = Port([START]), Capture()
    hdmi = source(port, capture)
    hdmi.next()
    hdmi.close()
    assert (capture.closed, port.closed) == (True, True)
    never = Port()
    source(never).close()
    assert never.closed


def test_a_port_that_is_none_is_an_error_of_open() -> None:
    class Missing(Port):
        def open(self) -> None:
            raise DeviceError("no HDMI input")

    with pytest.raises(DeviceError, match="no HDMI input"):
        source(Missing())


@pytest.mark.parametrize("node", ["/dev/null", "/dev/video-none"])
def test_a_node_that_is_no_hdmi_input_is_an_error_that_names_it(node: str) -> None:
    with pytest.raises(DeviceError, match=node):
        open_source(f"hdmi:{node}")


def test_an_edid_that_is_none_is_refused_before_any_device_is_asked() -> None:
    with pytest.raises(FileError, match="cannot be read"):
        open_source("hdmi:/dev/null", edid="/no/such/file")


def jpeg(level: int, size: tuple[int, int] = (64, 32)) -> bytes:
    frame = av.VideoFrame(*size, "yuvj422p")
    canvas = Canvas.of(frame)
    canvas.y[:], canvas.u[:], canvas.v[:] = level, 90, 170
    encoder = av.VideoCodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = *size, "yuvj422p", Fraction(30)
    return bytes(encoder.encode(frame)[0])


def test_motion_jpeg_is_decoded_at_once_and_keeps_its_full_range() -> None:
    start = Start(MODE, "/dev/video0", "MJPG", "uvcvideo")
    granted = form("MJPG", stride=0, driver="uvcvideo")
    hdmi = source(Port([start]), Capture(Frame(0, jpeg(3)), Frame(1, jpeg(250)), granted=granted))
    assert hdmi.next() == NewMode(MODE, Colour(bt709=False, full_range=True))
    for level in (3, 250):
        picture = hdmi.next()
        assert isinstance(picture, Picture)
        canvas = Canvas.of(picture.frame)
        assert picture.frame.format.name in {"yuv420p", "yuvj420p"}
        for plane, wanted in ((canvas.y, level), (canvas.u, 90), (canvas.v, 170)):
            assert np.abs(plane.astype(int) - wanted).max() <= 3


@pytest.mark.parametrize("junk", [b"no picture", jpeg(9)[:40], jpeg(9, (32, 32)), b"\xff\xd8\xff\xd9"])
def test_a_jpeg_that_is_none_is_left_out_and_counted(junk: bytes) -> None:
    start = Start(MODE, "/dev/video0", "MJPG", "uvcvideo")
    capture = Capture(Frame(0, junk), Frame(1, jpeg(9)), granted=form("MJPG", stride=0))
    hdmi = source(Port([start]), capture)
    hdmi.next()
    picture = hdmi.next()
    assert isinstance(picture, Picture)
    assert picture.skipped == 1


@pytest.mark.parametrize(
    ("fields", "colour"),
    [
        ({"colorspace": 1}, Colour(bt709=False)),
        ({"colorspace": 3}, Colour(bt709=True)),
        ({"colorspace": 8}, Colour(bt709=False)),
        ({"colorspace": 3, "ycbcr_enc": 1}, Colour(bt709=False)),
        ({"colorspace": 1, "ycbcr_enc": 2}, Colour(bt709=True)),
        ({"colorspace": 3, "quantization": 1}, Colour(bt709=True, full_range=True)),
        ({"colorspace": 7}, Colour(bt709=False, full_range=True)),
        ({"colorspace": 7, "quantization": 2}, Colour(bt709=False)),
        ({"colorspace": 3, "quantization": 1, "driver": "unicam"}, Colour(bt709=False)),
        ({"fourcc": "MJPG"}, Colour(bt709=False, full_range=True)),
    ],
)
def test_the_colour_is_what_the_driver_says_and_bt601_from_the_chip(fields: dict[str, Any], colour: Colour) -> None:
    assert colour_of(form(**fields)) == colour
