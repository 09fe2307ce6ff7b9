"""`thinair bench present`: how long present() holds its thread, from a decoded picture to the stamp.

Pictures come at a steady rate, as from a decoder, so caches are as cold as they are in use. The floor is what no
presenter can do without: one copy of the picture's pixels in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinair.bench.analysis.summary import summary
from thinair.bench.harness.processes import realtime
from thinair.bench.harness.xvfb_screen import ScreenError, xvfb
from thinair.link.errors import ConfigError, DeviceError, FileError
from thinair.link.native import i420_to_bgrx, now_us, sleep_until_us
from thinair.receiver.stats.run_conditions import ConditionsWatch, collect
from thinair.receiver.video.i420 import planes
from thinair.receiver.video.presenter import open_presenter

if TYPE_CHECKING:
    import av

SCHEMA = "thinair.bench-present/1"
_PICTURES = 4  # different ones, in turn
_WARM_UP = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sizes", default="1920x1080,1280x720", metavar="WxH,...", help="default 1920x1080,1280x720")
    parser.add_argument("--presenters", default="x11,sdl", metavar="NAME,...", help="default x11,sdl")
    parser.add_argument("--count", type=int, default=300, help="pictures per row; default 300")
    parser.add_argument("--rate", type=float, default=60.0, help="pictures per second; default 60")
    parser.add_argument("--display", help="an X display that runs; default: an Xvfb of its own, of the picture's size")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON too")


def run(args: argparse.Namespace) -> int:
    """0 where every row could be measured. Raises ConfigError, DeviceError, FileError."""
    sizes = [_size(text) for text in args.sizes.split(",")]
    if args.count < 1 or not 1 <= args.rate <= 1000:
        raise ConfigError("give a count of 1 or more, and a rate of 1 to 1000")
    refused = realtime()
    conditions = collect() | {"scheduling": refused or "SCHED_RR for the bench and its screen"}
    watch = ConditionsWatch()
    watch.start()
    rows = []
    print(f"{'':10}{'':9}{'p50':>7}{'p95':>7}{'p99':>7}{'max':>7}  ms, {args.count} pictures at {args.rate:g}/s")
    for size in sizes:
        with _screen(args.display, size):
            for row in _rows(size, args.presenters.split(","), args.count, args.rate):
                rows.append(row)
                print(_line(row), flush=True)
    conditions |= watch.stop()
    for reason in conditions["unfit"]:
        print(f"unfit: {reason}")
    if args.json:
        try:
            args.json.write_text(
                json.dumps({"schema": SCHEMA, "conditions": conditions, "rows": rows}, indent=1) + "\n"
            )
        except OSError as error:
            raise FileError(f"cannot write {args.json}: {error.strerror or error}") from error
    return 1 if any(row["present_ms"] is None for row in rows) else 0


def _rows(size: tuple[int, int], presenters: Sequence[str], count: int, rate: float) -> Iterator[dict[str, Any]]:
    width, height = size
    pictures = [_picture(width, height, seed) for seed in range(_PICTURES)]
    source, target = memoryview(bytes(width * height * 4)), memoryview(bytearray(width * height * 4))

    def copy(_: av.VideoFrame) -> None:
        target[:] = source

    def convert(frame: av.VideoFrame) -> None:
        y, u, v = planes(frame)
        strides = y.line_size, u.line_size, v.line_size
        i420_to_bgrx(y, u, v, *strides, width, height, bt709=True, full_range=False)

    for name, act in (("floor", copy), ("convert", convert)):
        yield _row(name, size, _times_ms(act, pictures, count, rate), "")
    for name in presenters:
        try:
            presenter = open_presenter(name, width=width, height=height, fullscreen=True)
        except DeviceError as error:
            yield _row(name, size, None, str(error))
            continue
        times_ms = _times_ms(presenter.present, pictures, count, rate, presenter.events)
        yield _row(name, size, times_ms, presenter.stamp_quality)
        presenter.close()


def _times_ms(
    act: Callable[[av.VideoFrame], object],
    pictures: Sequence[av.VideoFrame],
    count: int,
    rate: float,
    between: Callable[[], object] = lambda: None,
) -> list[float]:
    times_ms: list[float] = []
    due_us = float(now_us())
    for index in range(_WARM_UP + count):
        due_us += 1e6 / rate
        sleep_until_us(round(due_us))
        between()
        began = time.perf_counter()
        act(pictures[index % len(pictures)])
        if index >= _WARM_UP:
            times_ms.append((time.perf_counter() - began) * 1000)
    return times_ms


def _picture(width: int, height: int, seed: int) -> av.VideoFrame:
    import av
    import numpy as np

    frame = av.VideoFrame(width, height, "yuv420p")
    generator = np.random.default_rng(seed)
    for plane in frame.planes:
        plane.update(generator.integers(16, 236, plane.buffer_size, np.uint8).tobytes())
    frame.colorspace, frame.color_range = 1, 1
    return frame


def _row(name: str, size: tuple[int, int], times_ms: Sequence[float] | None, note: str) -> dict[str, Any]:
    figures = None if times_ms is None else summary(times_ms)
    return {"name": name, "size": f"{size[0]}x{size[1]}", "present_ms": figures, "note": note}


def _line(row: dict[str, Any]) -> str:
    figures = row["present_ms"]
    values = "".join(f"{figures[key]:7.2f}" for key in ("p50", "p95", "p99", "max")) if figures else f"{'-':>7}"
    return f"{row['size']:10} {row['name']:8}{values}  {row['note']}"


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and 16 <= int(width) <= 8192 and 16 <= int(height) <= 8192):
        raise ConfigError(f"size {text!r} is not understood: write WIDTHxHEIGHT, 16 to 8192 each")
    return int(width) & ~1, int(height) & ~1


@contextmanager
def _screen(display: str | None, size: tuple[int, int]) -> Iterator[None]:
    """$DISPLAY for the presenters."""
    before = os.environ.get("DISPLAY")
    try:
        if display is not None:
            os.environ["DISPLAY"] = display
            yield
            return
        try:
            with xvfb(*size) as screen:
                os.environ["DISPLAY"] = screen.display
                yield
        except ScreenError as error:
            raise DeviceError(str(error)) from error
    finally:
        os.environ.pop("DISPLAY")
        if before is not None:
            os.environ["DISPLAY"] = before
