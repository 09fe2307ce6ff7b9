"""Everything the player counts, for the table, the HUD, the report and the CSV (docs/report.md)."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from link.clock import ClockEstimate
from link.errors import FileError
from link.policy import Decision
from link.rtcp import PACE_OWN
from link.stats import GlassAge, Series
from link.trace import STAGES, FrameTrace, Outcome

SCHEMA = "thinair.report/1"
RECENT_FRAMES = 250  # what live figures speak of
_RATE_INTERVAL_US = 1_000_000
COLUMNS = (
    "frame_id", "outcome", "capture_us", "dequeue_us", "encode_in_us", "encode_out_us", "first_send_us", "last_send_us",
    "first_packet_us", "last_packet_us", "repaired_us", "taken_us", "decoded_us", "presented_us",
    "capture_to_present_us", "bound_us", "bytes", "packets", "key", "gap",
)  # fmt: skip
_SENDER_STAMPS = ("capture_us", "dequeue_us", "encode_in_us", "encode_out_us", "first_send_us", "last_send_us")
_LOCAL_STAMPS = ("first_packet_us", "last_packet_us", "repaired_us", "taken_us", "decoded_us", "presented_us")


@dataclass(slots=True)
class Figures:
    """Counts and series of one run. Times are µs."""

    interval_us: float = 40_000.0
    completed: int = 0
    repaired: int = 0
    decoded: int = 0
    presented: int = 0
    superseded: int = 0
    lost: int = 0
    skipped: int = 0  # completed, not decoded: after a loss, until the next key frame
    bytes: int = 0
    latency: Series = field(default_factory=Series)
    receive: Series = field(default_factory=Series)
    stages: dict[str, Series] = field(default_factory=lambda: {name: Series() for name in STAGES})
    glass: GlassAge = field(init=False)

    def __post_init__(self) -> None:
        self.glass = GlassAge(self.interval_us)

    def set_interval(self, interval_us: float) -> None:
        self.interval_us = interval_us
        self.glass.set_interval(interval_us)

    def add(self, trace: FrameTrace) -> None:
        if trace.outcome is not Outcome.PRESENTED:
            return
        self.latency.add(trace.capture_to_present_us)
        self.receive.add(trace.receive_us)
        for name, value in trace.stages().items():
            self.stages[name].add(value)

    def frames(self) -> dict[str, int | None]:
        return {
            "captured": None,  # the sender's to know; the demo fills them in
            "encoded": None,
            "sent": None,
            "completed": self.completed,
            "repaired": self.repaired,
            "decoded": self.decoded,
            "presented": self.presented,
            "superseded": self.superseded,
            "skipped": self.skipped,
            "lost": self.lost,
        }


@dataclass(slots=True)
class Rates:
    """Pictures shown and bits received per second, between the last two updates."""

    fps: float | None = None
    bitrate_bps: float = 0.0
    _then: tuple[int, int, int] | None = None

    def update(self, figures: Figures, now_us: int) -> None:
        if self._then is not None and now_us - self._then[0] < _RATE_INTERVAL_US:
            return
        if self._then is not None:
            seconds = (now_us - self._then[0]) / 1e6
            self.fps = (figures.presented - self._then[1]) / seconds
            self.bitrate_bps = (figures.bytes - self._then[2]) * 8 / seconds
        self._then = (now_us, figures.presented, figures.bytes)


def milliseconds(series: Series, last: int | None = None) -> dict[str, float | None]:
    """A summary of µs in ms, to the microsecond."""
    return {
        key: value if key == "n" or value is None else round(value / 1000, 3)
        for key, value in series.summary(last).as_dict().items()
    }


def latency_section(figures: Figures) -> dict[str, Any]:
    section = {"capture_to_present": milliseconds(figures.latency)}
    section |= {name: milliseconds(series) for name, series in figures.stages.items()}
    return section | {"receive": milliseconds(figures.receive)}


def glass_section(figures: Figures) -> dict[str, float | None]:
    ages = milliseconds(figures.glass.ages)
    return ages | {"freezes": figures.glass.freezes, "longest_freeze": figures.glass.longest_freeze_us / 1000}


def air_section(decision: Decision | None) -> dict[str, float | str | None]:
    if decision is None:
        return {"bitrate_bps": None, "repair_share": None, "pace_us": None, "reason": None}
    pace_us = None if decision.pace_us == PACE_OWN else decision.pace_us
    share, reason = round(decision.share / 256, 3), decision.reason.name.lower()
    return {"bitrate_bps": decision.bitrate_bps, "repair_share": share, "pace_us": pace_us, "reason": reason}


def clock_section(estimate: ClockEstimate | None) -> dict[str, float | None]:
    if estimate is None:
        return {"offset_us": None, "bound_us": None, "rtt_us": None, "skew_ppm": None}
    return {
        "offset_us": round(estimate.offset_us, 1),
        "bound_us": round(estimate.bound_us, 1),
        "rtt_us": estimate.rtt_us,
        "skew_ppm": round(estimate.skew_ppm, 3),
    }


class FrameCsv:
    """One row per finished frame. Sender stamps are given on the local clock, empty where that is unknown."""

    def __init__(self, path: Path | None) -> None:
        self._file: Any = None
        if path is None:
            return
        try:
            self._file = path.open("w", newline="")
        except OSError as error:
            raise FileError(f"cannot write {path}: {error.strerror}") from error
        self._rows = csv.writer(self._file)
        self._rows.writerow(COLUMNS)

    def add(self, trace: FrameTrace) -> None:
        if self._file is None:
            return
        sender = [_whole(trace.local(getattr(trace, name))) for name in _SENDER_STAMPS]
        local = [_whole(getattr(trace, name)) for name in _LOCAL_STAMPS]
        self._rows.writerow(
            [trace.frame_id, trace.outcome.value, *sender, *local, _whole(trace.capture_to_present_us),
             _whole(trace.bound_us), trace.size, trace.packets, int(trace.key), int(trace.gap)]
        )  # fmt: skip

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _whole(value: float | None) -> int | str:
    return "" if value is None else round(value)


def write_json(path: Path, content: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror}") from error
