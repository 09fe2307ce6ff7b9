"""Runs a HardwarePipeline from vivid through vicodec in the guest; prints JSON. argv: VIVID HOST PORT EXPERIMENT.

The units are FWHT: they leave as a raw stream that nobody reads."""

import errno
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thinair.link.native import HardwarePipeline, Tx, V4L2Device, now_us

# drivers/media/test-drivers/vivid/vivid-ctrls.c
DISCONNECT, STREAMON_ERROR, FATAL_ERROR = (0x00F0F000 + 64 + n for n in (1, 5, 6))
TIMEOUT_S = 40
KEY_INTERVAL = 8
DESCRIPTORS = Path("/proc/self/fd")

node, host, port, experiment = sys.argv[1:]
tx = Tx(host=host, port=int(port), mode="annexb", max_packet=1400)


def opened(**other: Any) -> HardwarePipeline:
    settings: dict[str, Any] = {"tx": tx, "device": node, "fourcc": "UYVY", "kind": "m2m", "rate": (60, 1)}
    settings |= {"bitrate_bps": 8_000_000, "key_interval": KEY_INTERVAL, "coded": "FWHT", "first_frame_id": 100}
    return HardwarePipeline(**(settings | other))


def until(done: Callable[[], bool]) -> bool:
    end_us = now_us() + TIMEOUT_S * 1_000_000
    while not done() and now_us() < end_us:
        time.sleep(0.02)
    return done()


def flow(dmabuf: bool) -> dict[str, Any]:
    chain = opened(dmabuf=dmabuf)
    time.sleep(0.5)
    idle = chain.stats()
    chain.allow(True)
    until(lambda: chain.stats()["sent"] >= 20)
    before = chain.stats()["keys"]
    records = chain.records()
    chain.request_key_frame()
    until(lambda: chain.stats()["keys"] > before)
    size = chain.size
    ended = chain.stop()
    records += chain.records()
    picture_bytes = size[0] * size[1] * 2
    return {"idle": idle, "stats": chain.stats(), "records": records, "ended": ended, "picture_bytes": picture_bytes}


def failing(control: int) -> dict[str, Any]:
    """What a running chain says when the device breaks down; and a new one after it."""
    device = V4L2Device(node)
    chain = opened()
    chain.allow(True)
    until(lambda: chain.stats()["sent"] >= 2)
    device.set_control(control, 1)
    until(lambda: chain.state()[0] == "failed")
    state, ended = chain.state(), chain.stop()
    device.close()
    return {"state": state, "ended": ended}


def refused() -> dict[str, Any]:
    def why(**other: Any) -> tuple[str, str, str]:
        try:
            opened(**other).stop()
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, ""), error.strerror or "", str(error.filename)
        return "", "opened", ""

    first = opened()
    busy = why()
    first.stop()
    return {
        "no device": why(device="/dev/video77"),
        "no encoder": why(coded="H264"),
        "no such encoder": why(encoder_device="/dev/video77"),
        "a decoder": why(encoder_device=node),
        "busy": busy,
    }


def a_little() -> int:
    chain = opened()
    chain.allow(True)
    until(lambda: chain.stats()["sent"] >= 2)
    chain.stop()
    return chain.stats()["sent"]


def repeated(times: int) -> dict[str, Any]:
    opened().stop()
    before = len(list(DESCRIPTORS.iterdir()))
    sent = []
    for _ in range(times):
        sent.append(a_little())
    return {"sent": sent, "descriptors": len(list(DESCRIPTORS.iterdir())) - before}


EXPERIMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "dmabuf": lambda: flow(True),
    "copy": lambda: flow(False),
    "disconnect": lambda: failing(DISCONNECT),
    "fatal": lambda: failing(FATAL_ERROR),
    "refused": refused,
    "repeated": lambda: repeated(5),
}
print(json.dumps(EXPERIMENTS[experiment]()))
