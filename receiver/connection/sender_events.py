"""What a session tells of its sender, made known to decoder, window and workers."""

from __future__ import annotations

from collections.abc import Callable

from thinair.link.native import Rx, now_us
from thinair.link.protocol.receiver_session import (
    SENDER_SILENCE_US,
    EncryptedSender,
    ModeUnavailable,
    NewSender,
    ReceiverSession,
    SenderBack,
    SenderChanged,
    SenderLost,
    SourceChanged,
)
from thinair.link.protocol.sender_session import MediaDescription
from thinair.link.protocol.source_state import SourceCode, SourceState
from thinair.receiver.connection.session_client import BOTH_ENDS
from thinair.receiver.stats.event_log import EventLog
from thinair.receiver.stats.frame_accounting import FrameAccounting
from thinair.receiver.stats.player_status import mode_words
from thinair.receiver.video.decode_gate import DecodeGate
from thinair.receiver.video.display_thread import DisplayThread


class SenderEvents:
    """Belongs to the loop. `camera` gets the sender's name whenever it describes itself."""

    def __init__(
        self,
        rx: Rx,
        session: ReceiverSession,
        gate: DecodeGate,
        accounting: FrameAccounting,
        display: DisplayThread,
        *,
        events: EventLog,
        camera: Callable[[str], None],
    ) -> None:
        self.media: MediaDescription | None = None
        self._rx, self._session, self._gate = rx, session, gate
        self._accounting, self._display, self._events = accounting, display, events
        self._camera = camera
        self._source: SourceState | None = None  # the camera's, as its sender last said it

    def handle(self, event: object) -> None:
        """One event of ReceiverSession."""
        match event:
            case NewSender():
                self._begin(event)
            case SenderChanged(description=description):
                self._describe(description)
            case SourceChanged(state=state):
                self._see_source(state)
            case SenderLost(reason="silent"):
                self._lose("network silent", SENDER_SILENCE_US)
            case SenderLost(reason="bye"):
                self._lose("the sender has stopped", 0)
            case ModeUnavailable(width=width, height=height, rate=rate):
                kept = mode_words(self.media) if self.media else "its own"
                self._events.note(
                    "mode", f"the sender keeps {kept}: requested mode {width}x{height}@{rate} is not available"
                )
            case EncryptedSender(name=name):
                text = f"{name or 'a sender'} uses an encrypted link, this player does not: {BOTH_ENDS}"
                self._display.set_notice(text)
                self._events.note("sender", text)
            case SenderBack():
                self._display.set_notice("")
                self._events.note("sender", "the sender is back")

    def refresh_source(self) -> None:
        """The age of the sender's last word of its source decides whether a picture came after it."""
        if self._session.source is not None:
            self._display.source = (self._session.source, self._session.source_heard_us)

    def _begin(self, sender: NewSender) -> None:
        self._rx.accept(sender.host, sender.port, sender.ssrc, self._session.ssrc, sender.cookie)
        self._gate.generation += 1
        self._gate.need_key = True
        self._accounting.new_sender()
        self._source = self._display.source = None
        self._describe(sender.description)

    def _describe(self, media: MediaDescription) -> None:
        self.media = media
        self._display.set_notice("")
        self._camera(media.name)
        if media.rate is not None:
            figures = self._accounting.figures
            figures.set_interval(float(1_000_000 / media.rate))
            self._display.interval_us = figures.interval_us
            self._rx.timing(round(figures.interval_us), 0, 0)
        self._events.note("mode", f"sender {media.name}: {mode_words(media)}")

    def _lose(self, text: str, silent_us: int) -> None:
        self._display.set_notice(text, now_us() - silent_us)
        self._events.note("sender", f"{text}; still listening")

    def _see_source(self, state: SourceState) -> None:
        before, self._source = self._source, state
        self._display.wake()
        if state.code is not SourceCode.LIVE:
            self._events.note("source", state.title())
        elif before is not None and before.code is not SourceCode.LIVE:
            self._events.note("source", "the camera's picture is back")
