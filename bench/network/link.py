"""A link that follows a channel model: the fate of a packet is decided when it enters."""

from __future__ import annotations

import math
import random
from bisect import bisect_right

from thinair.bench.network.models import Fades, Jitter, Loss, Model, Rate, Stalls

_FIFO_US = 0.1  # between two arrivals in order


class _Server:
    """Serves bits at a rate that changes with time, and none while it stalls."""

    def __init__(self, rate: Rate, stalls: Stalls | None, rng: random.Random) -> None:
        self._at_us = [at * 1e6 for at, _ in rate.steps]
        self._bits_per_us = [mbps for _, mbps in rate.steps]  # Mbit/s
        self._cycle_us = rate.seconds * 1e6
        self._stalls, self._rng = stalls, rng
        self._stall = (0.0, 0.0)
        self._next_stall_us = stalls.first_us if stalls is not None else math.inf
        self.busy_us = 0.0

    def wait_us(self, now_us: float) -> float:
        """How long a packet that enters now waits to be served, known stalls included."""
        return max(0.0, max(self.busy_us, self._past_stall(max(now_us, self.busy_us))) - now_us)

    def serve(self, bits: float, now_us: float, extra_us: float) -> float:
        """When a packet that enters now has been served."""
        at = self._past_stall(max(now_us, self.busy_us)) + extra_us
        while True:
            cycle, within = divmod(at, self._cycle_us)
            index = min(bisect_right(self._at_us, within) - 1, len(self._at_us) - 2)
            end = min(cycle * self._cycle_us + self._at_us[index + 1], self._next_stall_us)
            rate = self._bits_per_us[index]
            if rate > 0 and at + bits / rate <= end:
                self.busy_us = at + bits / rate
                return self.busy_us
            bits -= rate * (end - at)
            at = self._past_stall(max(end, at + 0.001))

    def _past_stall(self, at: float) -> float:
        while at >= self._next_stall_us:
            assert self._stalls is not None
            end = self._next_stall_us + self._rng.uniform(*self._stalls.length_us)
            self._stall = (self._next_stall_us, end)
            self._next_stall_us += self._stalls.every_us
        begin, end = self._stall
        return end if begin <= at < end else at


class _Bad:
    """Whether a packet is lost: Gilbert-Elliott per packet, fades per time."""

    def __init__(self, loss: Loss | None, rng: random.Random) -> None:
        self._loss, self._rng = loss, rng
        self._bad = False

    def lost(self) -> bool:
        loss, draw = self._loss, self._rng.random
        if loss is None:
            return False
        self._bad = draw() >= loss.to_good if self._bad else draw() < loss.to_bad
        return draw() < (loss.in_bad if self._bad else loss.in_good)


class _Fading:
    def __init__(self, fades: Fades, rng: random.Random) -> None:
        self._fades, self._rng = fades, rng
        self._begin = rng.expovariate(fades.per_second) * 1e6
        self._end = self._begin + rng.expovariate(1 / fades.length_us)

    def lost(self, now_us: float) -> bool:
        while now_us >= self._end:
            self._begin = self._end + self._rng.expovariate(self._fades.per_second) * 1e6
            self._end = self._begin + self._rng.expovariate(1 / self._fades.length_us)
        return now_us >= self._begin and self._rng.random() < self._fades.loss


class _Wander:
    def __init__(self, jitter: Jitter, rng: random.Random) -> None:
        self._jitter, self._rng = jitter, rng
        self._value = rng.gauss(0, 1)
        self._at_us = 0.0

    def delay_us(self, now_us: float) -> float:
        keep = math.exp(-max(0.0, now_us - self._at_us) / self._jitter.coherence_us)
        self._value = keep * self._value + math.sqrt(1 - keep * keep) * self._rng.gauss(0, 1)
        self._at_us = max(self._at_us, now_us)
        return self._jitter.median_us * math.exp(self._jitter.sigma * self._value)


class Direction:
    """One direction. `send` must be called in order of time, over both directions of a link together."""

    def __init__(self, model: Model, seed: str, server: _Server, fading: _Fading | None, *, reverse: bool) -> None:
        rng = random.Random(seed)
        self._model, self._server, self._fading, self._rng = model, server, fading, rng
        self._bad = _Bad(model.loss, rng)
        jitter = model.jitter_reverse if reverse else model.jitter
        self._wander = _Wander(jitter, rng) if jitter is not None else None
        self._wake_us = model.wake_us if reverse else 0.0
        self._last_us = 0.0
        self.sent = self.lost = self.dropped = 0  # dropped: at the queue's tail

    def send(self, size_bytes: int, now_us: float) -> list[float]:
        """Arrival times in µs: none of a lost packet, two of a duplicated one."""
        model = self._model
        self.sent += 1
        if self._server.wait_us(now_us) > model.queue_us:
            self.dropped += 1
            return []
        through = self._server.serve(8.0 * size_bytes, now_us, model.airtime_us)
        if self._bad.lost() or (self._fading is not None and self._fading.lost(through)):
            self.lost += 1
            return []
        at = through + model.delay_us
        if self._wander is not None:
            at += self._wander.delay_us(through)
        if self._wake_us:
            at = math.ceil(at / self._wake_us) * self._wake_us
        at = max(at, self._last_us + _FIFO_US)
        share, later_us = model.reorder
        if share and self._rng.random() < share:
            at += later_us  # those behind it overtake
        else:
            self._last_us = at
        if model.duplicates and self._rng.random() < model.duplicates:
            return [at, at + _FIFO_US]
        return [at]


class Link:
    """Both directions between a sender and a receiver. On half duplex they share the channel."""

    def __init__(self, model: Model, seed: int) -> None:
        stalls = f"{seed}/stalls"  # the radio stops for both directions at once
        forward = _Server(model.rate, model.stalls, random.Random(stalls))
        reverse = forward if model.airtime_us else _Server(model.rate, model.stalls, random.Random(stalls))
        fading = [
            _Fading(model.fades, random.Random(f"{seed}/fades")) if model.fades is not None else None for _ in range(2)
        ]
        self.forward = Direction(model, f"{seed}/forward", forward, fading[0], reverse=False)
        self.reverse = Direction(model, f"{seed}/reverse", reverse, fading[1], reverse=True)
