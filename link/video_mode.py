"""Video modes, as a person writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from thinair.link.errors import ConfigError

_NTSC = {"23.976": 24, "23.98": 24, "29.97": 30, "47.95": 48, "59.94": 60, "119.88": 120}


@dataclass(frozen=True, slots=True)
class Mode:
    """Size in pixels and pictures per second."""

    width: int
    height: int
    rate: Fraction

    @classmethod
    def parse(cls, text: str) -> Mode:
        """`1920x1080@25`, `@30000/1001`, `@29.97` (which means 30000/1001). Raises ConfigError."""
        match = re.fullmatch(r"(\d{1,5})x(\d{1,5})@(\d{1,6}(?:\.\d{1,6})?|\d{1,6}/\d{1,6})", text, re.ASCII)
        if match is None:
            raise ConfigError(f"{text!r} is not a video mode: write WIDTHxHEIGHT@RATE, such as 1920x1080@25")
        width, height, rate_text = int(match[1]), int(match[2]), match[3]
        if rate_text in _NTSC:
            rate = Fraction(_NTSC[rate_text] * 1000, 1001)
        else:
            top, _, bottom = rate_text.partition("/")
            divisor = int(bottom or 1)
            rate = Fraction(top) / divisor if divisor else Fraction(0)
        if not (16 <= width <= 8192 and 16 <= height <= 8192) or width % 2 or height % 2:
            raise ConfigError(f"video mode {text!r} has an impossible size: give even numbers from 16 to 8192")
        if not 1 <= rate <= 240:
            raise ConfigError(f"video mode {text!r} has an impossible rate: give 1 to 240 pictures per second")
        return cls(width, height, rate)

    @property
    def interval_us(self) -> Fraction:
        return 1_000_000 / self.rate

    def __str__(self) -> str:
        return f"{self.width}x{self.height}@{self.rate}"
