"""What a pipeline reports from its own thread: mode, state, key frames; the loop takes it from here."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from thinair.link.protocol.source_state import SourceCode, SourceState
from thinair.link.video_mode import Mode
from thinair.sender.pipeline.base import Hooks
from thinair.sender.run_log import RunLog

_KEPT = 256  # events for the report


if TYPE_CHECKING:
    from typing import TypedDict

    class Event(TypedDict, total=False):
        """A change of the source or the bitrate, as the report has it."""

        at_s: float  # since the start; in every event
        state: str
        detail: str
        mode: str
        requested: str  # mode
        bitrate_bps: str
        why: str


class PipelineEvents:
    """hooks() are called from the pipeline's thread, next() in the loop; all else may be read from any."""

    def __init__(self, log: RunLog) -> None:
        self.mode: Mode | None = None  # of the pictures; None until the source has reported it
        self.source: SourceState | None = None
        self.changes = 0
        self.newest: deque[Event] = deque(maxlen=_KEPT)
        self.reports = 0  # of the state, changed or not
        self.key_frame_us = 0  # when the encoder gave its newest key frame
        self.running = False  # before, the line about the start names the mode
        self.wake: Callable[[], object] = lambda: None  # of the loop, after each change
        self._log = log
        self._waiting: deque[Mode | SourceState] = deque()

    def hooks(self) -> Hooks:
        return Hooks(mode=self._on_mode, state=self._on_state, key_frame=self._on_key_frame, log=self._log.add)

    @property
    def source_code(self) -> SourceCode | None:
        """None: neither state nor picture so far."""
        if self.source is not None:
            return self.source.code
        return SourceCode.LIVE if self.mode is not None else None

    def next(self) -> Mode | SourceState | None:
        """The oldest change that the session has not been given."""
        return self._waiting.popleft() if self._waiting else None

    def discard(self) -> None:
        """All changes so far: the next session begins with the newest."""
        self._waiting.clear()

    def record(self, event: Event) -> None:
        self.changes += 1
        self.newest.append({"at_s": self._log.uptime_s, **event})

    def _on_key_frame(self, encoded_us: int) -> None:
        self.key_frame_us = encoded_us

    def _on_mode(self, mode: Mode) -> None:
        if mode != self.mode:
            if self.running:
                self._log.add(f"source changed to {mode}")
            self.record({"mode": str(mode)})
            self.mode = mode
            self._changed(mode)

    def _on_state(self, state: SourceState) -> None:
        self.reports += 1
        if state != self.source:
            if state.code is not SourceCode.LIVE:
                self._log.add(state.title())
            elif self.source is not None:
                self._log.add("source is live again")
            self.record({"state": state.code.name.lower(), "detail": state.detail})
            self.source = state
            self._changed(state)

    def _changed(self, news: Mode | SourceState) -> None:
        self._waiting.append(news)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self.wake()
