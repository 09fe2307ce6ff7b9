"""The light and systemd's watchdog, kept by one task of the service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from thinair.sender.board.status_led import Facts, Lamp, Light, choose, rhythm
from thinair.sender.systemd.sd_notify import Notifier

_STEP_S = 0.25  # a new state shows after this long at most
NETS = Path("/sys/class/net")


class Panel:
    """`progress` counts whatever shows that the chain lives: a picture, or the source's word, twice a second, that
    there is none. The watchdog is fed only when it moved."""

    def __init__(self, lamp: Lamp, notifier: Notifier, facts: Callable[[], Facts], progress: Callable[[], int]) -> None:
        self._lamp = lamp
        self._notifier = notifier
        self._facts = facts
        self._progress = progress
        self._counted = -1

    async def run(self) -> None:
        light = choose(self._facts())
        while True:
            for on, seconds in rhythm(light):
                self._lamp.set(on)
                if (new := await self._hold(light, seconds)) is not light:
                    light = new
                    self._notifier.status(light.value)
                    break

    async def _hold(self, light: Light, seconds: float) -> Light:
        """Waits, but ends as soon as another state is to be shown, which it returns."""
        while seconds > 0:
            self._feed()
            await asyncio.sleep(min(seconds, _STEP_S))
            seconds -= _STEP_S
            if (new := choose(self._facts())) is not light:
                return new
        return light

    def _feed(self) -> None:
        if (count := self._progress()) != self._counted:
            self._counted = count
            self._notifier.alive()


def network_up(nets: Path = NETS) -> bool:
    """Whether the WiFi is connected; where there is none, whether any cable is."""
    found = [path for path in nets.glob("*/operstate") if path.parent.name != "lo"]
    radios = [path for path in found if (path.parent / "wireless").exists()]
    return any(_text(path) == "up" for path in radios or found)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
