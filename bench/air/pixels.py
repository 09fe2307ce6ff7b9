"""Which pictures were on the screen, intact or damaged, read from its pixels; and the figures that follow."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np

from thinair.bench.analysis.summary import Percentiles, summary
from thinair.bench.harness.xvfb_screen import SAMPLE_US, Framebuffer
from thinair.link.native import CodeWatcher, now_us
from thinair.sender.sources.visual_code import Code, Geometry, Reader, Witness

FREEZE_US = 100_000


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture on the screen: its number, when captured, when first seen, and how many witness cells are wrong."""

    frame_id: int
    capture_us: int
    seen_us: int
    wrong: int


class PictureSampler:
    """Watches a framebuffer file and checks each picture as soon as its code is there. A picture that the next one
    overwrites meanwhile counts as not shown."""

    def __init__(self, file: Path, width: int, height: int) -> None:
        with file.open("rb") as opened:
            self._map = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        where, geometry = Framebuffer.parse(self._map[:100]), Geometry(width, height)
        self._reader = Reader(geometry, where.stride, offset=where.offset)
        top, bottom, step = self._reader.places
        self._watcher = CodeWatcher(
            self._map, top=top, bottom=bottom, step=step, sleep_us=SAMPLE_US, stop_at_first=True
        )
        lines = np.frombuffer(self._map, np.uint8, where.stride * where.height, where.offset)
        self._green = lines.reshape(where.height, where.stride // 4, 4)[:, :width, 1]
        self._witness = Witness(geometry)
        self.seen: list[Seen] = []

    def run(self, done: Callable[[int], bool], check_us: int = 100_000) -> None:
        while not done(now_us()):
            codes, _ = self._watcher.watch(now_us() + check_us)
            for frame_id, time_us, seen_us in codes:
                wrong = self._witness.wrong(self._green, frame_id)
                if wrong and self._reader.top(memoryview(self._map)) != Code(frame_id, time_us):
                    continue  # the next one is being drawn over it: undecidable
                self.seen.append(Seen(frame_id, Code(frame_id, time_us).near(seen_us), seen_us, wrong))

    def close(self) -> None:
        self._watcher.close()
        self._green = self._witness = None  # type: ignore[assignment]  # views of the map


class PictureFigures(TypedDict):
    """Of the pictures captured within the window. Screen latency and age of the newest intact picture in ms."""

    sent: int
    intact: int
    intact_share: float | None
    screen_ms: Percentiles
    intact_age_ms: Percentiles
    damaged: int
    stale: int
    freezes: int
    freeze_s: float


def figures(
    seen: Sequence[Seen], sent: Mapping[int, int], window_us: tuple[int, int], interval_us: float
) -> PictureFigures:
    """Of the pictures captured within the window (`sent`: 16-bit number → capture time): how many were shown intact,
    and the latency when first shown; and, each millisecond of the window, the age of the newest intact picture."""
    begin, end = window_us
    first: dict[int, Seen] = {}
    shown: list[Seen] = []  # intact, each newer than all before
    newest, damaged, stale = 0, 0, 0
    for one in seen:
        inside = begin <= one.seen_us < end
        if one.capture_us < newest:
            stale += inside
            continue
        newest = max(newest, one.capture_us)
        if one.wrong:
            damaged += inside
            continue
        first.setdefault(one.frame_id, one)
        shown.append(one)
    wanted = {frame_id: capture for frame_id, capture in sent.items() if begin <= capture < end}
    latencies = [
        (first[frame_id].seen_us - capture) / 1000
        for frame_id, capture in wanted.items()
        if frame_id in first and first[frame_id].capture_us == capture
    ]
    ages: list[float] = []
    gaps: list[float] = []
    if shown:
        when = np.array([one.seen_us for one in shown])
        capture = np.array([one.capture_us for one in shown])
        ticks = np.arange(max(begin, when[0]), end, 1000)
        ages = [*((ticks - capture[np.searchsorted(when, ticks, side="right") - 1]) / 1000)]
        gaps = [float(gap) for gap in np.diff(np.append(when[when >= begin], end)) if gap > interval_us + FREEZE_US]
    return {
        "sent": len(wanted),
        "intact": len(latencies),
        "intact_share": len(latencies) / len(wanted) if wanted else None,
        "screen_ms": summary(latencies),
        "intact_age_ms": summary(ages),
        "damaged": damaged,
        "stale": stale,
        "freezes": len(gaps),
        "freeze_s": round(sum(gaps) / 1e6, 3),
    }


def link_latencies_ms(
    sent: Sequence[Mapping[str, int]], received: Sequence[Mapping[str, int]], window_us: tuple[int, int]
) -> list[float]:
    """As in thinair.bench.sim: from a frame's first packet to when it, or a newer frame, could be decoded. `sent` and
    `received`: rows of both frame logs; a frame that was never complete counts up to the next one that was."""
    begin, end = window_us
    done = {row["frame_id"]: row["repaired_us"] for row in received if row.get("decoded_us") and row.get("repaired_us")}
    firsts = {row["frame_id"]: row["first_send_us"] for row in received if row.get("first_send_us")}
    out: list[float] = []
    newer: int | None = None
    for row in reversed(sent):
        frame_id = row.get("frame_id", -1)
        when, first = done.get(frame_id), firsts.get(frame_id, row.get("first_send_us"))
        newer = when if newer is None else newer if when is None else min(newer, when)
        if newer is not None and first and begin <= row["capture_us"] < end:
            out.append((newer - first) / 1000)
    return out
