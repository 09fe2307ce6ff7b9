"""What is recorded when, sans-IO but for the files: units, rows, events and commands in, status out."""

from __future__ import annotations

import errno
import os
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Literal

from thinair.receiver.file_names import stem
from thinair.receiver.record.movie import parameter_sets
from thinair.receiver.record.recording import Recording
from thinair.receiver.record.status import RecordingStatus
from thinair.receiver.stats.frame_table import FrameRow
from thinair.receiver.workers.ipc import Unit

RETRY_US = 2_000_000
_ROWS_US = 1_500_000  # how long rows of the last frames are waited for
_MAX_PENDING = 128 << 20  # bytes the disk has not taken: two minutes of 8 Mbit/s
_RESERVE = 48 << 20  # bytes left free: the index at the end, and what else lives on the disk
_RESERVE_S = 20
_WARN_S = 600
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the folder is read-only",
    errno.EACCES: "no permission to write to the folder",
    errno.EPERM: "no permission to write to the folder",
    errno.ENOENT: "the file or its folder was removed",
    errno.EIO: "disk read or write error",
}


@dataclass(frozen=True, slots=True)
class Settings:
    folder: Path
    kind: str = "mp4"  # of movie.FORMATS
    pre_record_s: float = 0.0


class Recorder:
    """`note` gets a line for the event log, once per cause. Times are µs of CLOCK_MONOTONIC."""

    def __init__(
        self, settings: Settings, note: Callable[[str], None], wall: Callable[[], datetime] = datetime.now
    ) -> None:
        self.settings = settings
        self.camera = "camera"
        self.wanted = False
        self.failure = ""  # why nothing is recorded though it is wanted
        self.dropped = 0  # units the disk was too slow for
        self._note, self._wall = note, wall
        self._now: Recording | None = None
        self._ending: list[tuple[Recording, int]] = []
        self._closing: list[Recording] = []  # the disk is not done with them
        self._ring: deque[list[Unit]] = deque()  # each begins with a key frame
        self._retry_us = self._looked_us = 0
        self._behind = False
        self._warned = False
        self._last: Recording | None = None
        self._noted = ""  # the failure that was noted, until a recording is on the disk
        self._announced = False
        self._room = 0  # bytes that must be free before another recording begins: the disk was full

    # ---- commands-----------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.wanted, self.failure, self._noted, self._retry_us, self._room = True, "", "", 0, 0

    def stop(self, now_us: int) -> None:
        self.wanted, self.failure = False, ""
        if self._now is not None:
            self._finish(now_us)

    def close(self, now_us: int) -> list[Recording]:
        """Ends everything; what is returned is on the disk once its `disk` is closed."""
        self.stop(now_us)
        for recording, _ in self._ending:
            self._close(recording)
        self._ending = []
        return self._closing

    # ---- what comes ---------------------------------------------------------------------------------------------

    def unit(self, unit: Unit, now_us: int) -> None:
        if self._now is None:
            self._keep(unit)
            if self.wanted and now_us >= self._retry_us:
                self._begin(now_us)
            return
        if not self._now.fits(unit):
            self._now.event("mode", "the stream has changed: recording to a new file")
            self._finish(now_us)
            self.unit(unit, now_us)
            return
        self._add(unit, now_us)

    def rows(self, rows: Sequence[FrameRow]) -> None:
        for recording in self._open():
            recording.rows(rows)

    def event(self, kind: str, text: str) -> None:
        if self._now is not None:
            self._now.event(kind, text)

    def tick(self, now_us: int) -> None:
        """A few times a second."""
        for entry in list(self._ending):
            ending, since_us = entry
            if ending.ended or now_us - since_us > _ROWS_US:
                self._close(ending)
                self._ending.remove(entry)
        self._closing = [one for one in self._closing if not one.disk.closed]
        recording = self._now
        if recording is None:
            return
        if recording.disk.error is not None:
            self._fail(recording.disk.error, now_us)
        elif recording.stands and not self._announced:
            self._announced, self.failure, self._noted = True, "", ""
            self._note(f"recording to {recording.path}")
        elif now_us - self._looked_us >= 1_000_000:
            self._looked_us = now_us
            recording.each_second()
            self._look_at_space(recording, now_us)

    def status(self) -> RecordingStatus:
        now = self._now
        shown = now or self._last
        state: Literal["off", "waiting", "on", "failed"] = "off"
        if self.wanted:
            state = "failed" if self.failure else "on" if now is not None and now.stands else "waiting"
        return RecordingStatus(
            state=state,
            why=self.failure,
            file=str(shown.path) if shown is not None else None,
            seconds=round(now.last_us / 1e6, 1) if now is not None else 0.0,
            frames=shown.frames if shown is not None else 0,
            missing=shown.missing if shown is not None else 0,
            bytes=shown.bytes if shown is not None else 0,
            free_bytes=now.disk.free_bytes if now is not None else None,
            left_s=self._left_s(now) if now is not None else None,
            pending_bytes=now.disk.pending_bytes if now is not None else 0,
            dropped=self.dropped,
            pre_record_s=self._ring_s(),
        )

    # ---- within -------------------------------------------------------------------------------------------------

    def _keep(self, unit: Unit) -> None:
        """The ring holds pre_record_s and what belongs before, or a key frame that has just come where that is 0. All
        of it is of one set of parameters."""
        ring, span_us = self._ring, self.settings.pre_record_s * 1e6
        other = unit.key and ring and parameter_sets(unit.data) not in {b"", parameter_sets(ring[0][0].data)}
        if span_us == 0 or other:
            ring.clear()
        if unit.key:
            ring.append([unit])
        elif ring:
            ring[-1].append(unit)
        while len(ring) > 1 and unit.arrival_us - ring[1][0].arrival_us >= span_us:
            ring.popleft()

    def _begin(self, now_us: int) -> None:
        ring, self._ring = self._ring, deque()
        if not ring:
            return
        first, when = ring[0][0], self._wall().astimezone()
        try:
            if self._room and shutil.disk_usage(self.settings.folder).free < self._room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._now = Recording(self.settings.folder, stem(self.camera, when), self.settings.kind, first, when)
        except OSError as error:
            self._fail(error, now_us)
            return
        except ValueError as error:
            self._refuse(str(error), now_us)
            return
        self._last = self._now
        self._announced = self._behind = self._warned = False
        self._looked_us = now_us
        for one in chain.from_iterable(ring):
            if self._now is not None:
                self._add(one, now_us)

    def _add(self, unit: Unit, now_us: int) -> None:
        """A disk that is too far behind costs pictures, up to a key frame; the gap stands in the file's timing."""
        assert self._now is not None
        behind = self._now.disk.pending_bytes > _MAX_PENDING
        if behind and not self._behind:
            self._note("the disk is too slow: the recording misses pictures")
        self._behind = behind or (self._behind and not unit.key)
        if self._behind:
            self.dropped += 1
            return
        try:
            self._now.add(unit)
        except ValueError as error:
            self._refuse(str(error), now_us)

    def _finish(self, now_us: int) -> None:
        assert self._now is not None
        recording, self._now = self._now, None
        recording.finish()
        self._ending.append((recording, now_us))
        self._note(f"recorded {recording.frames} pictures ({recording.last_us / 1e6:.1f} s) to {recording.path}")

    def _fail(self, error: OSError, now_us: int) -> None:
        if error.errno in {errno.ENOSPC, errno.EDQUOT} and self._last is not None:
            self._room = max(self._room, self._reserve(self._last) * 3 // 2)
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        self._refuse(f"{reason} ({self.settings.folder})", now_us)

    def _refuse(self, why: str, now_us: int) -> None:
        """Tried again: the cause may go."""
        if self._now is not None:
            recording, self._now = self._now, None
            recording.finish()
            self._close(recording)
        if why != self._noted:
            self._note(f"not recording: {why}; retrying")
        self.failure, self._noted, self._retry_us = why, why, now_us + RETRY_US

    def _close(self, recording: Recording) -> None:
        recording.close()
        self._closing.append(recording)

    def _look_at_space(self, recording: Recording, now_us: int) -> None:
        free, left_s = recording.disk.free_bytes, self._left_s(recording)
        if free is None or left_s is None:
            return
        if left_s <= 0:
            self._finish(now_us)
            self._fail(OSError(errno.ENOSPC, ""), now_us)
        elif left_s < _WARN_S and not self._warned:
            self._warned = True
            self._note(f"the disk is nearly full: {left_s // 60:.0f} min {left_s % 60:.0f} s of recording left")

    def _left_s(self, recording: Recording) -> float | None:
        """Until the clean stop."""
        free, seconds = recording.disk.free_bytes, recording.last_us / 1e6
        if free is None or seconds < 1:
            return None
        rate = max(1.0, recording.bytes / seconds)
        return max(0.0, round((free - self._reserve(recording)) / rate, 1))

    def _reserve(self, recording: Recording) -> int:
        return round(min(_RESERVE, _RESERVE_S * recording.bytes / max(1.0, recording.last_us / 1e6)))

    def _ring_s(self) -> float:
        ring = self._ring
        return round((ring[-1][-1].arrival_us - ring[0][0].arrival_us) / 1e6, 1) if ring else 0.0

    def _open(self) -> list[Recording]:
        ending = [recording for recording, _ in self._ending]
        return ending if self._now is None else [*ending, self._now]
