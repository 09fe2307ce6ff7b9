"""Known truth for the latency that a report states: a camera, a path out of the network model, a player's own books.

Virtual time, with a true time that neither end knows; the sender's clock is hours away and runs up to 100 ppm fast or
slow. Everything that counts is the player's own: ClockSync, FrameTraces, Figures."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass

from thinair.bench.analysis.recorded_run import summary
from thinair.bench.network import Jitter, Link, Model
from thinair.link.protocol.clock_sync import ClockSync
from thinair.link.protocol.frame_trace import FrameTraces
from thinair.receiver.stats.report import Figures, milliseconds

PERCENTS = ("p50", "p95", "p99")
_SECONDS = 24
_INTERVAL_US = 40_000
_FRAME_BYTES, _PROBE_BYTES = 1_400, 60
_LOCAL_US = 1_000_000.0  # of the player's clock at true time 0
_WARM_UP_US = 3_000_000


@dataclass
class Unit:
    """The fields of an access unit that a trace begins with."""

    frame_id: int
    capture_us: int
    dequeue_us: int
    encode_in_us: int
    encode_out_us: int
    first_us: int
    last_us: int
    unrepaired_us: int
    taken_us: int
    sent: tuple[int, int | None, int | None] | None
    size: int = 1000
    key: bool = False
    gap: bool = False
    packets: int = 1


@dataclass(frozen=True, slots=True)
class Case:
    seed: int
    there_us: float
    back_us: float
    jitter_us: float  # median, each way
    offset_us: float
    skew: float

    @classmethod
    def drawn(cls, seed: int, *, symmetric: bool = False) -> Case:
        """Delays of 0 to 200 ms each way, each by itself or both alike; offsets of hours; jitter up to 5 ms."""
        rng = random.Random(f"truth/{seed}")
        there = rng.uniform(0, 200_000)
        back = there if symmetric else rng.uniform(0, 200_000)
        offset, skew = rng.uniform(-12, 12) * 3.6e9, rng.uniform(-100, 100) / 1e6
        return cls(seed, there, back, rng.choice((0.0, rng.uniform(100, 5_000))), offset, skew)

    def model(self) -> Model:
        jitter = Jitter(self.jitter_us, 0.6) if self.jitter_us else None
        return Model("truth", delay_us=0.0, jitter=jitter, jitter_back=jitter)

    def peer(self, true_us: float) -> float:
        """The sender's clock."""
        return true_us * (1 + self.skew) + self.offset_us


@dataclass(frozen=True, slots=True)
class Found:
    """ms. What the report says, what is true of the same frames, and what the report says of its own error."""

    stated: dict[str, float]
    true: dict[str, float]
    bound_ms: float  # the report's clock.bound_us
    rtt_min_ms: float  # of all probes
    clock_error_ms: float  # largest of a frame

    def error_ms(self, percent: str) -> float:
        return abs(self.stated[percent] - self.true[percent])


def local(true_us: float) -> int:
    """The player's clock, which keeps true time from a beginning of its own."""
    return round(true_us + _LOCAL_US)


class World:
    def __init__(self, case: Case) -> None:
        self.case = case
        self.clock = ClockSync()
        self.book = FrameTraces(self.clock)
        self.figures = Figures(_INTERVAL_US)
        self._link = Link(case.model(), case.seed)
        self._rng = random.Random(f"work/{case.seed}")
        self._heap: list[tuple[float, int, Callable[[float], None]]] = []
        self._count = 0
        self._before: tuple[int, int] | None = None  # frame id and delta of its last send
        self.rtts_us: list[float] = []
        self.true_us: dict[int, float] = {}
        self.errors_us: list[float] = []

    def run(self) -> Found:
        self._at(0.0, self._probe)
        for number in range(_SECONDS * 1_000_000 // _INTERVAL_US):
            self._at(500_000.0 + number * _INTERVAL_US, self._frame(number))
        while self._heap:
            now, _, work = heapq.heappop(self._heap)
            work(now)
        self._finish()
        stated = milliseconds(self.figures.latency)
        true = summary([value / 1000 for value in self.true_us.values()])
        clock = self.clock.estimate(local(_SECONDS * 1e6))
        assert clock is not None
        return Found(
            {name: float(stated[name] or 0) for name in PERCENTS},
            {name: float(true[name]) for name in PERCENTS},
            clock.bound_us / 1000,
            min(self.rtts_us) / 1000,
            max(self.errors_us) / 1000,
        )

    def _at(self, when: float, work: Callable[[float], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, work))

    def _probe(self, now: float) -> None:
        if now > _SECONDS * 1e6:
            return
        probe = self.clock.take_probe(local(now))
        if probe is not None:
            arrival = self._link.reverse.send(_PROBE_BYTES, now)[0] + self.case.back_us
            self._at(arrival, lambda at: self._echo(probe[1], at))
        self._at(max(now + 1.0, self.clock.next_probe_due(local(now)) - _LOCAL_US), self._probe)

    def _echo(self, t1: int, arrival: float) -> None:
        departure = arrival + self._rng.uniform(5, 200)
        t2, t3 = int(self.case.peer(arrival)), int(self.case.peer(departure))
        home = self._link.forward.send(_PROBE_BYTES, departure)[0] + self.case.there_us

        def back(now: float) -> None:
            self.rtts_us.append(local(now) - t1 - (t3 - t2))
            self.clock.push(t1, t2, t3, local(now), boot_id=1)

        self._at(home, back)

    def _frame(self, number: int) -> Callable[[float], None]:
        def captured(now: float) -> None:
            steps = [now, now + 1_000, now + 1_100, now + 1_100 + self._rng.uniform(3_000, 9_000)]
            self._at(steps[-1] + 200, lambda sent: self._send(number, steps, sent))

        return captured

    def _send(self, number: int, steps: list[float], sent: float) -> None:
        capture, dequeue, encode_in, encode_out = (int(self.case.peer(step)) for step in steps)
        before, self._before = self._before, (number, int(self.case.peer(sent)) - capture)
        arrival = self._link.forward.send(_FRAME_BYTES, sent)[0] + self.case.there_us

        def came(now: float) -> None:
            at = local(now)
            told = None if before is None else (before[0] & 0xFFFF, before[1], before[1])
            unit = Unit(number, capture, dequeue, encode_in, encode_out, at, at, at, at + 50, told)
            self._at(now + self._rng.uniform(900, 2_500), lambda shown: self._show(unit, steps[0], shown))

        self._at(arrival, came)

    def _show(self, unit: Unit, captured: float, now: float) -> None:
        self.book.received(unit)
        self.book.decoded(unit.frame_id, local(now) - 300)
        self.book.presented(unit.frame_id, local(now) - 200, local(now))
        self.true_us[unit.frame_id] = now - captured
        self._finish_some(self.book.finished())

    def _finish(self) -> None:
        self._finish_some(self.book.flush())

    def _finish_some(self, traces: list) -> None:  # type: ignore[type-arg]  # of FrameTrace
        for trace in traces:
            early = trace.presented_us is not None and trace.presented_us < _WARM_UP_US + _LOCAL_US
            if early or trace.offset_us is None:
                self.true_us.pop(trace.frame_id, None)
                continue
            self.figures.add(trace)
            stated, true = trace.capture_to_present_us, self.true_us[trace.frame_id]
            self.errors_us.append(abs(stated - true))
