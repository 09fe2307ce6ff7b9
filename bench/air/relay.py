"""The network between sender and receiver: UDP through a link model, in real time.

python -m bench.air.relay MODEL SEED FIGURES.json IN:OUT[,IN:OUT]: a pair of ports of loopback for each five-tuple;
what comes to IN goes on to OUT, answers go back to whoever sent to IN last. One thread sleeps until shortly before a
packet is due and spins the rest. SIGINT ends it and writes how late it was.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.network import MODELS, Link

_SPIN_S = 0.000_2
_HERE = "127.0.0.1"
_KEPT = 200_000  # lateness of so many releases


@dataclass(slots=True)
class _Lane:
    outer: socket.socket  # senders' side
    inner: socket.socket  # connected to the receiver
    caller: tuple[str, int] | None = None


class Relay:
    def __init__(self, link: Link, lanes: list[tuple[int, tuple[str, int]]]) -> None:
        """A lane listens on a port of loopback, or of all addresses where it goes on elsewhere."""
        self._link = link
        self._lanes = []
        for listen, (host, port) in lanes:
            local = _HERE if host == _HERE else ""
            self._lanes.append(_Lane(_bound(local, listen), _bound(local, 0)))
            self._lanes[-1].inner.connect((host, port))
        self._of = {lane.outer.fileno(): (lane, True) for lane in self._lanes}
        self._of |= {lane.inner.fileno(): (lane, False) for lane in self._lanes}
        self._waiting: list[tuple[float, int, _Lane, bool, bytes]] = []
        self._count = 0
        self.late_us: list[float] = []

    def run(self) -> None:
        numbers = list(self._of)
        while True:
            now = time.monotonic()
            due = self._waiting[0][0] - now if self._waiting else 0.1
            for number in select.select(numbers, [], [], max(0.0, due - _SPIN_S))[0]:  # epoll counts in milliseconds
                self._receive(*self._of[number])
            self._release()

    def _receive(self, lane: _Lane, forward: bool) -> None:
        source = lane.outer if forward else lane.inner
        for _ in range(64):
            try:
                data, sender = source.recvfrom(65536)
            except OSError:  # nothing more, or nobody listens there yet
                return
            if forward:
                lane.caller = sender
            way = self._link.forward if forward else self._link.reverse
            for at_us in way.send(len(data) + 28, time.monotonic() * 1e6):
                self._count += 1
                heapq.heappush(self._waiting, (at_us / 1e6, self._count, lane, forward, data))

    def _release(self) -> None:
        waiting = self._waiting
        while waiting and (now := time.monotonic()) >= waiting[0][0]:
            due, _, lane, forward, data = heapq.heappop(waiting)
            with contextlib.suppress(OSError):
                if forward:
                    lane.inner.send(data)
                elif lane.caller is not None:
                    lane.outer.sendto(data, lane.caller)
            if len(self.late_us) < _KEPT:
                self.late_us.append((now - due) * 1e6)


def _bound(host: str, port: int) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        one.setsockopt(socket.SOL_SOCKET, option, 1 << 22)
    one.setblocking(False)
    one.bind((host, port))
    return one


def main(words: list[str]) -> None:
    model, seed, figures = MODELS[words[0]], int(words[1]), Path(words[2])
    lanes = [lane.split(":") for lane in words[3].split(",")]
    relay = Relay(Link(model, seed), [(int(lane[0]), ((*lane[1:-1], _HERE)[0], int(lane[-1]))) for lane in lanes])
    with contextlib.suppress(OSError):  # before whom it serves, where the system grants it
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(7))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    print("relay ready", flush=True)
    try:
        relay.run()
    finally:
        late = sorted(relay.late_us)
        share = {f"p{p}": round(late[len(late) * p // 100], 1) if late else None for p in (50, 95, 99)}
        figures.write_text(json.dumps(share | {"n": len(late)}))


if __name__ == "__main__":
    main(sys.argv[1:])
