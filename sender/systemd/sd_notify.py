"""A client of sd_notify(3): tells systemd the state over the socket that it names; without systemd nothing is sent."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


class SdNotify:
    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        self._socket: socket.socket | None = None
        if name[:1] in {"/", "@"}:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            with contextlib.suppress(OSError):
                self._socket.connect("\0" + name[1:] if name[0] == "@" else name)

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, text: str) -> None:
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Feeds the watchdog."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # a manager that restarts or is busy loses a line, not the service
                self._socket.send(text.encode())
