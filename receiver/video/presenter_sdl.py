"""Pictures in an SDL window: the YUV planes go to the GPU as they are. Where there is none, SDL's software renderer."""

from __future__ import annotations

import ctypes
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinair.link.errors import DeviceError
from thinair.link.native import i420_to_bgrx
from thinair.receiver.video.i420 import Colour, Preparer, fit, planes

with warnings.catch_warnings():  # PySDL2 warns about the library it found
    warnings.simplefilter("ignore")
    import sdl2

if TYPE_CHECKING:
    import av

    from thinair.receiver.video.presenter import Event, Overlay, StampQuality

_SOFTWARE_GL = ("llvmpipe", "softpipe", "swrast", "swr", "software")
_GL_RENDERER = 0x1F01
_YUV_FULL_BT601, _YUV_BT601, _YUV_BT709 = range(3)  # of SDL_YUV_CONVERSION_MODE; there is no full-range BT.709
_BYTES = ctypes.POINTER(ctypes.c_ubyte)
_IO_ERROR = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_ON_IO_ERROR = _IO_ERROR(lambda _display: 0)  # the usual one prints, and exits before the other is asked
_IO_ERROR_EXIT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_NAMED_KEYS = {
    sdl2.SDLK_ESCAPE: "Escape", sdl2.SDLK_RETURN: "Return", sdl2.SDLK_TAB: "Tab", sdl2.SDLK_BACKSPACE: "BackSpace",
    sdl2.SDLK_LEFT: "Left", sdl2.SDLK_RIGHT: "Right", sdl2.SDLK_UP: "Up", sdl2.SDLK_DOWN: "Down",
    sdl2.SDLK_SPACE: "space",
    **{sdl2.SDLK_F1 + n: f"F{n + 1}" for n in range(12)},
}  # fmt: skip
_NAMED_SIGNS = {"?": "question", "/": "slash", "+": "plus", "-": "minus"}

_INVISIBLE = frozenset({"offscreen", "dummy", "evdev"})  # what SDL falls back to by itself


