"""Captures from vivid in the guest; prints for each experiment a line of JSON: what was seen, or the traceback as text.
argv: NODE EXPERIMENT[=ARGUMENT]..."""

import contextlib
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thinair.link.native import Capture, V4L2Device, raw_to_i420

# drivers/media/test-drivers/vivid/vivid-ctrls.c
CONTROL = 0x00F0F000
OSD_TEXT, CROP = CONTROL + 1, CONTROL + 31
DROPPED, DISCONNECT, FLAG_ERROR, REQBUFS_ERROR, QBUF_ERROR, STREAMON_ERROR, FATAL_ERROR = range(
    CONTROL + 64, CONTROL + 71
)
NO_TEXT = 2
TIMEOUT_US = 5_000_000
BARS = 8

node = sys.argv[1]


def opened(fourcc: str = "UYVY", **options: Any) -> Capture:
    return Capture(device=node, fourcc=fourcc, **options)


def failure(act: Callable[[], object]) -> tuple[int | None, str]:
    """(errno, text) of the OSError."""
    try:
        act()
    except OSError as error:
        return error.errno, str(error)
    return None, "no error"


def small() -> None:
    with contextlib.closing(V4L2Device(node)) as device:
        device.set_timings(next(timings for timings in device.enum_timings() if timings["width"] == 640))


def control(number: int, value: int = 1) -> None:
    with contextlib.closing(V4L2Device(node)) as device:
        device.set_control(number, value)


def take(capture: Capture) -> Any:
    picture = capture.next(TIMEOUT_US)
    assert picture is not None, "no picture in five seconds"
    return picture


def pictures(fourcc: str) -> Any:
    """Y, U, V in the middle of each colour bar, at a quarter and at three quarters of the height."""
    control(OSD_TEXT, NO_TEXT)
    capture = opened(fourcc)
    form = capture.format
    picture, (width, height) = take(capture), (form["width"], form["height"])
    y, u, v = bytearray(width * height), bytearray(width * height // 4), bytearray(width * height // 4)
    raw_to_i420(picture, fourcc, form["stride"], width, height, y, u, v, width, width // 2, width // 2)
    samples = []
    for line in (height // 4, height * 3 // 4):
        for x in ((2 * bar + 1) * width // (2 * BARS) for bar in range(BARS)):
            chroma = line // 2 * (width // 2) + x // 2
            samples.append((y[line * width + x], u[chroma], v[chroma]))
    return {"format": form, "samples": samples, "plain": picture.corrupt, "stats": capture.stats()}


def sequence(count: str) -> Any:
    """Every picture's number and how many went missing, while vivid drops a third."""
    small()
    capture, seen = opened(), []
    control(DROPPED, 33)
    for _ in range(int(count)):
        picture = take(capture)
        seen.append((picture.sequence, picture.skipped, picture.capture_us, picture.dequeue_us))
        picture.release()
    control(DROPPED, 0)
    return {"seen": seen, "stats": capture.stats()}


def newest() -> Any:
    """What a sleep of thirty pictures leaves: one picture of those that piled up."""
    small()
    capture = opened()
    first = take(capture)
    number = first.sequence
    first.release()
    time.sleep(30 / 60)
    second = take(capture)
    return {"numbers": (number, second.sequence), "skipped": second.skipped, "stats": capture.stats()}


def damaged() -> Any:
    """One picture after the other is damaged until one is handed out: a slow machine passes some over."""
    small()
    capture = opened()
    take(capture).release()
    flagged, injected = False, 0
    while not flagged and injected < 10:
        control(FLAG_ERROR)
        injected += 1
        for _ in range(6):
            picture = take(capture)
            flagged = flagged or picture.corrupt
            picture.release()
    return {"flagged": flagged, "injected": injected, "stats": capture.stats()}


def refused_buffer() -> Any:
    """QBUF fails once: the buffer is offered again, and all four stay in use."""
    small()
    capture = opened()
    take(capture).release()
    control(QBUF_ERROR)
    used = set()
    for _ in range(24):
        picture = take(capture)
        used.add(picture.index)
        picture.release()
    return {"used": sorted(used), "stats": capture.stats()}


def refused_start() -> Any:
    small()
    said = []
    for number in (REQBUFS_ERROR, STREAMON_ERROR, QBUF_ERROR):
        control(number)
        said.append(failure(opened))
        take(opened()).release()  # the next attempt works: nothing was left behind
    return said


def fatal() -> Any:
    small()
    capture = opened()
    take(capture).release()
    control(FATAL_ERROR)
    said = failure(lambda: [take(capture).release() for _ in range(50)])
    capture.close()
    take(opened()).release()
    return said


def disconnect() -> Any:
    small()
    capture = opened()
    held = take(capture)
    control(DISCONNECT)
    held.release()
    running = failure(lambda: [take(capture).release() for _ in range(50)])
    opening = failure(opened)
    capture.close()
    take(opened()).release()  # vivid comes back once its last user has gone
    return {"running": running, "opening": opening}


def refusals() -> Any:
    small()
    capture = opened()
    said = {
        "busy": failure(opened),
        "missing": failure(lambda: Capture(device="/dev/video99", fourcc="UYVY")),
        "no V4L2": failure(lambda: Capture(device="/dev/null", fourcc="UYVY")),
    }
    capture.close()
    said["format"] = failure(lambda: opened("H264"))
    for number in range(CROP, CROP + 3):  # nor compose, nor scale: as a chip that has none of it
        control(number, 0)
    said["size"] = failure(lambda: opened(width=1920, height=1080))
    return said


def after_close() -> Any:
    """A picture outlives its capture; the device is free again once the picture has gone."""
    small()
    capture = opened()
    picture = take(capture)
    view = memoryview(picture)
    before = bytes(view)
    capture.close()
    capture.close()
    same, busy = bytes(view) == before, failure(opened)
    view.release()
    picture.release()
    picture.release()
    take(opened()).release()
    return {"same": same, "busy": busy}


def again(count: str) -> Any:
    """Descriptors and mappings before and after so many captures opened and closed, with and without a failure."""
    small()

    def held() -> tuple[int, int]:
        descriptors, maps = Path("/proc/self/fd").iterdir(), Path("/proc/self/maps").read_text(encoding="ascii")
        return len(list(descriptors)), maps.count("/dev/video")

    before = held()
    for turn in range(int(count)):
        if turn % 2:
            control(STREAMON_ERROR)
            failure(opened)
        else:
            capture = opened()
            take(capture).release()
            capture.close()
    return {"before": before, "after": held()}


experiments: tuple[Callable[..., Any], ...] = (
    pictures, sequence, newest, damaged, refused_buffer, refused_start, fatal, disconnect, refusals, after_close, again,
)  # fmt: skip
by_name = {function.__name__: function for function in experiments}
for word in sys.argv[2:]:
    name, _, argument = word.partition("=")
    try:
        print(json.dumps(by_name[name](*([argument] if argument else []))))
    except Exception:
        print(json.dumps(traceback.format_exc()))
