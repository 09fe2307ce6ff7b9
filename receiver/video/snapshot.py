"""A picture as it was decoded, into a PNG file, by a thread that gives way to everything else."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from thinair.receiver.file_names import numbered, stem

if TYPE_CHECKING:
    import av

_NICE = 15
_NAMES = 999


def save(frame: av.VideoFrame, folder: Path, camera: str, note: Callable[[str], None]) -> threading.Thread:
    """`note` gets the one line that tells how it went, in that thread."""

    def work() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            note(f"snapshot: {write(frame, folder, stem(camera, datetime.now()))}")
        except OSError as error:
            note(f"no snapshot: {error.strerror or error} ({folder})")

    thread = threading.Thread(target=work, name="thinair-snapshot")
    thread.start()
    return thread


def write(frame: av.VideoFrame, folder: Path, base: str) -> Path:
    """The path of the new file. Raises OSError."""
    image = frame.to_image()  # type: ignore[no-untyped-call]  # PyAV names no type
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, _NAMES):
        path = folder / f"{numbered(base, number)}.png"
        try:
            with path.open("xb") as file:
                image.save(file, "PNG", compress_level=1)
        except FileExistsError:
            continue
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path
    raise FileExistsError(17, f"{_NAMES} snapshots of this second")
