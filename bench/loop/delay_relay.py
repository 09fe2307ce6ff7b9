"""A path of known delay: `python -m thinair.bench.loop.delay_relay IN OUT DELAY_US REPAIR_US LOSE`.

Each packet takes DELAY_US, repair symbols REPAIR_US more. LOSE 1 drops the second packet of each frame of six or more,
and all proactive symbols, so that each such frame waits for its repair; with fewer symbols the repair budget would run
out. Both directions take DELAY_US: the clock is only as good as the path is symmetric."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from thinair.bench.harness.udp_relay import Lane, Relay, bound
from thinair.bench.network.packets import Media, Symbol, read

_LOOPBACK = "127.0.0.1"
_SECOND, _LEAST = 1, 6


def is_lost(packet: Media | Symbol | None) -> bool:
    """The second packet of a frame of at least six, or a proactive symbol."""
    if isinstance(packet, Symbol):
        return not packet.requested
    return packet is not None and packet.index == _SECOND and packet.count >= _LEAST


def main() -> None:
    listen, target, delay_us, repair_us, lose = (int(word) for word in sys.argv[1:])

    def cross(data: bytes, forward: bool, now_us: float) -> Sequence[float]:
        packet = read(data) if forward else None
        if lose and is_lost(packet):
            return ()
        return (now_us + delay_us + (repair_us if isinstance(packet, Symbol) else 0),)

    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    Relay([Lane([bound(_LOOPBACK, listen)], bound(_LOOPBACK, 0), (_LOOPBACK, target))], cross).run()


if __name__ == "__main__":
    main()
