"""`thinair bench encode`: the cost of the encode call and of its settings.

Variants run in turn, a round each, so that a change of the machine's load affects all of them. Times are those of the
encode call alone, on the moving test card; faults are minor page faults of the process per picture."""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from thinair.bench.analysis.run_files import write_json
from thinair.bench.harness.options import add_bitrate, add_json, add_mode
from thinair.link.native import now_us, sleep_until_us
from thinair.link.options import parse_bitrate
from thinair.link.video_mode import Mode
from thinair.sender.encoders import EncoderConfig
from thinair.sender.encoders.x264 import VBV_FRAMES, X264
from thinair.sender.picture import Picture
from thinair.sender.sources.testcard import Testcard
from thinair.sender.sources.testcard_layers import Canvas

_WARM_UP = 3  # pictures at the start of a round, not counted
_REALTIME = 5


@dataclass(frozen=True, slots=True)
class Variant:
    name: str
    paced: bool = True
    threads: int = 2
    vbv_frames: float = VBV_FRAMES
    preset: str = "ultrafast"
    fresh: bool = False  # a new frame for each picture, not one of a pool
    unowned: bool = False  # a frame in numpy's memory, which libavcodec copies
    spin_us: int = 300
    realtime: bool = True


VARIANTS = (
    Variant("as used"),
    Variant("back to back", paced=False),
    Variant("no real-time priority", realtime=False),
    Variant("VBV of 1.0 frames", vbv_frames=1.0),
    Variant("new frame per picture", fresh=True),
    Variant("memory of numpy", unowned=True),
    Variant("no spin", spin_us=0),
    Variant("spin 3 ms", spin_us=3000),
    Variant("1 thread", threads=1),
    Variant("3 threads", threads=3),
    Variant("4 threads", threads=4),
    Variant("superfast", preset="superfast"),
)


