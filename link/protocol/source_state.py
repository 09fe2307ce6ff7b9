"""What stands between a camera and its picture, in words both ends share. Numbers are those of the wire."""

from dataclasses import dataclass
from enum import IntEnum

DETAIL_BYTES = 64


class SourceCode(IntEnum):
    LIVE = 0
    NO_DEVICE = 1  # the capture device is not there
    NO_CABLE = 2  # no +5 V from the camera
    NO_SIGNAL = 3  # a cable, and nothing on it
    NO_SYNC = 4  # a signal the receiver chip cannot lock to
    UNSUPPORTED = 5  # a mode that is not carried; the detail says which and why
    STALLED = 6  # locked, and no pictures come


_WORDS = {
    SourceCode.LIVE: "live",
    SourceCode.NO_DEVICE: "no HDMI input at the sender",
    SourceCode.NO_CABLE: "no HDMI cable at the camera",
    SourceCode.NO_SIGNAL: "no HDMI signal from the camera",
    SourceCode.NO_SYNC: "HDMI signal without sync",
    SourceCode.UNSUPPORTED: "camera's mode is not carried",
    SourceCode.STALLED: "HDMI locked, but no pictures come",
}


@dataclass(frozen=True, slots=True)
class SourceState:
    """`since_us` is on the sender's clock. `detail` is for people, at most DETAIL_BYTES of UTF-8."""

    code: SourceCode
    since_us: int
    detail: str = ""

    def title(self) -> str:
        """`no HDMI cable at the camera`, `camera sends 1080i50: not carried, choose 1080p25`."""
        if self.code is SourceCode.UNSUPPORTED and ": not carried" in self.detail:
            return f"camera sends {self.detail}"
        return _WORDS[self.code] + (f": {self.detail}" if self.detail else "")

    def words(self, now_us: int) -> str:
        """A sentence with its age: `no HDMI cable at the camera for 12 s`."""
        return f"{self.title()} for {max(0, now_us - self.since_us) / 1e6:.0f} s"
