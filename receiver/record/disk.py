"""Files written by a thread of their own, so that a disk may stall without anybody waiting for it.

What is to be written lies in memory until the disk has taken it. Errors end a file, not the thread: they are kept in
`Disk.error` for whoever asks.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

_SPACE_INTERVAL_S = 1.0


class Disk:
    """One recording's files, for one thread to use. Of its calls only open() touches the disk in that thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.error: OSError | None = None  # the first; nothing is written after it
        self.free_bytes: int | None = None  # as of a second ago, for an unprivileged writer
        self.pending_bytes = 0
        self._jobs: deque[tuple[Callable[[], None], int]] = deque()
        self._news = threading.Condition()
        self._closing = False
        self._looked_s = 0.0
        self._files: list[DiskFile] = []
        self._thread = threading.Thread(target=self._run, name="thinair-disk", daemon=True)
        self._thread.start()

    def open(self, name: str) -> DiskFile:
        """A new file; raises FileExistsError where there is one, OSError."""
        fd = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        file = DiskFile(self, fd, self.folder / name)
        self._files.append(file)
        return file

    def do(self, job: Callable[[], None], size: int = 0) -> None:
        with self._news:
            self._jobs.append((job, size))
            self.pending_bytes += size
            self._news.notify()

    @property
    def idle(self) -> bool:
        return not self._jobs

    def close(self, keep: Callable[[], bool] = lambda: True) -> None:
        """After all that was asked for is done the files are closed and the thread ends; see `wait`. `keep` is asked
        then: whether they stay."""

        def end() -> None:
            for file in reversed(self._files):  # the first last: its name is free once all are
                try:
                    if not keep() and file.is_there():
                        file.path.unlink()
                finally:
                    file.end()

        self.do(end)
        with self._news:
            self._closing = True
            self._news.notify()

    def wait(self, timeout_s: float | None = None) -> bool:
        """True once the thread has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def closed(self) -> bool:
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._news:
                if not self._jobs and not self._closing:
                    self._news.wait(_SPACE_INTERVAL_S)
                if not self._jobs and self._closing:
                    return
                job, size = self._jobs[0] if self._jobs else (None, 0)
            try:
                if job is not None:
                    job()
                self._look()
            except OSError as error:
                self.error = self.error or error
            if job is not None:
                with self._news:
                    self._jobs.popleft()
                    self.pending_bytes -= size

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked_s >= _SPACE_INTERVAL_S:
            self._looked_s = now
            found = os.statvfs(self.folder)
            self.free_bytes = found.f_bavail * found.f_frsize
            # A folder that was removed or mounted over takes what is written with it.
            if not self._closing and not all(file.is_there() for file in self._files):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


class DiskFile:
    """File-like for PyAV: writes go to the disk's thread. Its size on the disk is that of what was written there."""

    def __init__(self, disk: Disk, fd: int, path: Path) -> None:
        self.path = path
        self.size = 0
        self.written = 0  # bytes the disk has taken
        self._disk, self._fd, self._at = disk, fd, 0

    def write(self, data: bytes) -> int:
        at, kept = self._at, bytes(data)
        self._at += len(kept)
        self.size = max(self.size, self._at)
        self._disk.do(lambda: self._write(kept, at), len(kept))
        return len(kept)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def sync(self) -> None:
        """What was written up to here outlives a power cut once the disk says so."""
        self._disk.do(self._sync)

    def close(self) -> None:
        """Nothing more is written to it."""
        self._disk.do(self.end)

    def _write(self, data: bytes, at: int) -> None:
        view = memoryview(data)
        while view and self._disk.error is None:
            done = os.pwrite(self._fd, view, at)
            view, at = view[done:], at + done
            self.written += done

    def _sync(self) -> None:
        if self._disk.error is None:
            os.fdatasync(self._fd)

    def is_there(self) -> bool:
        """Whether its name still leads to it, and not to nothing or to another's file."""
        try:
            return self._fd >= 0 and os.path.samestat(os.fstat(self._fd), self.path.stat())
        except FileNotFoundError:
            return False

    def end(self) -> None:
        """By the disk's thread. May be called twice."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
