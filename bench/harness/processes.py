"""The processes of a bench: started, watched, stopped; and the real-time priority that they share."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PRIORITY = 5  # as chrt -r 5: of the bench and, by inheritance, of every process that it starts
_STOP_S = _START_S = 5.0
_LISTEN = "0A"  # a state of /proc/net/tcp


@dataclass(frozen=True, slots=True)
class Process:
    popen: subprocess.Popen[bytes]
    log: Path

    def last_line(self) -> str:
        """Of its log, as the end of a sentence; "" where it is empty."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f": {lines[-1].strip()}" if lines else ""


def ended(processes: Mapping[str, Process]) -> str:
    """Which process has ended, with its last line; "" while all run."""
    for name, one in processes.items():
        if one.popen.poll() is not None:
            return f"{name} ended with code {one.popen.returncode}{one.last_line()}"
    return ""


@contextmanager
def process(argv: Sequence[str], log: Path, env: Mapping[str, str]) -> Iterator[Process]:
    """A child process. At the end it gets SIGINT, and SIGKILL where it does not stop within 5 s."""
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
    """Real-time priority for this process and its future children; None, or why the system refused it."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
    except OSError as error:
        return f"real-time priority refused: {error.strerror}"
    return None


@contextmanager
def above(priority: int) -> Iterator[None]:
    """This thread one step above the processes it watches, so that they cannot delay it."""
    if priority:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority + 1))
    try:
        yield
    finally:
        if priority:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))


def wait_for_port(port: int, started: Process, host: str = "") -> None:
    """Returns when the UDP port is bound, on any address or on `host`; when the process has ended; or after 5 s."""
    until = time.monotonic() + _START_S
    while started.popen.poll() is None and time.monotonic() < until:
        if (host, port) in _bound() if host else port in bound_ports():
            return
        time.sleep(0.02)


def bound_ports() -> set[int]:
    """UDP ports that are bound, on any address."""
    return {port for _, port in _bound()}


def _bound() -> set[tuple[str, int]]:
    """(IPv4 address or "", port) of each UDP socket, from /proc/net/udp and udp6 (proc(5))."""
    found = set()
    for name in ("udp", "udp6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            address, _, port = line.split()[1].rpartition(":")
            host = socket.inet_ntoa(bytes.fromhex(address)[::-1]) if name == "udp" else ""
            found.add((host, int(port, 16)))
    return found


def has_tcp_listener(pid: int) -> bool:
    """Whether the process accepts TCP connections, from /proc/net/tcp and its descriptors (proc(5))."""
    sockets = set()
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                sockets.add(str(descriptor.readlink()))
    for name in ("tcp", "tcp6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and f"socket:[{fields[9]}]" in sockets:
                return True
    return False
