"""What the control API may read and change of a running sender. Belongs to the loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypedDict

from thinair.link.protocol.source_state import SourceCode
from thinair.link.video_mode import Mode
from thinair.sender.board.status_led import PATTERNS
from thinair.sender.board.telemetry import battery_percent, board_model, signal_dbm
from thinair.sender.pipeline.preview import Preview
from thinair.sender.status import SenderStatus

if TYPE_CHECKING:
    from thinair.sender.pipeline.preview import Thumbnail
    from thinair.sender.run_log import LogLine

_RESTART_AFTER_S = 0.3  # once the answer has left


class LedStatus(TypedDict):
    state: str
    pattern_ms: tuple[int, ...]  # on, off, on, off ...


class Limits(TypedDict):
    min_bps: int
    max_bps: int


class Frames(TypedDict):
    captured: int
    encoded: int
    sent: int


class Status(TypedDict):
    """The answer to GET status, as openapi.json describes it; None for unknown."""

    name: str
    model: str
    status_led: LedStatus
    source: str  # why there is no picture; empty while there is one
    mode: str | None
    receiver: str | None
    encrypted: bool
    bitrate_bps: int
    limits: Limits
    latency_ms: float | None
    latency_bound_ms: float | None
    signal_dbm: int | None
    battery_percent: int | None
    uptime_s: float
    frames: Frames
    refused: dict[str, int]


class Session(Protocol):
    """What may be changed. All return at once."""

    def request_mode(self, mode: Mode, who: str) -> None: ...
    def limit_bitrate(self, min_bps: int, max_bps: int) -> None: ...
    def request_key_frame(self) -> None: ...


class Operations:
    """All but `preview` return at once."""

    def __init__(
        self,
        status: SenderStatus,
        session: Session,
        preview: Callable[[], Thumbnail | None],
        *,
        stop: Callable[[], None],
        log: Callable[[str], None],
    ) -> None:
        self._status, self._session, self._stop, self._log = status, session, stop, log
        self._preview = Preview(preview)

    def status(self) -> Status:
        status = self._status
        led, counts, source = status.led(), status.counts, status.source
        live = source is None or source.code is SourceCode.LIVE
        min_bps, max_bps = status.limits_bps
        latency_us, bound_us = status.receiver.latency_us() if status.receiver is not None else (0, 0)
        client = status.receiver.client_name if status.receiver is not None else None
        return {
            "name": status.config.name,
            "model": board_model(),
            "status_led": {"state": led.value, "pattern_ms": PATTERNS[led]},
            "source": "" if live or source is None else source.title(),
            "mode": str(status.mode) if status.mode is not None else None,
            "receiver": client if status.linked else None,
            "encrypted": True,
            "bitrate_bps": status.bitrate_bps,
            "limits": {"min_bps": min_bps, "max_bps": max_bps},
            "latency_ms": latency_us / 1000 or None,
            "latency_bound_ms": bound_us / 1000 or None,
            "signal_dbm": signal_dbm(),
            "battery_percent": battery_percent(),
            "uptime_s": status.uptime_s,
            "frames": {"captured": counts.captured, "encoded": counts.encoded, "sent": counts.sent},
            "refused": status.refused,
        }

    def request_mode(self, mode: Mode) -> None:
        self._session.request_mode(mode, "the control API")

    def limit_bitrate(self, min_bps: int, max_bps: int) -> None:
        self._session.limit_bitrate(min_bps, max_bps)

    def request_key_frame(self) -> None:
        self._session.request_key_frame()

    def restart(self) -> bool:
        """False: no service manager would start it again."""
        if not os.environ.get("INVOCATION_ID"):  # systemd.exec(5)
            return False
        self._log("restart requested by the control API")
        asyncio.get_running_loop().call_later(_RESTART_AFTER_S, self._stop)
        return True

    def log_lines(self) -> list[LogLine]:
        return self._status.log

    async def preview(self) -> bytes | None:
        """A JPEG of the newest picture, a new one once a second; None: there is no picture."""
        return await self._preview.newest()
