"""The camera's HDMI input as a source of I420 pictures, for an encoder in software. A hardware encoder takes the
driver's buffers as they are instead (sender/pipeline/hardware.py)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

import av
from av.video.reformatter import ColorRange, VideoReformatter

from thinair.link.native import Capture, raw_to_i420
from thinair.link.video_mode import Mode
from thinair.sender.hdmi.port import Port, Start, Stop
from thinair.sender.hdmi.rate_meter import RateMeter
from thinair.sender.picture import Colour, NewMode, NoPicture, Picture

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from thinair._native import CaptureFormat

FOURCCS = ("UYVY", "YUYV", "NV12", "MJPG")  # the best first
_POOL = 3  # one with the encoder, one handed out, one drawn into
_BUFFERS = 4
_WAIT_US = 500_000
# linux/videodev2.h
_REC709, _JPEG, _DCI_P3 = 3, 7, 12
_ENC_709, _ENC_XV709 = 2, 4
_FULL_RANGE = 1


class Captured(Protocol):
    """What CapturedPicture offers."""

    sequence: int
    skipped: int
    corrupt: bool
    capture_us: int
    dequeue_us: int

    def release(self) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...


class Capturing(Protocol):
    """What Capture offers."""

    format: CaptureFormat

    def next(self, timeout_us: int, /) -> Captured | None: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...


def open_capture(start: Start) -> Capturing:
    """Raises OSError."""
    mode = start.mode
    return Capture(
        device=start.node,
        fourcc=start.fourcc,
        width=mode.width,
        height=mode.height,
        buffers=_BUFFERS,
        rate=(mode.rate.numerator, mode.rate.denominator),
    )


def colour_of(form: CaptureFormat) -> Colour:
    """What the driver says of its pictures, by the defaults of linux/videodev2.h (V4L2_MAP_YCBCR_ENC_DEFAULT,
    V4L2_MAP_QUANTIZATION_DEFAULT). JPEG is BT.601 full range by JFIF; and the TC358743 behind unicam gives BT.601
    limited whatever is set."""
    if form["driver"] == "unicam":
        return Colour(bt709=False, full_range=False)
    if form["fourcc"] == "MJPG":
        return Colour(bt709=False, full_range=True)
    matrix, space, quantization = form["ycbcr_enc"], form["colorspace"], form["quantization"]
    bt709 = matrix in {_ENC_709, _ENC_XV709} or (matrix == 0 and space in {_REC709, _DCI_P3})
    return Colour(bt709, quantization == _FULL_RANGE or (quantization == 0 and space == _JPEG))


class Hdmi:
    """See Source. Follows whatever the port says: the camera may come, go, and change its mode at any time. Pictures
    that arrive damaged are left out and counted as skipped."""

    name = "hdmi"
    colour = Colour(bt709=False)

    def __init__(self, port: Port, mode: Mode, capture: Callable[[Start], Capturing] = open_capture) -> None:
        """`mode`: what the source says of itself until the camera has said otherwise."""
        self.mode = mode
        self._port = port
        self._open_capture = capture
        self._capture: Capturing | None = None
        self._pending: deque[NewMode | NoPicture] = deque()
        self._true_rates: dict[Mode, Fraction] = {}  # measured, by what the driver called them
        self._seq = 0

    def open(self) -> None:
        self._port.open()

    def next(self) -> Picture | NewMode | NoPicture | None:
        while not self._pending:
            fd = self._capture.fileno() if self._capture else -1
            events = self._port.poll(_WAIT_US, fd)
            for event in events:
                self._follow(event)
            if not events and self._capture and (picture := self._take(self._capture)):
                return picture
        return self._pending.popleft()

    def request_mode(self, mode: Mode) -> None:
        """The camera follows in its own time, or does not."""
        self._port.request_mode(mode)

    def close(self) -> None:
        self._close_capture()
        self._port.close()

    def _follow(self, event: Start | Stop | NoPicture) -> None:
        if isinstance(event, NoPicture):
            self._pending.append(event)
        elif isinstance(event, Stop):
            self._close_capture()
        else:
            self._start(event)

    def _start(self, start: Start) -> None:
        try:
            self._capture = self._open_capture(start)
        except OSError as error:
            self._port.failed(error)
            return
        form = self._capture.format
        self._converter = _Jpeg(form) if form["fourcc"] == "MJPG" else _Raw(form)
        self._nominal = start.mode
        self._meter = RateMeter(self._true_rates.get(start.mode, start.mode.rate))
        self._skipped = 0
        self._announce(self._meter.rate, colour_of(form))

    def _announce(self, rate: Fraction, colour: Colour) -> None:
        self.mode, self.colour = replace(self._nominal, rate=rate), colour
        self._pending.append(NewMode(self.mode, self.colour))

    def _close_capture(self) -> None:
        if self._capture:
            self._capture.close()
        self._capture = None

    def _take(self, capture: Capturing) -> Picture | None:
        try:
            captured = capture.next(0)
        except OSError as error:
            self._close_capture()
            self._port.failed(error)
            return None
        if captured is None:
            return None
        self._skipped += captured.skipped
        frame = None if captured.corrupt else self._converter.convert(captured)
        captured.release()
        if frame is None:
            self._skipped += 1
            return None
        self._port.picture_seen(captured.dequeue_us)
        picture = Picture(frame, self._seq, captured.capture_us, captured.dequeue_us, self._skipped)
        self._seq += 1
        self._skipped = 0
        if (rate := self._meter.add(captured.sequence, captured.capture_us)) is not None:
            self._true_rates[self._nominal] = rate
            self._announce(rate, self.colour)
        return picture


class _Raw:
    def __init__(self, form: CaptureFormat) -> None:
        self._layout = form["fourcc"], form["stride"], form["width"], form["height"]
        self._pool = [av.VideoFrame(form["width"], form["height"], "yuv420p") for _ in range(_POOL)]
        self._count = 0

    def convert(self, data: Buffer) -> av.VideoFrame:
        frame = self._pool[self._count % _POOL]
        self._count += 1
        y, u, v = frame.planes
        raw_to_i420(data, *self._layout, y, u, v, y.line_size, u.line_size, v.line_size)
        return frame


class _Jpeg:
    """Each picture of a USB grabber is a JPEG of its own. Its range stays full: the encoder is told."""

    def __init__(self, form: CaptureFormat) -> None:
        self._size = form["width"], form["height"]
        self._decoder = av.VideoCodecContext.create("mjpeg", "r")
        self._decoder.thread_count = 1  # more would hold pictures back
        self._reformatter = VideoReformatter()

    def convert(self, data: Buffer) -> av.VideoFrame | None:
        """None where it cannot be decoded."""
        try:
            decoded = self._decoder.decode(av.Packet(bytes(data)))
        except av.FFmpegError:
            return None
        if not decoded or decoded[0].is_corrupt or (decoded[0].width, decoded[0].height) != self._size:
            return None
        full = ColorRange.JPEG
        return self._reformatter.reformat(decoded[0], format="yuv420p", src_color_range=full, dst_color_range=full)
