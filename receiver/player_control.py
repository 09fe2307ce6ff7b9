"""What keys and page may change of a running player."""

from __future__ import annotations

from thinair.link.errors import ConfigError
from thinair.link.native import now_us
from thinair.link.protocol.receiver_session import ReceiverSession
from thinair.link.video_mode import Mode
from thinair.receiver.stats.event_log import EventLog
from thinair.receiver.video.display_thread import DisplayThread
from thinair.receiver.workers.ipc import PlayerCommand, RequestKeyFrame, RequestMode, SetLatency, SetLimits


class PlayerControl:
    """Belongs to the loop."""

    def __init__(self, session: ReceiverSession, display: DisplayThread, events: EventLog, *, transport: str) -> None:
        self.key_frames = 0  # requested here, each with an event of its own
        self._session, self._display, self._events = session, display, events
        self._plain = transport != "thinair"

    def do(self, command: PlayerCommand) -> None:
        match command:
            case RequestKeyFrame(why=why):
                self.request_key_frame(why)
            case SetLimits(min_bps=low, max_bps=high):
                self._set_limits(low, high)
            case RequestMode(mode=text):
                self._request_mode(text)
            case SetLatency(mode=mode):
                self._display.latency = mode
                self._events.note("player", f"latency mode: {mode}")

    def request_key_frame(self, why: str) -> None:
        if not self._plain and self._session.key_frame_needed(now_us()):
            self.key_frames += 1
            self._events.note("key", f"key frame requested: {why}")

    def _set_limits(self, low: int | None, high: int | None) -> None:
        self._session.set_limits(low, high)
        least, most = ("none" if bps is None else f"{bps / 1e6:g} Mbit/s" for bps in (low, high))
        self._events.note("rate", f"bitrate limits: minimum {least}, maximum {most}")

    def _request_mode(self, text: str) -> None:
        try:
            mode = Mode.parse(text)
        except ConfigError as error:
            self._events.note("mode", str(error))
            return
        if self._session.ask_mode(mode.width, mode.height, mode.rate, now_us()):
            self._events.note("mode", f"requested mode {mode} from the sender")
