"""One CSV row per frame (docs/report.md)."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from thinair.link.files import writing

if TYPE_CHECKING:
    from thinair.sender.encoders.base import AccessUnitOut
    from thinair.sender.picture import Picture

COLUMNS = (
    "frame_id", "seq", "capture_us", "dequeue_us", "encode_in_us", "encode_out_us", "first_send_us", "last_send_us",
    "bytes", "packets", "key", "skipped",
)  # fmt: skip


# As Chain.records() gives them: frame id, driver's sequence; capture, dequeue, encode in, encode out in µs; bytes,
# packets, pictures skipped before, key, Tx.sent().
FrameRecord = tuple[int, int, int, int, int, int, int, int, int, bool, tuple[int, int, int] | None]


class FrameLog:
    """CSV of frames; send stamps are empty where pacing held packets back when the row was written."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: Any = None
        self._rows: Any = None

    def __enter__(self) -> Self:
        if self._path is not None:
            import csv  # here and below: a Pi starts without reports

            with writing(self._path):
                self._file = self._path.open("w", newline="")
            self._rows = csv.writer(self._file)
            self._rows.writerow(COLUMNS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(
        self,
        picture: Picture,
        unit: AccessUnitOut,
        *,
        frame_id: int,
        size: int,
        packets: int,
        sent: tuple[int, int, int] | None,
    ) -> None:
        if self._rows is None:
            return
        first_us, last_us = (sent[1], sent[2]) if sent is not None and sent[0] == frame_id else ("", "")
        stamps = (picture.capture_us, picture.dequeue_us, unit.encode_in_us, unit.encode_out_us, first_us, last_us)
        self._rows.writerow((frame_id, picture.seq, *stamps, size, packets, int(unit.key), picture.skipped))

    def add_record(self, record: FrameRecord) -> None:
        if self._rows is None:
            return
        frame_id, sequence, *stamps, size, packets, skipped, key, sent = record
        first_us, last_us = (sent[1], sent[2]) if sent is not None and sent[0] == frame_id else ("", "")
        self._rows.writerow((frame_id, sequence, *stamps, first_us, last_us, size, packets, int(key), skipped))
