"""The camera's HDMI input, watched: says when its capture node can be opened, in which mode, and when to let go of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sender.sources.base import Mode, NoPicture


@dataclass(frozen=True, slots=True)
class Start:
    """Open the capture: timings and pads are set. `fourcc` and the mode's size are for S_FMT, its rate for S_PARM where
    the driver has that (USB grabbers)."""

    mode: Mode
    node: str  # capture node, such as /dev/video0
    fourcc: str  # such as UYVY
    driver: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Close the capture, buffers and all, before `poll` is called again: new timings need a driver without buffers."""


class Port(Protocol):
    """What HdmiPort(device, edid, *, wish, fourccs) offers. All methods belong to one thread."""

    notes: list[str]  # for the operator, such as what was done about the EDID

    def open(self) -> None:
        """Raises DeviceError where there is no HDMI input or it is none, ConfigError for an EDID that cannot be sent."""

    def poll(self, timeout_us: int, capture_fd: int = -1) -> Sequence[Start | Stop | NoPicture]:
        """What is to be done, in this order, before the next call. Waits for the timeout, or until `capture_fd` has a
        picture; empty then. NoPicture comes at each change of state (LIVE with the first picture after a Start) and
        twice a second while there is no picture. Never two Starts without a Stop or `failed` between."""

    def picture_seen(self, at_us: int) -> None:
        """The capture gave a picture at this time (its dequeueing). Holds off the watchdog of two pictures."""

    def failed(self, error: OSError) -> None:
        """The capture could not be opened after a Start, or broke down; it is closed. A retry comes by itself."""

    def close(self) -> None: ...
