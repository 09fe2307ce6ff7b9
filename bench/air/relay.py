"""The network between sender and receiver: UDP through a link model, in real time.

python -m thinair.bench.air.relay MODEL SEED FIGURES.json IN:[HOST:]OUT,...: a lane for each five-tuple. What comes to
IN of
loopback, or of all addresses where HOST is another, goes on to OUT. SIGINT ends it and writes how late it was.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from thinair.bench.harness.udp_relay import Carrier, Lane, bound
from thinair.bench.network import MODELS, Link

_HERE = "127.0.0.1"
_HEADERS = 28  # bytes of UDP and IPv4


def _lane(words: str) -> Lane:
    listen, *host, port = words.split(":")
    there = host[0] if host else _HERE
    local = _HERE if there == _HERE else ""
    return Lane([bound(local, int(listen))], bound(local, 0), (there, int(port)))


def main(words: list[str]) -> None:
    model, seed, figures = MODELS[words[0]], int(words[1]), Path(words[2])
    link = Link(model, seed)

    def cross(data: bytes, forward: bool, now_us: float) -> Sequence[float]:
        return (link.forward if forward else link.reverse).send(len(data) + _HEADERS, now_us)

    carrier = Carrier([_lane(lane) for lane in words[3].split(",")], cross)
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    print("relay ready", flush=True)
    try:
        carrier.run()
    finally:
        late = sorted(carrier.late_us)
        share = {f"p{p}": round(late[len(late) * p // 100], 1) if late else None for p in (50, 95, 99)}
        figures.write_text(json.dumps(share | {"n": len(late)}))


if __name__ == "__main__":
    main(sys.argv[1:])
