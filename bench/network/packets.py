"""Tells the media packets and repair symbols of a thinair link apart by their headers (docs/wire-protocol.md)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

MEDIA, SYMBOL = 96, 97  # payload types
_RTP = 12
_ELEMENT = 2  # the frame element's id


@dataclass(frozen=True, slots=True)
class Media:
    frame_id: int
    index: int
    count: int


@dataclass(frozen=True, slots=True)
class Symbol:
    frame_id: int
    count: int  # packets of the frame
    block: int
    index: int
    requested: bool  # on demand; else proactive


def read(data: bytes) -> Media | Symbol | None:
    """None: neither, or truncated."""
    if len(data) < _RTP + 4:
        return None
    kind = data[1] & 0x7F
    if kind == SYMBOL and len(data) >= _RTP + 12:
        frame_id, _, count, block, index, flags = struct.unpack_from(">IHHBBB", data, _RTP)
        return Symbol(frame_id, count, block, index, index >= flags >> 1)
    if kind != MEDIA or not data[0] & 0x10:
        return None
    at = _RTP + 4  # RFC 8285, 4.2: one-byte headers
    end = min(len(data), at + 4 * int.from_bytes(data[_RTP + 2 : _RTP + 4]))
    while at < end:
        name, size = data[at] >> 4, (data[at] & 15) + 1
        if name == _ELEMENT and at + 9 <= len(data):
            return Media(*struct.unpack_from(">IHH", data, at + 1))
        at += 1 + (size if name else 0)
    return None
