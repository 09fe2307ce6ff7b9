"""The smooth mode's clock: when a picture is shown so that pictures stand equally long, sans-IO.

A picture is due a constant time after its capture: as late as the late ones come, and no later than one interval after
the quick ones, so that at most one picture waits. Where the display's refresh is known, times lie on a grid of it: each
picture then stands for one of the two whole numbers of refreshes around interval/refresh, in the most even order.
"""

from __future__ import annotations

from collections import deque

_WINDOW = 250  # pictures whose delays decide
_DECAY = 0.01  # of what the delay is too long by, per picture
_RESET_US = 1_000_000.0  # a step of the delay this long is another clock


class Cadence:
    """Times in µs; captures may be on any clock that runs as fast as ours."""

    def __init__(self) -> None:
        self._delays: deque[float] = deque(maxlen=_WINDOW)
        self._delay_us: float | None = None

    def due(self, capture_us: int, ready_us: int, interval_us: float, refresh_hz: float = 0.0) -> int:
        """When the picture captured then and ready now is to be shown: `ready_us` at the earliest."""
        delay = float(ready_us - capture_us)
        if self._delays and abs(delay - self._delays[-1]) > _RESET_US:
            self._delays.clear()
            self._delay_us = None
        self._delays.append(delay)
        quickest = min(self._delays)
        period_us = 1e6 / refresh_hz if refresh_hz > 0 else 0.0
        longest = quickest + max(0.0, interval_us - period_us)
        wanted = min(max(self._delays), longest)
        held = max(wanted, self._delay_us if self._delay_us is not None else wanted)
        self._delay_us = min(longest, held - _DECAY * (held - wanted))
        due = capture_us + self._delay_us
        if period_us:
            due = -(-due // period_us) * period_us  # the phase is this clock's own: nobody tells the display's
        return max(ready_us, round(due))
