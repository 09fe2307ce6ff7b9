"""A mailbox of one between decoder and screen."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Capacity one, newest wins: `put` returns what it pushed out, so that nothing vanishes uncounted."""

    def __init__(self) -> None:
        self._item: T | None = None
        self._closed = False
        self._condition = threading.Condition(threading.Lock())

    def put(self, item: T) -> T | None:
        with self._condition:
            superseded, self._item = self._item, item
            self._condition.notify()
        return superseded

    def get(self, timeout_s: float) -> T | None:
        """The item, or None after the timeout or when closed."""
        with self._condition:
            if self._item is None and not self._closed:
                self._condition.wait(timeout_s)
            item, self._item = self._item, None
        return item

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed
