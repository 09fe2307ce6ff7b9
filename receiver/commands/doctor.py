"""What on this PC keeps the picture late or uneven: display, decoder, network, disk. Each check tries it out."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from thinair.link.diagnostics import Diagnostic, Verdict
from thinair.link.native import Rx, realtime
from thinair.receiver.file_names import default_folder
from thinair.receiver.video.presenter import NullPresenter, Presenter, open_presenter

if TYPE_CHECKING:
    import av

_SIZE = (1920, 1080)
_PICTURES = 30
_SLOW_PRESENT_MS, _SLOW_DECODE_MS = 8.0, 10.0  # half an interval of 60, and a third of one of 30 pictures a second
_RECEIVE_BUFFER = 4 << 20
_BYTES_PER_MINUTE = 8_000_000 / 8 * 60  # of a recording at 8 Mbit/s
_LITTLE_ROOM_MIN = 60


def examine(folder: Path | None = None) -> Iterator[Diagnostic]:
    """Every check, as it is done; a window opens for a moment."""
    pictures: list[av.VideoFrame] = []
    yield decoder(pictures)
    yield from display(pictures)
    yield receive_buffer()
    yield real_time()
    yield room(folder or default_folder())


def decoder(pictures: list[av.VideoFrame]) -> Diagnostic:
    """Fills `pictures` with what it decoded."""
    try:
        import av

        from thinair.receiver.video.decoder import THREADS, open_context
    except ImportError as error:
        mend = "pip install 'thinair[pc]'"
        return Diagnostic("decoder", Verdict.BAD, f"PyAV is not installed ({error.name})", mend)
    context = open_context(THREADS)
    took: list[float] = []
    for unit in _units():
        began = time.perf_counter()
        pictures += context.decode(av.Packet(unit))
        took.append((time.perf_counter() - began) * 1000)
    text = f"H.264 of {_SIZE[0]}x{_SIZE[1]} in {median(took):.1f} ms"
    if median(took) > _SLOW_DECODE_MS:
        return Diagnostic("decoder", Verdict.BAD, f"{text}: too slow", "thinair play --decoder-threads 4")
    return Diagnostic("decoder", Verdict.OK, text)


def display(pictures: list[av.VideoFrame], opener: Callable[..., Presenter] = open_presenter) -> Iterator[Diagnostic]:
    window = opener("auto", width=480, height=270, title="thinair doctor")
    try:
        if isinstance(window, NullPresenter):
            mend = "export DISPLAY=:0   # or start it from the desktop; without a window: thinair play --headless"
            yield Diagnostic("graphics", Verdict.BAD, window.reason, mend)
            return
        window.set_fullscreen(True)
        took: list[float] = []
        for picture in pictures:
            began = time.perf_counter()
            window.present(picture)
            took.append((time.perf_counter() - began) * 1000)
        size = "x".join(map(str, window.size))
        text = f"{window.name} ({window.reason}), {median(took):.1f} ms a picture at {size}" if took else window.name
        slow = bool(took) and median(took) > _SLOW_PRESENT_MS
        mend = "thinair play --presenter x11   # or sdl: see which is quicker" if slow else ""
        yield Diagnostic("graphics", Verdict.BAD if slow else Verdict.OK, text, mend)
        if window.refresh_hz:
            yield Diagnostic("refresh", Verdict.OK, f"{window.refresh_hz:.2f} Hz")
        else:
            yield Diagnostic("refresh", Verdict.UNKNOWN, "the display does not tell its rate")
        if window.stamp_quality == "submitted":
            text = "one stands between window and screen: up to a refresh later than the figures say"
            yield Diagnostic(
                "compositor", Verdict.BAD, text, "thinair play --fullscreen   # most compositors step aside"
            )
        else:
            yield Diagnostic("compositor", Verdict.OK, "none: the figures end on the screen")
    finally:
        window.close()


def receive_buffer() -> Diagnostic:
    rx = Rx(port=0, receive_buffer=_RECEIVE_BUFFER)
    try:
        granted = rx.stats()["receive_buffer"]
    finally:
        rx.close()
    text = f"{granted >> 10} kB"
    if granted < _RECEIVE_BUFFER:
        mend = f"echo net.core.rmem_max={_RECEIVE_BUFFER} | sudo tee /etc/sysctl.d/thinair.conf && sudo sysctl --system"
        return Diagnostic("receive buffer", Verdict.BAD, f"{text}: a busy moment loses packets", mend)
    return Diagnostic("receive buffer", Verdict.OK, text)


def real_time() -> Diagnostic:
    refused: list[str | None] = []
    thread = threading.Thread(target=lambda: refused.append(realtime(1)))
    thread.start()
    thread.join()
    if refused[0] is None:
        return Diagnostic("real time", Verdict.OK, "granted")
    user = os.environ.get("USER", "$USER")
    mend = f"echo '{user} - rtprio 20' | sudo tee /etc/security/limits.d/thinair.conf   # then log in again"
    return Diagnostic("real time", Verdict.BAD, f"refused ({refused[0]}): other programs can delay the picture", mend)


def room(folder: Path) -> Diagnostic:
    """For recordings."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK):
        return Diagnostic("recordings", Verdict.BAD, f"{there} may not be written", "thinair play --record-to FOLDER")
    minutes = shutil.disk_usage(there).free / _BYTES_PER_MINUTE
    text = f"{folder}: room for {minutes / 60:.1f} h at 8 Mbit/s"
    if minutes < _LITTLE_ROOM_MIN:
        return Diagnostic("recordings", Verdict.BAD, text, "thinair play --record-to FOLDER   # on a larger disk")
    return Diagnostic("recordings", Verdict.OK, text)


def _units() -> Iterator[bytes]:
    """Access units as our sender's encoder makes them."""
    import av
    from av.video.codeccontext import VideoCodecContext

    encoder = VideoCodecContext.create("libx264", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = *_SIZE, "yuv420p"
    encoder.time_base, encoder.bit_rate = Fraction(1, 30), 8_000_000
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
    frame = av.VideoFrame(*_SIZE, "yuv420p")
    for index in range(_PICTURES):
        for plane in frame.planes:
            line = bytes((16 + (index * 7 + x * x // 97) % 220) for x in range(plane.line_size))
            plane.update(line * plane.height)
        frame.pts = index
        yield from (bytes(packet) for packet in encoder.encode(frame))
