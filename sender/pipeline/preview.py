"""The preview: a small JPEG of what the camera shows, at most one a second; no work while no page requests it."""

from __future__ import annotations

import asyncio
import ctypes
import ctypes.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thinair.link.native import now_us

if TYPE_CHECKING:
    import av

WIDTH = 320
_INTERVAL_US = 1_000_000
_QUALITY = 70
_TIMEOUT_S = 1.0
_POLL_S = 0.02
_420 = 2  # turbojpeg.h: TJSAMP_420


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """I420: planes of width x height, and twice a quarter of it."""

    width: int
    height: int
    planes: tuple[bytes, bytes, bytes]
    strides: tuple[int, int, int]


class Preview:
    """`take` requests a picture from the pipeline, and gives it once it is there."""

    def __init__(self, take: Callable[[], Thumbnail | None]) -> None:
        self._take = take
        self._made_us = -_INTERVAL_US
        self._jpeg: bytes | None = None
        self._making = asyncio.Lock()

    async def newest(self) -> bytes | None:
        async with self._making:
            if now_us() - self._made_us >= _INTERVAL_US:
                self._jpeg = await self._make()
                self._made_us = now_us()
            return self._jpeg

    async def _make(self) -> bytes | None:
        self._take()  # discards an old one
        until_us = now_us() + int(_TIMEOUT_S * 1e6)
        while (found := self._take()) is None:
            if now_us() > until_us:
                return None
            await asyncio.sleep(_POLL_S)
        return await asyncio.to_thread(compress, found)


def thumbnail_of(frame: av.VideoFrame) -> Thumbnail:
    height = max(16, round(WIDTH * frame.height / frame.width / 16) * 16)
    small = frame.reformat(width=WIDTH, height=height, format="yuv420p")
    planes = tuple(bytes(plane) for plane in small.planes)
    strides = tuple(plane.line_size for plane in small.planes)
    return Thumbnail(WIDTH, height, planes, strides)  # type: ignore[arg-type]  # three of each


def packed_thumbnail(width: int, height: int, data: bytes) -> Thumbnail:
    """`data`: I420 without gaps."""
    size, half = width * height, width // 2
    quarter = half * (height // 2)
    planes = data[:size], data[size : size + quarter], data[size + quarter :]
    return Thumbnail(width, height, planes, (width, half, half))


def compress(picture: Thumbnail) -> bytes | None:
    """By libturbojpeg, which Debian and Raspberry Pi OS have as libturbojpeg0; None where it is not installed."""
    name = ctypes.util.find_library("turbojpeg")
    if name is None:
        return None
    library = ctypes.CDLL(name)
    library.tjInitCompress.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(library.tjInitCompress())
    buffer, size = ctypes.POINTER(ctypes.c_ubyte)(), ctypes.c_ulong()
    planes = (ctypes.c_char_p * 3)(*picture.planes)
    strides = (ctypes.c_int * 3)(*picture.strides)
    try:
        failed = library.tjCompressFromYUVPlanes(
            handle, planes, picture.width, strides, picture.height, _420,
            ctypes.byref(buffer), ctypes.byref(size), _QUALITY, 0,
        )  # fmt: skip
        return None if failed else ctypes.string_at(buffer, size.value)
    finally:
        library.tjFree(buffer)
        library.tjDestroy(handle)
