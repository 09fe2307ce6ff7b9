"""A wire that is as long as it is told: `python -m thinair.bench.loop.delay_relay IN OUT NETWORK_US REPAIR_US LOSE`.

Each packet takes NETWORK_US, those of repair REPAIR_US more; with LOSE 1 the second packet of each frame of six or more
and all symbols that nobody asked for are lost, so that such a frame waits for repair; where a smaller share is left,
what may be asked for runs out. Both ways take NETWORK_US: a clock is only as good as its path is symmetric."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from thinair.bench.harness.udp_relay import Carrier, Lane, bound
from thinair.bench.network.packets import Media, Symbol, read

_HERE = "127.0.0.1"
_SECOND, _LEAST = 1, 6


def is_lost(packet: Media | Symbol | None) -> bool:
    """The second packet of a frame that is not small, or a symbol that nobody asked for."""
    if isinstance(packet, Symbol):
        return not packet.asked
    return packet is not None and packet.index == _SECOND and packet.count >= _LEAST


def main() -> None:
    listen, target, network_us, repair_us, lose = (int(word) for word in sys.argv[1:])

    def cross(data: bytes, forward: bool, now_us: float) -> Sequence[float]:
        packet = read(data) if forward else None
        if lose and is_lost(packet):
            return ()
        return (now_us + network_us + (repair_us if isinstance(packet, Symbol) else 0),)

    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    Carrier([Lane([bound(_HERE, listen)], bound(_HERE, 0), (_HERE, target))], cross).run()


if __name__ == "__main__":
    main()
