"""The true picture rate from the driver's stamps: drivers round 59.94 to 60, the receiver's clock does not. Sans-IO."""

from __future__ import annotations

from fractions import Fraction

_NTSC = tuple(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120))
_HIGHEST = 240
_PICTURES = 120  # at least, per window
_MANY_PICTURES = 3600  # of which so noisy a window begins anew
_FEWEST = 15  # of a window's pictures that must have come
_WINDOWS = 2  # in a row that must agree
_TOLERANCE = Fraction(350, 1_000_000)  # whole and 1000/1001 rates are 999 ppm apart
_SURE = 80e-6  # standard error of a slope that is judged
_STALL_US = 1_000_000


class RateMeter:
    """Fits a line through sequence numbers and stamps by least squares, window by window; the more they jitter, the
    longer a window. A rate is one of the whole ones up to 240, or 24, 30, 48, 60 or 120 over 1.001; a slope near none
    of them says nothing."""

    def __init__(self, nominal: Fraction) -> None:
        self.rate = nominal
        self._candidate: Fraction | None = None
        self._agreed = 0
        self._restart()

    def _restart(self) -> None:
        self._count = self._x = self._t = self._xx = self._xt = self._tt = 0
        self._first: tuple[int, int] | None = None
        self._last = (0, 0)

    def add(self, sequence: int, capture_us: int) -> Fraction | None:
        """A picture's number and stamp. The rate, where it has just settled on another than before. A number or a stamp
        that goes back, and a pause of a second, begin a new window."""
        if self._first is not None and sequence == self._last[0]:
            return None  # a number given twice
        if self._first is None or sequence < self._last[0] or not 0 < capture_us - self._last[1] < _STALL_US:
            self._restart()
            self._first = (sequence, capture_us)
        self._last = (sequence, capture_us)
        x, t = sequence - self._first[0], capture_us - self._first[1]
        self._count += 1
        self._x += x
        self._t += t
        self._xx += x * x
        self._xt += x * t
        self._tt += t * t
        if x < _PICTURES or self._count < _FEWEST:
            return None
        slope_us, error = self._fit()
        sure = error <= _SURE
        if not sure and x < _MANY_PICTURES:
            return None
        self._restart()
        return self._judge(slope_us) if sure else None

    def _fit(self) -> tuple[Fraction, float]:
        """Microseconds per picture, and the standard error as a part of it."""
        n = self._count
        xx = n * self._xx - self._x * self._x
        xt = n * self._xt - self._x * self._t
        tt = n * self._tt - self._t * self._t
        slope_us = Fraction(xt, xx)
        residue = max(0.0, (tt * xx - xt * xt) / (xx * xx * (n - 2)))
        return slope_us, residue**0.5 / max(1.0, float(slope_us))

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
