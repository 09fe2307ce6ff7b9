"""Source states: why there is no camera picture. Numbers are those on the wire."""

from dataclasses import dataclass
from enum import IntEnum

DETAIL_BYTES = 64


class SourceCode(IntEnum):
    LIVE = 0
    NO_DEVICE = 1  # no capture device
    NO_CABLE = 2  # no +5 V from the camera
    NO_SIGNAL = 3  # a cable without a signal
    NO_SYNC = 4  # a signal that the bridge cannot lock to
    UNSUPPORTED = 5  # an unsupported mode; the detail says which and why
    STALLED = 6  # locked, without pictures


_TITLES = {
    SourceCode.LIVE: "live",
    SourceCode.NO_DEVICE: "no HDMI input at the sender",
    SourceCode.NO_CABLE: "no HDMI cable at the camera",
    SourceCode.NO_SIGNAL: "no HDMI signal from the camera",
    SourceCode.NO_SYNC: "HDMI signal without sync",
    SourceCode.UNSUPPORTED: "video mode of the camera is not supported",
    SourceCode.STALLED: "HDMI locked, but no pictures",
}


@dataclass(frozen=True, slots=True)
class SourceState:
    """`since_us` is on the sender's clock. `detail` is shown to users, at most DETAIL_BYTES of UTF-8."""

    code: SourceCode
    since_us: int
    detail: str = ""

    def title(self) -> str:
        """`no HDMI cable at the camera`, `camera sends 1080i50: not supported, choose 1080p25`."""
        if self.code is SourceCode.UNSUPPORTED and ": not supported" in self.detail:
            return f"camera sends {self.detail}"
        return _TITLES[self.code] + (f": {self.detail}" if self.detail else "")

    def words(self, now_us: int) -> str:
        """A sentence with its age: `no HDMI cable at the camera for 12 s`."""
        return f"{self.title()} for {max(0, now_us - self.since_us) / 1e6:.0f} s"
