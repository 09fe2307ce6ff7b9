"""The live table in the terminal: redrawn in place on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from thinair.link.host import own_address
from thinair.link.log import Log
from thinair.link.native import now_us
from thinair.link.protocol.frame_trace import STAGES
from thinair.receiver.stats.report import RECENT_FRAMES, milliseconds

if TYPE_CHECKING:
    from thinair.receiver.player import Player

_INTERVAL_S = 0.5
_LINE_INTERVAL_S = 2.0


class LiveTable:
    def __init__(self, player: Player) -> None:
        self._player = player
        self._log = Log(player.config.log_format, "play")
        self._terminal = sys.stdout.isatty()
        self._drawn = 0  # lines on the terminal to go back over

    def hello(self) -> None:
        """The first line, and for whoever starts this for the first time the next step."""
        player = self._player
        where = f"listening on port {player.rx.local_port}"
        if self._log.machine:
            self._log.write(where, "start", port=player.rx.local_port)
            return
        print(where, flush=True)
        if player.mode == "thinair" and self._terminal:
            print(f"at the camera: thinair send --to {own_address()}:{player.rx.local_port}    (? in the window: keys)")

    def say(self, text: str, kind: str = "note", **more: Any) -> None:
        self._erase()
        self._log.write(text, kind, **more)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S if self._terminal and not self._log.machine else _LINE_INTERVAL_S)
            self._draw()

    def close(self) -> None:
        """The whole run, once, at its end."""
        if not self._player.figures.completed:
            return
        if self._log.machine:
            self._log.write(self._summary(None), "figures", **self._figures(None))
            return
        self._erase()
        print("\n".join(self._lines(None)), flush=True)

    def _draw(self) -> None:
        if not self._player.figures.completed:
            return
        if self._log.machine:
            self._log.write(self._summary(RECENT_FRAMES), "figures", **self._figures(RECENT_FRAMES))
            return
        if not self._terminal:
            print(self._summary(RECENT_FRAMES), flush=True)
            return
        self._erase()
        lines = self._lines(RECENT_FRAMES)
        print("\n".join(lines), flush=True)
        self._drawn = len(lines)

    def _erase(self) -> None:
        if self._drawn:
            print(f"\x1b[{self._drawn}F\x1b[J", end="", flush=True)
            self._drawn = 0

    def _lines(self, recent: int | None) -> list[str]:
        figures = self._player.figures
        columns = ["capture→present", *STAGES]
        series = [figures.latency, *(figures.stages[name] for name in STAGES)]
        rows = [milliseconds(one, recent) for one in series]
        widths = [max(len(name), 7) for name in columns]
        lines = ["ms   " + "  ".join(name.rjust(width) for name, width in zip(columns, widths, strict=True))]
        for key in ("p50", "p95", "p99", "max"):
            cells = (_number(row[key]).rjust(width) for row, width in zip(rows, widths, strict=True))
            lines.append(f"{key:5}" + "  ".join(cells))
        return [*lines, self._summary(recent)]

    def _figures(self, recent: int | None) -> dict[str, Any]:
        figures = self._player.figures
        return {
            "latency_ms": milliseconds(figures.latency, recent),
            "glass_age_ms": milliseconds(figures.glass.ages, recent),
            "fps": self._player.rates.fps,
            "bitrate_bps": round(self._player.rates.bitrate_bps),
            "frames": figures.frames(),
        }

    def _summary(self, recent: int | None) -> str:
        player, figures = self._player, self._player.figures
        latency, age = milliseconds(figures.latency, recent), milliseconds(figures.glass.ages, recent)
        estimate = player.clock.estimate(now_us())
        absence = player.absence()
        bound = "unknown clock" if estimate is None else f"± {estimate.bound_us / 1000:.2f} ms"
        return (
            f"late {_number(latency['p50'])}/{_number(latency['p95'])} ms p50/p95 {bound}, "
            f"glass age {_number(age['p50'])} ms, {_number(player.rates.fps)} fps, "
            f"{player.rates.bitrate_bps / 1e6:.2f} Mbit/s | presented {figures.presented}, "
            f"superseded {figures.superseded}, lost {figures.lost}{absence and f' | {absence}'}"
        )


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"