@dataclass(slots=True)
class Result:
    encode_us: list[int] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    faults: float = 0.0
    pictures: int = 0
    psnr_db: float = 0.0

    def row(self, mode: Mode) -> dict[str, object]:
        p50, p95, p99 = (round(float(value) / 1000, 2) for value in np.percentile(self.encode_us, (50, 95, 99)))
        return {
            "encode_ms": {"p50": p50, "p95": p95, "p99": p99, "n": len(self.encode_us)},
            "cpu_ms": round(float(np.median(self.cpu_us)) / 1000, 2),
            "faults": round(self.faults / self.pictures, 1),
            "unit_bytes": {"p50": int(np.median(self.sizes)), "max": max(self.sizes)},
            "rate_mbps": round(float(np.mean(self.sizes)) * 8 * float(mode.rate) / 1e6, 2),
            "psnr_db": round(self.psnr_db, 2),
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_mode(parser)
    add_bitrate(parser)
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="rounds; default 4")
    parser.add_argument(
        "--pictures", type=int, default=40, metavar="N", help="pictures per variant and round; default 40"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="variants whose name contains this; default all")
    parser.add_argument("--rate-change", action="store_true", help="whether a new bitrate reaches x264 and its VBV")
    parser.add_argument("--key-dip", action="store_true", help="the loss of quality at a key frame")
    add_json(parser, "the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """0. Raises ConfigError, FileError."""
    mode = Mode.parse(args.mode)
    if args.rate_change:
        rows = rate_change(mode)
    elif args.key_dip:
        rows = key_dip(mode, parse_bitrate(args.bitrate))
    else:
        rows = compare(mode, parse_bitrate(args.bitrate), args.rounds, args.pictures, args.only)
    for row in rows:
        print("  ".join(f"{key} {_flat(value)}" for key, value in row.items()))
    write_json(args.json, {"mode": str(mode), "rows": rows})
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m thinair.bench.encode", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(argv))


def compare(mode: Mode, bitrate_bps: int, rounds: int, pictures: int, only: str = "") -> list[dict[str, object]]:
    variants = [variant for variant in VARIANTS if only in variant.name]
    card = Testcard(mode)
    card.open()
    config = EncoderConfig(mode, bitrate_bps)
    encoders, results = [], {variant.name: Result() for variant in variants}
    for variant in variants:
        with _priority(variant.realtime):
            encoder = X264(config, preset=variant.preset, threads=variant.threads, vbv_frames=variant.vbv_frames)
            encoder.open()
            encoder.settle()
        encoders.append(encoder)
    for turn in range(rounds):
        for variant, encoder in zip(variants, encoders, strict=True):
            with _priority(variant.realtime):
                _round(variant, encoder, card, range(turn * pictures, (turn + 1) * pictures), results[variant.name])
    for variant in variants:
        encoder = X264(config, preset=variant.preset, threads=variant.threads, vbv_frames=variant.vbv_frames)
        encoder.open()
        results[variant.name].psnr_db = float(np.mean([quality for _, quality in _qualities(encoder, card, 60, 0)][5:]))
    return [{"name": variant.name} | results[variant.name].row(mode) for variant in variants]


def _round(variant: Variant, encoder: X264, card: Testcard, indices: range, result: Result) -> None:
    start_us = now_us() + 20_000
    for i, index in enumerate(indices):
        if variant.paced:
            sleep_until_us(start_us + int(i * card.mode.interval_us), variant.spin_us)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        frame = card.draw(index, index, now_us())
        if variant.fresh or variant.unowned:
            frame = _copied(frame, variant.unowned)
        cpu_ns = time.process_time_ns()
        unit = encoder.encode(Picture(frame, i, 0, 0, 0))
        cpu_ns = time.process_time_ns() - cpu_ns
        if i >= _WARM_UP:
            result.encode_us.append(unit.encode_out_us - unit.encode_in_us)
            result.cpu_us.append(cpu_ns / 1000)
            result.sizes.append(len(unit.data))
            result.faults += resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
            result.pictures += 1


def _copied(frame: av.VideoFrame, unowned: bool) -> av.VideoFrame:
    if unowned:
        return av.VideoFrame.from_numpy_buffer(frame.to_ndarray(), format="yuv420p")
    fresh = av.VideoFrame(frame.width, frame.height, "yuv420p")
    source, target = Canvas.of(frame), Canvas.of(fresh)
    target.y[:], target.u[:], target.v[:] = source.y, source.u, source.v
    return fresh


@contextmanager
def _priority(realtime: bool) -> Iterator[None]:
    """SCHED_RR within the context, where the system grants it; threads started within keep it."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        policy = os.SCHED_RR if realtime else os.SCHED_OTHER
        os.sched_setscheduler(0, policy, os.sched_param(_REALTIME if realtime else 0))
    except PermissionError:
        print("real-time priority refused: all variants run without it", file=sys.stderr)
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


def _qualities(encoder: X264, card: Testcard, pictures: int, key_every: int) -> Iterator[tuple[bool, float]]:
    """(key frame?, luma PSNR in dB) of each picture of the test card after coding and decoding."""
    decoder: Any = av.CodecContext.create("h264", "r")
    for i in range(pictures):
        if key_every and i % key_every == 0:
            encoder.request_key_frame()
        frame = card.draw(i, i, 0)
        unit = encoder.encode(Picture(frame, i, 0, 0, 0))
        (shown,) = decoder.decode(av.Packet(unit.data))
        yield unit.key, psnr_db(Canvas.of(frame).y, Canvas.of(shown).y)


def psnr_db(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    error = one.astype(np.int16) - other
    return float(10 * np.log10(255**2 / max(1e-9, np.mean(np.square(error, dtype=np.int32)))))


def key_dip(mode: Mode, bitrate_bps: int, every: int = 25, pictures: int = 200) -> list[dict[str, object]]:
    """Luma PSNR by distance from the last key frame (mean over all but the first), beside a run without key frames."""
    card = Testcard(mode)
    card.open()
    curves = []
    for key_every in (every, 0):
        encoder = X264(EncoderConfig(mode, bitrate_bps, key_interval_us=10**12))
        encoder.open()
        values = [quality for _, quality in _qualities(encoder, card, pictures, key_every)][every:]
        curves.append(np.array(values).reshape(-1, every).mean(axis=0))
    with_keys, without = curves
    dips = without - with_keys
    return [
        {"pictures after key": i, "psnr_db": round(float(with_keys[i]), 2), "dip_db": round(float(dips[i]), 2)}
        for i in (0, 1, 2, 3, 5, 8, 12, 18, 24)
        if i < every
    ]


def rate_change(mode: Mode, before_bps: int = 8_000_000, after_bps: int = 3_000_000) -> list[dict[str, object]]:
    """Noise at one bitrate, then at another: by bit_rate of PyAV's open context, and by reopening it."""
    seed = 1
    rng = np.random.default_rng(seed)
    pictures = []
    for i in range(8):
        frame = av.VideoFrame(mode.width, mode.height, "yuv420p")
        canvas = Canvas.of(frame)
        canvas.y[:] = rng.integers(60, 190, canvas.y.shape, np.uint8)
        canvas.u[:] = canvas.v[:] = 128
        pictures.append(Picture(frame, i, 0, 0, 0))
    rows: list[dict[str, object]] = []
    for way in ("bit_rate of the open context", "reopened"):
        encoder = X264(EncoderConfig(mode, before_bps))
        encoder.open()
        for bitrate_bps in (before_bps, after_bps):
            began_us = now_us()
            if way == "reopened":
                encoder.set_bitrate(bitrate_bps)
                encoder.settle()
            elif bitrate_bps == after_bps:
                encoder._context.bit_rate = bitrate_bps
            took_us = now_us() - began_us
            sizes = []
            for i in range(50):
                if i == 25:
                    encoder.request_key_frame()
                sizes.append(len(encoder.encode(pictures[i % 8]).data))
            budget = bitrate_bps / 8 / mode.rate
            rows.append(
                {
                    "way": way,
                    "bitrate_bps": bitrate_bps,
                    "change_ms": round(took_us / 1000, 1),
                    "rate": round(float(np.mean(sizes) / budget), 3),
                    "largest_unit": round(float(max(sizes) / budget), 3),
                    "forced_idr": round(float(sizes[25] / budget), 3),
                }
            )
    return rows


def _flat(value: object) -> str:
    return " ".join(f"{key} {part}" for key, part in value.items()) if isinstance(value, dict) else str(value)
