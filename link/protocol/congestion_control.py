"""Congestion control at the receiver, once per frame, sans-IO: bitrate, proactive repair and pacing.

The packets of a frame leave together, so their spread at arrival gives the capacity of the link (dispersion, as in
Pudica), and the delay of the first one, over the smallest delay of the last seconds, gives the standing queue. Delay
without loss lowers the bitrate. Loss without delay raises the repair ratio to what most frames need; the rest is
repaired on demand.
"""

from collections import deque
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from thinair.link.protocol.bitrate import MIN_BITRATE_BPS, Reason
from thinair.link.protocol.rtcp import PACE_OWN

PACE_GROUP = 5  # packets
MAX_REPAIR_RATIO = 128  # of 256: 50 %
_MAX_FRAME_PACE_US = 8_000
_MIN_PACKETS = 3  # of a frame whose dispersion is meaningful
_MIN_SPAN_US = 8_000  # of a frame that is still arriving
FAST_BPS = 100_000_000.0  # a faster link is not measured more closely
_FORGET = 0.998  # per call, about 60 a second
_FRESH_US = 300_000  # a measured capacity that is older does not count
_UTILISATION = 0.9  # of the capacity, repair included
_QUEUE_US = 10_000  # standing queue above which the bitrate is lowered
_LONG_QUEUE_US = 30_000
_BASE_WINDOW_US = 10_000_000  # whose smallest delay counts as an empty queue
_CUT_SHARE = 0.95  # targets within 5 % of the present one change nothing
_RAISE_STEP, _FAR_STEP = 1.12, 1.3  # the latter while the capacity is more than twice the target
_RAISE_INTERVAL_US = 200_000
_CUT_INTERVAL_US = 100_000  # between cuts for delay alone
_HOLD_US = 400_000  # no increase after a cut
_LOSS_FRAMES, _MORE_LOSS_FRAMES = 150, 600  # that decide the repair ratio; the latter where few repair rounds fit
_FAILED = 0.0005  # of frames: where on-demand repair is often too late, the ratio rises until no more than these fail
_MAX_MARGIN = 5.0
_FEW_ROUNDS = 2.2
_QUIET_SHARE = 0.15  # of frames with loss: below it, quick on-demand repair is cheaper than proactive symbols


class Frame(Protocol):
    """The fields of FrameReport that are used here."""

    frame_id: int
    complete: bool
    packets: int
    came: int
    longest_run: int
    unasked: int
    unasked_came: int
    asked: int
    rounds: int
    reached: int
    bytes: int
    gap_us: int
    first_us: int
    newest_us: int
    done_us: int
    peer_us: int


@dataclass(frozen=True, slots=True)
class Decision:
    bitrate_bps: int  # of the media, for the encoder
    repair_ratio: int  # in 1/256
    pace_us: int  # between groups of five packets, or PACE_OWN
    reason: Reason


class _Base:
    """Smallest value of the last seconds, kept for two halves of the window."""

    def __init__(self) -> None:
        self._halves: list[int | None] = [None, None]
        self._turn_us = 0

    def add(self, value: int, now_us: int) -> int:
        if now_us >= self._turn_us:
            self._halves = [None, self._halves[0]]
            self._turn_us = now_us + _BASE_WINDOW_US // 2
        self._halves[0] = value if self._halves[0] is None else min(value, self._halves[0])
        return min(half for half in self._halves if half is not None)


