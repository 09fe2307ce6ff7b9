"""`thinair send`: an asyncio loop keeps the session, a thread runs the pipeline from source to packets, the C pump owns
the packets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from thinair.link.endpoint import Endpoint
from thinair.link.errors import ConfigError, Exit, NetworkError, NoPeerError
from thinair.link.files import check_writable
from thinair.link.host import random_bits
from thinair.link.log import Log
from thinair.link.native import MAX_LINK_PACKET, Tx, now_us
from thinair.link.protocol.bitrate import BitrateFollower, Reason
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
from thinair.link.protocol.source_state import SourceCode, SourceState
from thinair.link.video_mode import Mode
from thinair.sender.board.status_led import Facts, Lamp, Light, choose, find
from thinair.sender.config import SenderConfig, split_plain_output
from thinair.sender.heartbeat import Panel, network_up
from thinair.sender.pipeline import pacing
from thinair.sender.pipeline.base import Counts, Hooks, Pipeline, open_pipeline
from thinair.sender.report import write_report
from thinair.sender.systemd.sd_notify import Notifier

if TYPE_CHECKING:
    from thinair.sender.connection.encrypted_link import SealedLink
    from thinair.sender.pipeline.preview import Thumbnail

_USUAL_RATE = Fraction(25)  # pacing hardly depends on it
_EVENTS = 256  # of the source, kept for the report
_SAID = 200  # lines, kept for the control API
_STREAMING_US = 1_000_000  # without an access unit for this long, the light says linked only
_SWITCH_INTERVAL_S = 0.0005  # a thread that wakes takes the interpreter from a busy one after this long


def run(config: SenderConfig) -> int:
    """Sends until the source ends, the time is over or a signal comes. Raises LinkError."""
    transport, endpoint = _destination(config)
    if config.sdp is not None and transport != "rtp":
        raise ConfigError("--sdp describes a plain RTP stream: add --plain rtp://HOST:PORT")
    if transport == "thinair" and config.max_packet > MAX_LINK_PACKET:
        raise ConfigError(
            f"--max-packet {config.max_packet}: give {MAX_LINK_PACKET} at most to our own player; repair needs the rest"
        )
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    check_writable(config.report, config.frames, config.sdp)
    rate = config.mode.rate if config.mode is not None else _USUAL_RATE
    pace_us = pacing.pace_us(config.pace, endpoint.host, rate, config.bitrate_bps, config.max_packet)
    ssrc = random_bits(32)
    tx = _open_tx(config, transport, endpoint, ssrc, pace_us)
    try:
        service = Service(config, tx, ssrc, pace_us, transport)
        pipeline = open_pipeline(config, tx, service.hooks())
        try:
            what = " ".join(str(part) for part in (config.source, service.mode) if part)
            where = str(endpoint) if endpoint.port else "whom it lets in"
            how = transport if service.sealed else f"{transport}, unsealed"
            service.say(f"sending {what} to {where} as {how}, {pipeline.describe()}")
            return service.run(pipeline)
        finally:
            pipeline.close()
    finally:
        tx.close()


def _destination(config: SenderConfig) -> tuple[str, Endpoint]:
    if config.sealed and config.plain is None:
        return "thinair", config.to or Endpoint("", 0)
    if (config.to is None) == (config.plain is None):
        raise ConfigError("say where to send: --to HOST:PORT, or --plain rtp://HOST:PORT for other players")
    if config.to is not None:
        return "thinair", config.to
    return split_plain_output(config.plain or "")


def _open_tx(config: SenderConfig, transport: str, endpoint: Endpoint, ssrc: int, pace_us: int) -> Tx:
    try:
        return Tx(
            host=endpoint.host,
            port=endpoint.port,
            mode=transport,
            ssrc=ssrc,
            max_packet=config.max_packet,
            pace_group=pacing.GROUP,
            pace_us=pace_us,
            own_pace=config.pace != "auto",
            priority=config.priority,
            sealed=config.sealed and transport == "thinair",
        )
    except ValueError as error:
        raise NetworkError(f"cannot send to {endpoint}: no such host") from error
    except OSError as error:
        raise NetworkError(f"cannot send to {endpoint}: {error.strerror}") from error


@dataclass(slots=True)
class Service:
    config: SenderConfig
    tx: Tx
    ssrc: int
    pace_us: int
    transport: str
    mode: Mode | None = None  # of the pictures; None until the camera has said it
    source: SourceState | None = None
    changes: int = 0  # of the source's state and mode
    events: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_EVENTS))
    notes: list[str] = field(default_factory=list)
    control: dict[str, int] = field(default_factory=dict)
    _pipeline: Pipeline = field(init=False)
    _running: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)
    _failure: BaseException | None = None
    _in_vain: bool = False  # the time was over and no receiver had come
    _linked: bool = False
    _linked_ever: bool = False
    _words: int = 0  # of the source about its state
    _sent: tuple[int, int] = (0, -_STREAMING_US)  # access units, and when there was one more
    _began_us: int = field(default_factory=now_us)
    _news: deque[Mode | SourceState] = field(default_factory=deque)  # for the session, from the pipeline's thread
    _wake: Callable[[], object] = lambda: None
    _key_us: int = 0  # when the encoder gave its newest key frame
    _session: SenderSession | None = None
    _sealed: SealedLink | None = None
    _dropped: Counter[str] = field(default_factory=Counter)
    said: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=_SAID))  # s since the start
    _follower: BitrateFollower = field(init=False)
    _log: Log = field(init=False)
    _done: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        self._follower = BitrateFollower(self.config.bitrate_bps)
        self._log = Log(self.config.log_format, "send")

    def hooks(self) -> Hooks:
        return Hooks(mode=self._on_mode, state=self._on_state, key_frame=self._on_key_frame, say=self.say)

    def run(self, pipeline: Pipeline) -> int:
        """`pipeline` is open, with hooks() in it."""
        self._pipeline, self._running = pipeline, True
        with contextlib.ExitStack() as stack:
            if self.config.metrics is not None:
                from thinair.sender.metrics import serve

                stack.callback(serve(self.config.metrics, self, pipeline))
            asyncio.run(self._main())
        self.notes += [*self.tx.notes, *pipeline.notes]
        if self.config.report is not None:
            write_report(self.config.report, self, pipeline)
        if self._failure is not None:
            raise self._failure
        if self._in_vain:
            where = f"answered at {self.config.to}" if self.config.to is not None else "came in"
            raise NoPeerError(f"no receiver {where} in {self.config.seconds:g} s")
        return int(Exit.OK)

    def say(self, text: str) -> None:
        self.said.append((self.uptime_s, text))
        self._log.write(text)

    @property
    def uptime_s(self) -> float:
        return round((now_us() - self._began_us) / 1e6, 3)

    @property
    def sealed(self) -> bool:
        return self.config.sealed and self.transport == "thinair"

    @property
    def linked(self) -> bool:
        return self._linked

    @property
    def bitrate_bps(self) -> int:
        """What the encoder is asked for now."""
        return self._follower.bitrate_bps

    @property
    def limits(self) -> dict[str, int]:
        return {"min_bps": self._follower.min_bps, "max_bps": self._follower.max_bps}

    @property
    def refused(self) -> dict[str, int]:
        """What the sealed link turned down, by reason, whether there was a session or not."""
        return dict(self._sealed.refused) if self._sealed is not None else {}

    @property
    def counts(self) -> Counts:
        return self._pipeline.counts

    # ---- from the control API, in the loop ------------------------------------------------------------------------

    def ask_mode(self, mode: Mode, who: str) -> None:
        self.say(f"{who} asks for {mode}")
        self._record(asked=str(mode))
        self._pipeline.ask_mode(mode)

    def limit(self, min_bps: int, max_bps: int) -> None:
        """Of the bitrate; the receiver is told the highest, and adapts below it."""
        self.say(f"bitrate limits {min_bps / 1e6:g} to {max_bps / 1e6:g} Mbit/s")
        if (bitrate_bps := self._follower.limit(min_bps, max_bps, now_us())) is not None:
            self._set_bitrate(bitrate_bps, "limits")
        if self._session is not None:
            self._session.describe(self.media())
            self._wake()

    def ask_key_frame(self) -> None:
        self._pipeline.request_key_frame()

    def look(self) -> Thumbnail | None:
        return self._pipeline.look()

    def light(self) -> Light:
        return choose(self._facts())

    def end(self) -> None:
        """As a signal would."""
        self._done()

    # ---- from the pipeline's thread -------------------------------------------------------------------------------

    def _on_key_frame(self, encoded_us: int) -> None:
        self._key_us = encoded_us

    def _on_mode(self, mode: Mode) -> None:
        if mode != self.mode:
            if self._running:  # else it is said with the start
                self.say(f"the source's mode is {mode} now")
            self._record(mode=str(mode))
            self.mode = mode
            self._tell(mode)

    def _on_state(self, state: SourceState) -> None:
        self._words += 1
        if state != self.source:
            if state.code is not SourceCode.LIVE:
                self.say(state.title())
            elif self.source is not None:
                self.say("the source is live")
            self._record(state=state.code.name.lower(), detail=state.detail)
            self.source = state
            self._tell(state)

    def _record(self, **what: str) -> None:
        self.changes += 1
        self.events.append({"at_s": round((now_us() - self._began_us) / 1e6, 3), **what})

    def _tell(self, news: Mode | SourceState) -> None:
        self._news.append(news)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._wake()

    # ---- session ------------------------------------------------------------------------------------------------

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        self._done = done.set
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, done.set)
        pictures = threading.Thread(
            target=self._pictures, args=(lambda: loop.call_soon_threadsafe(done.set),), name="thinair-pictures"
        )
        gc.collect()
        gc.freeze()
        pictures.start()
        notifier = Notifier()
        lamp = Lamp(find() if self.config.light == "auto" else None)
        panel = asyncio.create_task(Panel(lamp, notifier, self._facts, self._progress).run())
        notifier.ready(f"sending {self.config.source}")
        session = asyncio.create_task(self._converse()) if self.transport == "thinair" else None
        ending = [panel]
        if session is None:
            self._pipeline.allow(True)
            ending.append(asyncio.create_task(self._hear_peer()))
        else:
            session.add_done_callback(lambda _: done.set())
            ending.append(session)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.seconds or None):
                await done.wait()
        self._in_vain = not done.is_set() and session is not None and not self._linked_ever
        self._stop.set()
        notifier.stopping()
        for task in ending:
            task.cancel()
        await asyncio.wait(ending)
        notifier.close()
        await asyncio.to_thread(pictures.join)
        for task in ending:
            if not task.cancelled():
                task.result()  # raises what ended it

    def _facts(self) -> Facts:
        sent, at_us = self._pipeline.counts.sent, now_us()
        if sent != self._sent[0]:
            self._sent = sent, at_us
        state = self.source.code if self.source is not None else SourceCode.LIVE if self.mode is not None else None
        return Facts(
            fault=self._failure is not None,
            network=network_up(),
            source=state,
            linked=self._linked or self.transport != "thinair",
            streaming=at_us - self._sent[1] < _STREAMING_US,
        )

    def _progress(self) -> int:
        """What moves while the chain lives: pictures, or words that there are none."""
        return self._pipeline.counts.captured + self._words

    def _pictures(self, ended: Callable[[], object]) -> None:
        try:
            self._pipeline.run(self._stop)
        except Exception as error:  # raised again by run()
            self._failure = error
        finally:
            ended()

    async def _converse(self) -> None:
        arrived = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.tx.eventfd, arrived.set)
        self._wake = lambda: loop.call_soon_threadsafe(arrived.set)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self.end_session)
            stack.callback(loop.remove_reader, self.tx.eventfd)
            if self.sealed:
                from thinair.sender.connection.encrypted_link import SealedLink  # loads TLS

                self._sealed = SealedLink(self)
                await stack.enter_async_context(self._sealed.open())
            else:
                session = SenderSession(random_bits(63) + 1, random_bits(63) + 1, self.ssrc, self.media())
                self.tx.set_cookie(session.cookie, session.boot_id)
                self.adopt(session)
            while (due_us := self._next_due(now_us())) is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout((due_us - now_us()) / 1e6):
                        await arrived.wait()
                arrived.clear()
                self._talk()

    def state_words(self) -> str:
        if self.source is not None and self.source.code is not SourceCode.LIVE:
            return self.source.code.name.lower().replace("_", " ")
        return "sending" if self._linked else "waiting"

    def _next_due(self, now: int) -> int | None:
        due_us = None if self._session is None else self._session.next_timeout(now)
        if self._sealed is None:
            return due_us
        call_us = self._sealed.call(now)
        return call_us if due_us is None else min(due_us, call_us)

    def adopt(self, session: SenderSession) -> None:
        if self.source is not None:
            session.source_state(self.source, now_us())
        self._session = session
        self._wake()

    def end_session(self) -> None:
        if self._session is None:
            return
        self._session.close(now_us())
        self._talk()
        self._dropped += self._session.dropped
        tally = self._session.tally
        self.control = {
            "lost_packets": self.control.get("lost_packets", 0) + tally.lost,
            "reported_packets": self.control.get("reported_packets", 0) + tally.judged,
            **self._dropped,
        }
        self._session = None

    def _set_bitrate(self, bitrate_bps: int, why: str) -> None:
        self._pipeline.set_bitrate(bitrate_bps)
        self._record(bitrate_bps=str(bitrate_bps), why=why)

    async def _hear_peer(self) -> None:
        """On plain outputs: a player's PLI brings a key frame. Its generic NACKs are answered by the packet thread."""
        dropped: Counter[str] = Counter()
        arrived = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.tx.eventfd, arrived.set)
        asked_us = -KEY_FRAME_INTERVAL_US
        try:
            while True:
                await arrived.wait()
                arrived.clear()
                messages = [one for datagram, _ in self.tx.control() for one in parse(datagram, dropped)]
                wanted = any(isinstance(one, Pli) and one.media_ssrc == self.ssrc for one in messages)
                if wanted and now_us() - asked_us >= KEY_FRAME_INTERVAL_US:
                    asked_us = now_us()
                    self._pipeline.request_key_frame()
        finally:
            loop.remove_reader(self.tx.eventfd)
            self.control = dict(dropped)

    def media(self, mode: Mode | None = None) -> MediaDescription:
        mode = mode or self.mode
        width, height, rate = (mode.width, mode.height, mode.rate) if mode is not None else (0, 0, None)
        return MediaDescription(width, height, rate, self._follower.max_bps, name=self.config.name)

    def _talk(self) -> None:
        session = self._session
        if session is None:  # what is still on its way is for the one that has ended; the next is told all anew
            self.tx.control()
            self._news.clear()
            return
        if self._key_us:
            session.key_frame_encoded(self._key_us)
        while self._news:
            news = self._news.popleft()
            if isinstance(news, SourceState):
                session.source_state(news, now_us())
            else:
                session.describe(self.media(news))
        for datagram, arrival_us in self.tx.control():
            session.receive_datagram(datagram, arrival_us)
        while (out := session.next_datagram(now_us())) is not None:
            self.tx.send_control(out)
        if (place := self.tx.elsewhere()) is not None:
            question = session.peer_moved(*place, random_bits(63) + 1, now_us())
            if question is not None:
                self.tx.send_control(question, *place)
        while (event := session.next_event()) is not None:
            self._on_event(event)

    def _set_linked(self, linked: bool) -> None:
        self._linked = linked
        self._linked_ever = self._linked_ever or linked
        if self._sealed is not None:
            self._sealed.linked = linked

    def _on_event(self, event: object) -> None:
        match event:
            case Linked():
                self._set_linked(True)
                self._pipeline.request_key_frame()
                self.tx.allow_media(True)
                self._pipeline.allow(True)
                self.say("linked: a receiver is there")
            case Unlinked(reason=reason):
                self._set_linked(False)
                self.tx.allow_media(False)
                self._pipeline.allow(False)
                if reason != "closed":  # by ourselves
                    self.say(f"no receiver ({reason}); still calling")
            case PathConfirmed(host=host, port=port):
                self.tx.set_peer(host, port)
                self.say(f"the receiver is at {host}:{port} now")
            case KeyFrameRequested():
                self._pipeline.request_key_frame()
            case ModeRequested(width=width, height=height, rate=rate):
                mode = Mode(width, height, rate)
                self.ask_mode(mode, "the receiver")
            case BitrateRequested(bitrate_bps=wanted_bps, reason=reason):
                if (bitrate_bps := self._follower.follow(wanted_bps, now_us())) is not None:
                    why = Reason(reason).name.lower().replace("_", " ") if reason in set(Reason) else str(reason)
                    self._set_bitrate(bitrate_bps, why)
