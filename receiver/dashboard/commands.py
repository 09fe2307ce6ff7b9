"""What a page may ask for, read strictly: anything else is a mistake, said back and counted."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from thinair.link.errors import ConfigError
from thinair.link.video_mode import Mode
from thinair.receiver.workers.ipc import PlayerCommand, Record, RequestKeyFrame, RequestMode, SetLatency, SetLimits

_BITRATES = 50_000, 200_000_000
_WHY = {
    "behind": "a browser fell behind",
    "error": "a browser's decoder stopped",
    "person": "requested on the page",
}


@dataclass(frozen=True, slots=True)
class Ping:
    t: float  # the page's; comes back with the player's clock


@dataclass(frozen=True, slots=True)
class WatchAs:
    kind: str  # h264, jpeg; "": not at all


PageCommand = Ping | WatchAs | Record | PlayerCommand


class CommandError(ValueError):
    """The message is for whoever wrote the page."""


def read_command(text: str) -> PageCommand:
    """`{"do": NAME, …}` with exactly the keys of its kind. Raises CommandError."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError("not JSON") from error
    name = content.get("do") if isinstance(content, dict) else None
    if not isinstance(name, str) or name not in _COMMANDS:
        raise CommandError("unknown command")
    make, keys = _COMMANDS[name]
    if set(content) != {"do", *keys}:
        raise CommandError(f"{name} takes {', '.join(keys)}")
    for key, fits in keys.items():
        if not fits(content[key]):
            raise CommandError(f"{name}: invalid {key}")
    command = make(*(content[key] for key in keys))
    if isinstance(command, SetLimits) and None not in {low := command.min_bps, high := command.max_bps} and low > high:  # type: ignore[operator]  # neither is None
        raise CommandError("limits: min_bps is above max_bps")
    return command


def _bitrate(value: object) -> bool:
    return value is None or (type(value) is int and _BITRATES[0] <= value <= _BITRATES[1])


def _is_number(value: object) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _is_mode(text: object) -> bool:
    try:
        return isinstance(text, str) and Mode.parse(text) is not None
    except ConfigError:
        return False


def _one_of(*values: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and value in values


# name → how it is made of its keys' values, and what each key takes
_COMMANDS: dict[str, tuple[Callable[..., PageCommand], Mapping[str, Callable[[Any], bool]]]] = {
    "ping": (Ping, {"t": _is_number}),
    "watch": (WatchAs, {"as": _one_of("h264", "jpeg", "")}),
    "key": (lambda why: RequestKeyFrame(_WHY[why]), {"why": _one_of(*_WHY)}),
    "record": (Record, {"on": lambda value: isinstance(value, bool)}),
    "limits": (SetLimits, {"min_bps": _bitrate, "max_bps": _bitrate}),
    "mode": (RequestMode, {"mode": _is_mode}),
    "latency": (SetLatency, {"mode": _one_of("lowest", "smooth")}),
}
