"""The air of a soak, at an address of its own: `python -m thinair.bench.soak.relay PORT PLAYER`.

UDP that comes to PORT of any address of this machine goes on to the player at PLAYER:PORT, answers go back to
whoever sent last. The sender's door is called from those addresses, so a sealed link, whose ends are where they
call from, stays on this way. Lines of standard input: `up`, `down`, `model NAME`; its end ends it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence

import ifaddr

from thinair.bench.harness.udp_relay import Carrier, Lane, bound
from thinair.bench.network import MODELS, Link

_HERE = "127.0.0.1"
_NONE = "none"
_HEADERS = 28  # bytes of UDP and IPv4


class Air:
    def __init__(self) -> None:
        self._up = True
        self._link: Link | None = None
        self._origin_us = 0.0  # a model's time begins where it does

    def cross(self, data: bytes, forward: bool, now_us: float) -> Sequence[float]:
        if not self._up:
            return ()
        if self._link is None:
            return (now_us,)
        way = self._link.forward if forward else self._link.reverse
        return [self._origin_us + at for at in way.send(len(data) + _HEADERS, now_us - self._origin_us)]

    def obey(self) -> bool:
        """What stands on the input; False at its end."""
        said = os.read(sys.stdin.fileno(), 4096).decode()
        for words in map(str.split, said.splitlines()):
            if words[0] == "model":
                self._link = None if words[1] == _NONE else Link(MODELS[words[1]], seed=1)
                self._origin_us = time.monotonic() * 1e6
            else:
                self._up = words[0] == "up"
        return bool(said)


def main() -> None:
    port, player, air = int(sys.argv[1]), sys.argv[2], Air()
    addresses = {ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if isinstance(ip.ip, str)}
    outers = [bound(address, port) for address in {_HERE, *addresses} - {player}]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Carrier([Lane(outers, bound(_HERE, 0), (player, port))], air.cross).run(sys.stdin.fileno(), air.obey)


if __name__ == "__main__":
    main()
