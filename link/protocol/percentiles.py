"""Percentiles over bounded series, and the glass age."""

from array import array
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class Summary:
    """Nearest-rank percentiles; all but n are None without samples."""

    n: int
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None

    def as_dict(self) -> dict[str, float | None]:
        return {"p50": self.p50, "p95": self.p95, "p99": self.p99, "max": self.max, "n": self.n}


class Series:
    """The newest `capacity` samples, and count and maximum of all. Memory is allocated once."""

    def __init__(self, capacity: int = 65536) -> None:
        self._capacity = capacity
        self._samples = array("d", [0.0]) * capacity
        self.n = 0
        self._max: float | None = None

    def __len__(self) -> int:
        return min(self.n, self._capacity)

    def add(self, value: float | None) -> None:
        """None (unknown) is no sample."""
        if value is None:
            return
        self._samples[self.n % self._capacity] = value
        self.n += 1
        self._max = value if self._max is None else max(self._max, value)

    def summary(self, last: int | None = None) -> Summary:
        """Of all samples held, or of the newest `last`."""
        if last is None or last >= len(self):
            values, n, top = sorted(self._samples[: len(self)]), self.n, self._max
        else:
            newest = [self._samples[index % self._capacity] for index in range(self.n - last, self.n)]
            values, n, top = sorted(newest), last, max(newest, default=None)
        return Summary(n, nearest_rank(values, 50), nearest_rank(values, 95), nearest_rank(values, 99), top)


def nearest_rank(ordered: list[float], percent: int) -> float | None:
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)] if ordered else None


class GlassAge:
    """Age of the picture on the screen, sampled at each refresh or tick: a frozen picture ages and counts. Times and
    ages in µs. A freeze is a picture that stays for more than three frame intervals."""

    def __init__(self, interval_us: float, capacity: int = 65536) -> None:
        self.ages = Series(capacity)
        self.freezes = 0
        self.longest_freeze_us = 0
        self._stale_us = 3 * interval_us
        self._capture_us: float | None = None
        self.shown_us: int | None = None

    def set_interval(self, interval_us: float) -> None:
        self._stale_us = 3 * interval_us

    def shown(self, capture_us: float | None, now_us: int) -> None:
        """A new picture is on the screen; its capture is None while the clock is unknown."""
        if self.shown_us is not None and self.stale(now_us):
            self.freezes += 1
            self.longest_freeze_us = max(self.longest_freeze_us, now_us - self.shown_us)
        self._capture_us, self.shown_us = capture_us, now_us

    def tick(self, now_us: int) -> float | None:
        """Adds a sample of `age`, and returns it."""
        age = self.age(now_us)
        self.ages.add(age)
        return age

    def age(self, now_us: int) -> float | None:
        """Of the picture shown; None without one, or while its capture time is unknown."""
        return None if self._capture_us is None else now_us - self._capture_us

    def stale(self, now_us: int) -> bool:
        """More than three frame intervals without a new picture: time for the border."""
        return self.shown_us is not None and now_us - self.shown_us > self._stale_us
