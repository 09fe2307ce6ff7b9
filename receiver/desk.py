"""What the player shares with its own processes, the recorder and the dashboard: access units, finished frames, events
and state go out, wishes come in. The picture never waits for them: units are handed on after it was shown."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from link.config import ReceiverConfig
from link.native import AccessUnit, now_us
from link.trace import FrameTrace
from receiver.child import Child
from receiver.dashboard import SECRET_NAME
from receiver.feed import Unit
from receiver.outlet import Outlet
from receiver.record.names import default_folder
from receiver.report import frame_row, live_state

if TYPE_CHECKING:
    from receiver.player import Player

_RECORDER_BACKLOG = 64 << 20  # bytes: a minute of 8 Mbit/s
_DASHBOARD_BACKLOG = 1 << 20
_PATIENCE_S = {"dashboard": 2.0, "recorder": 150.0}
_ROWS = 512  # of finished frames, between two messages
_RTP_WRAP = 1 << 32


class Desk:
    """Belongs to the loop's thread, but for `tap`."""

    def __init__(self, player: Player, config: ReceiverConfig) -> None:
        self.recording: dict[str, Any] = {"state": "off"}
        self._player, self._config = player, config
        self._tapped: deque[AccessUnit] = deque()
        self._rows: deque[list[int | str]] = deque(maxlen=_ROWS)
        self._watched = False  # somebody wants the picture in a browser
        self._record_wanted = config.record
        self._rtp: tuple[int, int] | None = None  # newest (raw, unwrapped) timestamp of plain RTP
        self.folder = config.record_to or default_folder()  # of recordings and snapshots
        words = ["--folder", str(self.folder), "--format", config.record_format]
        words += ["--pre-record", str(config.pre_record_s)]
        self._recorder = Child("receiver.record", words, self._hear, _RECORDER_BACKLOG)
        self._to_recorder = Outlet(self._recorder)
        self._recorder.on_start = self._recorder_is_there
        self._recorder.on_end = lambda code: self._ended("recorder", code)
        self._dashboard: Child | None = None
        if config.dashboard is not None:
            where, token = ["--listen", str(config.dashboard)], {SECRET_NAME: config.dashboard_token or ""}
            self._dashboard = Child(
                "receiver.dashboard", where, self._hear, _DASHBOARD_BACKLOG, niceness=5, secrets=token
            )
            self._to_dashboard = Outlet(self._dashboard)
            self._dashboard.on_start = self._dashboard_is_there
            self._dashboard.on_end = lambda code: self._ended("dashboard", code)

    async def start(self) -> None:
        if self._dashboard is not None and find_spec("aiohttp") is None:
            self._dashboard = None
            self._player.say("no dashboard: aiohttp is not installed: pip install 'thinair[pc]', or --dashboard off")
        if self._dashboard is not None:
            await self._dashboard.start()
        if self._record_wanted or self._config.pre_record_s:
            await self._recorder.start()

    async def close(self) -> None:
        """The recording is whole when this returns."""
        self.forward()
        self._send_rows()
        if self._recorder.alive and self.recording["state"] == "on":
            self._player.say("finishing the recording")
        if not await self._recorder.close(_PATIENCE_S["recorder"]):
            self._player.say("the disk did not take the end of the recording: thinair recover mends what is there")
        if self._dashboard is not None:
            await self._dashboard.close(_PATIENCE_S["dashboard"])

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
            unit = self._unit(self._tapped.popleft())
            if self._records:
                self._to_recorder.send(unit)
            if self._watched:
                self._to_dashboard.send(unit)

    def frames(self, traces: Iterable[FrameTrace]) -> None:
        if self._recorder.alive or self._dashboard is not None:
            self._rows.extend(frame_row(trace) for trace in traces)

    def event(self, event: dict[str, Any]) -> None:
        for child in (self._recorder, self._dashboard):
            if child is not None:
                child.tell({"type": "event", **event})

    def camera(self, name: str) -> None:
        self._recorder.tell({"type": "camera", "name": name or "camera"})

    def state(self) -> None:
        """A few times a second."""
        self._send_rows()
        if self._dashboard is not None and self._dashboard.alive:
            recording = {**self.recording, "left_out": self._to_recorder.left_out}
            self._dashboard.tell({"type": "state", **live_state(self._player), "recording": recording})

    def _send_rows(self) -> None:
        if not self._rows:
            return
        rows = list(self._rows)
        self._rows.clear()
        for child in (self._recorder, self._dashboard):
            if child is not None:
                child.tell({"type": "frames", "rows": rows})

    def _unit(self, unit: AccessUnit) -> Unit:
        player = self._player
        time_us = unit.capture_us or unit.last_us
        if player.mode == "rtp":
            time_us = self._unwrapped_us(unit.rtp_time)
        estimate = player.clock.estimate(now_us()) if unit.capture_us else None
        local_us = round(unit.capture_us - estimate.offset_us) if estimate is not None else 0
        captured = bool(unit.capture_us) or player.mode == "rtp"
        return Unit(
            player.generation, unit.frame_id, unit.key, unit.gap, unit.lost_before, captured, time_us, local_us,
            unit.last_us, bytes(memoryview(unit)),
        )  # fmt: skip

    def _unwrapped_us(self, rtp_time: int) -> int:
        """90 kHz of 32 bits → µs without a wrap (RFC 3550, 5.1)."""
        if self._rtp is None:
            self._rtp = rtp_time, rtp_time
        else:
            step = (rtp_time - self._rtp[0] + _RTP_WRAP // 2) % _RTP_WRAP - _RTP_WRAP // 2
            self._rtp = rtp_time, self._rtp[1] + step
        return self._rtp[1] * 100 // 9

    # ---- in -------------------------------------------------------------------------------------------------------

    def record(self, on: bool | None = None) -> None:
        """None: the other way round."""
        before = self._records
        self._record_wanted = not self._record_wanted if on is None else on
        if not before:
            self._to_recorder.forget()
        if self._recorder.alive:
            self._recorder.tell({"type": "record", "on": self._record_wanted})
        elif self._record_wanted:
            self._player.do(self._recorder.start())
        if self._record_wanted and not self._config.pre_record_s:
            self._player.ask_key_frame("a recording begins")

    def _recorder_is_there(self) -> None:
        media = self._player.description
        self.camera(media.name if media is not None else "")
        if self._record_wanted:
            self._recorder.tell({"type": "record", "on": True})
        self._to_recorder.started()

    def _dashboard_is_there(self) -> None:
        assert self._dashboard is not None
        self._watched = False
        self._to_dashboard.forget()
        for event in self._player.events:
            self._dashboard.tell({"type": "event", **event})
        self.state()

    def _ended(self, what: str, code: int | None) -> None:
        if what == "recorder":
            failed = {"state": "failed", "why": "the recorder has ended"}
            self._see_recording(failed if self._record_wanted else {"state": "off"})
            self._to_recorder.forget()
            if self._record_wanted:
                self._player.ask_key_frame("the recorder starts again")
        self._player.note_event(what, f"the {what} ended by itself ({code}); starting it again")

    def _see_recording(self, status: dict[str, Any]) -> None:
        self.recording = status
        self._player.see_recording(status)

    def _hear(self, message: dict[str, Any]) -> None:
        player = self._player
        match message["type"]:
            case "recording":
                self._see_recording(message)
            case "say":
                player.note_event(message["kind"], message["text"])
            case "listening" if self._dashboard is not None and self._config.dashboard is not None:
                again = replace(self._config.dashboard, port=message["port"])  # where it was, should it start again
                self._dashboard.words = ["--listen", str(again)]
            case "watch":
                self._watched = message["on"]
                self._to_dashboard.forget()
            case "key":
                player.ask_key_frame(message["why"])
            case "record":
                self.record(message["on"])
            case "limits":
                player.set_limits(message["min_bps"], message["max_bps"])
            case "mode":
                player.ask_mode(message["mode"])
            case "latency":
                player.set_latency(message["mode"])
            case "report" if self._dashboard is not None:
                self._dashboard.tell({"type": "report", "text": json.dumps(player.report(), indent=1)})
