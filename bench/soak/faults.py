"""What a soak does to the chain: one fault after the other, each over after a moment."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from thinair.bench.harness.xvfb_screen import ScreenError
from thinair.bench.soak.rig import Stage
from thinair.link.errors import LinkError
from thinair.link.native import now_us

KINDS = (
    "receiver killed",
    "sender killed",
    "link down",
    "air changes",
    "source changes",
    "clock steps",
    "display gone",
)
KILLS = KINDS[:2]
_DOWN_S, _BAD_AIR_S, _BAD_AIR, _GONE_S = 2.0, 5.0, "B", 1.0
_STEP_S, _STEPPED_S = 2.0, 1.0
_OTHER_RATE = Fraction(30)
_TRIES = 5  # for a display number that another program holds


@dataclass(frozen=True, slots=True)
class Fault:
    """From `began_us` to `over_us` something was wrong from outside; the picture may be late a second longer."""

    kind: str
    began_us: int
    over_us: int
    note: str = ""  # why it was not done


class Faults:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._asked = stage.mode
        self._acts: dict[str, Callable[[], int]] = {
            "receiver killed": lambda: self._kill("player"),
            "sender killed": lambda: self._kill("sender"),
            "link down": self._link_down,
            "air changes": self._air,
            "source changes": self._source,
            "clock steps": self._clock,
            "display gone": self._display,
        }

    def do(self, kind: str) -> Fault:
        began_us = now_us()
        try:
            over_us = self._acts[kind]()
        except (OSError, LinkError) as error:
            return Fault(kind, began_us, now_us(), f"{type(error).__name__}: {error}")
        return Fault(kind, began_us, over_us)

    def _kill(self, name: str) -> int:
        """Over when its process starts again, as a service manager starts it."""
        self._stage.stop(name, signal.SIGKILL)
        over_us = now_us()
        self._stage.start(name)
        return over_us

    def _link_down(self) -> int:
        self._stage.tell_air("down")
        time.sleep(_DOWN_S)
        self._stage.tell_air("up")
        return now_us()

    def _air(self) -> int:
        self._stage.tell_air(f"model {_BAD_AIR}")
        time.sleep(_BAD_AIR_S)
        self._stage.tell_air("model none")
        return now_us()

    def _source(self) -> int:
        """Another rate, and the next time back: the picture's size is what the eye knows."""
        mode = self._stage.mode
        self._asked = (
            mode if self._asked != mode else replace(mode, rate=_OTHER_RATE if mode.rate != 30 else Fraction(25))
        )
        self._stage.ask_mode(self._asked)
        return now_us()

    def _clock(self) -> int:
        """The wall clock, which nothing here may lean on: two seconds ahead for a second."""
        with _stepped(_STEP_S):
            time.sleep(_STEPPED_S)
        return now_us()

    def _display(self) -> int:
        number = self._stage.stop_display()
        time.sleep(_GONE_S)
        for left in range(_TRIES, -1, -1):
            try:
                self._stage.start_display(number)
                break
            except ScreenError as error:
                if not left:
                    raise ScreenError(f"{error}: another program has taken display {number} meanwhile") from error
                time.sleep(_GONE_S)
        return now_us()


@contextlib.contextmanager
def _stepped(seconds: float) -> Iterator[None]:
    """Raises PermissionError where a process may not set the clock."""
    time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME) + seconds)
    try:
        yield
    finally:
        time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME) - seconds)
