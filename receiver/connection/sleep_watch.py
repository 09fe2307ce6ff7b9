"""Whether this machine was suspended: CLOCK_MONOTONIC stands still meanwhile, and what the clocks agreed on is void."""

from __future__ import annotations

import time

_SLEPT_US = 500_000


def suspended_us() -> int:
    """How long this machine has been suspended since its start (clock_gettime(2))."""
    return (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)) // 1000


class SleepWatch:
    def __init__(self) -> None:
        self._suspended_us = suspended_us()

    def slept_us(self) -> int:
        """Since the last call; 0 where it was too short to matter."""
        now_us = suspended_us()
        slept_us, self._suspended_us = now_us - self._suspended_us, now_us
        return slept_us if slept_us > _SLEPT_US else 0
