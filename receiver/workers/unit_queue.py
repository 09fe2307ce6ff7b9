"""Access units on their way into a process that may be behind, or only just starting."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from thinair.receiver.workers.ipc import Unit, pack
from thinair.receiver.workers.worker import Worker

_HELD = 16 << 20  # bytes for a process that starts: 16 s of 8 Mbit/s


class UnitQueue:
    """What a process cannot take is left out up to a key frame, and the next unit says how many are missing."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.missing = 0  # of the present gap
        self.left_out = 0  # of all
        self._held: deque[bytes] = deque()
        self._held_size = 0

    def send(self, unit: Unit) -> None:
        if self.missing:
            if not unit.key:
                self._leave_out()
                return
            unit = replace(unit, gap=True, lost_before=unit.lost_before + self.missing)
        if self._take(pack(unit)):
            self.missing = 0
        else:
            self._leave_out()

    def started(self) -> None:
        """The process is there: it gets what was kept for it."""
        while self._held:
            self.worker.offer(self._held.popleft())
        self._held_size = 0

    def forget(self) -> None:
        """What comes next follows nothing that the process has."""
        self._held.clear()
        self._held_size = self.missing = 0

    def _take(self, packed: bytes) -> bool:
        if self.worker.alive:
            return self.worker.offer(packed)
        if self._held_size + len(packed) > _HELD:
            return False
        self._held.append(packed)
        self._held_size += len(packed)
        return True

    def _leave_out(self) -> None:
        self.missing += 1
        self.left_out += 1
