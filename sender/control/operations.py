"""What the control API turns and reads of the running service. Belongs to the service's loop."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from thinair.link.native import now_us
from thinair.link.protocol.source_state import SourceCode
from thinair.link.video_mode import Mode
from thinair.sender.board.status_led import PATTERNS
from thinair.sender.board.telemetry import battery_percent, signal_dbm
from thinair.sender.pipeline.preview import Preview

if TYPE_CHECKING:
    from thinair.sender.connection.encrypted_link import SealedLink
    from thinair.sender.service import Service


class Knobs:
    """See Controlled."""

    def __init__(self, service: Service, link: SealedLink) -> None:
        self._service, self._link = service, link
        self._preview = Preview(service.look)

    def status(self) -> dict[str, Any]:
        service, link = self._service, self._link
        light, counts, figures = service.light(), service.counts, link.figures(now_us())
        source = service.source
        live = source is None or source.code is SourceCode.LIVE
        return {
            "name": service.config.name,
            "model": link.model,
            "light": {"state": light.value, "pattern_ms": PATTERNS[light]},
            "source": "" if live or source is None else source.title(),
            "mode": str(service.mode) if service.mode is not None else None,
            "receiver": link.guest if service.linked else None,
            "sealed": True,
            "bitrate_bps": service.bitrate_bps,
            "limits": service.limits,
            "latency_ms": figures.get("latency_us", 0) / 1000 or None,
            "latency_bound_ms": figures.get("bound_us", 0) / 1000 or None,
            "signal_dbm": signal_dbm(),
            "battery_percent": battery_percent(),
            "uptime_s": service.uptime_s,
            "frames": {"captured": counts.captured, "encoded": counts.encoded, "sent": counts.sent},
            "refused": dict(link.refused),
        }

    def ask_mode(self, mode: Mode) -> None:
        self._service.ask_mode(mode, "the control API")

    def limit(self, min_bps: int, max_bps: int) -> None:
        self._service.limit(min_bps, max_bps)

    def ask_key_frame(self) -> None:
        self._service.ask_key_frame()

    def restart(self) -> bool:
        if not os.environ.get("INVOCATION_ID"):  # systemd.exec(5)
            return False
        self._service.say("restart: asked by the control API")
        # After the answer has left.
        asyncio.get_running_loop().call_later(0.3, self._service.end)
        return True

    def logs(self) -> list[dict[str, Any]]:
        return [{"at_s": at_s, "text": text} for at_s, text in self._service.said]

    async def preview(self) -> bytes | None:
        return await self._preview.newest()
