"""A wire that is as long as it is told: `python -m bench.loop.wire IN OUT AIR_US REPAIR_US LOSE`.

Each packet takes AIR_US, those of repair REPAIR_US more; with LOSE 1 the second packet of each frame of six or more and
all symbols that nobody asked for are lost, so that such a frame waits for repair; where a smaller share is left, what
may be asked for runs out. Both ways take AIR_US: a clock is only as good as
its path is symmetric."""

from __future__ import annotations

import contextlib
import heapq
import os
import select
import signal
import socket
import sys
import time

_SPIN_S = 0.000_2
_MEDIA, _SYMBOL = 96, 97
_EXTENSION, _SECOND, _LEAST = 12, 1, 6


def is_lost(data: bytes) -> bool:
    """The second media packet of a frame that is not small, or a symbol that nobody asked for
    (docs/wire-protocol.md)."""
    kind = data[1] & 0x7F
    if kind == _SYMBOL:
        index, flags = data[_EXTENSION + 9], data[_EXTENSION + 10]
        return index < flags >> 1
    if kind != _MEDIA or not data[0] & 0x10:
        return False
    at, end = _EXTENSION + 4, _EXTENSION + 4 + 4 * int.from_bytes(data[_EXTENSION + 2 : _EXTENSION + 4])
    while at < end:
        name, size = data[at] >> 4, (data[at] & 15) + 1
        if name == 2:
            index, count = (int.from_bytes(data[at + part : at + part + 2]) for part in (5, 7))
            return index == _SECOND and count >= _LEAST
        at += 1 + (size if name else 0)
    return False


def main() -> None:
    listen, target, air_us, repair_us, lose = (int(word) for word in sys.argv[1:])
    outer, inner = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for one, port in ((outer, listen), (inner, 0)):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        one.setblocking(False)
        one.bind(("127.0.0.1", port))
    inner.connect(("127.0.0.1", target))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    with contextlib.suppress(OSError):  # before whom it serves, where the system grants it
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(7))
    waiting: list[tuple[float, int, bytes, bool]] = []
    caller, count = None, 0
    while True:
        due = waiting[0][0] - time.monotonic() if waiting else 0.1
        for one in select.select([outer, inner], [], [], max(0.0, due - _SPIN_S))[0]:
            for _ in range(64):
                try:
                    data, sender = one.recvfrom(65536)
                except OSError:
                    break
                forward = one is outer
                caller = sender if forward else caller
                if forward and lose and is_lost(data):
                    continue
                later_us = air_us + (repair_us if forward and data[1] & 0x7F == _SYMBOL else 0)
                count += 1
                heapq.heappush(waiting, (time.monotonic() + later_us / 1e6, count, data, forward))
        while waiting and time.monotonic() >= waiting[0][0]:
            _, _, data, forward = heapq.heappop(waiting)
            with contextlib.suppress(OSError):
                if forward:
                    inner.send(data)
                elif caller is not None:
                    outer.sendto(data, caller)


if __name__ == "__main__":
    main()
