"""One recording: the movie and, beside it, latency and events as CSV, all of one name."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from thinair.receiver.file_names import numbered
from thinair.receiver.record.disk import Disk, DiskFile
from thinair.receiver.record.movie import Movie, parameter_sets
from thinair.receiver.stats.frame_table import COLUMNS, FrameRow
from thinair.receiver.workers.ipc import Unit

FRAME_COLUMNS = ("file_us", *COLUMNS)
EVENT_COLUMNS = ("file_us", "time", "kind", "text")
_REMEMBERED = 1024  # frames whose rows may still come
_USUAL_US = 40_000.0
_NAMES = 99


class Recording:
    """Begins with a key frame. Raises OSError where its files cannot be made, ValueError where they make no movie."""

    def __init__(self, folder: Path, base: str, kind: str, first: Unit, began: datetime) -> None:
        self.parameters = parameter_sets(first.data)
        folder.mkdir(parents=True, exist_ok=True)
        self.disk = Disk(folder)
        self.frames = 0
        self.missing = 0  # frames that never came, between those that are here
        self.last_us = 0
        self.bytes = 0
        self.ended = False
        self._began = began
        try:
            movie = self._open(base, kind)
            self.name = movie.path.stem
            self._rows, self._events = (self.disk.open(f"{self.name}.{what}.csv") for what in ("frames", "events"))
            _write(self._rows, [FRAME_COLUMNS])
            _write(self._events, [EVENT_COLUMNS])
            self._movie = Movie(movie, kind, first.data, began)
        except (OSError, ValueError):
            self.disk.close(keep=lambda: False)
            raise
        self.path = movie.path
        self._stream = first.stream
        self._origin_us = first.time_us
        self._arrival_us = first.arrival_us
        self._usual_us = _USUAL_US
        self._places: dict[int, int] = {}  # frame id → file_us, of the newest
        self._last_id = first.frame_id

    def _open(self, base: str, kind: str) -> DiskFile:
        for number in range(1, _NAMES):
            try:
                return self.disk.open(f"{numbered(base, number)}.{kind}")
            except FileExistsError:
                continue
        return self.disk.open(f"{base}.{kind}")  # and let it say that it is taken

    def fits(self, unit: Unit) -> bool:
        """Whether it belongs to this movie: a key frame with other parameter sets needs one of its own."""
        return not unit.key or parameter_sets(unit.data) in {b"", self.parameters}

    def add(self, unit: Unit) -> None:
        """Its place in the file is its capture's; after a change of sender it is what passed here meanwhile."""
        if unit.stream != self._stream:
            self._origin_us = unit.time_us - (self.last_us + max(1, unit.arrival_us - self._arrival_us))
            self._stream = unit.stream
            self.event("gap", "a new session, of this sender or another")
        at_us = max(self.last_us + (self.frames > 0), unit.time_us - self._origin_us)
        if unit.lost_before and self.frames:
            self.missing += unit.lost_before
            self.event("gap", f"{unit.lost_before} frames missing before this one", at_us)
        elif 0 < at_us - self.last_us < 4 * self._usual_us:
            self._usual_us += (at_us - self.last_us - self._usual_us) / 16
        self._movie.add(unit.data, unit.key, at_us, self._usual_us)
        self.frames += 1
        self.bytes += len(unit.data)
        self.last_us, self._arrival_us, self._last_id = at_us, unit.arrival_us, unit.frame_id
        self._places[unit.frame_id] = at_us
        if len(self._places) > _REMEMBERED:
            del self._places[next(iter(self._places))]

    def rows(self, rows: Iterable[FrameRow]) -> None:
        """Of frames as FrameCsv has them; those that are in the movie are kept, with their place in it."""
        ours = [(self._places[int(row[0])], *row) for row in rows if row[0] in self._places]
        if ours:
            _write(self._rows, ours)
            self.ended = self.ended or ours[-1][1] == self._last_id

    def event(self, kind: str, text: str, at_us: int | None = None) -> None:
        place = self.last_us if at_us is None else at_us
        when = datetime.now(self._began.tzinfo).isoformat(timespec="milliseconds")
        _write(self._events, [(place, when, kind, text)])

    @property
    def stands(self) -> bool:
        """The disk has taken of its movie, and not failed."""
        return self._movie.file.written > 0 and self.disk.error is None

    def finish(self) -> None:
        """The movie is whole. Rows of its last frames may still come; then `close`."""
        self.ended = False
        self._movie.close()

    def close(self) -> None:
        """A recording of which the disk took nothing leaves nothing."""
        self._rows.close()
        self._events.close()
        self.disk.close(keep=lambda: self._movie.file.written > 0)

    def each_second(self) -> None:
        self._rows.sync()
        self._events.sync()


def _write(file: DiskFile, rows: Iterable[Sequence[Any]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    file.write(text.getvalue().encode())
