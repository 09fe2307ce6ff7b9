"""The events of a run: kept for the report, passed to workers and terminal as they happen."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from thinair.link.native import now_us

_KEPT = 256  # for the report


@dataclass(frozen=True, slots=True)
class Event:
    at_s: float  # since the start of the run
    now_us: int  # of the player's clock
    kind: (
        str  # sender, mode, source, rate, key, recording, recorder, dashboard, player; to workers only: lost, repaired
    )
    text: str


class EventLog:
    """`to_workers` and `to_terminal` are set by whoever wires a player; until then they get nothing."""

    def __init__(self) -> None:
        self.to_workers: Callable[[Event], None] = lambda _event: None
        self.to_terminal: Callable[[Event], None] = lambda _event: None
        self._began_us = now_us()
        self._kept: deque[Event] = deque(maxlen=_KEPT)

    def note(self, kind: str, text: str) -> None:
        event = self._event(kind, text)
        self._kept.append(event)
        self.to_workers(event)
        self.to_terminal(event)

    def count(self, kind: str, text: str) -> None:
        """For page and recording alone: too frequent for a terminal or a report."""
        self.to_workers(self._event(kind, text))

    def newest(self) -> tuple[Event, ...]:
        return tuple(self._kept)

    def _event(self, kind: str, text: str) -> Event:
        now = now_us()
        return Event(round((now - self._began_us) / 1e6, 3), now, kind, text)
