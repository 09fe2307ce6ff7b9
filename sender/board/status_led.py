"""What the operator sees: one light, a pattern per state, by /sys/class/leds (Documentation/leds/leds-class.rst)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from thinair.link.protocol.source_state import SourceCode

LEDS = Path("/sys/class/leds")
_NAMES = ("ACT", "led0", "default-on")  # Raspberry Pi OS with kernel 6, before, and boards with one light


class Light(StrEnum):
    BOOTING = "booting"  # blinked by the kernel until the service has the light; so is FAULT once it has ended
    NO_NETWORK = "no WiFi"
    NO_PICTURE = "no HDMI picture"
    WAITING = "no receiver"
    LINKED = "linked"
    STREAMING = "streaming"
    FAULT = "fault"


# Milliseconds on, off, on, off ... from the start of each round. One to three flashes: what to look at first.
PATTERNS: dict[Light, tuple[int, ...]] = {
    Light.BOOTING: (900, 100),
    Light.NO_NETWORK: (150, 1850),
    Light.NO_PICTURE: (150, 250, 150, 1450),
    Light.WAITING: (150, 250, 150, 250, 150, 1050),
    Light.LINKED: (500, 500),
    Light.STREAMING: (2000,),
    Light.FAULT: (100, 100),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the service knows. `source` is None until its first word."""

    fault: bool = False
    network: bool = False
    source: SourceCode | None = None
    linked: bool = False
    streaming: bool = False  # access units leave


def choose(facts: Facts) -> Light:
    """The first thing in the chain that is missing, in the order in which a person would look."""
    if facts.fault:
        return Light.FAULT
    if not facts.network:
        return Light.NO_NETWORK
    if facts.source is not SourceCode.LIVE:
        return Light.NO_PICTURE
    if not facts.linked:
        return Light.WAITING
    return Light.STREAMING if facts.streaming else Light.LINKED


def rhythm(light: Light) -> Iterator[tuple[bool, float]]:
    """(on, seconds) for one round."""
    for index, length_ms in enumerate(PATTERNS[light]):
        yield index % 2 == 0, length_ms / 1000


def find(leds: Path = LEDS) -> Path | None:
    """The board's own light, where there is one."""
    return next((leds / name for name in _NAMES if (leds / name / "brightness").exists()), None)


class Lamp:
    """Switches the light. One that cannot be written is no reason to stop: `works` says so."""

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
