"""The player's side of its workers, recorder and dashboard: access units, finished frames, events and state go out,
commands come in. The picture never waits for them: units are handed on after it was shown."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

from thinair.link.missing_package import install_line
from thinair.link.native import AccessUnit
from thinair.link.protocol.frame_trace import FrameTrace
from thinair.receiver.config import ReceiverConfig
from thinair.receiver.file_names import default_folder
from thinair.receiver.player_control import PlayerControl
from thinair.receiver.record.status import RecordingStatus
from thinair.receiver.stats.event_log import Event, EventLog
from thinair.receiver.stats.frame_table import FrameRow, frame_row
from thinair.receiver.stats.live_state import live_state
from thinair.receiver.stats.player_status import PlayerStatus
from thinair.receiver.stats.report import Report
from thinair.receiver.workers.ipc import (
    SECRET_NAME,
    Camera,
    Content,
    Frames,
    Listening,
    Message,
    Note,
    Record,
    Recording,
    ReportText,
    RequestKeyFrame,
    RequestMode,
    RequestReport,
    SetLatency,
    SetLimits,
    State,
    Watch,
)
from thinair.receiver.workers.unit_maker import UnitMaker
from thinair.receiver.workers.unit_queue import UnitQueue
from thinair.receiver.workers.worker import Worker

_RECORDER_BACKLOG = 64 << 20  # bytes: a minute of 8 Mbit/s
_DASHBOARD_BACKLOG = 1 << 20
_END_S = {"dashboard": 2.0, "recorder": 150.0}
_ROWS = 512  # of finished frames, between two messages


def _exit(code: int | None) -> str:
    return "killed" if code is None else f"signal {-code}" if code < 0 else f"code {code}"


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the hub asks of its player."""

    status: Callable[[], PlayerStatus]
    report: Callable[[], Report]
    recording: Callable[[RecordingStatus], None]
    log: Callable[[str], None]  # to the terminal
    start: Callable[[Coroutine[Any, Any, None]], None]  # a task of the player's


