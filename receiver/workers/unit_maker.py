"""Access units as workers get them: with times that a file or a browser can use."""

from __future__ import annotations

from thinair.link.native import AccessUnit, now_us
from thinair.link.protocol.clock_sync import ClockSync
from thinair.receiver.video.decode_gate import DecodeGate
from thinair.receiver.workers.ipc import Unit

_RTP_WRAP = 1 << 32


class UnitMaker:
    def __init__(self, transport: str, clock: ClockSync, gate: DecodeGate) -> None:
        self._rtp, self._clock, self._gate = transport == "rtp", clock, gate
        self._newest: tuple[int, int] | None = None  # (raw, unwrapped) timestamp of plain RTP

    def unit(self, unit: AccessUnit) -> Unit:
        time_us = self._unwrapped_us(unit.rtp_time) if self._rtp else unit.capture_us or unit.last_us
        estimate = self._clock.estimate(now_us()) if unit.capture_us else None
        local_us = round(unit.capture_us - estimate.offset_us) if estimate is not None else 0
        captured = bool(unit.capture_us) or self._rtp
        return Unit(
            self._gate.generation, unit.frame_id, unit.key, unit.gap, unit.lost_before, captured, time_us, local_us,
            unit.last_us, bytes(memoryview(unit)),
        )  # fmt: skip

    def _unwrapped_us(self, rtp_time: int) -> int:
        """90 kHz of 32 bits → µs without a wrap (RFC 3550, 5.1)."""
        if self._newest is None:
            self._newest = rtp_time, rtp_time
        else:
            step = (rtp_time - self._newest[0] + _RTP_WRAP // 2) % _RTP_WRAP - _RTP_WRAP // 2
            self._newest = rtp_time, self._newest[1] + step
        return self._newest[1] * 100 // 9
