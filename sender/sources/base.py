"""What every source of pictures offers: testcard, screen, file, HDMI."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

from thinair.link.video_mode import Mode
from thinair.sender.picture import Colour, NewMode, NoPicture, Picture


class Source(Protocol):
    """open(), then next() by one thread until it returns None, then close(). `mode` and `colour` hold after open(); a
    camera's input gives a NewMode before its first picture."""

    name: str
    mode: Mode
    colour: Colour

    def open(self) -> None:
        """Raises DeviceError where the device, display or file is missing, ConfigError where the request is wrong."""

    def next(self) -> Picture | NewMode | NoPicture | None:
        """Waits for the next picture at the source's own pace. None: the source has ended. Raises DeviceError."""

    def request_mode(self, mode: Mode) -> NewMode | None:
        """By the thread of next(): other pictures are wanted. They come from the next one on, or (None) once the camera
        has changed, which next() will tell. Raises ConfigError, saying why, where they cannot be had; all stays."""

    def close(self) -> None: ...


class Pace:
    """Absolute due times of a fixed rate: no drift, and what is missed is skipped and counted instead of bunched."""

    def __init__(self, rate: Fraction, start_us: int) -> None:
        self._rate = rate
        self._start_us = start_us
        self.index = -1  # of the picture whose time `take` returned last

    def due_us(self, index: int) -> int:
        return self._start_us + index * 1_000_000 * self._rate.denominator // self._rate.numerator

    def take(self, now_us: int) -> tuple[int, int]:
        """(due time of the next picture to make, pictures skipped): the newest one due, or the first to come."""
        following = self.index + 1
        latest = (now_us - self._start_us) * self._rate.numerator // (1_000_000 * self._rate.denominator)
        skipped = max(0, latest - following)
        self.index = following + skipped
        return self.due_us(self.index), skipped