class CongestionControl:
    """`max_bps`: media bitrate that the user allows, and the first target."""

    def __init__(self, max_bps: int, interval_us: float, rtt_us: float = 0.0) -> None:
        self.max_bps = max_bps
        self.interval_us = interval_us
        self.rtt_us = rtt_us
        self.min_bps = 0  # lower limit of the user, whatever the channel does
        self.limited = False  # max_bps is the user's, below the sender's own
        self.answer_us = 0.0  # usual time of a repair answer; 0: unknown
        self.target_bps = float(max_bps)
        self.reason = Reason.STEADY
        self.capacity_bps = FAST_BPS  # newest estimate, of all bytes on the wire
        self.queue_us = 0
        self._base = _Base()
        self._capacities: deque[tuple[int, float]] = deque(maxlen=60)
        self._losses: deque[tuple[float, bool]] = deque(maxlen=_MORE_LOSS_FRAMES)  # lost per packet sent; with delay
        self._asked = 0.0  # on-demand symbols per packet, smoothed
        self._rounds = 0.0  # repair rounds that fit into a frame interval, smoothed
        self._margin = 3.0  # how many times the share of frames without enough symbols is halved
        self._ratio = 0
        self._raised_us = self._cut_us = -_HOLD_US
        self._partial: int | None = None  # frame that has changed the target before it was decided
        self._frame_bits = 0.0

    def observe_answer(self, answer_us: int) -> None:
        """Time of a repair answer: the longest of the last seconds counts."""
        self.answer_us = max(float(answer_us), self.answer_us * _FORGET)

    def set_limits(self, max_bps: int, interval_us: float) -> None:
        """The limit or the frame interval has changed."""
        if max_bps != self.max_bps:
            self.target_bps = min(self.target_bps, max_bps) if self._cut_us > 0 else float(max_bps)
        self.max_bps, self.interval_us = max_bps, interval_us

    def frame(self, frame: Frame, now_us: int) -> None:
        """A frame was decided: complete or abandoned."""
        if not frame.packets or not frame.first_us:
            return
        self._observe_queue(frame)
        self._observe_loss(frame)
        capacity = self._dispersion(frame)
        if capacity is not None:
            self.capacity_bps = capacity
            self._capacities.append((now_us, capacity))
        self._decide(now_us)

    def watch(self, newest: Frame | None, now_us: int) -> None:
        """Between decided frames: the newest one may already show that the link has become slow."""
        if newest is None or newest.done_us or not newest.first_us:
            return
        self._observe_queue(newest)
        if newest.frame_id == self._partial or newest.reached < _MIN_PACKETS:
            return
        arriving = now_us - newest.newest_us < 3 * newest.gap_us + 2_000
        if newest.complete or not arriving or newest.newest_us - newest.first_us < _MIN_SPAN_US:
            return
        capacity = self._dispersion(newest)
        if capacity is not None and capacity < self._wire_bps():
            self._partial = newest.frame_id
            self.capacity_bps = capacity
            self._capacities.append((now_us, capacity))
            self._decide(now_us)

    @property
    def lossy(self) -> bool:
        """Packets were lost in the last seconds."""
        return any(lost > 0 for lost, _ in list(self._losses)[-_LOSS_FRAMES:])

    @property
    def standing_queue_us(self) -> int:
        """Queue that a repair answer waits behind; 0 where the link drains it by itself, as after a radio's scan."""
        return self.queue_us if self.capacity_bps < self._wire_bps() else 0

    def decision(self) -> Decision:
        bitrate = round(min(max(self.target_bps, self.min_bps), self.max_bps))
        reason = Reason.LIMIT if self.limited and self.reason is Reason.STEADY else self.reason
        return Decision(bitrate, self._ratio, self._pace_us(), reason)

    # ---- observations -----------------------------------------------------------------------------------------------

    def _observe_queue(self, frame: Frame) -> None:
        if frame.peer_us:
            late_us = frame.first_us - frame.peer_us
            self.queue_us = max(0, late_us - self._base.add(late_us, frame.first_us))

    def _observe_loss(self, frame: Frame) -> None:
        sent, came = frame.packets + frame.unasked, frame.came + frame.unasked_came
        media = frame.packets - frame.came
        # Symbols after the packet that completed the frame may still arrive.
        lost = media if frame.complete else max(media, sent - came)
        delayed = self.queue_us > _QUEUE_US + self.interval_us / 4
        self._losses.append((lost / frame.packets, delayed))
        if not delayed:
            failed = not frame.complete or frame.done_us - frame.first_us > self.interval_us
            self._margin = min(max(self._margin + (1 if failed else -_FAILED), 0.0), _MAX_MARGIN)
        self._asked += (frame.asked / frame.packets - self._asked) / 32

    def _dispersion(self, frame: Frame) -> float | None:
        """Capacity in bit/s while this frame arrived; None where too few packets did. Leaves out the longest pause,
        which may come from a scan and not from the rate."""
        packets = frame.came + frame.unasked_came
        if packets < _MIN_PACKETS or frame.reached < _MIN_PACKETS:
            return None
        self._frame_bits = 8.0 * frame.bytes / packets * (frame.packets + frame.unasked)
        span_us = frame.newest_us - frame.first_us
        span_us -= max(0, frame.gap_us - 2 * span_us // frame.reached)
        sent_us = self._pace_us() * ((frame.reached - 1) // PACE_GROUP) if self._pace_us() != PACE_OWN else 0
        bits = 8.0 * frame.bytes / packets * (frame.reached - 1)
        if span_us <= 0:
            return FAST_BPS
        capacity = bits / span_us * 1e6
        return FAST_BPS if span_us < 1.2 * sent_us and capacity > self._wire_bps() else min(capacity, FAST_BPS)

    # ---- decisions --------------------------------------------------------------------------------------------------

    def _wire_bps(self) -> float:
        return self.target_bps * (1 + self._overhead())

    def _overhead(self) -> float:
        return self._ratio / 256 + self._asked

    def _decide(self, now_us: int) -> None:
        self._ratio = self._wanted_ratio()
        allowed = self._allowed_bps(now_us)
        if allowed < self.target_bps * _CUT_SHARE and self.target_bps > MIN_BITRATE_BPS:
            self.target_bps = max(MIN_BITRATE_BPS, allowed)
            self._cut_us = now_us
            return
        steady = now_us - self._cut_us >= _HOLD_US and now_us - self._raised_us >= _RAISE_INTERVAL_US
        if steady and self.target_bps < self.max_bps and self.queue_us < _QUEUE_US:
            carried = self._steady_bps(now_us)
            step = _FAR_STEP if carried > 2 * self.target_bps else _RAISE_STEP
            wanted = min(carried, self.target_bps * step, self.max_bps)
            if wanted > self.target_bps:
                self.target_bps, self._raised_us, self.reason = wanted, now_us, Reason.RISING
        elif self.target_bps >= self.max_bps:
            self.reason = Reason.STEADY

    def _allowed_bps(self, now_us: int) -> float:
        """Media bitrate within the present capacity that also drains the queue within four frames."""
        recent = [capacity for when_us, capacity in list(self._capacities)[-2:] if now_us - when_us < _FRESH_US]
        carried = max(recent, default=FAST_BPS)
        if recent and self.capacity_bps < self._wire_bps():  # certain: this frame took longer than one interval
            carried = self.capacity_bps
        allowed = carried * _UTILISATION / (1 + self._overhead())
        self.reason = Reason.SLOW_LINK if allowed < self.target_bps else self.reason
        if self.queue_us > _QUEUE_US and carried < FAST_BPS:
            drain = (self.queue_us - _QUEUE_US) / (4 * self.interval_us)
            allowed *= max(0.7, 1 - drain / 2)
        if self.queue_us > _LONG_QUEUE_US and self._growing() and now_us - self._cut_us >= _CUT_INTERVAL_US:
            allowed = min(allowed, 0.85 * self.target_bps)  # other traffic fills the channel
        if allowed < self.target_bps and self.queue_us > _QUEUE_US:
            self.reason = Reason.LOSS_WITH_DELAY if self._losses and self._losses[-1][0] > 0 else Reason.DELAY
        return allowed

    def _growing(self) -> bool:
        return len(self._losses) >= 2 and all(delayed for _, delayed in list(self._losses)[-2:])

    def _steady_bps(self, now_us: int) -> float:
        """Media bitrate within the smallest capacity of the last moments."""
        recent = [capacity for when_us, capacity in self._capacities if now_us - when_us < _FRESH_US]
        return min(recent, default=FAST_BPS) * _UTILISATION / (1 + self._overhead())

    def _wanted_ratio(self) -> int:
        """Enough symbols for most of the recent frames: for more of them where fewer repair rounds fit, and then for
        more after each failure (outer-loop link adaptation)."""
        drain_us = min(self._frame_bits / self.capacity_bps * 1e6, self.interval_us / 2)
        rounds = (self.interval_us - drain_us) / max(self.answer_us, self.rtt_us, 1.0)
        covered = 0.7 if rounds > 2.5 else 0.85 if rounds > 1.7 else 0.95
        recent = list(self._losses)
        self._rounds += (min(rounds, 2 * _FEW_ROUNDS) - self._rounds) / (_LOSS_FRAMES if self._rounds else 1)
        if self._rounds <= _FEW_ROUNDS:
            covered = 1 - (1 - covered) / 2**self._margin
        else:
            recent = recent[-_LOSS_FRAMES:]
        losses = [lost for lost, delayed in recent if not delayed]
        hit = [lost for lost in losses if lost > 0]
        if not hit or (covered < 0.9 and len(hit) <= _QUIET_SHARE * len(losses)):
            return 0
        wanted = sorted(losses)[min(len(losses) - 1, ceil(covered * len(losses)) - 1)]
        return min(MAX_REPAIR_RATIO, ceil(256 * wanted))

    def _pace_us(self) -> int:
        """On a link that is slower than the frame's packets leave: no slower than it carries them: nothing is later."""
        if self.capacity_bps >= FAST_BPS or not self._frame_bits:
            return PACE_OWN
        groups = max(1, round(self._frame_bits / 8 / 1400 / PACE_GROUP))
        drain_us = 0.8 * self._frame_bits / self.capacity_bps * 1e6
        return round(min(drain_us, _MAX_FRAME_PACE_US, self.interval_us / 2) / groups)
