"""Ports for programs that must be told one before they bind it."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_LOWEST, _HIGHEST = 10_000, 65_533
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")  # ip(7)
_LOOPBACK = "127.0.0.1"

_given: set[int] = set()


def free_port() -> int:
    """An even UDP port of loopback with the odd one above it free too, as RTP receivers want it."""
    return _choose(socket.SOCK_DGRAM, 2)


def free_tcp_port() -> int:
    """A TCP port of loopback."""
    return _choose(socket.SOCK_STREAM, 1)


def _choose(kind: socket.SocketKind, count: int) -> int:
    """Never given before by this process, and none that the kernel gives to a socket without one: until the program
    binds it, nobody takes it but by name."""
    low, high = map(int, _RANGE.read_text().split())
    while True:
        port = random.randrange(_LOWEST, _HIGHEST, 2)
        if low - 1 <= port <= high or port in _given or not all(_is_free(kind, port + n) for n in range(count)):
            continue
        _given.add(port)
        return port


def _is_free(kind: socket.SocketKind, port: int) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind((_LOOPBACK, port))
        except OSError:
            return False
    return True
