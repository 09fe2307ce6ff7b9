"""Frame traces: the stamps of each frame from capture to display, collected as they become known."""

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from thinair.link.protocol.clock_sync import ClockSync

_PEER_STAMPS = {"capture_us", "dequeue_us", "encode_in_us", "encode_out_us", "first_send_us", "last_send_us"}
STAGE_STAMPS = {  # stage → its first and last stamp
    "capture": ("capture_us", "dequeue_us"),
    "wait": ("dequeue_us", "encode_in_us"),
    "encode": ("encode_in_us", "encode_out_us"),
    "pace": ("encode_out_us", "last_send_us"),
    "air": ("last_send_us", "last_packet_us"),
    "repair": ("last_packet_us", "repaired_us"),
    "decode": ("repaired_us", "decoded_us"),
    "hold": ("decoded_us", "present_in_us"),
    "present": ("present_in_us", "presented_us"),
}
STAGES = tuple(STAGE_STAMPS)


class Outcome(StrEnum):
    PENDING = "pending"
    PRESENTED = "presented"
    SUPERSEDED = "superseded"  # a newer picture was there before this one could be shown
    UNDECODED = "undecoded"  # no usable picture from the decoder
    LOST = "lost"  # abandoned with packets missing


class Unit(Protocol):
    """The fields of AccessUnit that a trace begins with."""

    frame_id: int
    size: int
    key: bool
    gap: bool
    packets: int
    first_us: int
    unrepaired_us: int
    last_us: int
    taken_us: int
    capture_us: int
    dequeue_us: int
    encode_in_us: int
    encode_out_us: int
    sent: tuple[int, int | None, int | None] | None


@dataclass(slots=True)
class FrameTrace:
    """Stamps of one frame in microseconds; None is unknown. Those above `first_packet_us` are on the peer's clock."""

    frame_id: int
    size: int = 0  # bytes of the access unit
    packets: int = 0
    key: bool = False
    gap: bool = False  # a frame before this one was lost
    capture_us: int | None = None
    dequeue_us: int | None = None
    encode_in_us: int | None = None
    encode_out_us: int | None = None
    first_send_us: int | None = None
    last_send_us: int | None = None
    first_packet_us: int | None = None
    last_packet_us: int | None = None
    repaired_us: int | None = None
    taken_us: int | None = None  # taken by the decode thread
    decoded_us: int | None = None
    present_in_us: int | None = None  # handed to the presenter
    presented_us: int | None = None
    offset_us: float | None = None  # peer - local, from the clock at the end of this frame
    bound_us: float | None = None
    outcome: Outcome = Outcome.PENDING

    def stages(self) -> dict[str, float | None]:
        """Stage → µs, None where a stamp or the clock is unknown. Where all are known they add up to
        capture_to_present_us."""
        return {name: self._stage(start, end) for name, (start, end) in STAGE_STAMPS.items()}

    def _stage(self, start: str, end: str) -> float | None:
        from_us: float | None = getattr(self, start)
        if start in _PEER_STAMPS and end not in _PEER_STAMPS:
            from_us = self.local(getattr(self, start))
        return _between(from_us, getattr(self, end))

    @property
    def capture_to_present_us(self) -> float | None:
        return _between(self.local(self.capture_us), self.presented_us)

    @property
    def receive_us(self) -> float | None:
        """Complete frame to access unit at the decoder: the receiver's own share."""
        return _between(self.repaired_us, self.taken_us)

    def local(self, peer_us: int | None) -> float | None:
        """A peer's stamp on the local clock, by this frame's own offset."""
        return None if peer_us is None or self.offset_us is None else peer_us - self.offset_us


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start


