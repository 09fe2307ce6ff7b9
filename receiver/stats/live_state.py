"""What page and metrics show of the present moment: the player's status as one message to the dashboard."""

from __future__ import annotations

from dataclasses import dataclass

from thinair.receiver.record.status import RecordingStatus
from thinair.receiver.stats.counters import RECENT_FRAMES, FrameCounts, Percentiles
from thinair.receiver.stats.player_status import PlayerStatus


@dataclass(frozen=True, slots=True)
class LiveState:
    """Counters count since the start; None is unknown. Its fields are the page's keys."""

    now_us: int
    camera: str
    mode: str  # of the video: 1920x1080@25
    interval_us: float
    transport: str
    encrypted: bool
    trouble: str  # why no live picture is shown; "" while one is
    glass_age_us: float | None
    fps: float | None
    bitrate_bps: float
    sender_bps: int | None
    target_bps: int | None
    repair_ratio: float | None
    reason: str | None  # of the target
    capacity_bps: int | None
    limits_bps: tuple[int | None, int | None]  # least and most; None: no limit
    rtt_us: int | None
    clock_bound_us: int | None
    frames: FrameCounts
    freezes: int
    latency_ms: Percentiles
    packets: int
    bytes: int
    recovery: dict[str, int]
    drops: dict[str, int]
    decoder: dict[str, int]
    presenter: str
    stamp_quality: str
    latency_mode: str
    recording: RecordingStatus


def live_state(status: PlayerStatus, recording: RecordingStatus) -> LiveState:
    network, picture = status.network, status.picture
    estimate, decision = status.clock.estimate, network.decision
    return LiveState(
        now_us=status.now_us,
        camera=status.camera,
        mode=status.mode,
        interval_us=status.interval_us,
        transport=status.transport,
        encrypted=status.encrypted,
        trouble=picture.trouble,
        glass_age_us=picture.glass_age_us,
        fps=status.fps,
        bitrate_bps=status.bitrate_bps,
        sender_bps=status.media.bitrate_bps if status.media else None,
        target_bps=decision.bitrate_bps if decision else None,
        repair_ratio=round(decision.repair_ratio / 256, 3) if decision else None,
        reason=decision.reason.name.lower().replace("_", " ") if decision else None,
        capacity_bps=network.capacity_bps,
        limits_bps=network.limits,
        rtt_us=estimate.rtt_us if estimate else None,
        clock_bound_us=round(estimate.bound_us) if estimate else None,
        frames=status.frames,
        freezes=picture.freezes,
        latency_ms=status.timing.latency(RECENT_FRAMES),
        packets=network.receive["packets"],
        bytes=network.receive["bytes"],
        recovery=dict(network.recovery),
        drops=dict(network.drops),
        decoder=dict(status.decoder_errors),
        presenter=picture.showing.presenter,
        stamp_quality=picture.showing.stamp_quality,
        latency_mode=picture.latency_mode,
        recording=recording,
    )
