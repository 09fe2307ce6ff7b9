"""What passes between the player and its own processes (recorder, dashboard): messages over a socket pair.

A message is a little-endian u32 with the size of what follows, one byte of kind, then a JSON object (`J`) or an access
unit (`U`): UNIT's fields and its Annex B bytes. Both ends are of one installation, so there is no version.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAX_MESSAGE = 16 << 20
SECRET_NAME = "THINAIR_DASHBOARD_TOKEN"  # noqa: S105 -- of the variable that the player hands it over in
_SIZE = struct.Struct("<IB")
_UNIT = struct.Struct("<BxHIIqqq")
_JSON, _PICTURE = ord("J"), ord("U")
KEY, GAP, CAPTURED = 1, 2, 4  # flags


@dataclass(frozen=True, slots=True)
class Unit:
    """One access unit, Annex B. Times are µs: `time_us` on the clock of its stream (`stream` counts senders: another
    number means another clock), `capture_us` and `arrival_us` on this machine's CLOCK_MONOTONIC."""

    stream: int
    frame_id: int
    key: bool
    gap: bool  # frames before it are missing
    lost_before: int
    captured: bool  # time_us is a capture's, not an arrival's
    time_us: int
    capture_us: int  # 0: unknown
    arrival_us: int
    data: bytes


def pack_json(content: dict[str, Any]) -> bytes:
    body = json.dumps(content, separators=(",", ":")).encode()
    return _SIZE.pack(len(body) + 1, _JSON) + body


def pack_unit(unit: Unit) -> bytes:
    flags = KEY * unit.key | GAP * unit.gap | CAPTURED * unit.captured
    head = _UNIT.pack(
        flags, min(unit.lost_before, 0xFFFF), unit.stream, unit.frame_id & 0xFFFFFFFF, unit.time_us, unit.capture_us,
        unit.arrival_us,
    )  # fmt: skip
    return b"".join((_SIZE.pack(len(head) + len(unit.data) + 1, _PICTURE), head, unit.data))


class Splitter:
    """Bytes as they come in, messages out. Raises ValueError on a message of an impossible size."""

    def __init__(self) -> None:
        self._held = bytearray()

    def split(self, data: bytes) -> Iterator[dict[str, Any] | Unit]:
        held = self._held
        held += data
        at = 0
        try:
            while len(held) - at >= _SIZE.size:
                size, kind = _SIZE.unpack_from(held, at)
                if not 1 <= size <= MAX_MESSAGE:
                    raise ValueError(f"a message of {size} bytes")
                end = at + 4 + size
                if len(held) < end:
                    break
                body = bytes(memoryview(held)[at + _SIZE.size : end])
                at = end
                yield json.loads(body) if kind == _JSON else _unit(body)
        finally:
            del held[:at]


def _unit(body: bytes) -> Unit:
    flags, lost, stream, frame_id, time_us, capture_us, arrival_us = _UNIT.unpack_from(body)
    return Unit(
        stream, frame_id, bool(flags & KEY), bool(flags & GAP), lost, bool(flags & CAPTURED), time_us, capture_us,
        arrival_us, body[_UNIT.size :],
    )  # fmt: skip
