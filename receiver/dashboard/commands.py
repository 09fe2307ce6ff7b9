"""What a page may ask for, read strictly: anything else is a mistake, said back and counted."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from thinair.link.errors import ConfigError
from thinair.link.video_mode import Mode

_BITRATES = 50_000, 200_000_000
_WHY = {
    "behind": "a browser fell behind",
    "error": "a browser's decoder stopped",
    "person": "somebody at the page wants one",
}


class CommandError(ValueError):
    """The message is for whoever wrote the page."""


def read_command(text: str) -> dict[str, Any]:
    """A checked copy with the keys of its kind. Raises CommandError."""
    try:
        wish = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError("no JSON") from error
    if not isinstance(wish, dict) or not isinstance(wish.get("do"), str) or wish["do"] not in _KEYS:
        raise CommandError("no wish that is known")
    keys = _KEYS[wish["do"]]
    if set(wish) != {"do", *keys}:
        raise CommandError(f"{wish['do']} wants {', '.join(keys) or 'nothing'}")
    for key, fits in keys.items():
        if not fits(wish[key]):
            raise CommandError(f"{wish['do']}: {key} is not possible")
    if wish["do"] == "limits" and None not in {wish["min_bps"], wish["max_bps"]} and wish["min_bps"] > wish["max_bps"]:
        raise CommandError("limits: the lower is above the upper")
    return {**wish, "why": _WHY[wish["why"]]} if wish["do"] == "key" else wish


def _bitrate(value: object) -> bool:
    return value is None or (type(value) is int and _BITRATES[0] <= value <= _BITRATES[1])


def _is_number(value: object) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _is_mode(text: str) -> bool:
    try:
        Mode.parse(text)
    except ConfigError:
        return False
    return True


def _one_of(*values: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and value in values


_KEYS: dict[str, dict[str, Callable[[object], bool]]] = {
    "ping": {"t": _is_number},
    "watch": {"as": _one_of("h264", "jpeg", "")},
    "key": {"why": _one_of(*_WHY)},
    "record": {"on": lambda value: isinstance(value, bool)},
    "limits": {"min_bps": _bitrate, "max_bps": _bitrate},
    "mode": {"mode": lambda value: isinstance(value, str) and _is_mode(value)},
    "latency": {"mode": _one_of("lowest", "smooth")},
}