class WorkerHub:
    """Belongs to the loop's thread, but for `tap`."""

    def __init__(
        self, config: ReceiverConfig, units: UnitMaker, control: PlayerControl, events: EventLog, hooks: Hooks
    ) -> None:
        self.folder = config.record_to or default_folder()  # of recordings and snapshots
        self._recording = RecordingStatus()
        self._config, self._units, self._control, self._events, self._hooks = config, units, control, events, hooks
        self._tapped: deque[AccessUnit] = deque()
        self._rows: deque[FrameRow] = deque(maxlen=_ROWS)
        self._watched = False  # somebody wants the picture in a browser
        self._record_wanted = config.record
        arguments = ["--folder", str(self.folder), "--format", config.record_format]
        arguments += ["--pre-record", str(config.pre_record_s)]
        self._recorder = Worker("thinair.receiver.record", arguments, self._receive, _RECORDER_BACKLOG)
        self._to_recorder = UnitQueue(self._recorder)
        self._recorder.on_start = self._recorder_is_there
        self._recorder.on_end = lambda code: self._ended("recorder", code)
        self._dashboard: Worker | None = None
        if config.dashboard is not None:
            where, token = ["--listen", str(config.dashboard)], {SECRET_NAME: config.dashboard_token or ""}
            self._dashboard = Worker(
                "thinair.receiver.dashboard", where, self._receive, _DASHBOARD_BACKLOG, niceness=5, secrets=token
            )
            self._to_dashboard = UnitQueue(self._dashboard)
            self._dashboard.on_start = self._dashboard_is_there
            self._dashboard.on_end = lambda code: self._ended("dashboard", code)

    async def start(self) -> None:
        if self._dashboard is not None and find_spec("aiohttp") is None:
            self._dashboard = None
            self._hooks.log(
                f"no dashboard: aiohttp is missing: {install_line('aiohttp')}, or play with --dashboard off"
            )
        if self._dashboard is not None:
            await self._dashboard.start()
        if self._record_wanted or self._config.pre_record_s:
            await self._recorder.start()

    async def close(self) -> None:
        """The recording is whole when this returns."""
        self.forward()
        self._send_rows()
        if self._recorder.alive and self._recording.state == "on":
            self._hooks.log("finishing the recording")
        if not await self._recorder.close(_END_S["recorder"]):
            self._hooks.log("the end of the recording was not written; salvage the rest with: thinair recover")
        if self._dashboard is not None:
            await self._dashboard.close(_END_S["dashboard"])

    # ---- out ------------------------------------------------------------------------------------------------------

    def tap(self, unit: AccessUnit) -> None:
        """By the decode thread, before the decoder: a reference, nothing else."""
        if self._records or self._watched:
            self._tapped.append(unit)

    @property
    def _records(self) -> bool:
        """The recorder wants units, for a file or for its ring, or will once it is there."""
        return self._recorder.wanted and (self._record_wanted or self._config.pre_record_s > 0)

    def forward(self) -> None:
        while self._tapped:
            unit = self._units.unit(self._tapped.popleft())
            if self._records:
                self._to_recorder.send(unit)
            if self._watched:
                self._to_dashboard.send(unit)

    def frames(self, traces: Iterable[FrameTrace]) -> None:
        if self._recorder.alive or self._dashboard is not None:
            self._rows.extend(frame_row(trace) for trace in traces)

    def event(self, event: Event) -> None:
        self._tell_both(event)

    def camera(self, name: str) -> None:
        self._recorder.tell(Camera(name or "camera"))

    def state(self, status: PlayerStatus) -> None:
        """A few times a second."""
        self._send_rows()
        if self._dashboard is not None and self._dashboard.alive:
            recording = replace(self._recording, left_out=self._to_recorder.left_out)
            self._dashboard.tell(State(live_state(status, recording)))

    def _send_rows(self) -> None:
        if self._rows:
            rows = list(self._rows)
            self._rows.clear()
            self._tell_both(Frames(rows))

    def _tell_both(self, message: Content) -> None:
        for worker in (self._recorder, self._dashboard):
            if worker is not None:
                worker.tell(message)

    # ---- in -------------------------------------------------------------------------------------------------------

    def toggle_recording(self) -> None:
        self._record(not self._record_wanted)

    def _record(self, on: bool) -> None:
        before = self._records
        self._record_wanted = on
        if not before:
            self._to_recorder.forget()
        if self._recorder.alive:
            self._recorder.tell(Record(on))
        elif on:
            self._hooks.start(self._recorder.start())
        if on and not self._config.pre_record_s:
            self._control.request_key_frame("a recording starts")

    def _recorder_is_there(self) -> None:
        self.camera(self._hooks.status().camera)
        if self._record_wanted:
            self._recorder.tell(Record(True))
        self._to_recorder.started()

    def _dashboard_is_there(self) -> None:
        assert self._dashboard is not None
        self._watched = False
        self._to_dashboard.forget()
        for event in self._events.newest():
            self._dashboard.tell(event)
        self.state(self._hooks.status())

    def _ended(self, what: str, code: int | None) -> None:
        if what == "recorder":
            failed = RecordingStatus("failed", "the recorder exited")
            self._see_recording(failed if self._record_wanted else RecordingStatus())
            self._to_recorder.forget()
            if self._record_wanted:
                self._control.request_key_frame("the recorder restarts")
        self._events.note(what, f"the {what} exited unexpectedly ({_exit(code)}); restarting it")

    def _see_recording(self, status: RecordingStatus) -> None:
        self._recording = status
        self._hooks.recording(status)

    def _receive(self, message: Message) -> None:
        match message:
            case Recording(status=status):
                self._see_recording(status)
            case Note(kind=kind, text=text):
                self._events.note(kind, text)
            case Listening(port=port) if self._dashboard is not None and self._config.dashboard is not None:
                again = replace(self._config.dashboard, port=port)  # a restarted dashboard keeps its port
                self._dashboard.arguments = ["--listen", str(again)]
            case Watch(on=on):
                self._watched = on
                self._to_dashboard.forget()
            case Record(on=on):
                self._record(on)
            case RequestReport() if self._dashboard is not None:
                self._dashboard.tell(ReportText(json.dumps(self._hooks.report(), indent=1)))
            case RequestKeyFrame() | SetLimits() | RequestMode() | SetLatency():
                self._control.do(message)
