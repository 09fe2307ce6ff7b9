"""Forwards UDP in real time, each datagram when it is due: for the relays of the air, loop and soak benches.

One thread sleeps until shortly before the next datagram is due, and spins for the rest."""

from __future__ import annotations

import contextlib
import heapq
import os
import select
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

# (datagram, whether it goes to the receiver, now in µs of time.monotonic()) → arrival times, µs
Cross = Callable[[bytes, bool, float], Iterable[float]]
_SPIN_S = 0.000_2
_IDLE_S = 0.1
_MOST_AT_ONCE = 64  # datagrams of one socket before the next socket
_MOST_LATE = 200_000  # values kept
_PRIORITY = 7


@dataclass(slots=True)
class Lane:
    """One five-tuple: forwards from any of `outers` to `target` by `inner`, and answers to the newest source by the
    socket that it sent to."""

    outers: Sequence[socket.socket]
    inner: socket.socket
    target: tuple[str, int]
    reply: tuple[socket.socket, tuple[str, int]] | None = None


class Relay:
    """`late_us`: by how much datagrams were forwarded too late."""

    def __init__(self, lanes: Sequence[Lane], cross: Cross) -> None:
        self._cross = cross
        self._of = {one: (lane, True) for lane in lanes for one in lane.outers}
        self._of |= {lane.inner: (lane, False) for lane in lanes}
        self._waiting: list[tuple[float, int, Lane, bool, bytes]] = []
        self._count = 0
        self.late_us: list[float] = []

    def run(self, control: int | None = None, on_control: Callable[[], bool] = lambda: True) -> None:
        """Runs until `on_control`, called whenever the descriptor `control` is readable, returns False."""
        with contextlib.suppress(OSError):  # above the programs that it serves, where the system grants it
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_PRIORITY))
        watched: list[socket.socket | int] = [*self._of, *([] if control is None else [control])]
        while True:
            due = self._waiting[0][0] - time.monotonic() if self._waiting else _IDLE_S
            ready = select.select(watched, [], [], max(0.0, due - _SPIN_S))[0]  # epoll counts in milliseconds
            for one in ready:
                if isinstance(one, socket.socket):
                    self._receive(one)
                elif not on_control():
                    return
            self._release()

    def _receive(self, source: socket.socket) -> None:
        lane, forward = self._of[source]
        for _ in range(_MOST_AT_ONCE):
            try:
                data, sender = source.recvfrom(65536)
            except OSError:  # none left, or nobody listens there yet
                return
            if forward:
                lane.reply = source, sender
            for at_us in self._cross(data, forward, time.monotonic() * 1e6):
                self._count += 1
                heapq.heappush(self._waiting, (at_us / 1e6, self._count, lane, forward, data))

    def _release(self) -> None:
        waiting = self._waiting
        while waiting and (now := time.monotonic()) >= waiting[0][0]:
            due, _, lane, forward, data = heapq.heappop(waiting)
            with contextlib.suppress(OSError):
                if forward:
                    lane.inner.sendto(data, lane.target)
                elif lane.reply is not None:
                    lane.reply[0].sendto(data, lane.reply[1])
            if len(self.late_us) < _MOST_LATE:
                self.late_us.append((now - due) * 1e6)


def bound(host: str, port: int) -> socket.socket:
    """A non-blocking UDP socket. Raises OSError."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        one.setsockopt(socket.SOL_SOCKET, option, 1 << 22)
    one.setblocking(False)
    one.bind((host, port))
    return one
