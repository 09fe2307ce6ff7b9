"""Offset and skew of the peer's clock with a guaranteed bound, from clock probes with four stamps.

Each exchange proves t3 - t4 <= offset <= t2 - t1 for any path, where offset = peer - local. With a constant skew, the
exchanges of the last minute allow a set of lines between two envelopes. The estimate is the middle of the offsets that
these lines allow now, the bound half of their range. The path need not be symmetric.
"""

from collections import deque
from dataclasses import dataclass
from itertools import product
from math import exp

from thinair.link.protocol.rtcp import ProbeEcho

WINDOW_US = 60_000_000
BURST = 8
BURST_INTERVAL_US = 10_000
PROBE_INTERVAL_US = 500_000
MAX_SKEW_PPM = 150.0  # two crystals of 50 ppm each, and temperature
RESOLUTION_US = 5  # stamps are whole microseconds, taken beside the event
DRIFT_ALLOWANCE_US = 100
_SKEW_STEPS = 32
_CAPACITY = 160  # exchanges held; 60 s at two per second and two bursts fit
_OUTSTANDING = 64  # unanswered probes remembered; the oldest goes first


@dataclass(frozen=True, slots=True)
class ClockEstimate:
    """offset = peer - local at the requested time, within ± bound_us."""

    offset_us: float
    bound_us: float
    rtt_us: int  # smallest of the window, without the peer's own time
    skew_ppm: float


@dataclass(frozen=True, slots=True)
class _Exchange:
    local_us: int  # middle of departure and return
    low_us: int  # t3 - t4, no more than the offset
    high_us: int  # t2 - t1, no less than the offset

    @property
    def rtt_us(self) -> int:
        return self.high_us - self.low_us


@dataclass(frozen=True, slots=True)
class _Fit:
    """Three lines over local time since origin_us, above base_us: the lowest and the highest possible offset from now
    on, and the middle between the envelopes with the likeliest skew."""

    origin_us: int
    base_us: int
    low_us: float
    low_skew: float
    high_us: float
    high_skew: float
    middle_us: float
    skew: float
    rtt_us: int

    def at(self, now_us: int) -> ClockEstimate:
        age = now_us - self.origin_us
        low, high = self.low_us + self.low_skew * age, self.high_us + self.high_skew * age
        # The quickest exchange alone leaves half its round trip: more than that and a little drift is not believed.
        # While echoes stay away the allowance grows.
        drift = DRIFT_ALLOWANCE_US + max(0, age - 2 * PROBE_INTERVAL_US) * MAX_SKEW_PPM / 1e6
        middle, reach = self.middle_us + self.skew * age, self.rtt_us / 2 + drift - 2 * RESOLUTION_US
        low, high = max(low, min(middle - reach, high)), min(high, max(middle + reach, low))
        bound = (high - low) / 2 + RESOLUTION_US
        return ClockEstimate(self.base_us + (low + high) / 2, bound, self.rtt_us, self.skew * 1e6)


