"""The player's report of its whole run (docs/report.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

from thinair.link.files import writing
from thinair.link.protocol.congestion_control import Decision
from thinair.link.protocol.rtcp import PACE_OWN
from thinair.receiver.stats.counters import FrameCounts, Percentiles, Timing
from thinair.receiver.stats.player_status import Clock, Picture, PlayerStatus
from thinair.receiver.stats.run_conditions import Conditions

SCHEMA = "thinair.report/1"


class ModeSection(TypedDict):
    width: int
    height: int
    rate: str | None


class PresenterSection(TypedDict):
    name: str
    why: str


class GlassSection(Percentiles):
    freezes: int
    longest_freeze: float


class ClockSection(TypedDict):
    offset_us: float | None
    bound_us: float | None
    rtt_us: int | None
    skew_ppm: float | None
    negative_one_way: int
    negative_network: int


class TargetSection(TypedDict):
    bitrate_bps: int | None
    repair_ratio: float | None
    pace_us: int | None
    reason: str | None


class EventSection(TypedDict):
    at_s: float
    now_us: int
    kind: str
    text: str


class Report(TypedDict):
    """Of a player; None is unknown."""

    schema: str
    role: str
    mode: ModeSection | None
    transport: str
    encrypted: bool
    conditions: Conditions
    presenter: PresenterSection
    stamp_quality: str
    frames: FrameCounts
    latency_ms: dict[str, Percentiles]
    glass_age_ms: GlassSection
    clock: ClockSection
    drops: dict[str, int]
    control: dict[str, int]
    decoder: dict[str, int]
    receive: dict[str, int]
    recovery: dict[str, int]
    target: TargetSection
    events: list[EventSection]
    notes: list[str]


def full(status: PlayerStatus, conditions: Conditions) -> Report:
    """The player's report of its whole run."""
    network, picture = status.network, status.picture
    return {
        "schema": SCHEMA,
        "role": "play",
        "mode": _mode(status),
        "transport": status.transport,
        "encrypted": status.encrypted,
        "conditions": {**conditions, "refresh_hz": picture.showing.refresh_hz or None},
        "presenter": {"name": picture.showing.presenter, "why": picture.showing.why},
        "stamp_quality": picture.showing.stamp_quality,
        "frames": status.frames,
        "latency_ms": _latency(status.timing),
        "glass_age_ms": _glass_age(status.timing, picture),
        "clock": _clock(status.clock),
        "drops": dict(network.drops),
        "control": dict(network.control_drops),
        "decoder": dict(status.decoder_errors),
        "receive": dict(network.receive),
        "recovery": dict(network.recovery),
        "target": _target(network.decision),
        "events": [
            {"at_s": one.at_s, "now_us": one.now_us, "kind": one.kind, "text": one.text} for one in status.events
        ],
        "notes": list(status.notes),
    }


def write_json(path: Path, content: Report) -> None:
    """Raises FileError."""
    with writing(path):
        path.write_text(json.dumps(content, indent=1) + "\n")


def _mode(status: PlayerStatus) -> ModeSection | None:
    media, size = status.media, status.picture.showing.size
    if media is not None:
        return {"width": media.width, "height": media.height, "rate": str(media.rate) if media.rate else None}
    return {"width": size[0], "height": size[1], "rate": None} if size is not None else None


def _latency(timing: Timing) -> dict[str, Percentiles]:
    return {"capture_to_present": timing.latency(), **timing.stages(), "receive": timing.receive()}


def _glass_age(timing: Timing, picture: Picture) -> GlassSection:
    freezes, longest = picture.freezes, picture.longest_freeze_us / 1000
    return {**timing.glass_age(), "freezes": freezes, "longest_freeze": longest}


def _target(decision: Decision | None) -> TargetSection:
    if decision is None:
        return {"bitrate_bps": None, "repair_ratio": None, "pace_us": None, "reason": None}
    pace_us = None if decision.pace_us == PACE_OWN else decision.pace_us
    ratio, reason = round(decision.repair_ratio / 256, 3), decision.reason.name.lower()
    return {"bitrate_bps": decision.bitrate_bps, "repair_ratio": ratio, "pace_us": pace_us, "reason": reason}


def _clock(clock: Clock) -> ClockSection:
    estimate = clock.estimate
    return {
        "offset_us": None if estimate is None else round(estimate.offset_us, 1),
        "bound_us": None if estimate is None else round(estimate.bound_us, 1),
        "rtt_us": None if estimate is None else estimate.rtt_us,
        "skew_ppm": None if estimate is None else round(estimate.skew_ppm, 3),
        "negative_one_way": clock.negative_one_way,
        "negative_network": clock.negative_network,
    }
