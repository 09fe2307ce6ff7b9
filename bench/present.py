"""`thinair bench present`: time of the call that shows a decoded picture, up to its stamp.

Pictures come at a steady rate, as from a decoder, so caches are as cold as in use. The floor is what every presenter
needs: one copy of the picture's pixels in memory."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypedDict

from thinair.bench.analysis.run_files import write_json
from thinair.bench.analysis.summary import COLUMNS, Percentiles, summary
from thinair.bench.harness.options import add_json
from thinair.bench.harness.processes import PRIORITY, realtime
from thinair.bench.harness.run_conditions import RunConditions, scheduling
from thinair.bench.harness.xvfb_screen import ScreenError, xvfb
from thinair.link.errors import ConfigError, DeviceError
from thinair.link.native import i420_to_bgrx, now_us, sleep_until_us
from thinair.receiver.video.i420 import planes
from thinair.receiver.video.presenter_factory import open_presenter

if TYPE_CHECKING:
    import av

SCHEMA = "thinair.bench-present/1"
_PICTURES = 4  # different ones, in turn
_WARM_UP = 20


class PresentRow(TypedDict):
    """`present_ms`: None where the presenter cannot be used, and `note` says why."""

    name: str
    size: str
    present_ms: Percentiles | None
    note: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sizes", default="1920x1080,1280x720", metavar="WxH,...", help="picture sizes; default 1920x1080,1280x720"
    )
    parser.add_argument("--presenters", default="x11,sdl", metavar="NAME,...", help="presenters; default x11,sdl")
    parser.add_argument("--count", type=int, default=300, metavar="N", help="pictures per row; default 300")
    parser.add_argument("--rate", type=float, default=60.0, metavar="FPS", help="picture rate; default 60")
    parser.add_argument("--display", metavar=":N", help="a running X display; default an Xvfb of the picture's size")
    add_json(parser, "the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """0, or 1 where a presenter cannot be used. Raises ConfigError, DeviceError, FileError."""
    sizes = [_size(text) for text in args.sizes.split(",")]
    if args.count < 1 or not 1 <= args.rate <= 1000:
        raise ConfigError("--count must be 1 or more, and --rate 1 to 1000")
    refused = realtime()
    conditions = RunConditions({"scheduling": scheduling(refused, PRIORITY)})
    rows = []
    print(f"{'':10}{'':9}{'p50':>7}{'p95':>7}{'p99':>7}{'max':>7}  ms, {args.count} pictures at {args.rate:g}/s")
    for size in sizes:
        with _screen(args.display, size):
            for row in _rows(size, args.presenters.split(","), args.count, args.rate):
                rows.append(row)
                print(_line(row), flush=True)
    finished = conditions.finish()
    for reason in finished["unfit"]:
        print(f"unfit: {reason}")
    write_json(args.json, {"schema": SCHEMA, "conditions": finished, "rows": rows})
    return 1 if any(row["present_ms"] is None for row in rows) else 0


def _rows(size: tuple[int, int], presenters: Sequence[str], count: int, rate: float) -> Iterator[PresentRow]:
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


def _row(name: str, size: tuple[int, int], times_ms: Sequence[float] | None, note: str) -> PresentRow:
    figures = None if times_ms is None else summary(times_ms)
    return {"name": name, "size": f"{size[0]}x{size[1]}", "present_ms": figures, "note": note}


def _line(row: PresentRow) -> str:
    figures = row["present_ms"]
    values = "".join(f"{figures[column]:7.2f}" for column in COLUMNS) if figures else f"{'-':>7}"
    return f"{row['size']:10} {row['name']:8}{values}  {row['note']}"


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and 16 <= int(width) <= 8192 and 16 <= int(height) <= 8192):
        raise ConfigError(f"size {text!r} is not valid: write WIDTHxHEIGHT, each 16 to 8192")
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