class ClockSync:
    """Schedules clock probes and evaluates their echoes. All times in µs of the named clock."""

    def __init__(self) -> None:
        self.refused = 0  # echoes to no probe of ours, or with stamps in an impossible order
        self.negative_deltas = 0  # one-way times below zero under the estimate of that moment
        self.resets = 0
        self._boot_id: int | None = None
        self._next_id = 0
        self.reset()

    def reset(self, boot_id: int | None = None) -> None:
        """Discards the estimate; the next probes are a burst."""
        self.resets += self._boot_id is not None
        self._boot_id = boot_id
        self._exchanges: deque[_Exchange] = deque(maxlen=_CAPACITY)
        self._outstanding: dict[int, int] = {}
        self._fit: _Fit | None = None
        self._burst_left = BURST
        self._due_us = 0

    def next_probe_due(self, now_us: int) -> int:
        """Time of the next probe; now_us or earlier: at once."""
        return min(self._due_us, now_us + PROBE_INTERVAL_US)

    def take_probe(self, now_us: int) -> tuple[int, int] | None:
        """(probe id, t1) of a probe to send now; None: none is due."""
        if now_us < self.next_probe_due(now_us):
            return None
        self._burst_left = max(0, self._burst_left - 1)
        self._due_us = now_us + (BURST_INTERVAL_US if self._burst_left else PROBE_INTERVAL_US)
        self._next_id = (self._next_id + 1) & 0xFFFFFFFF
        self._outstanding[self._next_id] = now_us
        if len(self._outstanding) > _OUTSTANDING:
            del self._outstanding[next(iter(self._outstanding))]
        return self._next_id, now_us

    def receive_echo(self, echo: ProbeEcho, arrival_us: int) -> bool:
        """An echo from the network; used once, and only where it fits a probe of ours."""
        if self._outstanding.get(echo.probe_id) != echo.t1_us:
            self.refused += 1
            return False
        del self._outstanding[echo.probe_id]
        return self.push(echo.t1_us, echo.t2_us, echo.t3_us, arrival_us, boot_id=echo.boot_id)

    def push(self, t1_us: int, t2_us: int, t3_us: int, t4_us: int, *, boot_id: int = 0) -> bool:
        """One exchange: t1 departure and t4 return on the local clock, t2 arrival and t3 departure on the peer's."""
        if self._boot_id is not None and boot_id != self._boot_id:
            self.reset(boot_id)
        self._boot_id = boot_id
        exchange = _Exchange((t1_us + t4_us) // 2, t3_us - t4_us, t2_us - t1_us)
        if t4_us < t1_us or t3_us < t2_us or exchange.rtt_us < 0:
            self.refused += 1
            return False
        if self._fit is not None:
            offset = self._fit.at(exchange.local_us).offset_us
            self.negative_deltas += (exchange.high_us < offset) + (exchange.low_us > offset)
        self._exchanges.append(exchange)
        while self._exchanges[0].local_us < exchange.local_us - WINDOW_US:
            self._exchanges.popleft()
        self._refit()
        return True

    def estimate(self, now_us: int) -> ClockEstimate | None:
        """None before the first exchange."""
        return None if self._fit is None else self._fit.at(now_us)

    def to_local(self, peer_us: int, now_us: int) -> int | None:
        """Converts a recent stamp of the peer to the local clock."""
        if self._fit is None:
            return None
        offset = self._fit.at(now_us).offset_us
        offset = self._fit.at(round(peer_us - offset)).offset_us
        return round(peer_us - offset)

    def _refit(self) -> None:
        fit = _fit(list(self._exchanges))
        while fit is None:
            # No constant skew explains them all: a clock was stepped or suspended. The newest are right.
            for _ in range((len(self._exchanges) + 1) // 2):
                self._exchanges.popleft()
            fit = _fit(list(self._exchanges))
        self._fit = fit


def _fit(exchanges: list[_Exchange]) -> _Fit | None:
    """The steepest and the flattest line that stay between the envelopes; None where no line does.

    A line under all highs and over all lows has, for each pair, a slope of at most (high_i - low_j) / (t_i - t_j) where
    i is the later one, and of at least that where j is. Only corners of the two convex hulls can bind. After the last
    exchange the highest possible offset lies on the steepest such line, the lowest on the flattest.
    """
    origin, base = exchanges[-1].local_us, exchanges[-1].low_us
    highs = _hull([(e.local_us - origin, e.high_us - base) for e in exchanges])
    lows = [(t, -low) for t, low in _hull([(e.local_us - origin, base - e.low_us) for e in exchanges])]
    steepest, flattest = MAX_SKEW_PPM / 1e6, -MAX_SKEW_PPM / 1e6
    for (high_t, high), (low_t, low) in product(highs, lows):
        rise = high - low + 2 * RESOLUTION_US
        if high_t > low_t:
            steepest = min(steepest, rise / (high_t - low_t))
        elif high_t < low_t:
            flattest = max(flattest, rise / (high_t - low_t))
    if flattest > steepest:
        return None
    top, bottom = _above(highs, steepest), _below(lows, flattest)
    rtts = [e.rtt_us for e in exchanges]
    skews = [flattest + (steepest - flattest) * step / _SKEW_STEPS for step in range(_SKEW_STEPS + 1)]
    skew = _likeliest(skews, [_above(highs, skew) - _below(lows, skew) for skew in skews], rtts)
    middle = (_above(highs, skew) + _below(lows, skew)) / 2
    return _Fit(origin, base, bottom, flattest, top, steepest, middle, skew, min(rtts))


def _likeliest(skews: list[float], gaps: list[float], rtts: list[int]) -> float:
    """The mean skew, weighed by likelihood. Where each way adds exponentially distributed delays of mean m to its
    shortest one, the likelihood of a skew, with n exchanges, goes as exp(n / m * gap between the envelopes)."""
    mean_us = (sum(rtts) / len(rtts) - min(rtts)) / 2 + RESOLUTION_US
    widest = max(gaps)
    weights = [exp((gap - widest) * len(rtts) / mean_us) for gap in gaps]
    return sum(skew * weight for skew, weight in zip(skews, weights, strict=True)) / sum(weights)


def _above(points: list[tuple[int, int]], skew: float) -> float:
    """Where the highest line of this slope under all points crosses the origin."""
    return min(value - skew * t for t, value in points)


def _below(points: list[tuple[int, int]], skew: float) -> float:
    return max(value - skew * t for t, value in points)


def _hull(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Lower convex hull, left to right (Andrew's monotone chain)."""
    hull: list[tuple[int, int]] = []
    for point in sorted(points):
        while len(hull) >= 2 and _turn(hull[-2], hull[-1], point) <= 0:
            hull.pop()
        hull.append(point)
    return hull


def _turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
