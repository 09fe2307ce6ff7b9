"""Everything the player counts, for the table, the HUD, the report and the CSV (docs/report.md)."""

from __future__ import annotations

import csv
import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinair.link.errors import FileError
from thinair.link.native import now_us
from thinair.link.protocol.clock_sync import ClockEstimate
from thinair.link.protocol.congestion_control import FAST_BPS, Decision
from thinair.link.protocol.frame_trace import STAGES, FrameTrace, Outcome
from thinair.link.protocol.percentiles import GlassAge, Series
from thinair.link.protocol.rtcp import PACE_OWN
from thinair.link.protocol.sender_session import MediaDescription
from thinair.receiver.video import hud

if TYPE_CHECKING:
    from thinair.receiver.player import Player

SCHEMA = "thinair.report/1"
RECENT_FRAMES = 250  # what live figures speak of
_RATE_INTERVAL_US = 1_000_000
COLUMNS = (
    "frame_id", "outcome", "capture_us", "dequeue_us", "encode_in_us", "encode_out_us", "first_send_us", "last_send_us",
    "first_packet_us", "last_packet_us", "repaired_us", "taken_us", "decoded_us", "present_in_us",
    "presented_us", "capture_to_present_us", "bound_us", "bytes", "packets", "key", "gap",
)  # fmt: skip
_SENDER_STAMPS = ("capture_us", "dequeue_us", "encode_in_us", "encode_out_us", "first_send_us", "last_send_us")
_LOCAL_STAMPS = (
    *("first_packet_us", "last_packet_us", "repaired_us", "taken_us", "decoded_us", "present_in_us", "presented_us"),
)


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


class Recent:
    """Latency of the last seconds as a graph of a hundred points, each the latest picture of its time."""

    _POINTS = 100

    def __init__(self, span_s: float) -> None:
        self._span_us = span_s * 1e6
        self._shown: deque[tuple[int, float]] = deque(maxlen=4096)

    def add(self, trace: FrameTrace) -> None:
        if trace.presented_us is not None and (late_us := trace.capture_to_present_us) is not None:
            self._shown.append((trace.presented_us, late_us))

    def graph(self, now_us: int) -> tuple[float | None, ...]:
        """Oldest first, ms; None where nothing was shown."""
        points: list[float | None] = [None] * self._POINTS
        while self._shown and now_us - self._shown[0][0] >= self._span_us:
            self._shown.popleft()
        for at_us, late_us in self._shown:
            index = self._POINTS - 1 - int((now_us - at_us) * self._POINTS / self._span_us)
            if 0 <= index < self._POINTS:
                points[index] = max(points[index] or 0.0, round(late_us / 1000, 1))
        return tuple(points)


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
    share, reason = round(decision.repair_ratio / 256, 3), decision.reason.name.lower()
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


def frame_row(trace: FrameTrace) -> list[int | str]:
    """COLUMNS of one frame. Sender stamps are given on the local clock, empty where that is unknown."""
    sender = [_whole(trace.local(getattr(trace, name))) for name in _SENDER_STAMPS]
    local = [_whole(getattr(trace, name)) for name in _LOCAL_STAMPS]
    return [
        trace.frame_id, trace.outcome.value, *sender, *local, _whole(trace.capture_to_present_us),
        _whole(trace.bound_us), trace.size, trace.packets, int(trace.key), int(trace.gap),
    ]  # fmt: skip


class FrameCsv:
    """One row per finished frame."""

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
        if self._file is not None:
            self._rows.writerow(frame_row(trace))

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


