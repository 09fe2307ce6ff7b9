"""Puts pictures through a hardware encoder in the guest. argv: NODE CODED; prints JSON."""

import json
import sys
from typing import Any

from thinair.link.native import HardwareEncoder

node, coded = sys.argv[1:]
WIDTH, HEIGHT = 640, 480
PICTURE = bytes(range(256)) * (WIDTH * HEIGHT * 2 // 256)
TIMEOUT_US = 20_000_000


def opened(**other: Any) -> HardwareEncoder:
    settings: dict[str, Any] = {"kind": "m2m", "width": WIDTH, "height": HEIGHT, "fourcc": "UYVY", "rate": (30, 1)}
    settings |= {"bitrate_bps": 8_000_000, "key_interval": 4, "device": node, "coded": coded}
    return HardwareEncoder(**(settings | other))


def refusal(**other: Any) -> str:
    try:
        opened(**other).close()
    except OSError as error:
        return error.strerror or ""
    return "opened"


encoder = opened(device="")  # found by its formats
units = [encoder.encode(PICTURE, 1000 * (i + 1), TIMEOUT_US) for i in range(6)]
encoder.request_key_frame()
units += [encoder.encode(PICTURE, 1000 * (i + 1), TIMEOUT_US) for i in range(6, 8)]
try:
    encoder.encode(PICTURE[:-1], 9000, TIMEOUT_US)
    short = "taken"
except ValueError as error:
    short = str(error)
result = {
    "keys": [unit is not None and unit[1] for unit in units],
    "begin": [unit[0][:8].hex() for unit in units if unit],
    "bitrate": encoder.set_bitrate(1_000_000),
    "notes": encoder.notes,
    "stats": encoder.stats(),
    "short": short,
}
encoder.close()
result["refusals"] = [
    refusal(coded="H264"),
    refusal(device="/dev/video77"),
    refusal(device="/dev/null"),
    refusal(fourcc="JPEG"),
    refusal(width=642),
    refusal(coded="H264", device=""),
]
print(json.dumps(result))
