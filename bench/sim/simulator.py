"""Virtual time, a modelled encoder and the link. A strategy is a pair of ends that exchange packets only."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from thinair.bench.network import Link, Model
from thinair.bench.sim.figures import Sent, Timeline

INTERVAL_US = 1e6 / 30  # unless said
PAYLOAD = 1200  # bytes of an access unit per packet
_NOISE = 0.10  # spread of the frame sizes, log-normal
_MOST = 1.15  # largest frame, in frames of the bitrate: a key frame fills the VBV
_TAIL_US = 1_000_000.0
_FIRST_US = 100_000.0  # no stamp is 0


@dataclass(frozen=True, slots=True)
class Packet:
    size: int  # bytes on the wire
    content: Any
    media: bool = True  # a first transmission


class End(Protocol):
    def receive(self, content: Any, now_us: float) -> None: ...

    def poll(self, now_us: float) -> list[Packet]:
        """The packets to send now."""

    def timeout_us(self, now_us: float) -> float | None:
        """When to poll next if no packet arrives."""


class Sender(End, Protocol):
    def picture(self, now_us: float) -> None:
        """A picture was captured: encode it with `world.encode()`, or drop it with `world.skip()`."""


class World:
    def __init__(self, model: Model, seed: int, frames: int, interval_us: float = INTERVAL_US) -> None:
        self.model, self.seed, self.pictures, self.interval_us = model, seed, frames, interval_us
        self.timeline = Timeline(interval_us)
        self.sent = {"media": 0, "other": 0, "feedback": 0}
        self.rate: list[tuple[float, float, float]] = []  # seconds, target and available Mbit/s: for plots
        self._rng = random.Random(f"{seed}/encoder")
        self._noise = [self._rng.lognormvariate(-_NOISE * _NOISE / 2, _NOISE) for _ in range(frames)]
        self._picture = 0
        self._heap: list[tuple[float, int, Callable[[float], None]]] = []
        self._count = 0
        self._link = Link(model, seed)
        self._armed: dict[int, float] = {}

    # ---- for strategies

    def encode(self, bitrate_bps: float, *, key: bool, now_us: float) -> tuple[int, int]:
        """(frame number, bytes) of the picture just captured."""
        budget = bitrate_bps * self.interval_us / 8e6
        size = budget * (_MOST if key else min(_MOST, self._noise[self._picture]))
        line = self.timeline
        line.capture_us.append(now_us)
        line.key.append(key)
        line.sent_us.append(None)
        line.complete_us.append(None)
        line.release_us.append(None)
        return len(line.key) - 1, max(PAYLOAD // 4, round(size))

    def skip(self) -> None:
        self.timeline.skipped += 1

    def complete(self, frame: int, now_us: float) -> None:
        if self.timeline.complete_us[frame] is None:
            self.timeline.complete_us[frame] = now_us

    def hold(self, frame: int, until_us: float) -> None:
        """The receiver's buffer releases the frame then, not before."""
        self.timeline.release_us[frame] = until_us

    def leaves(self, frame: int, now_us: float) -> None:
        """The frame's first packet is sent."""
        if self.timeline.sent_us[frame] is None:
            self.timeline.sent_us[frame] = now_us

    # ---- running

    def run(self, sender: Sender, receiver: End) -> None:
        self.at(1.0, lambda now: self._serve(sender, receiver, now, forward=True))
        self.at(_FIRST_US, lambda now: self._capture(sender, receiver, now))
        end_us = _FIRST_US + self.pictures * self.interval_us + _TAIL_US
        while self._heap and self._heap[0][0] <= end_us:
            now, _, work = heapq.heappop(self._heap)
            work(now)

    def result(self) -> Sent:
        return Sent(self.sent["media"], self.sent["other"], self.sent["feedback"])

    def at(self, when_us: float, work: Callable[[float], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (when_us, self._count, work))

    def _capture(self, sender: Sender, receiver: End, now: float) -> None:
        sender.picture(now)
        self._picture += 1
        if self._picture < self.pictures:
            # On the grid, so that rounding does not add up.
            due = _FIRST_US + self._picture * self.interval_us
            self.at(due, lambda at: self._capture(sender, receiver, at))
        self._serve(sender, receiver, now, forward=True)

    def _serve(self, end: End, other: End, now: float, *, forward: bool) -> None:
        way = self._link.forward if forward else self._link.reverse
        for packet in end.poll(now):
            kind = ("media" if packet.media else "other") if forward else "feedback"
            self.sent[kind] += packet.size
            for arrival in way.send(packet.size, now):
                self.at(arrival, partial(self._deliver, other, end, packet.content, not forward))
        due = end.timeout_us(now)
        if due is not None:
            due = max(due, now + 1.0)
            armed = self._armed.get(id(end))
            if armed is None or due < armed or armed <= now:
                self._armed[id(end)] = due
                self.at(due, lambda at: self._timer(end, other, at, forward=forward))

    def _timer(self, end: End, other: End, now: float, *, forward: bool) -> None:
        if self._armed.get(id(end)) == now:
            self._serve(end, other, now, forward=forward)

    def _deliver(self, end: End, other: End, content: Any, forward: bool, now: float) -> None:
        end.receive(content, now)
        self._serve(end, other, now, forward=forward)