class FrameTraces:
    """Open traces by frame id. A trace is finished once its outcome is known and its send stamps, which travel with a
    later frame, have arrived, or `join_frames` later frames without them. At most `capacity` are open."""

    def __init__(self, clock: ClockSync, *, capacity: int = 64, join_frames: int = 6) -> None:
        self._clock = clock
        self._capacity = capacity
        self._join_frames = join_frames
        self._open: OrderedDict[int, FrameTrace] = OrderedDict()
        self._finished: list[FrameTrace] = []
        self.negative_network = 0  # frames received before they were sent: the clock was wrong by at least that much
        self.unjoined = 0  # finished without send stamps

    def __len__(self) -> int:
        return len(self._open)

    def received(self, unit: Unit) -> FrameTrace:
        """Opens the trace of an access unit that the decode thread has taken."""
        trace = FrameTrace(
            frame_id=unit.frame_id,
            size=unit.size,
            packets=unit.packets,
            key=unit.key,
            gap=unit.gap,
            capture_us=unit.capture_us or None,
            dequeue_us=unit.dequeue_us or None,
            encode_in_us=unit.encode_in_us or None,
            encode_out_us=unit.encode_out_us or None,
            first_packet_us=unit.first_us or None,
            last_packet_us=unit.unrepaired_us or None,
            repaired_us=unit.last_us or None,
            taken_us=unit.taken_us or None,
        )
        self._open[trace.frame_id] = trace
        self.join_stamps(unit)
        self._settle()
        return trace

    def join_stamps(self, unit: Unit) -> None:
        """Joins the send stamps that this unit carries for an earlier frame."""
        if unit.sent is not None:
            self._join(*unit.sent)

    def lost(self, frame_id: int) -> None:
        """An abandoned frame: its trace has nothing but its id."""
        self._finished.append(FrameTrace(frame_id, outcome=Outcome.LOST))

    def decoded(self, frame_id: int, now_us: int) -> None:
        if trace := self._open.get(frame_id):
            trace.decoded_us = now_us

    def presented(self, frame_id: int, in_us: int, now_us: int) -> None:
        """Handed to the presenter at `in_us`, displayed at `now_us`."""
        if trace := self._open.get(frame_id):
            trace.present_in_us, trace.presented_us = in_us, now_us
            self._close(trace, Outcome.PRESENTED, now_us)

    def superseded(self, frame_id: int, now_us: int) -> None:
        if trace := self._open.get(frame_id):
            self._close(trace, Outcome.SUPERSEDED, now_us)

    def undecoded(self, frame_id: int, now_us: int) -> None:
        if trace := self._open.get(frame_id):
            self._close(trace, Outcome.UNDECODED, now_us)

    def finished(self) -> list[FrameTrace]:
        """Traces finished since the last call, in order of their frames."""
        self._settle()
        out, self._finished = self._finished, []
        return out

    def flush(self) -> list[FrameTrace]:
        """All traces, finished or not: at the end of a run or for a new peer."""
        self._finished += self._open.values()
        self._open.clear()
        out, self._finished = self._finished, []
        return out

    def _close(self, trace: FrameTrace, outcome: Outcome, now_us: int) -> None:
        trace.outcome = outcome
        if (estimate := self._clock.estimate(now_us)) is not None:
            trace.offset_us, trace.bound_us = estimate.offset_us, estimate.bound_us
            self._count_negative(trace)

    def _join(self, low_bits: int, first_delta: int | None, last_delta: int | None) -> None:
        for trace in reversed(self._open.values()):
            if trace.frame_id & 0xFFFF == low_bits and trace.capture_us is not None:
                trace.first_send_us = None if first_delta is None else trace.capture_us + first_delta
                trace.last_send_us = None if last_delta is None else trace.capture_us + last_delta
                self._count_negative(trace)
                return

    def _count_negative(self, trace: FrameTrace) -> None:
        air = trace.stages()["air"]
        self.negative_network += air is not None and air < 0

    def _settle(self) -> None:
        """Moves finished traces out, oldest first."""
        while self._open:
            oldest = next(iter(self._open.values()))
            over = len(self._open) > self._capacity
            waited = len(self._open) > self._join_frames
            done = oldest.outcome is not Outcome.PENDING and (oldest.last_send_us is not None or waited)
            if not done and not over:
                return
            self.unjoined += oldest.last_send_us is None
            self._finished.append(oldest)
            del self._open[oldest.frame_id]
