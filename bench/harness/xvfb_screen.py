"""A screen whose pixels can be read, Xvfb with its framebuffer in a file, and the sampler that reads codes from it."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
import tempfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from thinair.link.native import CodeWatcher, now_us
from thinair.sender.sources.visual_code import Code, Geometry, Reader

_XWD = struct.Struct(">25I")  # XWDFile.h: XWDFileHeader, all CARD32, most significant byte first
_XWD_VERSION, _Z_PIXMAP, _COLOUR_BYTES = 7, 2, 12
_START_TIMEOUT_S = 10.0
SAMPLE_US = 200  # sleep between two samples; the wake-up adds about 0.06 ms


class ScreenError(Exception):
    """The screen cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Framebuffer:
    """Layout of an XWD file: bytes to the first pixel, bytes from line to line, width and height in pixels."""

    offset: int
    stride: int
    width: int
    height: int

    @classmethod
    def parse(cls, header: bytes) -> Framebuffer:
        """Raises ScreenError for anything but 32-bit little-endian Z pixmaps, which is what Xvfb writes at depth 24."""
        if len(header) < _XWD.size:
            raise ScreenError(f"framebuffer file of {len(header)} bytes has no XWD header")
        fields = _XWD.unpack_from(header)
        size, version, layout, width, height, order = (fields[i] for i in (0, 1, 2, 4, 5, 7))
        bits, stride, colours = fields[11], fields[12], fields[19]
        if version != _XWD_VERSION or layout != _Z_PIXMAP or bits != 32 or order != 0:
            raise ScreenError(
                f"framebuffer: XWD version {version}, layout {layout}, {bits} bits: start Xvfb at depth 24"
            )
        if stride < width * 4:
            raise ScreenError(f"framebuffer has lines of {stride} bytes for {width} pixels")
        return cls(size + colours * _COLOUR_BYTES, stride, width, height)


@dataclass(frozen=True, slots=True)
class VirtualScreen:
    display: str  # ":51"
    file: Path


class XvfbProcess:
    """An Xvfb of 24 bit, on a free display or on the one named. Raises ScreenError where it does not start."""

    def __init__(self, width: int, height: int, number: str | None = None) -> None:
        if not shutil.which("Xvfb"):
            raise ScreenError("Xvfb is not installed; make bench-setup")
        # In memory: a file on disk would be written back now and then, in the middle of a picture.
        home = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- a private directory is made in it
        self._folder = tempfile.TemporaryDirectory(prefix="thinair-glass-", dir=home)
        read_fd, write_fd = os.pipe()
        argv = ["Xvfb", *([number] if number else []), "-displayfd", str(write_fd)]
        argv += ["-screen", "0", f"{width}x{height}x24", "-fbdir", self._folder.name]
        self._server = subprocess.Popen(
            [*argv, "-nolisten", "tcp", "-noreset", "-s", "0"],
            pass_fds=[write_fd], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(write_fd)
        with os.fdopen(read_fd, "rb") as pipe:
            said = pipe.readline().strip()  # end of file where the server dies
        if not said:
            code = self._server.wait(_START_TIMEOUT_S)
            self._folder.cleanup()
            raise ScreenError(f"Xvfb ended with code {code}")
        self.display = f":{said.decode()}"
        self.screen = VirtualScreen(self.display, Path(self._folder.name) / "Xvfb_screen0")

    def close(self) -> None:
        self._server.terminate()
        self._server.wait(_START_TIMEOUT_S)
        self._folder.cleanup()


@contextmanager
def xvfb(width: int, height: int) -> Iterator[VirtualScreen]:
    """An XvfbProcess for the duration of the context. Raises ScreenError."""
    server = XvfbProcess(width, height)
    try:
        yield server.screen
    finally:
        server.close()


@dataclass(frozen=True, slots=True)
class Sighting:
    """A complete picture on the screen: its code, and when it was first seen."""

    code: Code
    seen_us: int


class ScreenSampler:
    """Reads the visual code from a framebuffer file again and again.

    A picture counts as soon as its top and its bottom code are both there; a partly drawn one does not. `gaps_us`: time
    between two samples, the sampling error."""

    def __init__(self, file: Path, width: int, height: int) -> None:
        with file.open("rb") as opened:
            self._map = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        where = Framebuffer.parse(self._map[: _XWD.size])
        if (where.width, where.height) != (width, height):
            raise ScreenError(f"the screen is {where.width}x{where.height}, not {width}x{height}")
        top, bottom, step = Reader(Geometry(width, height), where.stride, offset=where.offset).places
        self._watcher = CodeWatcher(self._map, top=top, bottom=bottom, step=step, sleep_us=SAMPLE_US)
        self.sightings: list[Sighting] = []
        self.gaps_us = array("I")

    def run(self, done: Callable[[int], bool], check_us: int = 100_000) -> None:
        """Samples until `done(now_us)`, called every `check_us`, is true."""
        while True:
            seen, gaps = self._watcher.watch(now_us() + check_us)
            self.sightings += [Sighting(Code(frame_id, time_us), seen_us) for frame_id, time_us, seen_us in seen]
            self.gaps_us.frombytes(gaps)
            if done(now_us()):
                return

    def forget_gaps(self) -> None:
        """Counts the sampling error from here on."""
        del self.gaps_us[:]

    def close(self) -> None:
        self._watcher.close()
        self._map.close()
