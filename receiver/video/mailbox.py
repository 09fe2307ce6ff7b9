"""A mailbox of one between decoder and screen."""

from __future__ import annotations

import contextlib
import queue
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Capacity one, newest wins: `put` returns what it pushed out, so that nothing vanishes uncounted. One thread puts,
    one gets. A SimpleQueue wakes its reader in half the time a Condition takes: its wait is all C."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self.closed = False

    def put(self, item: T) -> T | None:
        superseded: T | None = None
        with contextlib.suppress(queue.Empty):
            while True:
                superseded = self._queue.get_nowait() or superseded
        self._queue.put(item)
        return superseded

    def wake(self) -> None:
        """The reader gets None at once."""
        self._queue.put(None)

    def get(self, timeout_s: float) -> T | None:
        """The item, or None after the timeout, when woken or when closed."""
        try:
            return self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        """The writer has ended. The reader wakes, and gets what still lies here first."""
        self.closed = True
        self._queue.put(None)
