"""What the loop tells the decode thread, and the other way round: single words, each written whole."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class DecodeGate:
    need_key: bool = True  # nothing is decoded before a key frame
    generation: int = 0  # counts senders: another one gets a fresh decoder
