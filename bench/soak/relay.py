"""The channel of a soak: `python -m thinair.bench.soak.relay PORT PLAYER_HOST`.

Forwards UDP from PORT of all addresses of this machine to PLAYER_HOST:PORT, and answers to the newest source. An
encrypted link takes the address of its control connection for the media; that connection comes from one of the relay's
addresses, so the media pass through the relay. Commands, one per line of standard input: `up`, `down`, `model NAME`,
`model none`; the end of input ends the relay."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence

import ifaddr

from thinair.bench.harness.udp_relay import Lane, Relay, bound
from thinair.bench.network import MODELS, Link

_LOOPBACK = "127.0.0.1"
_NONE = "none"
_HEADERS = 28  # bytes of UDP and IPv4


class Channel:
    def __init__(self) -> None:
        self._up = True
        self._link: Link | None = None
        self._origin_us = 0.0  # of the model's time

    def cross(self, data: bytes, forward: bool, now_us: float) -> Sequence[float]:
        if not self._up:
            return ()
        if self._link is None:
            return (now_us,)
        direction = self._link.forward if forward else self._link.reverse
        return [self._origin_us + at for at in direction.send(len(data) + _HEADERS, now_us - self._origin_us)]

    def command(self) -> bool:
        """Obeys the commands on standard input; False at its end."""
        text = os.read(sys.stdin.fileno(), 4096).decode()
        for command in map(str.split, text.splitlines()):
            if command[0] == "model":
                self._link = None if command[1] == _NONE else Link(MODELS[command[1]], seed=1)
                self._origin_us = time.monotonic() * 1e6
            else:
                self._up = command[0] == "up"
        return bool(text)


def main() -> None:
    port, player, channel = int(sys.argv[1]), sys.argv[2], Channel()
    addresses = {ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if isinstance(ip.ip, str)}
    outers = [bound(address, port) for address in {_LOOPBACK, *addresses} - {player}]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lane = Lane(outers, bound(_LOOPBACK, 0), (player, port))
    Relay([lane], channel.cross).run(sys.stdin.fileno(), channel.command)


if __name__ == "__main__":
    main()
