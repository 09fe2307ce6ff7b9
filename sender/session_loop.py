"""The session with a receiver: its datagrams in and out, and what they make pipeline and packet thread do."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import TYPE_CHECKING

from thinair.link.host import random_bits
from thinair.link.native import Tx, now_us
from thinair.link.protocol.rtcp import Pli, parse
from thinair.link.protocol.sender_session import (
    KEY_FRAME_INTERVAL_US,
    BitrateRequested,
    KeyFrameRequested,
    Linked,
    MediaDescription,
    ModeRequested,
    PathConfirmed,
    SenderSession,
    Unlinked,
)
from thinair.link.protocol.source_state import SourceState
from thinair.link.video_mode import Mode
from thinair.sender.bitrate_control import BitrateControl
from thinair.sender.pipeline.base import Pipeline
from thinair.sender.pipeline.events import PipelineEvents
from thinair.sender.run_log import RunLog

_LOST = {"silent": "no packets from it", "bye": "it ended the session"}


if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from typing import Protocol

    class Link(Protocol):
        """Where encrypted sessions come from: it calls adopt() for each, and end() when one is over."""

        def open(self) -> AbstractAsyncContextManager[None]: ...

        def invite(self, now_us: int) -> int:
            """Sends what is due; when more is due."""
            ...


class SessionLoop:
    """One session at a time. Belongs to the asyncio loop."""

    def __init__(
        self,
        tx: Tx,
        pipeline: Pipeline,
        events: PipelineEvents,
        bitrate: BitrateControl,
        *,
        ssrc: int,
        name: str,
        log: RunLog,
    ) -> None:
        self.ssrc = ssrc
        self.linked = False
        self.was_linked = False  # at any time
        self.control: dict[str, int] = {}  # of sessions that have ended: lost and reported packets, drops by reason
        self._tx, self._name, self._pipeline, self._events = tx, name, pipeline, events
        self._bitrate, self._log = bitrate, log
        self._session: SenderSession | None = None
        self._link: Link | None = None
        self._dropped: Counter[str] = Counter()
        self._due = asyncio.Event()

    async def run(self, link: Link | None) -> None:
        """Until the session is over, or cancelled. `link` gives the sessions; without one there is a single,
        unencrypted session from the start. Raises NetworkError."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._tx.eventfd, self._due.set)
        self._events.wake = lambda: loop.call_soon_threadsafe(self._due.set)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self.end)
            stack.callback(loop.remove_reader, self._tx.eventfd)
            self._link = link
            if link is not None:
                await stack.enter_async_context(link.open())
            else:
                session = SenderSession(random_bits(63) + 1, random_bits(63) + 1, self.ssrc, self.media())
                self._tx.set_cookie(session.cookie, session.boot_id)
                self.adopt(session)
            while (due_us := self._next_due(now_us())) is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout((due_us - now_us()) / 1e6):
                        await self._due.wait()
                self._due.clear()
                self._exchange()

    async def run_plain(self) -> None:
        """On plain outputs: a player's PLI brings a key frame. The packet thread answers generic NACKs. Until
        cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._tx.eventfd, self._due.set)
        dropped: Counter[str] = Counter()
        requested_us = -KEY_FRAME_INTERVAL_US
        try:
            while True:
                await self._due.wait()
                self._due.clear()
                messages = [one for datagram, _ in self._tx.control() for one in parse(datagram, dropped)]
                wanted = any(isinstance(one, Pli) and one.media_ssrc == self.ssrc for one in messages)
                if wanted and now_us() - requested_us >= KEY_FRAME_INTERVAL_US:
                    requested_us = now_us()
                    self._pipeline.request_key_frame()
        finally:
            loop.remove_reader(self._tx.eventfd)
            self.control = dict(dropped)

    def adopt(self, session: SenderSession) -> None:
        """The one before has ended."""
        if self._events.source is not None:
            session.source_state(self._events.source, now_us())
        self._session = session
        self._due.set()

    def end(self) -> None:
        if self._session is None:
            return
        self._session.close(now_us())
        self._exchange()
        self._dropped += self._session.dropped
        tally = self._session.tally
        self.control = {
            "lost_packets": self.control.get("lost_packets", 0) + tally.lost,
            "reported_packets": self.control.get("reported_packets", 0) + tally.judged,
            **self._dropped,
        }
        self._session = None

    def media(self, mode: Mode | None = None) -> MediaDescription:
        """With `mode`, or the source's newest."""
        mode = mode or self._events.mode
        width, height, rate = (mode.width, mode.height, mode.rate) if mode is not None else (0, 0, None)
        return MediaDescription(width, height, rate, self._bitrate.max_bps, name=self._name)

    def request_mode(self, mode: Mode, who: str) -> None:
        self._log.add(f"{who} requested {mode}")
        self._events.record({"requested": str(mode)})
        self._pipeline.request_mode(mode)

    def limit_bitrate(self, min_bps: int, max_bps: int) -> None:
        """The receiver is told `max_bps`, and adapts below it."""
        self._log.add(f"bitrate limits: {min_bps / 1e6:g} to {max_bps / 1e6:g} Mbit/s")
        self._bitrate.limit(min_bps, max_bps)
        if self._session is not None:
            self._session.describe(self.media())
            self._due.set()

    def request_key_frame(self) -> None:
        self._pipeline.request_key_frame()

    def _next_due(self, now: int) -> int | None:
        due_us = None if self._session is None else self._session.next_timeout(now)
        if self._link is None:
            return due_us
        invite_us = self._link.invite(now)
        return invite_us if due_us is None else min(due_us, invite_us)

    def _exchange(self) -> None:
        session = self._session
        if session is None:  # datagrams of the session that has ended; the next one is told everything anew
            self._tx.control()
            self._events.discard()
            return
        if self._events.key_frame_us:
            session.key_frame_encoded(self._events.key_frame_us)
        while (news := self._events.next()) is not None:
            if isinstance(news, SourceState):
                session.source_state(news, now_us())
            else:
                session.describe(self.media(news))
        for datagram, arrival_us in self._tx.control():
            session.receive_datagram(datagram, arrival_us)
        while (out := session.next_datagram(now_us())) is not None:
            self._tx.send_control(out)
        if (place := self._tx.new_peer()) is not None:
            question = session.peer_moved(*place, random_bits(63) + 1, now_us())
            if question is not None:
                self._tx.send_control(question, *place)
        while (event := session.next_event()) is not None:
            self._on_event(event)

    def _on_event(self, event: object) -> None:
        match event:
            case Linked():
                self.linked = self.was_linked = True
                self._pipeline.request_key_frame()
                self._tx.allow_media(True)
                self._pipeline.allow(True)
                self._log.add("linked: a receiver takes the video")
            case Unlinked(reason=reason):
                self.linked = False
                self._tx.allow_media(False)
                self._pipeline.allow(False)
                if reason != "closed":  # by ourselves
                    self._log.add(f"receiver lost ({_LOST.get(reason, reason)}); waiting")
            case PathConfirmed(host=host, port=port):
                self._tx.set_peer(host, port)
                self._log.add(f"receiver moved to {host}:{port}")
            case KeyFrameRequested():
                self._pipeline.request_key_frame()
            case ModeRequested(width=width, height=height, rate=rate):
                self.request_mode(Mode(width, height, rate), "the receiver")
            case BitrateRequested(bitrate_bps=target_bps, reason=reason):
                self._bitrate.follow(target_bps, reason)
