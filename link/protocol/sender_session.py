"""The sender's end of a session (docs/wire-protocol.md), sans-IO: datagrams and `now_us` in, datagrams and events out.
The receiver's end is thinair.link.protocol.receiver_session, which a sender need not load.

What a session is for
    UDP has no connections. The sender must know that a receiver is there and wants its media before it floods an
    address, both must notice when the other has gone or restarted, and the receiver's requests (key frame, bitrate,
    video mode) must reach the encoder. All of it is RTCP beside the media: thinair.link.protocol.rtcp has the messages.

Handshake
    The sender sends HELLO every 200 ms for as long as it runs: its boot id, its SSRC, the description of its stream and
    a cookie, 64 random bits. A receiver answers with WELCOME, which echoes the cookie. Only who receives at the address
    that HELLO went to can know it, so an attacker elsewhere can neither start a stream towards somebody else nor end
    one. Media flows from the first WELCOME on, and begins with a key frame.

        sender                           receiver
          | -- HELLO boot id, cookie, stream --> |      CALLING; the receiver may be LISTENING or not there yet
          | <-- WELCOME its boot id, cookie ---- |      LINKED; the receiver is SERVING
          | == media ==========================> |
          | <-- feedback, TARGET, PLI, PROBE --- |      each of them keeps the session alive
          | -- HELLO (new description), SOURCE ->|      when stream or source state changes
          | <-- BYE, or 2 s of silence --------- |      CALLING again

    HELLO goes on while linked: it tells changes of the stream, and a receiver that restarts finds its sender within
    200 ms. A WELCOME with another boot id is a restarted receiver: the link begins anew, with a key frame.

What ends a session
    BYE with our cookie, or UNLINK_US without any message of the receiver. The sender then sends HELLO only. `close`
    sends a BYE of our own.

While linked
    - PLI asks for a key frame. Requests within KEY_FRAME_INTERVAL_US of one are answered by the next: losses come in
      bursts, and each key frame is large.
    - TARGET has the receiver's congestion control. Numbers order them, an overtaken one is dropped. After
      TARGET_SILENCE_US without one the sender falls back to SAFE_BITRATE_BPS: silence may mean a full queue.
    - MODE requests another video mode; each number is taken once.
    - SOURCE tells the source state: at each change, once more SOURCE_AGAIN_US later since it can be lost, and every
      SOURCE_INTERVAL_US while there is no camera picture.
    - Feedback (RFC 8888) is tallied: which packets arrived.
    - In an encrypted session the receiver's packets may come from a new address. `peer_moved` sends a HELLO with
      FLAG_PATH and a cookie of its own there; its echo is PathConfirmed (path validation, as RFC 9000 8.2 has it).

How to drive it
    After each `receive_datagram` and at each `next_timeout` the caller drains `next_datagram` and then `next_event`
    until they give None. `_SENDER_TRANSITIONS` has all states and inputs: what it does not list changes nothing.
    Malformed, late and unexpected messages never raise; `dropped` counts them by reason.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from thinair.link.protocol.bitrate import MIN_BITRATE_BPS, Reason
from thinair.link.protocol.feedback import FeedbackTally
from thinair.link.protocol.rtcp import (
    FLAG_PATH,
    Bye,
    Feedback,
    Hello,
    ModeRequest,
    Pli,
    Probe,
    Source,
    Target,
    Welcome,
    build,
    parse,
)
from thinair.link.protocol.source_state import SourceCode, SourceState

HELLO_INTERVAL_US = 200_000
FIRST_HELLO_INTERVAL_US = 10_000  # to a receiver that is known to be there; doubles with each HELLO
UNLINK_US = 2_000_000
KEY_FRAME_INTERVAL_US = 300_000
SOURCE_INTERVAL_US = 500_000  # while there is no picture
SOURCE_AGAIN_US = 40_000  # after a change: the first message may be lost
SAFE_BITRATE_BPS = 1_000_000  # while no TARGET comes
TARGET_SILENCE_US = 300_000
PATH_INTERVAL_US = 200_000  # between path validations
MAX_EVENTS = 256  # undrained; the oldest goes first


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """The sender's stream; rate None and sizes 0 while unknown."""

    width: int
    height: int
    rate: Fraction | None
    bitrate_bps: int
    name: str = ""


