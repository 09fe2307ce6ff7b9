"""What loop and decode thread share: single values, each written whole."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class DecodeGate:
    need_key: bool = True  # nothing is decoded before a key frame
    generation: int = 0  # counts senders: another one gets a fresh decoder
