"""Work that other threads leave for a player's event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable


class LoopQueue:
    """`woken` is set when there is work, and by whatever else the loop shall wake for."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self._posted: deque[Callable[[], None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def post(self, work: Callable[[], None]) -> None:
        """From any thread; `work` is done by the loop."""
        self._posted.append(work)
        self.call(self.woken.set)

    def call(self, work: Callable[[], object]) -> None:
        """From any thread, as soon as the loop is free; nothing once it has ended. For what only sets a flag."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended; what is left is done by the player's end
                self._loop.call_soon_threadsafe(work)

    def run(self) -> None:
        while self._posted:
            self._posted.popleft()()
