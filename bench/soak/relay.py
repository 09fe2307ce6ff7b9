"""The air of a soak, at an address of its own: `python -m bench.soak.relay PORT PLAYER`.

UDP that comes to PORT of any address of this machine goes on to the player at PLAYER:PORT, answers go back to
whoever sent last. The sender's door is called from those addresses, so a sealed link, whose ends are where they
call from, stays on this way. Lines of standard input: `up`, `down`, `model NAME`; its end ends it."""

from __future__ import annotations

import contextlib
import heapq
import os
import select
import signal
import socket
import sys
import time

import ifaddr

from bench.network import MODELS, Link

_HERE = "127.0.0.1"
_SPIN_S = 0.000_2
_CLEAN = "none"


class Relay:
    def __init__(self, port: int, player: str) -> None:
        addresses = {ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if isinstance(ip.ip, str)}
        self._outers = [_udp((address, port)) for address in {_HERE, *addresses} - {player}]
        self._outer, self._inner = self._outers[0], _udp((_HERE, 0))
        self._target = (player, port)
        self._caller: tuple[str, int] | None = None
        self._link: Link | None = None
        self._origin_s = 0.0
        self.up = True
        self._waiting: list[tuple[float, int, bool, bytes]] = []
        self._count = 0

    def run(self) -> None:
        commands = sys.stdin.fileno()
        while True:
            due = self._waiting[0][0] - time.monotonic() if self._waiting else 0.1
            ready = select.select([*self._outers, self._inner, commands], [], [], max(0.0, due - _SPIN_S))[0]
            for one in (*self._outers, self._inner):
                if one in ready:
                    self._receive(one)
            if commands in ready:
                words = os.read(commands, 4096).decode()
                if not words:
                    return
                for line in words.splitlines():
                    self._obey(line.split())
            self._release()

    def _obey(self, words: list[str]) -> None:
        if words[0] in {"up", "down"}:
            self.up = words[0] == "up"
        elif words[0] == "model":
            self._link = None if words[1] == _CLEAN else Link(MODELS[words[1]], seed=1)
            self._origin_s = time.monotonic()

    def _receive(self, source: socket.socket) -> None:
        forward = source is not self._inner
        for _ in range(64):
            try:
                data, sender = source.recvfrom(65536)
            except OSError:
                return
            if forward:
                self._caller, self._outer = sender, source
            if not self.up:
                continue
            if self._link is None and not self._waiting:
                self._send(forward, data)
                continue
            now = time.monotonic()
            at_us = [1e6 * (now - self._origin_s)]
            if self._link is not None:
                at_us = (self._link.forward if forward else self._link.reverse).send(len(data) + 28, at_us[0])
            for at in at_us:
                self._count += 1
                heapq.heappush(self._waiting, (self._origin_s + at / 1e6, self._count, forward, data))

    def _release(self) -> None:
        while self._waiting and time.monotonic() >= self._waiting[0][0]:
            _, _, forward, data = heapq.heappop(self._waiting)
            if self.up:
                self._send(forward, data)

    def _send(self, forward: bool, data: bytes) -> None:
        with contextlib.suppress(OSError):
            if forward:
                self._inner.sendto(data, self._target)
            elif self._caller is not None:
                self._outer.sendto(data, self._caller)


def _udp(address: tuple[str, int]) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        one.setsockopt(socket.SOL_SOCKET, option, 1 << 22)
    one.setblocking(False)
    one.bind(address)
    return one


def main() -> None:
    relay = Relay(int(sys.argv[1]), sys.argv[2])
    with contextlib.suppress(OSError):  # before whom it serves, where the system grants it
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(7))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    relay.run()


if __name__ == "__main__":
    main()
