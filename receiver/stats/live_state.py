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
    picture: str  # its mode: 1920x1080@25
    interval_us: float
    transport: str
    sealed: bool
    trouble: str  # why no live picture is shown; "" while one is
    age_us: float | None  # of the picture on the screen
    fps: float | None
    bitrate_bps: float
    sender_bps: int | None
    target_bps: int | None
    repair_share: float | None
    reason: str | None  # of the target
    capacity_bps: int | None
    limits: tuple[int | None, int | None]
    rtt_us: int | None
    bound_us: int | None
    frames: FrameCounts
    freezes: int
    latency: Percentiles
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
        picture=status.mode,
        interval_us=status.interval_us,
        transport=status.transport,
        sealed=status.encrypted,
        trouble=picture.trouble,
        age_us=picture.glass_age_us,
        fps=status.fps,
        bitrate_bps=status.bitrate_bps,
        sender_bps=status.media.bitrate_bps if status.media else None,
        target_bps=decision.bitrate_bps if decision else None,
        repair_share=round(decision.share / 256, 3) if decision else None,
        reason=decision.reason.name.lower().replace("_", " ") if decision else None,
        capacity_bps=network.capacity_bps,
        limits=network.limits,
        rtt_us=estimate.rtt_us if estimate else None,
        bound_us=round(estimate.bound_us) if estimate else None,
        frames=status.frames,
        freezes=picture.freezes,
        latency=status.timing.latency(RECENT_FRAMES),
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
