"""One row per finished frame: the columns of `--frames` and of a recording's frame table (docs/report.md)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from thinair.link.files import writing
from thinair.link.protocol.frame_trace import FrameTrace

COLUMNS = (
    "frame_id", "outcome", "capture_us", "dequeue_us", "encode_in_us", "encode_out_us", "first_send_us", "last_send_us",
    "first_packet_us", "last_packet_us", "repaired_us", "taken_us", "decoded_us", "present_in_us",
    "presented_us", "capture_to_present_us", "bound_us", "bytes", "packets", "key", "gap",
)  # fmt: skip
FrameRow = list[int | str]  # "" where a value is unknown
_SENDER_STAMPS = ("capture_us", "dequeue_us", "encode_in_us", "encode_out_us", "first_send_us", "last_send_us")
_LOCAL_STAMPS = (
    *("first_packet_us", "last_packet_us", "repaired_us", "taken_us", "decoded_us", "present_in_us", "presented_us"),
)


def frame_row(trace: FrameTrace) -> FrameRow:
    """COLUMNS of one frame. Sender stamps are on the local clock."""
    sender = [_whole(trace.local(getattr(trace, name))) for name in _SENDER_STAMPS]
    local = [_whole(getattr(trace, name)) for name in _LOCAL_STAMPS]
    return [
        trace.frame_id, trace.outcome.value, *sender, *local, _whole(trace.capture_to_present_us),
        _whole(trace.bound_us), trace.size, trace.packets, int(trace.key), int(trace.gap),
    ]  # fmt: skip


class FrameCsv:
    """One row per finished frame."""

    def __init__(self, path: Path | None) -> None:
        self._file: Any = None
        if path is None:
            return
        with writing(path):
            self._file = path.open("w", newline="")
        self._rows = csv.writer(self._file)
        self._rows.writerow(COLUMNS)

    def add(self, trace: FrameTrace) -> None:
        if self._file is not None:
            self._rows.writerow(frame_row(trace))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _whole(value: float | None) -> int | str:
    return "" if value is None else round(value)
