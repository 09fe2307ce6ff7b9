"""The status LED and systemd's watchdog, both served by one task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from thinair.sender.board.status_led import LedInputs, LedState, StatusLed, choose_state, steps
from thinair.sender.systemd.sd_notify import SdNotify

_STEP_S = 0.25  # a new state is shown after this long at most
NETS = Path("/sys/class/net")


class Heartbeat:
    """`progress` rises while the pipeline lives: with each picture, or twice a second with the source's report that
    there is none. The watchdog is fed only when it has risen."""

    def __init__(
        self, led: StatusLed, systemd: SdNotify, inputs: Callable[[], LedInputs], progress: Callable[[], int]
    ) -> None:
        self._led = led
        self._systemd = systemd
        self._inputs = inputs
        self._progress = progress
        self._counted = -1

    async def run(self) -> None:
        """Until cancelled."""
        state = choose_state(self._inputs())
        while True:
            for on, seconds in steps(state):
                self._led.set(on)
                if (new := await self._wait(state, seconds)) is not state:
                    state = new
                    self._systemd.status(state.value)
                    break

    async def _wait(self, state: LedState, seconds: float) -> LedState:
        """The state to be shown next; early where it is another."""
        while seconds > 0:
            self._feed()
            await asyncio.sleep(min(seconds, _STEP_S))
            seconds -= _STEP_S
            if (new := choose_state(self._inputs())) is not state:
                return new
        return state

    def _feed(self) -> None:
        if (count := self._progress()) != self._counted:
            self._counted = count
            self._systemd.alive()


def network_up(nets: Path = NETS) -> bool:
    """Whether WiFi is connected; on a machine without WiFi, whether any cable is."""
    found = [path for path in nets.glob("*/operstate") if path.parent.name != "lo"]
    radios = [path for path in found if (path.parent / "wireless").exists()]
    return any(_text(path) == "up" for path in radios or found)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