class SdlPresenter:
    """Stamps are taken when SDL_RenderPresent returns: submitted, nothing is known about the flip."""

    name = "sdl"
    any_thread = False  # a GL context belongs to one
    comes_back = False  # SDL does not outlive its video subsystem's display
    stamp_quality: StampQuality = "submitted"

    def __init__(
        self,
        reason: str,
        *,
        width: int,
        height: int,
        title: str,
        fullscreen: bool,
        display: str | None,
        monitor: int,
        gpu: bool = False,
    ) -> None:
        """`gpu`: refuse to draw without one. Raises DeviceError."""
        self._window: Any = None
        self._renderer: Any = None
        self._texture: Any = None
        self._texture_key: tuple[int, int, int, int] | None = None
        self._overlays: dict[int, tuple[Overlay, Any]] = {}  # slot → overlay, its texture
        self._preparer = Preparer()
        self._gone = False
        self._x11: _X11 | None = None
        if display is not None:
            os.environ["DISPLAY"] = display
        os.environ.setdefault("SDL_VIDEO_X11_WMCLASS", "thinair")
        for hint, value in (
            (sdl2.SDL_HINT_FRAMEBUFFER_ACCELERATION, b"0"),  # else a software window goes through OpenGL: 7 ms, not 1.6
            (sdl2.SDL_HINT_NO_SIGNAL_HANDLERS, b"1"),
            (sdl2.SDL_HINT_RENDER_SCALE_QUALITY, b"1"),
        ):
            sdl2.SDL_SetHint(hint, value)
        if sdl2.SDL_InitSubSystem(sdl2.SDL_INIT_VIDEO) != 0:
            raise DeviceError(f"SDL finds no display: {_error()}")
        driver = (sdl2.SDL_GetCurrentVideoDriver() or b"").decode()
        if driver in _INVISIBLE and os.environ.get("SDL_VIDEODRIVER") != driver:
            sdl2.SDL_QuitSubSystem(sdl2.SDL_INIT_VIDEO)
            raise DeviceError("SDL finds no display: name one with --display, or use --headless")
        try:
            self._open_window(width, height, title, monitor)
            description = self._open_renderer(gpu)
        except DeviceError:
            self.close()
            raise
        self.reason = f"{reason}; renderer {description}"
        self._x11 = _X11.of(self._window, self._on_death)
        if fullscreen:
            self.set_fullscreen(True)

    def _open_window(self, width: int, height: int, title: str, monitor: int) -> None:
        count = sdl2.SDL_GetNumVideoDisplays()
        if monitor >= count:
            raise DeviceError(f"there is no monitor {monitor}: the display has {count}, counted from 0")
        index = max(0, monitor)
        area = sdl2.SDL_Rect()
        sdl2.SDL_GetDisplayUsableBounds(index, ctypes.byref(area))
        if area.w and area.h and (width > area.w or height > area.h):
            width, height = fit((width, height), (area.w, area.h))
        place = sdl2.SDL_WINDOWPOS_CENTERED_MASK | index
        flags = sdl2.SDL_WINDOW_RESIZABLE | sdl2.SDL_WINDOW_ALLOW_HIGHDPI
        self._window = sdl2.SDL_CreateWindow(title.encode(), place, place, width, height, flags)
        if not self._window:
            raise DeviceError(f"SDL opens no window: {_error()}")
        mode = sdl2.SDL_DisplayMode()
        sdl2.SDL_GetCurrentDisplayMode(index, ctypes.byref(mode))
        self.refresh_hz = float(mode.refresh_rate)

    def _open_renderer(self, gpu: bool) -> str:
        """The GPU's renderer where there is one, else (unless `gpu`) the software renderer. Returns its description."""
        description = "software"
        if any(Path("/dev/dri").glob("renderD*")):
            self._renderer = sdl2.SDL_CreateRenderer(self._window, -1, sdl2.SDL_RENDERER_ACCELERATED)
            description = self._renderer_name() if self._renderer else "software"
        if not any(word in description.lower() for word in _SOFTWARE_GL):
            return description
        if gpu:
            raise DeviceError(f"no GPU drives the display (SDL's renderer is {description})")
        if self._renderer:
            sdl2.SDL_DestroyRenderer(self._renderer)
        self._renderer = sdl2.SDL_CreateRenderer(self._window, -1, sdl2.SDL_RENDERER_SOFTWARE)
        if not self._renderer:
            raise DeviceError(f"SDL has no renderer: {_error()}")
        return "software"

    def _renderer_name(self) -> str:
        info = sdl2.SDL_RendererInfo()
        sdl2.SDL_GetRendererInfo(self._renderer, ctypes.byref(info))
        name: str = info.name.decode()
        address = sdl2.SDL_GL_GetProcAddress(b"glGetString") if name.startswith("opengl") else None
        if not address:
            return name
        get_string = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_uint)(address)
        return f"{name}, {(get_string(_GL_RENDERER) or b'').decode(errors='replace')}"

    @property
    def size(self) -> tuple[int, int]:
        width, height = ctypes.c_int(), ctypes.c_int()
        sdl2.SDL_GetRendererOutputSize(self._renderer, ctypes.byref(width), ctypes.byref(height))
        return width.value, height.value

    def present(self, frame: av.VideoFrame, *, dim: int = 255, border: int = -1) -> int:
        self._check(0)
        picture, colour = self._preparer.prepare(frame)
        self._load(picture, colour)
        room = self.size
        width, height = fit((picture.width, picture.height), room)
        area = sdl2.SDL_Rect((room[0] - width) // 2, (room[1] - height) // 2, width, height)
        self._check(sdl2.SDL_SetRenderDrawColor(self._renderer, 0, 0, 0, 255))
        self._check(sdl2.SDL_RenderClear(self._renderer))
        self._check(sdl2.SDL_RenderCopy(self._renderer, self._texture, None, ctypes.byref(area)))
        if dim < 255:
            self._fill(area, 0, 255 - dim)
        for _, (overlay, texture) in sorted(self._overlays.items()):
            self._draw_overlay(area, overlay, texture)
        if border >= 0:
            self._draw_border(area, border)
        sdl2.SDL_RenderPresent(self._renderer)
        self._check(0)
        return time.monotonic_ns() // 1000

    def _load(self, picture: av.VideoFrame, colour: Colour) -> None:
        """Into a texture of its kind. Full-range BT.709 is what SDL 2 does not know: that comes as RGB."""
        width, height, y, u, v = picture.width, picture.height, *planes(picture)
        kind = sdl2.SDL_PIXELFORMAT_IYUV
        if colour.bt709 and colour.full_range:
            kind = sdl2.SDL_PIXELFORMAT_ARGB8888
        mode = _YUV_BT709 if colour.bt709 else _YUV_FULL_BT601 if colour.full_range else _YUV_BT601
        if self._texture_key != (kind, mode, width, height):
            self._texture_key = (kind, mode, width, height)
            sdl2.SDL_SetYUVConversionMode(mode)
            if self._texture:
                sdl2.SDL_DestroyTexture(self._texture)
            streaming = sdl2.SDL_TEXTUREACCESS_STREAMING
            self._texture = sdl2.SDL_CreateTexture(self._renderer, kind, streaming, width, height)
            self._check(0 if self._texture else -1)
        if kind == sdl2.SDL_PIXELFORMAT_ARGB8888:
            strides = y.line_size, u.line_size, v.line_size
            pixels = i420_to_bgrx(y, u, v, *strides, width, height, bt709=True, full_range=True)
            self._check(sdl2.SDL_UpdateTexture(self._texture, None, pixels, 4 * width))
            return
        data = [item for plane in (y, u, v) for item in (ctypes.cast(plane.buffer_ptr, _BYTES), plane.line_size)]
        self._check(sdl2.SDL_UpdateYUVTexture(self._texture, None, *data))

    def _fill(self, area: Any, rgb: int, alpha: int) -> None:
        sdl2.SDL_SetRenderDrawBlendMode(self._renderer, sdl2.SDL_BLENDMODE_BLEND)
        sdl2.SDL_SetRenderDrawColor(self._renderer, rgb >> 16 & 255, rgb >> 8 & 255, rgb & 255, alpha)
        self._check(sdl2.SDL_RenderFillRect(self._renderer, ctypes.byref(area)))

    def _draw_overlay(self, area: Any, overlay: Overlay, texture: Any) -> None:
        x = area.x + overlay.x + (area.w - overlay.width if overlay.x < 0 else 0)
        y = area.y + overlay.y + (area.h - overlay.height if overlay.y < 0 else 0)
        place = sdl2.SDL_Rect(x, y, overlay.width, overlay.height)
        self._fill(place, 0, 255 - overlay.ground)
        self._check(sdl2.SDL_RenderCopy(self._renderer, texture, None, ctypes.byref(place)))

    def _draw_border(self, area: Any, rgb: int) -> None:
        thick = 2 + area.h // 120
        for x, y, width, height in (
            (0, 0, area.w, thick),
            (0, area.h - thick, area.w, thick),
            (0, thick, thick, area.h - 2 * thick),
            (area.w - thick, thick, thick, area.h - 2 * thick),
        ):
            self._fill(sdl2.SDL_Rect(area.x + x, area.y + y, width, height), rgb, 255)

    def overlay(self, overlay: Overlay | None, slot: int = 0) -> None:
        if slot in self._overlays:
            sdl2.SDL_DestroyTexture(self._overlays.pop(slot)[1])
        if overlay is None:
            return
        white = bytearray(b"\xff") * (4 * overlay.width * overlay.height)
        white[3::4] = overlay.mask
        texture = sdl2.SDL_CreateTexture(
            self._renderer, sdl2.SDL_PIXELFORMAT_ARGB8888, sdl2.SDL_TEXTUREACCESS_STATIC, overlay.width, overlay.height
        )
        self._check(0 if texture else -1)
        self._overlays[slot] = overlay, texture
        pixels = (ctypes.c_ubyte * len(white)).from_buffer(white)
        self._check(sdl2.SDL_UpdateTexture(texture, None, pixels, 4 * overlay.width))
        self._check(sdl2.SDL_SetTextureBlendMode(texture, sdl2.SDL_BLENDMODE_BLEND))

    def events(self) -> list[Event]:
        taken: list[Event] = []
        event = sdl2.SDL_Event()
        while not self._gone and sdl2.SDL_PollEvent(ctypes.byref(event)):
            if event.type == sdl2.SDL_QUIT:
                taken.append(("close", None))
            elif event.type == sdl2.SDL_WINDOWEVENT and event.window.event == sdl2.SDL_WINDOWEVENT_SIZE_CHANGED:
                taken.append(("resize", self.size))
            elif event.type == sdl2.SDL_WINDOWEVENT and event.window.event == sdl2.SDL_WINDOWEVENT_EXPOSED:
                taken.append(("expose", None))
            elif event.type == sdl2.SDL_KEYDOWN and (key := _key_name(event.key.keysym)):
                taken.append(("key", key))
            elif event.type == sdl2.SDL_TEXTINPUT and (sign := _NAMED_SIGNS.get(event.text.text.decode())):
                taken.append(("key", sign))
        self._check(0)
        return taken

    def set_fullscreen(self, on: bool) -> None:
        self._check(0)
        if self._x11 is not None and not self._x11.managed():
            self._x11.fill_screen(self._window, on)
            return
        flags = sdl2.SDL_WINDOW_FULLSCREEN_DESKTOP if on else 0
        self._check(sdl2.SDL_SetWindowFullscreen(self._window, flags))

    def _on_death(self) -> None:
        self._gone = True

    def _check(self, status: int) -> None:
        if self._gone:
            raise OSError("the display is gone")
        if status != 0:
            raise OSError(f"SDL: {_error()}")

    def close(self) -> None:
        if self._gone or self._window is None:  # a dead display's objects are left alone: Xlib would wait for it
            self._window = None
            return
        if self._renderer:
            sdl2.SDL_DestroyRenderer(self._renderer)  # and its textures
        sdl2.SDL_DestroyWindow(self._window)
        sdl2.SDL_QuitSubSystem(sdl2.SDL_INIT_VIDEO)
        self._window = self._renderer = self._texture = None
        self._overlays.clear()


class _X11:
    """What SDL leaves open on X11: full screen without a window manager, and outliving the server."""

    def __init__(self, library: ctypes.CDLL, display: int, window: int) -> None:
        self._library = library
        self._display = ctypes.c_void_p(display)
        self._on_death: Any = None  # kept alive
        self._before: tuple[int, int, int, int] | None = None
        self._window = ctypes.c_ulong(window)

    @classmethod
    def of(cls, window: Any, on_death: Callable[[], None]) -> _X11 | None:
        """None where the window is not on X11. `on_death` is called in place of exit() (XSetIOErrorExitHandler of
        libX11 1.7; where that is missing the process ends with the server, as every Xlib program does)."""
        info = sdl2.SDL_SysWMinfo()
        sdl2.SDL_VERSION(info.version)
        if not sdl2.SDL_GetWindowWMInfo(window, ctypes.byref(info)) or info.subsystem != sdl2.SDL_SYSWM_X11:
            return None
        try:
            library = ctypes.CDLL("libX11.so.6")
            own = cls(library, info.info.x11.display, info.info.x11.window)
            own._on_death = _IO_ERROR_EXIT(lambda _display, _data: on_death())
            library.XSetIOErrorHandler(_ON_IO_ERROR)
            library.XSetIOErrorExitHandler(own._display, own._on_death, None)
        except (OSError, AttributeError):
            return None
        return own

    def managed(self) -> bool:
        """A window manager announces itself by a property of the root window (EWMH)."""
        library, root = self._library, ctypes.c_ulong(self._library.XDefaultRootWindow(self._display))
        atom = ctypes.c_ulong(library.XInternAtom(self._display, b"_NET_SUPPORTING_WM_CHECK", 0))
        kind, count, after = (ctypes.c_ulong() for _ in range(3))
        bits, data = ctypes.c_int(), ctypes.c_void_p()
        asked = (ctypes.c_long(0), ctypes.c_long(1), 0, ctypes.c_ulong(0))  # one word of any type, kept
        answer = (ctypes.byref(item) for item in (kind, bits, count, after, data))
        library.XGetWindowProperty(self._display, root, atom, *asked, *answer)
        if data:
            library.XFree(data)
        return count.value > 0

    def fill_screen(self, window: Any, on: bool) -> None:
        """To the monitor's area, or back to where the window was."""
        place = self._before
        if on:
            x, y, width, height = (ctypes.c_int() for _ in range(4))
            sdl2.SDL_GetWindowPosition(window, ctypes.byref(x), ctypes.byref(y))
            sdl2.SDL_GetWindowSize(window, ctypes.byref(width), ctypes.byref(height))
            self._before = (x.value, y.value, width.value, height.value)
            area = sdl2.SDL_Rect()
            sdl2.SDL_GetDisplayBounds(max(0, sdl2.SDL_GetWindowDisplayIndex(window)), ctypes.byref(area))
            place = (area.x, area.y, area.w, area.h)
        if place is not None:
            self._library.XMoveResizeWindow(self._display, self._window, *place)
            self._library.XSync(self._display, 0)


def _key_name(keysym: Any) -> str | None:
    """Letters and digits by what the layout says; where that is no Latin sign, by the key's place."""
    if keysym.sym in _NAMED_KEYS:
        return _NAMED_KEYS[keysym.sym]
    name = chr(keysym.sym) if 0 < keysym.sym < 128 else sdl2.SDL_GetScancodeName(keysym.scancode).decode().lower()
    return name if len(name) == 1 and name.isalnum() else None


def _error() -> str:
    text: str = sdl2.SDL_GetError().decode(errors="replace")
    return text or "no reason given"
