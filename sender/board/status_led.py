"""The board's status LED: a pattern for each state, through /sys/class/leds (Documentation/leds/leds-class.rst)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from thinair.link.protocol.source_state import SourceCode

LEDS = Path("/sys/class/leds")
_NAMES = ("ACT", "led0", "default-on")  # Raspberry Pi OS with kernel 6, before, and boards with one LED


class LedState(StrEnum):
    BOOTING = "booting"  # the kernel blinks it until the service has the LED; FAULT too, once the service has ended
    NO_NETWORK = "no WiFi"
    NO_PICTURE = "no HDMI picture"
    WAITING = "no receiver"
    LINKED = "linked"
    STREAMING = "streaming"
    FAULT = "fault"


# Milliseconds on, off, on, off ... from the start of each round. One to three flashes: what to check first.
PATTERNS: dict[LedState, tuple[int, ...]] = {
    LedState.BOOTING: (900, 100),
    LedState.NO_NETWORK: (150, 1850),
    LedState.NO_PICTURE: (150, 250, 150, 1450),
    LedState.WAITING: (150, 250, 150, 250, 150, 1050),
    LedState.LINKED: (500, 500),
    LedState.STREAMING: (2000,),
    LedState.FAULT: (100, 100),
}


@dataclass(frozen=True, slots=True)
class LedInputs:
    """What the LED's state depends on. `source` is None until its first report."""

    fault: bool = False
    network: bool = False
    source: SourceCode | None = None
    linked: bool = False
    streaming: bool = False  # access units leave


def choose_state(inputs: LedInputs) -> LedState:
    """The first part of the path that is missing, in the order in which a person would check."""
    if inputs.fault:
        return LedState.FAULT
    if not inputs.network:
        return LedState.NO_NETWORK
    if inputs.source is not SourceCode.LIVE:
        return LedState.NO_PICTURE
    if not inputs.linked:
        return LedState.WAITING
    return LedState.STREAMING if inputs.streaming else LedState.LINKED


def steps(state: LedState) -> Iterator[tuple[bool, float]]:
    """(on, seconds) for one round."""
    for index, length_ms in enumerate(PATTERNS[state]):
        yield index % 2 == 0, length_ms / 1000


def find_led(leds: Path = LEDS) -> Path | None:
    """The board's own LED; None where there is none."""
    return next((leds / name for name in _NAMES if (leds / name / "brightness").exists()), None)


class StatusLed:
    """An LED that cannot be written is no reason to stop: `works` turns false."""

    def __init__(self, led: Path | None) -> None:
        self._led = led
        self._brightest = "1"
        self.works = led is not None
        if led is not None:
            with contextlib.suppress(OSError):
                self._brightest = (led / "max_brightness").read_text().strip()
            if not (led / "trigger").exists() or "[none]" not in _read(led / "trigger"):
                self._write("trigger", "none")

    def set(self, on: bool) -> None:
        self._write("brightness", self._brightest if on else "0")

    def _write(self, name: str, value: str) -> None:
        if self._led is None or not self.works:
            return
        try:
            (self._led / name).write_text(value)
        except OSError:
            self.works = False


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