def full(player: Player, conditions: dict[str, Any]) -> dict[str, Any]:
    """The player's report of its whole run."""
    showing, media, figures, rx = player.showing(), player.description, player.figures, player.rx
    mode = None
    if media is not None:
        mode = {"width": media.width, "height": media.height, "rate": str(media.rate) if media.rate else None}
    elif showing.size is not None:
        mode = {"width": showing.size[0], "height": showing.size[1], "rate": None}
    return {
        "schema": SCHEMA,
        "role": "play",
        "mode": mode,
        "transport": player.mode,
        "sealed": player.sealed,
        "conditions": conditions | {"refresh_hz": showing.refresh_hz or None},
        "presenter": {"name": showing.presenter, "why": showing.why},
        "stamp_quality": showing.stamp_quality,
        "frames": figures.frames(),
        "latency_ms": latency_section(figures),
        "glass_age_ms": glass_section(figures),
        "clock": clock_section(player.clock.estimate(now_us()))
        | {"negative_one_way": player.clock.negative_deltas, "negative_network": player.book.negative_network},
        "drops": {name: count for name, count in rx.drops().items() if count},
        "control": dict(player.session.dropped + player.refused),
        "decoder": dict(player.decoder.counters),
        "receive": rx.stats(),
        "recovery": rx.recovery(),
        "air": air_section(player.decision),
        "events": list(player.events),
        "notes": player.notes,
    }


def hud_figures(player: Player, age_us: float | None) -> hud.Figures:
    figures, media, showing = player.figures, player.description, player.showing()
    latency = milliseconds(figures.latency, RECENT_FRAMES)
    estimate, now = player.clock.estimate(now_us()), now_us()
    return hud.Figures(
        name=media.name if media else player.mode,
        mode=mode_words(media) if media else "x".join(map(str, showing.size or ())),
        fps=player.rates.fps,
        latency_ms=(latency["p50"], latency["p95"], latency["p99"]),
        bound_ms=None if estimate is None else estimate.bound_us / 1000,
        glass_age_ms=None if age_us is None else age_us / 1000,
        lost=figures.lost,
        repaired=figures.repaired,
        bitrate_bps=player.rates.bitrate_bps,
        presenter=showing.presenter,
        stamp_quality=showing.stamp_quality,
        latency_mode=player.latency,
        sealed=player.sealed,
        graph=player.recent.graph(now) if player.hud_size == "full" else (),
    )


def live_state(player: Player) -> dict[str, Any]:
    """What the dashboard shows of this moment. Counters count since the start; None is unknown."""
    figures, media, showing, now = player.figures, player.description, player.showing(), now_us()
    estimate, decision, policy = player.clock.estimate(now), player.decision, player.session.congestion
    recovery, rx = player.rx.recovery(), player.rx.stats()
    return {
        "now_us": now,
        "camera": media.name if media else "",
        "picture": mode_words(media) if media else "x".join(map(str, showing.size or ())),
        "interval_us": figures.interval_us,
        "transport": player.mode,
        "sealed": player.sealed,
        "trouble": player.trouble(),
        "age_us": figures.glass.age(now),
        "fps": player.rates.fps,
        "bitrate_bps": player.rates.bitrate_bps,
        "sender_bps": media.bitrate_bps if media else None,
        "target_bps": decision.bitrate_bps if decision else None,
        "repair_share": round(decision.repair_ratio / 256, 3) if decision else None,
        "reason": decision.reason.name.lower().replace("_", " ") if decision else None,
        "capacity_bps": round(policy.capacity_bps) if policy and policy.capacity_bps < FAST_BPS else None,
        "limits": player.session.limits,
        "rtt_us": estimate.rtt_us if estimate else None,
        "bound_us": round(estimate.bound_us) if estimate else None,
        "frames": figures.frames(),
        "freezes": figures.glass.freezes,
        "latency": milliseconds(figures.latency, RECENT_FRAMES),
        "packets": rx["packets"],
        "bytes": rx["bytes"],
        "recovery": recovery,
        "drops": {name: count for name, count in player.rx.drops().items() if count},
        "decoder": dict(player.decoder.counters),
        "presenter": showing.presenter,
        "stamp_quality": showing.stamp_quality,
        "latency_mode": player.latency,
    }


def mode_words(media: MediaDescription) -> str:
    return f"{media.width}x{media.height}@{media.rate}" if media.rate else "no picture yet"
