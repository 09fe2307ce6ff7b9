"""Plays the camera on the pretended chip and asks the genuine driver, in one process. argv: NODE EXPRESSION..., each
over `camera` (hdmi_source.py), `device` (V4L2Device) and the functions here; prints each value's JSON, or the name of
the errno."""

from __future__ import annotations

import errno
import json
import select
import sys
import time
from pathlib import Path
from typing import Any

from tests.vm.guest.hdmi_source import Camera
from thinair.link.native import V4L2_CID_DV_RX_POWER_PRESENT, V4L2_EVENT_SOURCE_CHANGE, V4L2Device

PATIENCE_S = 5.0  # the driver polls the chip once a second
MODULE = Path("/sys/module/pretended_tc358743/parameters")

device = V4L2Device(sys.argv[1])
device.subscribe(V4L2_EVENT_SOURCE_CHANGE)
camera = Camera()


def event() -> bool:
    """Whether the driver says a change of the source, in time."""
    poll = select.poll()
    poll.register(device.fileno(), select.POLLPRI)
    return bool(poll.poll(PATIENCE_S * 1000)) and device.event() is not None


def mode() -> list[int]:
    """Width, height, total width, total height, pixel clock of the signal; or raises."""
    signal = device.query_timings()
    across = sum(signal[name] for name in ("hfrontporch", "hsync", "hbackporch"))
    down = sum(signal[name] for name in ("vfrontporch", "vsync", "vbackporch"))
    return [
        signal["width"],
        signal["height"],
        signal["width"] + across,
        signal["height"] + down,
        signal["pixelclock"],
    ]


def power() -> int:
    """Whether the driver sees +5 V; it updates the control when it polls."""
    return device.control(V4L2_CID_DV_RX_POWER_PRESENT)


def becomes(what: str, value: Any, patience_s: float = PATIENCE_S) -> bool:
    """Whether the expression has the value in time."""
    deadline = time.monotonic() + patience_s
    while (now := eval(what, names)) != value and time.monotonic() < deadline:  # noqa: S307 -- the test's own words
        time.sleep(0.02)
    return bool(now == value)


def hotplug() -> list[int]:
    """How often it rose, how often it fell."""
    return [int((MODULE / name).read_text()) for name in ("hotplug_rises", "hotplug_falls")]


def answers(yes: bool) -> None:
    """Whether the chip acknowledges on the bus."""
    (MODULE / "answers").write_text("1" if yes else "0")


names: dict[str, Any] = {
    "device": device,
    "camera": camera,
    **{function.__name__: function for function in (event, mode, power, becomes, hotplug, answers)},
}
for expression in sys.argv[2:]:
    try:
        value = eval(expression, names)  # noqa: S307 -- the test's own words
    except OSError as error:
        value = errno.errorcode[error.errno or 0]
    print(json.dumps(value.hex() if isinstance(value, bytes) else value), flush=True)
