"""Everything the player counts, for the table, the HUD, the report and the CSV (docs/report.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinair.link.errors import FileError
from thinair.link.native import now_us
from thinair.link.protocol.clock_sync import ClockEstimate
from thinair.link.protocol.congestion_control import FAST_BPS, Decision
from thinair.link.protocol.rtcp import PACE_OWN
from thinair.receiver.stats.counters import RECENT_FRAMES, Figures, milliseconds
from thinair.receiver.stats.player_status import mode_words
from thinair.receiver.video import hud

if TYPE_CHECKING:
    from thinair.receiver.player import Player

SCHEMA = "thinair.report/1"


def latency_section(figures: Figures) -> dict[str, Any]:
    section = {"capture_to_present": milliseconds(figures.latency)}
    section |= {name: milliseconds(series) for name, series in figures.stages.items()}
    return section | {"receive": milliseconds(figures.receive)}


def glass_section(figures: Figures) -> dict[str, Any]:
    return {**milliseconds(figures.glass.ages)} | {
        "freezes": figures.glass.freezes,
        "longest_freeze": figures.glass.longest_freeze_us / 1000,
    }


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
        | {"negative_one_way": player.clock.negative_deltas, "negative_air": player.book.negative_air},
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
    estimate, decision, policy = player.clock.estimate(now), player.decision, player.session.policy
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
        "repair_share": round(decision.share / 256, 3) if decision else None,
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
