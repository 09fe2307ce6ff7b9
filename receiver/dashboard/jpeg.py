"""Pictures for browsers that cannot decode H.264: decoded here, made small, sent as JPEG, a few a second."""

from __future__ import annotations

import io
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from thinair.receiver.video.decoder import open_context, refusal
from thinair.receiver.workers.ipc import Unit

MAX_WIDTH = 960
_INTERVAL_S = 0.1
_QUALITY = 70
_BEHIND = 60  # units that wait: then all go, up to a key frame


class JpegMaker:
    """Decodes every unit, in a thread of its own; `done` gets (unit, JPEG) there."""

    def __init__(self, done: Callable[[Unit, bytes], None]) -> None:
        self._done = done
        self._units: deque[Unit] = deque()
        self._news = threading.Event()
        self._need_key = True
        threading.Thread(target=self._run, name="thinair-jpeg", daemon=True).start()

    def pause(self) -> None:
        """Nobody watches for now: what comes next does not follow what came."""
        self._units.clear()
        self._need_key = True

    def unit(self, unit: Unit) -> None:
        if len(self._units) > _BEHIND:
            self._units.clear()
            self._need_key = True
        if self._need_key and not unit.key:
            return
        self._need_key = False
        self._units.append(unit)
        self._news.set()

    def _run(self) -> None:
        import av

        decoder: Any = None
        due_s = 0.0
        while True:
            self._news.wait()
            self._news.clear()
            while True:
                try:
                    unit = self._units.popleft()
                except IndexError:  # also where they were cleared between
                    break
                if unit.key and refusal(unit.data) is not None:
                    decoder, self._need_key = None, True  # the player says why
                    continue
                decoder = decoder or open_context(1)
                try:
                    frames = decoder.decode(av.Packet(unit.data))
                except av.FFmpegError:
                    decoder, self._need_key = None, True
                    continue
                if frames and time.monotonic() >= due_s and not self._units:
                    due_s = time.monotonic() + _INTERVAL_S
                    self._done(unit, _jpeg(frames[-1]))


def _jpeg(frame) -> bytes:  # type: ignore[no-untyped-def]  # PyAV's frames carry no type without PyAV
    width = min(MAX_WIDTH, frame.width)
    image = frame.to_image(width=width, height=round(frame.height * width / frame.width) & ~1)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
