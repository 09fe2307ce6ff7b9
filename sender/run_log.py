"""The sender's log lines: on standard error, and the newest for the control API."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from thinair.link.log import Log
from thinair.link.native import now_us

_KEPT = 200  # lines


if TYPE_CHECKING:
    from typing import TypedDict

    class LogLine(TypedDict):
        at_s: float  # since the start
        text: str


class RunLog:
    """`form`: text or json. May be used from any thread."""

    def __init__(self, form: str) -> None:
        self.lines: deque[LogLine] = deque(maxlen=_KEPT)
        self._began_us = now_us()
        self._log = Log(form, "send")

    @property
    def uptime_s(self) -> float:
        return round((now_us() - self._began_us) / 1e6, 3)

    def add(self, text: str) -> None:
        self.lines.append({"at_s": self.uptime_s, "text": text})
        self._log.write(text)
