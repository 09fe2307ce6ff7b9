"""Telemetry of the board for the operator: model, radio signal, battery."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

WIRELESS = Path("/proc/net/wireless")
MODEL = Path("/proc/device-tree/model")
SUPPLIES = Path("/sys/class/power_supply")


@cache
def board_model() -> str:
    """As the device tree names it; without one, the kernel's machine name."""
    try:
        return MODEL.read_text().strip("\0 \n")
    except OSError:
        return os.uname().machine


def signal_dbm(file: Path = WIRELESS) -> int | None:
    """Of the first radio that is connected (proc_pid_net(5)); None: there is none, or it does not say."""
    try:
        rows = file.read_text().splitlines()[2:]
    except OSError:
        return None
    for row in rows:
        words = row.split()
        if len(words) > 3 and (level := _number(words[3].rstrip("."))) is not None and -120 <= level < 0:
            return level
    return None


def battery_percent(supplies: Path = SUPPLIES) -> int | None:
    """Documentation/ABI/testing/sysfs-class-power: `capacity` of the first battery; None: the board knows of none."""
    for path in sorted(supplies.glob("*/capacity")):
        try:
            value = _number(path.read_text().strip())
        except OSError:
            continue
        if value is not None and 0 <= value <= 100:
            return value
    return None


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
