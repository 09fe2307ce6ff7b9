"""The faults of a soak: one after the other, each of which ends by itself."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from thinair.bench.harness.xvfb_screen import ScreenError
from thinair.bench.soak.rig import SoakRig
from thinair.link.errors import LinkError
from thinair.link.native import now_us

KINDS = (
    "player killed",
    "sender killed",
    "link down",
    "channel loss",
    "source changes",
    "clock steps",
    "display gone",
)
KILLS = KINDS[:2]
_LINK_DOWN_S, _DISPLAY_GONE_S = 2.0, 1.0
_LOSS_MODEL, _LOSS_S = "B", 5.0
_CLOCK_STEP_S, _CLOCK_STEPPED_S = 2.0, 1.0
_OTHER_RATE = Fraction(30)
_DISPLAY_TRIES = 5  # while another program has the display number


@dataclass(frozen=True, slots=True)
class Fault:
    """The path was disturbed from `began_us` to `over_us`; the picture may take up to a second longer to recover."""

    kind: str
    began_us: int
    over_us: int
    note: str = ""  # why the system refused it


class Faults:
    def __init__(self, rig: SoakRig) -> None:
        self._rig = rig
        self._mode = rig.mode
        self._faults: dict[str, Callable[[], int]] = {
            "player killed": lambda: self._kill("player"),
            "sender killed": lambda: self._kill("sender"),
            "link down": self._link_down,
            "channel loss": self._channel_loss,
            "source changes": self._source,
            "clock steps": self._clock,
            "display gone": self._display,
        }

    def do(self, kind: str) -> Fault:
        began_us = now_us()
        try:
            over_us = self._faults[kind]()
        except (OSError, LinkError) as error:
            return Fault(kind, began_us, now_us(), f"{type(error).__name__}: {error}")
        return Fault(kind, began_us, over_us)

    def _kill(self, name: str) -> int:
        """Ends when the process is started again, as a service manager would."""
        self._rig.stop(name, signal.SIGKILL)
        over_us = now_us()
        self._rig.start(name)
        return over_us

    def _link_down(self) -> int:
        self._rig.command_relay("down")
        time.sleep(_LINK_DOWN_S)
        self._rig.command_relay("up")
        return now_us()

    def _channel_loss(self) -> int:
        self._rig.command_relay(f"model {_LOSS_MODEL}")
        time.sleep(_LOSS_S)
        self._rig.command_relay("model none")
        return now_us()

    def _source(self) -> int:
        """Another picture rate, and the next time the first one again; the sampler needs the size to stay."""
        first = self._rig.mode
        other = replace(first, rate=_OTHER_RATE if first.rate != _OTHER_RATE else Fraction(25))
        self._mode = first if self._mode != first else other
        self._rig.set_mode(self._mode)
        return now_us()

    def _clock(self) -> int:
        """The wall clock two seconds ahead, for a second; thinair must not depend on it."""
        with _stepped(_CLOCK_STEP_S):
            time.sleep(_CLOCK_STEPPED_S)
        return now_us()

    def _display(self) -> int:
        number = self._rig.stop_display()
        time.sleep(_DISPLAY_GONE_S)
        for left in range(_DISPLAY_TRIES, -1, -1):
            try:
                self._rig.start_display(number)
                break
            except ScreenError as error:
                if not left:
                    raise ScreenError(f"{error}: another program has taken display {number}") from error
                time.sleep(_DISPLAY_GONE_S)
        return now_us()


@contextlib.contextmanager
def _stepped(seconds: float) -> Iterator[None]:
    """Raises PermissionError where this process may not set the clock."""
    time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME) + seconds)
    try:
        yield
    finally:
        time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME) - seconds)