# ---- events of the sender


@dataclass(frozen=True, slots=True)
class Linked:
    """A receiver has echoed the cookie: media may flow, beginning with a key frame."""

    receiver_boot_id: int


@dataclass(frozen=True, slots=True)
class Unlinked:
    """The receiver has gone: no more media. `reason` is "silent", "bye" or "closed"."""

    reason: str


@dataclass(frozen=True, slots=True)
class KeyFrameRequested:
    """The next frame must be a key frame. At most once per KEY_FRAME_INTERVAL_US."""


@dataclass(frozen=True, slots=True)
class FeedbackReceived:
    feedback: Feedback


@dataclass(frozen=True, slots=True)
class BitrateRequested:
    """From the receiver's TARGET, or the safe bitrate after TARGET_SILENCE_US without one."""

    bitrate_bps: int
    reason: int


@dataclass(frozen=True, slots=True)
class ModeRequested:
    """The receiver requests this video mode. A source without it keeps its own, which HELLO continues to state."""

    width: int
    height: int
    rate: Fraction


@dataclass(frozen=True, slots=True)
class PathConfirmed:
    """The receiver has echoed the cookie sent to this address: media goes there from now on."""

    host: str
    port: int


SenderEvent = (
    Linked | Unlinked | KeyFrameRequested | FeedbackReceived | BitrateRequested | ModeRequested | PathConfirmed
)


class SenderState(StrEnum):
    CALLING = "calling"
    LINKED = "linked"
    CLOSED = "closed"


class SenderInput(StrEnum):
    WELCOME = "welcome"  # from the receiver we are linked with
    WELCOME_NEW = "welcome of a new receiver"
    BYE = "bye"
    SILENCE = "silence"
    CLOSE = "close"


