"""Where pictures go: the Presenter interface, its values, and the presenter without a window."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import av

StampQuality = Literal["hardware_flip", "swap_done", "submitted"]
SLOTS = 16  # of overlays
Event = tuple[str, Any]  # ("key", "q"), ("resize", (width, height)), ("expose", None), ("close", None)


@dataclass(frozen=True, slots=True)
class Overlay:
    """White text by 8-bit coverage, row by row, on a ground dimmed to ground/255. `x` and `y` are of the picture on the
    screen; below 0 they keep that distance from its right and lower edge."""

    mask: bytes
    width: int
    height: int
    x: int = 0
    y: int = 0
    ground: int = 90


@dataclass(frozen=True, slots=True)
class Showing:
    """What the window is and shows; replaced whole, so any thread may read it."""

    presenter: str = "none"
    why: str = "no picture yet"
    stamp_quality: str = "submitted"
    refresh_hz: float = 0.0
    size: tuple[int, int] | None = None  # of the picture


class Presenter(Protocol):
    """One thread opens, feeds and closes it; others may call present() where `any_thread` says so, and only one thread
    is in it at a time. Every method but close() raises OSError once the display is gone."""

    name: str
    reason: str  # why this one was picked, a sentence for people
    stamp_quality: StampQuality
    any_thread: bool
    comes_back: bool  # another may be opened after the display was gone

    @property
    def size(self) -> tuple[int, int]:
        """Of the window, pixels."""

    @property
    def refresh_hz(self) -> float:
        """Of the monitor; 0 where it is not known."""

    def present(self, frame: av.VideoFrame, *, dim: int = 255, border: int = -1) -> int:
        """Shows the picture, as large as the window lets it be; returns the local µs its stamp_quality speaks of.

        `dim` of 255 leaves the picture as it is, 0 makes it black; `border` is 0xRRGGBB or -1."""

    def overlay(self, overlay: Overlay | None, slot: int = 0) -> None:
        """Lies over every picture from the next one on, the higher of SLOTS slots on top. None takes it away."""

    def events(self) -> list[Event]:
        """What came since the last call. After "resize" and "expose" the caller presents the newest picture again."""

    def set_fullscreen(self, on: bool) -> None: ...

    def close(self) -> None:
        """May be called twice."""


class NullPresenter:
    """No window: counts pictures and stamps them."""

    name = "null"
    any_thread = comes_back = True
    stamp_quality: StampQuality = "submitted"
    size = (0, 0)
    refresh_hz = 0.0

    def __init__(self, reason: str = "chosen") -> None:
        self.reason = reason
        self.presented = 0

    def present(self, frame: av.VideoFrame, *, dim: int = 255, border: int = -1) -> int:
        self.presented += 1
        return time.monotonic_ns() // 1000

    def overlay(self, overlay: Overlay | None, slot: int = 0) -> None:
        pass

    def events(self) -> list[Event]:
        return []

    def set_fullscreen(self, on: bool) -> None:
        pass

    def close(self) -> None:
        pass
