"""The HUD's figures, out of the player's status."""

from __future__ import annotations

from thinair.receiver.stats.counters import RECENT_FRAMES
from thinair.receiver.stats.player_status import PlayerStatus
from thinair.receiver.video.hud import HudFigures


def hud_figures(status: PlayerStatus) -> HudFigures:
    latency, picture, estimate = status.timing.latency(RECENT_FRAMES), status.picture, status.clock.estimate
    return HudFigures(
        name=status.camera or ("" if status.media else status.transport),
        mode=status.mode,
        fps=status.fps,
        latency_ms=(latency["p50"], latency["p95"], latency["p99"]),
        bound_ms=None if estimate is None else estimate.bound_us / 1000,
        glass_age_ms=None if picture.glass_age_us is None else picture.glass_age_us / 1000,
        lost=status.frames["lost"],
        repaired=status.frames["repaired"],
        bitrate_bps=status.bitrate_bps,
        presenter=picture.showing.presenter,
        stamp_quality=picture.showing.stamp_quality,
        latency_mode=picture.latency_mode,
        encrypted=status.encrypted,
        graph=picture.graph,
    )
