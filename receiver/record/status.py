"""What the recorder says of itself, for page, window and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """Of the recording that runs, or of the last one; None is unknown."""

    state: Literal["off", "waiting", "on", "failed"] = "off"  # waiting: for a key frame
    why: str = ""  # it failed
    file: str | None = None
    seconds: float = 0.0
    frames: int = 0
    missing: int = 0  # frames that did not arrive, between those that are there
    bytes: int = 0
    free_bytes: int | None = None  # on its disk
    left_s: float | None = None  # until the disk is full
    pending_bytes: int = 0  # not yet taken by the disk
    dropped: int = 0  # access units that the disk was too slow for
    left_out: int = 0  # access units that the recorder itself was too slow for
    pre_record_s: float = 0.0  # what is held of the time before a recording
