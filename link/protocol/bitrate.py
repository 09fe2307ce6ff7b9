"""Reasons of a target's bitrate, and how an encoder follows targets."""

from enum import IntEnum

MIN_BITRATE_BPS = 500_000
_CUT = 0.95  # a target below this share of the present bitrate is followed at once
_RAISE = 1.15  # one above this, not more often than every
_RAISE_INTERVAL_US = 500_000


class Reason(IntEnum):
    STEADY = 0
    RISING = 1
    DELAY = 2
    SLOW_LINK = 3
    LOSS_WITH_DELAY = 4
    NO_REPORT = 5
    LIMIT = 6


class BitrateFollower:
    """Turns targets into bitrates of the encoder. A change may cost a key frame: small ones are left out, cuts are
    applied at once."""

    def __init__(self, bitrate_bps: int) -> None:
        self.bitrate_bps = bitrate_bps
        self.min_bps, self.max_bps = 0, bitrate_bps
        self._changed_us = -_RAISE_INTERVAL_US

    def follow(self, target_bps: int, now_us: int) -> int | None:
        """The new bitrate, None where it stays."""
        target_bps = min(max(target_bps, self.min_bps), self.max_bps)
        cut = target_bps < self.bitrate_bps * _CUT
        up = target_bps > self.bitrate_bps * _RAISE or self.max_bps == target_bps > self.bitrate_bps
        if not cut and not (up and now_us - self._changed_us >= _RAISE_INTERVAL_US):
            return None
        self.bitrate_bps, self._changed_us = target_bps, now_us
        return target_bps

    def limit(self, min_bps: int, max_bps: int, now_us: int) -> int | None:
        """Sets the user's limits. The new bitrate, None where it stays."""
        self.min_bps, self.max_bps = min_bps, max_bps
        within = min(max(self.bitrate_bps, min_bps), max_bps)
        if within == self.bitrate_bps:
            return None
        self.bitrate_bps, self._changed_us = within, now_us
        return within
