"""The channel between sender and receiver: UDP through a channel model, in real time.

python -m thinair.bench.air.relay MODEL SEED FIGURES.json IN:[HOST:]OUT,...: a lane for each five-tuple, from IN to
HOST:OUT. IN is of 127.0.0.1, or of all addresses where HOST is not a loopback address. SIGINT ends it; FIGURES tells by
how much it was late."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from thinair.bench.harness.udp_relay import Lane, Relay, bound
from thinair.bench.network import MODELS, Link

_LOOPBACK = "127.0.0.1"
_HEADERS = 28  # bytes of UDP and IPv4


def _lane(text: str) -> Lane:
    listen, *host, port = text.split(":")
    target = host[0] if host else _LOOPBACK
    local = _LOOPBACK if target.startswith("127.") else ""
    return Lane([bound(local, int(listen))], bound(local, 0), (target, int(port)))


def main(arguments: list[str]) -> None:
    model, seed, figures = MODELS[arguments[0]], int(arguments[1]), Path(arguments[2])
    link = Link(model, seed)

    def cross(data: bytes, forward: bool, now_us: float) -> Sequence[float]:
        return (link.forward if forward else link.reverse).send(len(data) + _HEADERS, now_us)

    relay = Relay([_lane(lane) for lane in arguments[3].split(",")], cross)
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    print("relay ready", flush=True)
    try:
        relay.run()
    finally:
        late = sorted(relay.late_us)
        late_us = {f"p{p}": round(late[len(late) * p // 100], 1) if late else None for p in (50, 95, 99)}
        figures.write_text(json.dumps(late_us | {"n": len(late)}))


if __name__ == "__main__":
    main(sys.argv[1:])
