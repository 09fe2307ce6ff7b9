"""Real-time priority for threads that a library starts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def shared_priority() -> Iterator[None]:
    """Threads started inside get the calling thread's real-time priority afterwards. They do not inherit it where it was
    granted with reset-on-fork, and a slice that waits for the processor holds the whole picture up."""
    before = _tasks()
    yield
    policy = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
    if policy in (os.SCHED_FIFO, os.SCHED_RR):
        for task in _tasks() - before:
            with contextlib.suppress(OSError):  # the thread has ended, or the system grants no more
                os.sched_setscheduler(task, policy, os.sched_getparam(0))


def _tasks() -> set[int]:
    """Threads of this process."""
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}
