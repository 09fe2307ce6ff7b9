"""The processes of a bench: started, watched, stopped; and the real-time priority that they share."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PRIORITY = 5  # as chrt -r 5: of the bench and, by inheritance, of every process that it starts
_STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class Process:
    popen: subprocess.Popen[bytes]
    log: Path

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f": {lines[-1].strip()}" if lines else ""


def ended(processes: Mapping[str, Process]) -> str:
    """Which process has ended, with its last line; "" while all run."""
    for name, one in processes.items():
        if one.popen.poll() is not None:
            return f"{name} ended with code {one.popen.returncode}{one.last_words()}"
    return ""


@contextmanager
def process(argv: Sequence[str], log: Path, env: Mapping[str, str]) -> Iterator[Process]:
    """A child that is asked to stop (SIGINT) at the end, and killed where it does not."""
    with log.open("wb") as out:
        popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **env})
    try:
        yield Process(popen, log)
    finally:
        popen.send_signal(signal.SIGINT)
        try:
            popen.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()


def realtime() -> str | None:
    """Real-time scheduling for this process and the children it will have; None, or why it was refused."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
    except OSError as error:
        return f"real time refused: {error.strerror}"
    return None


@contextmanager
def above(priority: int) -> Iterator[None]:
    """This thread one step above the processes it watches, so that they cannot keep it from looking."""
    if priority:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority + 1))
    try:
        yield
    finally:
        if priority:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))


def wait_for_port(port: int, started: Process) -> None:
    """Returns when the port is bound, when the process is gone (the watch tells it), or after some seconds."""
    until = time.monotonic() + _STOP_S
    while port not in bound_ports() and started.popen.poll() is None and time.monotonic() < until:
        time.sleep(0.02)


def bound_ports() -> set[int]:
    """UDP ports that somebody listens on, from /proc/net/udp and udp6."""
    ports = set()
    for name in ("udp", "udp6"):
        lines = Path("/proc/net", name).read_text().splitlines()[1:]
        ports |= {int(line.split()[1].rpartition(":")[2], 16) for line in lines}
    return ports
