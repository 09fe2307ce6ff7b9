"""The true picture rate from the driver's stamps: drivers round 59.94 to 60, the receiver's clock does not. Sans-IO."""

from __future__ import annotations

from fractions import Fraction

_NTSC = tuple(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120))
_HIGHEST = 240
_PICTURES = 120  # per window: a slope's error is jitter * sqrt(12) / 120^1.5, 3 µs per picture for 1 ms of jitter
_PART = 8  # of a window's pictures that must have come
_WINDOWS = 2  # in a row that must agree
_TOLERANCE = Fraction(350, 1_000_000)  # whole and 1000/1001 rates are 999 ppm apart
_STALL_US = 1_000_000


class RateMeter:
    """Fits a line through sequence numbers and stamps, window by window. A rate is one of the whole ones up to 240, or
    24, 30, 48, 60 or 120 over 1.001; a slope near none of them says nothing."""

    def __init__(self, nominal: Fraction) -> None:
        self.rate = nominal
        self._candidate: Fraction | None = None
        self._agreed = 0
        self._restart()

    def _restart(self) -> None:
        self._count = self._x = self._t = self._xx = self._xt = 0
        self._first: tuple[int, int] | None = None
        self._last = (0, 0)

    def add(self, sequence: int, capture_us: int) -> Fraction | None:
        """A picture's number and stamp. The rate, where it has just settled on another than before. A number or a stamp
        that goes back, and a pause of a second, begin a new window."""
        if self._first is None or sequence <= self._last[0] or not 0 < capture_us - self._last[1] < _STALL_US:
            self._restart()
            self._first = (sequence, capture_us)
        self._last = (sequence, capture_us)
        x, t = sequence - self._first[0], capture_us - self._first[1]
        self._count += 1
        self._x += x
        self._t += t
        self._xx += x * x
        self._xt += x * t
        if x < _PICTURES:
            return None
        slope_us = self._slope_us() if self._count >= _PICTURES // _PART else Fraction(0)
        self._restart()
        return self._judge(slope_us)

    def _slope_us(self) -> Fraction:
        """Microseconds per picture by least squares."""
        spread = self._count * self._xx - self._x * self._x
        return Fraction(self._count * self._xt - self._x * self._t, spread)

    def _judge(self, slope_us: Fraction) -> Fraction | None:
        found = nearest_rate(slope_us)
        self._agreed = self._agreed + 1 if found is not None and found == self._candidate else 1
        self._candidate = found
        if found is None or found == self.rate or self._agreed < _WINDOWS:
            return None
        self.rate = found
        return found


def nearest_rate(interval_us: Fraction) -> Fraction | None:
    """The rate whose interval this is, within 350 ppm."""
    if interval_us <= 0:
        return None
    whole = Fraction(min(max(round(1_000_000 / interval_us), 1), _HIGHEST))
    for rate in (whole, *_NTSC):
        if abs(interval_us * rate / 1_000_000 - 1) <= _TOLERANCE:
            return rate
    return None
