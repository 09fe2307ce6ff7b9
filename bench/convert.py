"""Conversion of raw captured pictures to I420, beside swscale in the same run: `python -m thinair.bench.convert`.

Both use one thread, take turns picture by picture, and read another picture each time, so that caches are as cold as
behind a camera."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import TypedDict

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from thinair.bench.analysis.summary import Percentiles, summary
from thinair.link.native import raw_to_i420
from thinair.link.video_mode import Mode

_FORMATS = {"UYVY": "uyvy422", "YUYV": "yuyv422", "NV12": "nv12"}
_PICTURES = 8  # different ones, in turn
_WARM_UP = 10


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m thinair.bench.convert", description=__doc__)
    parser.add_argument("--mode", type=Mode.parse, default=Mode.parse("1920x1080@60"))
    parser.add_argument("--count", type=int, default=200, help="pictures per format")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    rows = [measure(fourcc, args.mode.width, args.mode.height, args.count) for fourcc in _FORMATS]
    for row in rows:
        ours, theirs = row["thinair_ms"]["p50"], row["swscale_ms"]["p50"]
        print(f"{row['format']}  p50: thinair {ours:.2f} ms, swscale {theirs:.2f} ms, ratio {row['ratio']:.2f}")
    if args.json:
        args.json.write_text(json.dumps({"mode": str(args.mode), "rows": rows}, indent=1) + "\n")
    return 0


class ConvertRow(TypedDict):
    """ms per picture; `ratio`: thinair's median over swscale's."""

    format: str
    thinair_ms: Percentiles
    swscale_ms: Percentiles
    ratio: float


def measure(fourcc: str, width: int, height: int, count: int) -> ConvertRow:
    """One format. Raises AssertionError where their luma differs."""
    generator = np.random.default_rng(1)
    frames = []
    for _ in range(_PICTURES):
        frame = av.VideoFrame(width, height, _FORMATS[fourcc])
        for plane in frame.planes:
            plane.update(generator.integers(0, 256, plane.buffer_size, np.uint8).tobytes())
        frames.append(frame)
    buffers = [b"".join(bytes(plane) for plane in frame.planes) for frame in frames]
    stride = frames[0].planes[0].line_size
    target = av.VideoFrame(width, height, "yuv420p")
    y, u, v = target.planes
    reformatter = VideoReformatter()
    ours, theirs = [], []
    for turn in range(count + _WARM_UP):
        start = time.perf_counter_ns()
        raw_to_i420(
            buffers[turn % _PICTURES], fourcc, stride, width, height, y, u, v, y.line_size, u.line_size, v.line_size
        )
        ours.append(time.perf_counter_ns() - start)
        start = time.perf_counter_ns()
        converted = reformatter.reformat(frames[turn % _PICTURES], format="yuv420p", threads=1)
        theirs.append(time.perf_counter_ns() - start)
        assert turn or bytes(converted.planes[0])[:width] == bytes(y)[:width]
    return {
        "format": fourcc,
        "thinair_ms": summary([value / 1e6 for value in ours[_WARM_UP:]]),
        "swscale_ms": summary([value / 1e6 for value in theirs[_WARM_UP:]]),
        "ratio": round(statistics.median(ours[_WARM_UP:]) / statistics.median(theirs[_WARM_UP:]), 3),
    }


if __name__ == "__main__":
    raise SystemExit(main())
