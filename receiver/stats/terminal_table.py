"""The live table in the terminal: redrawn in place on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TypedDict

from thinair.link.host import own_address
from thinair.link.log import Log
from thinair.receiver.stats.counters import RECENT_FRAMES, FrameCounts, Percentiles
from thinair.receiver.stats.event_log import Event
from thinair.receiver.stats.player_status import PlayerStatus

_INTERVAL_S = 0.5
_LINE_INTERVAL_S = 2.0


class _Figures(TypedDict):
    """What a line of `--log-format json` holds besides its text."""

    latency_ms: Percentiles
    glass_age_ms: Percentiles
    fps: float | None
    bitrate_bps: int
    frames: FrameCounts


class LiveTable:
    def __init__(self, log_format: str, status: Callable[[], PlayerStatus]) -> None:
        self._status = status
        self._log = Log(log_format, "play")
        self._terminal = sys.stdout.isatty()
        self._drawn = 0  # lines on the terminal to go back over

    def start(self, port: int) -> None:
        """The first line, and for whoever starts this for the first time the next step."""
        where = f"listening on port {port}"
        if self._log.machine:
            self._log.write(where, "start", port=port)
            return
        print(where, flush=True)
        if self._status().transport == "thinair" and self._terminal:
            print(
                f"at the camera, run: thinair send --to {own_address()}:{port}    (press ? in the window for its keys)"
            )

    def log(self, text: str) -> None:
        self._erase()
        self._log.write(text)

    def event(self, event: Event) -> None:
        self._erase()
        self._log.write(f"{event.text} (at {event.at_s:.1f} s)", event.kind, at_s=event.at_s)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL_S if self._terminal and not self._log.machine else _LINE_INTERVAL_S)
            self._draw(self._status(), RECENT_FRAMES)

    def close(self) -> None:
        """The whole run, once, at its end."""
        self._draw(self._status(), None)

    def _draw(self, status: PlayerStatus, recent: int | None) -> None:
        if not status.frames["completed"]:
            return
        if self._log.machine:
            self._log.write(_summary(status, recent), "figures", **_figures(status, recent))
            return
        if not self._terminal and recent is not None:
            print(_summary(status, recent), flush=True)
            return
        self._erase()
        lines = _lines(status, recent)
        print("\n".join(lines), flush=True)
        self._drawn = len(lines) if recent is not None else 0

    def _erase(self) -> None:
        if self._drawn:
            print(f"\x1b[{self._drawn}F\x1b[J", end="", flush=True)
            self._drawn = 0


def _lines(status: PlayerStatus, recent: int | None) -> list[str]:
    rows = {"capture→present": status.timing.latency(recent), **status.timing.stages(recent)}
    widths = [max(len(name), 7) for name in rows]
    lines = ["ms   " + "  ".join(name.rjust(width) for name, width in zip(rows, widths, strict=True))]
    for key in ("p50", "p95", "p99", "max"):
        values = [dict(row)[key] for row in rows.values()]
        cells = (_number(value).rjust(width) for value, width in zip(values, widths, strict=True))
        lines.append(f"{key:5}" + "  ".join(cells))
    return [*lines, _summary(status, recent)]


def _figures(status: PlayerStatus, recent: int | None) -> _Figures:
    return {
        "latency_ms": status.timing.latency(recent),
        "glass_age_ms": status.timing.glass_age(recent),
        "fps": status.fps,
        "bitrate_bps": round(status.bitrate_bps),
        "frames": status.frames,
    }


def _summary(status: PlayerStatus, recent: int | None) -> str:
    latency, age, frames = status.timing.latency(recent), status.timing.glass_age(recent), status.frames
    estimate, absence = status.clock.estimate, status.picture.absence
    bound = "clock not locked" if estimate is None else f"± {estimate.bound_us / 1000:.2f} ms"
    return (
        f"latency {_number(latency['p50'])}/{_number(latency['p95'])} ms p50/p95 {bound}, "
        f"glass age {_number(age['p50'])} ms, {_number(status.fps)} fps, "
        f"{status.bitrate_bps / 1e6:.2f} Mbit/s | presented {frames['presented']}, "
        f"superseded {frames['superseded']}, lost {frames['lost']}{absence and f' | {absence}'}"
    )


def _number(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float | int) else "unknown"
