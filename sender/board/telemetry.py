"""What the operator wants to know of the board: how strong the radio is, and how full the battery."""

from __future__ import annotations

from pathlib import Path

WIRELESS = Path("/proc/net/wireless")
SUPPLIES = Path("/sys/class/power_supply")


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
