"""Slates through a hardware encoder, while the hardware pipeline has no pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from thinair.link.native import now_us
from thinair.link.protocol.source_state import SourceState
from thinair.link.video_mode import Mode
from thinair.sender.encoders.base import EncoderConfig
from thinair.sender.encoders.hardware import RAW_FORMATS, Hardware
from thinair.sender.pipeline.slate import SLATE_MODE, draw_slate

if TYPE_CHECKING:
    from thinair.sender.encoders.base import AccessUnitOut

_PERIOD_US = 300_000
_KEY_INTERVAL = 2  # pictures: a key frame a second, though one of them may come late


@dataclass(frozen=True, slots=True)
class CodedSlate:
    unit: AccessUnitOut  # with bytes in it
    capture_us: int  # when its drawing began
    dequeue_us: int  # and ended


class SlateStream:
    """One for each time without pictures: begin with next(), end with close(). A missing or failing encoder is
    logged once and retried at growing intervals."""

    def __init__(
        self, name: str, mode: Mode | None, bitrate_bps: int, log: Callable[[str], None], *, coded: str = "H264"
    ) -> None:
        """`mode`: the camera's last; None before it has said one."""
        mode = mode or SLATE_MODE
        self._mode = mode = replace(mode, width=mode.width // 2 * 2, height=mode.height // 2 * 2)  # whole chroma
        config = EncoderConfig(mode, bitrate_bps, round(_KEY_INTERVAL * mode.interval_us))
        self._encoder = Hardware(name, config, coded=coded, formats=RAW_FORMATS)
        self._log_line = log
        self._logged = False
        self._due_us = 0
        self._drawn = ("", "", b"")  # text, format, picture

    def wait_us(self) -> int:
        """Until the next one is due."""
        return max(0, self._due_us - now_us())

    def next(self, state: SourceState) -> CodedSlate | None:
        """None: none is due, or the encoder gave none."""
        capture_us = now_us()
        if capture_us < self._due_us:
            return None
        self._due_us = capture_us + _PERIOD_US
        unit = None
        if self._encoder.ready():
            raw = self._draw(state.words(capture_us), self._encoder.format)
            dequeue_us = now_us()
            unit = self._encoder.encode_raw(raw, capture_us, dequeue_us)
        if self._encoder.trouble and not self._logged:
            self._logged = True
            self._log_line(f"no slate: {self._encoder.trouble}")
        return CodedSlate(unit, capture_us, dequeue_us) if unit is not None and unit.data else None

    def request_key_frame(self) -> None:
        self._encoder.request_key_frame()

    def close(self) -> None:
        self._encoder.close()

    def _draw(self, text: str, fourcc: str) -> bytes:
        if self._drawn[:2] != (text, fourcc):
            self._drawn = text, fourcc, draw_slate(text, self._mode.width, self._mode.height, fourcc)
        return self._drawn[2]
