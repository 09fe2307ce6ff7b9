"""The encoder's bitrate: the receiver's target, within the operator's limits."""

from __future__ import annotations

from thinair.link.native import now_us
from thinair.link.protocol.bitrate import BitrateFollower, Reason
from thinair.sender.pipeline.base import Pipeline
from thinair.sender.pipeline.events import PipelineEvents


class BitrateControl:
    def __init__(self, bitrate_bps: int, pipeline: Pipeline, events: PipelineEvents) -> None:
        """`bitrate_bps` is the upper limit until limit() is called."""
        self._follower = BitrateFollower(bitrate_bps)
        self._pipeline, self._events = pipeline, events

    @property
    def bitrate_bps(self) -> int:
        """Requested from the encoder."""
        return self._follower.bitrate_bps

    @property
    def min_bps(self) -> int:
        return self._follower.min_bps

    @property
    def max_bps(self) -> int:
        return self._follower.max_bps

    def follow(self, target_bps: int, reason: int) -> None:
        """`reason`: one of Reason, or a number of a newer receiver."""
        if (bitrate_bps := self._follower.follow(target_bps, now_us())) is not None:
            why = Reason(reason).name.lower().replace("_", " ") if reason in set(Reason) else str(reason)
            self._set(bitrate_bps, why)

    def limit(self, min_bps: int, max_bps: int) -> None:
        if (bitrate_bps := self._follower.limit(min_bps, max_bps, now_us())) is not None:
            self._set(bitrate_bps, "limits")

    def _set(self, bitrate_bps: int, why: str) -> None:
        self._pipeline.set_bitrate(bitrate_bps)
        self._events.record({"bitrate_bps": str(bitrate_bps), "why": why})
