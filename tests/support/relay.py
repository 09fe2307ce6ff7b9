"""A UDP relay that delays each datagram in each direction by DELAY ± JITTER ms, evenly spread, from a seed.

python -m tests.support.relay LISTEN_HOST LISTEN_PORT TARGET_HOST TARGET_PORT DELAY_MS JITTER_MS SEED
"""

from __future__ import annotations

import heapq
import random
import select
import socket
import sys
import time


def main(words: list[str]) -> None:
    listen, target = (words[0], int(words[1])), (words[2], int(words[3]))
    delay_s, jitter_s = float(words[4]) / 1000, float(words[5]) / 1000
    rng = random.Random(int(words[6]))
    outer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inner = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for one in (outer, inner):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        one.setblocking(False)
    outer.bind(listen)
    inner.connect(target)
    caller: tuple[str, int] | None = None
    waiting: list[tuple[float, int, socket.socket, bytes]] = []  # due, tie-break, where it came in, data
    count = 0
    print("relay ready", flush=True)
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for one in select.select([outer, inner], [], [], timeout)[0]:
            try:
                data, sender = one.recvfrom(65536)
            except OSError:  # nobody listens there yet
                continue
            caller = sender if one is outer else caller
            count += 1
            due = time.monotonic() + delay_s + rng.uniform(-jitter_s, jitter_s)
            heapq.heappush(waiting, (due, count, one, data))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, one, data = heapq.heappop(waiting)
            try:
                if one is outer:
                    inner.send(data)
                elif caller is not None:
                    outer.sendto(data, caller)
            except OSError:
                continue


if __name__ == "__main__":
    main(sys.argv[1:])
