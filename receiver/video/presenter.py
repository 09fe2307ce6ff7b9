"""Where pictures go: the Presenter interface, and the choice of one for this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from thinair.link.errors import ConfigError, DeviceError

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


def open_presenter(
    choice: str = "auto",
    *,
    width: int,
    height: int,
    title: str = "thinair",
    fullscreen: bool = False,
    display: str | None = None,
    monitor: int = -1,
) -> Presenter:
    """`choice`: auto, x11, sdl or null. `width` and `height` are the picture's; `display` names an X display other than
    $DISPLAY. Auto never fails: it ends at null, with the reason. DeviceError where a named choice cannot be had."""
    window = {
        "width": width, "height": height, "title": title, "fullscreen": fullscreen, "display": display,
        "monitor": monitor,
    }  # fmt: skip
    if choice == "auto":
        return _automatic(window)
    if choice == "null":
        return NullPresenter()
    if choice == "x11":
        return _x11("chosen", window)
    if choice == "sdl":
        return _sdl("chosen", window)
    raise ConfigError(f"presenter {choice!r} is not known: use auto, x11, sdl or null")


def _automatic(window: dict[str, Any]) -> Presenter:
    refusals: list[str] = []
    for attempt in _attempts(window):
        try:
            return attempt()
        except OSError as error:
            refusals.append(str(error))
    return NullPresenter("no display: " + ("; ".join(refusals) or "neither DISPLAY nor WAYLAND_DISPLAY is set"))


def _attempts(window: dict[str, Any]) -> Iterator[Callable[[], Presenter]]:
    """SDL where a GPU draws, XShm where there is an X server, SDL's software renderer for the rest."""
    named = window["display"] or os.environ.get("DISPLAY")
    if _gpus():
        yield lambda: _sdl("a GPU drives the display", window, gpu=True)
    if named:
        yield lambda: _x11(f"X display {named} without a GPU", window)
    if os.environ.get("WAYLAND_DISPLAY"):
        yield lambda: _sdl("Wayland without a GPU", window)


def _gpus() -> list[Path]:
    return sorted(Path("/dev/dri").glob("renderD*"))


def _x11(reason: str, window: dict[str, Any]) -> Presenter:
    from thinair.receiver.video.presenter_x11 import X11WindowPresenter

    return X11WindowPresenter(reason, **window)


def _sdl(reason: str, window: dict[str, Any], *, gpu: bool = False) -> Presenter:
    try:
        from thinair.receiver.video.presenter_sdl import SdlPresenter
    except ImportError as error:
        raise DeviceError(f"SDL is not installed ({error}): pip install 'thinair[pc]'") from error
    return SdlPresenter(reason, gpu=gpu, **window)
