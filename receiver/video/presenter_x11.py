"""Pictures in an X11 window, converted in C straight into shared memory. For displays without a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thinair.link.errors import DeviceError
from thinair.link.native import X11Presenter
from thinair.receiver.video.i420 import Preparer, fit, planes

if TYPE_CHECKING:
    import av

    from thinair.receiver.video.presenter import Event, Overlay, StampQuality


class X11WindowPresenter:
    """`swap_done`: the stamp is taken when the server has copied the picture to the screen; where a compositor stands
    in between the copy goes there, and the stamp says `submitted`."""

    name = "x11"
    any_thread = comes_back = True
    stamp_quality: StampQuality

    def __init__(
        self, reason: str, *, width: int, height: int, title: str, fullscreen: bool, display: str | None, monitor: int
    ) -> None:
        """Raises DeviceError."""
        self.reason = reason
        self._preparer = Preparer()
        try:
            self._window = X11Presenter(
                display=display, title=title, width=width, height=height, fullscreen=fullscreen, monitor=monitor
            )
        except (OSError, ValueError) as error:
            raise DeviceError(str(error)) from error
        self.refresh_hz = self._window.refresh_hz
        self.stamp_quality = "submitted" if self._window.composited else "swap_done"

    @property
    def size(self) -> tuple[int, int]:
        return self._window.size

    def present(self, frame: av.VideoFrame, *, dim: int = 255, border: int = -1) -> int:
        fitted = fit((frame.width, frame.height), self._window.size)
        picture, colour = self._preparer.prepare(frame, fitted)
        y, u, v = planes(picture)
        return self._window.present(
            y, u, v, y.line_size, u.line_size, v.line_size, picture.width, picture.height,
            bt709=colour.bt709, full_range=colour.full_range, dim=dim, border=border,
        )  # fmt: skip

    def overlay(self, overlay: Overlay | None, slot: int = 0) -> None:
        if overlay is None:
            self._window.overlay(None, 0, 0, 0, 0, slot=slot)
        else:
            place = overlay.width, overlay.height, overlay.x, overlay.y
            self._window.overlay(overlay.mask, *place, overlay.ground, slot)

    def events(self) -> list[Event]:
        return self._window.events()

    def set_fullscreen(self, on: bool) -> None:
        self._window.set_fullscreen(on)

    def close(self) -> None:
        self._window.close()