class SenderSession:
    """`boot_id` and `cookie`: 64 random bits each, `ssrc`: 32, from the caller. `invited`: the receiver has just opened
    this session, and may not have its keys yet, so that the first HELLOs follow each other quickly."""

    def __init__(
        self, boot_id: int, cookie: int, ssrc: int, description: MediaDescription, *, invited: bool = False
    ) -> None:
        self.boot_id = boot_id
        self.cookie = cookie
        self.ssrc = ssrc
        self.description = description
        self.state = SenderState.CALLING
        self.tally = FeedbackTally()
        self.dropped: Counter[str] = Counter()
        self._receiver_boot_id: int | None = None
        self._receiver_ssrc = 0
        self._hello_due_us = 0
        self._hello_interval_us = FIRST_HELLO_INTERVAL_US if invited else HELLO_INTERVAL_US
        self._received_us = 0
        self._key_frame_us = -KEY_FRAME_INTERVAL_US
        self._key_frame_wanted = False
        self._target: Target | None = None
        self._target_us: int | None = None  # its arrival; None: none, or too old
        self._mode_number: int | None = None  # of the last mode request
        self._source: SourceState | None = None
        self._source_change = 0
        self._source_due_us: int | None = None
        self._source_again = False
        self._path: tuple[str, int] | None = None  # to be confirmed by an echo of _path_cookie
        self._path_cookie = 0
        self._path_us = -PATH_INTERVAL_US
        self._out: deque[bytes] = deque(maxlen=16)
        self._events: deque[SenderEvent] = deque(maxlen=MAX_EVENTS)

    @property
    def media_allowed(self) -> bool:
        return self.state is SenderState.LINKED

    def describe(self, description: MediaDescription) -> None:
        """The stream has changed; HELLO states it at once."""
        self.description = description
        self._hello_due_us = 0

    def source_state(self, state: SourceState, now_us: int) -> None:
        """A changed state is sent to the receiver at once, and twice a second while it is not LIVE. Idempotent."""
        if state != self._source:
            self._source = state
            self._source_change = self._source_change + 1 & 0xFFFF
            self._schedule_source(now_us)

    def peer_moved(self, host: str, port: int, cookie: int, now_us: int) -> bytes | None:
        """The receiver's encrypted packets come from another address: returns the datagram to send there; None where
        one was sent lately. Nothing else goes there before PathConfirmed. `cookie`: 64 random bits."""
        if self.state is not SenderState.LINKED or now_us - self._path_us < PATH_INTERVAL_US:
            return None
        self._path, self._path_cookie, self._path_us = (host, port), cookie, now_us
        return build(self._hello(cookie, FLAG_PATH))

    def receive_datagram(self, data: bytes, now_us: int) -> None:
        self._check_silence(now_us)
        for message in parse(data, self.dropped):
            match message:
                case Welcome():
                    self._welcome(message, now_us)
                case Probe() if message.cookie == self.cookie and self.state is SenderState.LINKED:
                    self._received_us = now_us  # the packet thread answers it
                case Bye() if message.cookie == self.cookie and message.boot_id == self._receiver_boot_id:
                    self._step(SenderInput.BYE, now_us)
                case Target() if message.cookie == self.cookie and self.state is SenderState.LINKED:
                    self._receive_target(message, now_us)
                case ModeRequest() if message.cookie == self.cookie and self.state is SenderState.LINKED:
                    self._receive_mode_request(message, now_us)
                case Pli() if self._is_ours(message):
                    self._received_us = now_us
                    self._key_frame_wanted = True
                case Feedback() if self._is_ours(message):
                    self._received_us = now_us
                    self.tally.add(message)
                    self._events.append(FeedbackReceived(message))
                case _:
                    self.dropped["control_unexpected"] += 1

    def key_frame_encoded(self, now_us: int) -> None:
        """A key frame has left the encoder, for whatever reason: it answers all earlier requests."""
        self._key_frame_us = now_us
        self._key_frame_wanted = False

    def next_datagram(self, now_us: int) -> bytes | None:
        self._run_timers(now_us)
        return self._out.popleft() if self._out else None

    def next_event(self) -> SenderEvent | None:
        return self._events.popleft() if self._events else None

    def next_timeout(self, now_us: int) -> int | None:
        """When something is due next, at the earliest now; None once closed."""
        if self.state is SenderState.CLOSED:
            return None
        due = [self._hello_due_us]
        if self.state is SenderState.LINKED:
            due.append(self._received_us + UNLINK_US)
            if self._key_frame_wanted:
                due.append(self._key_frame_us + KEY_FRAME_INTERVAL_US)
            if self._source_due_us is not None:
                due.append(self._source_due_us)
            if self._target_us is not None:
                due.append(self._target_us + TARGET_SILENCE_US)
        return max(now_us, min(due))

    def close(self, now_us: int) -> None:
        """Queues a BYE. Idempotent."""
        self._step(SenderInput.CLOSE, now_us)

    def _is_ours(self, message: Pli | Feedback) -> bool:
        linked = self.state is SenderState.LINKED
        return linked and message.media_ssrc == self.ssrc and message.ssrc == self._receiver_ssrc

    def _receive_target(self, target: Target, now_us: int) -> None:
        self._received_us = now_us
        if self._target is not None and target.number - self._target.number & 0xFFFFFFFF >= 0x80000000:
            self.dropped["control_overtaken"] += 1
            return
        self._target, self._target_us = target, now_us
        bitrate_bps = min(max(target.bitrate_bps, MIN_BITRATE_BPS), self.description.bitrate_bps)
        self.dropped["control_clamped"] += bitrate_bps != target.bitrate_bps
        self._events.append(BitrateRequested(bitrate_bps, target.reason))

    def _receive_mode_request(self, request: ModeRequest, now_us: int) -> None:
        self._received_us = now_us
        if request.number != self._mode_number:
            self._mode_number = request.number
            rate = Fraction(request.rate_numerator, request.rate_denominator)
            self._events.append(ModeRequested(request.width, request.height, rate))

    def _hello(self, cookie: int, flags: int = 0) -> Hello:
        d = self.description
        top, bottom = (d.rate.numerator, d.rate.denominator) if d.rate else (0, 0)
        mode = d.width, d.height, top, bottom, d.bitrate_bps
        return Hello(self.ssrc, self.boot_id, cookie, self.ssrc, *mode, d.name, flags)

    def _welcome(self, message: Welcome, now_us: int) -> None:
        if self._path is not None and message.cookie == self._path_cookie:
            self._events.append(PathConfirmed(*self._path))
            self._path = None
            return
        if message.cookie != self.cookie or message.sender_boot_id != self.boot_id:
            self.dropped["control_cookie"] += 1
            return
        new = message.boot_id != self._receiver_boot_id
        self._receiver_boot_id, self._receiver_ssrc = message.boot_id, message.ssrc
        self._received_us = max(self._received_us, now_us)
        self._step(SenderInput.WELCOME_NEW if new else SenderInput.WELCOME, now_us)

    def _check_silence(self, now_us: int) -> None:
        if self.state is SenderState.LINKED and now_us - self._received_us >= UNLINK_US:
            self._step(SenderInput.SILENCE, now_us)

    def _run_timers(self, now_us: int) -> None:
        if self.state is SenderState.CLOSED:
            return
        self._check_silence(now_us)
        if self._key_frame_wanted and now_us - self._key_frame_us >= KEY_FRAME_INTERVAL_US:
            self.key_frame_encoded(now_us)
            self._events.append(KeyFrameRequested())
        if self._target_us is not None and now_us - self._target_us >= TARGET_SILENCE_US:
            self._target_us = None
            self._events.append(BitrateRequested(min(SAFE_BITRATE_BPS, self.description.bitrate_bps), Reason.NO_REPORT))
        if now_us >= self._hello_due_us:
            self._hello_due_us = now_us + self._hello_interval_us
            self._hello_interval_us = min(2 * self._hello_interval_us, HELLO_INTERVAL_US)
            self._out.append(build(self._hello(self.cookie)))
        if self.state is SenderState.LINKED and self._source_due_us is not None and now_us >= self._source_due_us:
            self._send_source(now_us)

    def _schedule_source(self, now_us: int) -> None:
        if self._source is not None:
            self._source_due_us, self._source_again = now_us, True

    def _send_source(self, now_us: int) -> None:
        source = self._source
        assert source is not None
        age_ms = min(max(0, now_us - source.since_us) // 1000, 0xFFFFFFFF)
        words = source.code, self._source_change, age_ms, source.detail
        self._out.append(build(Source(self.ssrc, self.boot_id, self.cookie, *words)))
        if self._source_again:
            self._source_due_us, self._source_again = now_us + SOURCE_AGAIN_US, False
        else:
            self._source_due_us = None if source.code is SourceCode.LIVE else now_us + SOURCE_INTERVAL_US

    def _step(self, event: SenderInput, now_us: int) -> None:
        state, action = _SENDER_TRANSITIONS.get((self.state, event), (self.state, None))
        self.state = state
        if action is not None:
            action(self, event, now_us)

    def _link(self, event: SenderInput, now_us: int) -> None:
        assert self._receiver_boot_id is not None
        self._target = self._target_us = self._mode_number = None
        self.key_frame_encoded(now_us)  # Linked asks for one itself
        self._schedule_source(now_us)
        self._events.append(Linked(self._receiver_boot_id))

    def _unlink(self, event: SenderInput, now_us: int) -> None:
        reason = {SenderInput.BYE: "bye", SenderInput.SILENCE: "silent"}.get(event, "closed")
        self._key_frame_wanted = False
        self._receiver_boot_id = self._target_us = None
        self._events.append(Unlinked(reason))
        if event is SenderInput.CLOSE:
            self._send_bye(event, now_us)

    def _send_bye(self, event: SenderInput, now_us: int) -> None:
        self.tally.finish()
        self._out.append(build(Bye(self.ssrc, self.boot_id, self.cookie)))


_SenderAction = Callable[[SenderSession, SenderInput, int], None]
_SENDER_TRANSITIONS: dict[tuple[SenderState, SenderInput], tuple[SenderState, _SenderAction | None]] = {
    (SenderState.CALLING, SenderInput.WELCOME_NEW): (SenderState.LINKED, SenderSession._link),
    (SenderState.CALLING, SenderInput.CLOSE): (SenderState.CLOSED, SenderSession._send_bye),
    (SenderState.LINKED, SenderInput.WELCOME): (SenderState.LINKED, None),
    (SenderState.LINKED, SenderInput.WELCOME_NEW): (SenderState.LINKED, SenderSession._link),
    (SenderState.LINKED, SenderInput.BYE): (SenderState.CALLING, SenderSession._unlink),
    (SenderState.LINKED, SenderInput.SILENCE): (SenderState.CALLING, SenderSession._unlink),
    (SenderState.LINKED, SenderInput.CLOSE): (SenderState.CLOSED, SenderSession._unlink),
}
