"""The choice of a presenter for this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from thinair.link.errors import ConfigError, DeviceError
from thinair.link.missing_package import install_line
from thinair.receiver.video.presenter import NullPresenter, Presenter


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
    raise ConfigError(f"unknown presenter {choice!r}: use auto, x11, sdl or null")


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
        raise DeviceError(f"SDL is missing ({error}): {install_line('sdl2')}") from error
    return SdlPresenter(reason, gpu=gpu, **window)
