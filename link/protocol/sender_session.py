"""The session of docs/wire-protocol.md at the sender's end, sans-IO: datagrams and `now` in, datagrams and events out.
The other end is thinair.link.protocol.receiver_session, which a sender need not load.

After each `receive_datagram` and at each `next_timeout` the caller drains `next_datagram` and then `next_event` until
they give None. What a state does with what happens stands in `_SENDER_TRANSITIONS`.
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
    ModeWish,
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
FIRST_HELLO_INTERVAL_US = 10_000  # to a receiver that is known to be there; doubled with each
UNLINK_US = 2_000_000
KEY_FRAME_INTERVAL_US = 300_000
SOURCE_INTERVAL_US = 500_000  # while there is no picture
SOURCE_AGAIN_US = 40_000  # after a change: the first message may be lost
SAFE_BITRATE_BPS = 1_000_000  # while the receiver does not say what the air carries
TARGET_SILENCE_US = 300_000
PATH_INTERVAL_US = 200_000  # between questions whether another address is the receiver's
MAX_EVENTS = 256  # events nobody drained: the oldest goes first


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """What the sender says of its stream; rate None and sizes 0 where it does not know them yet."""

    width: int
    height: int
    rate: Fraction | None
    bitrate_bps: int
    name: str = ""


# ---- events of the sender


@dataclass(frozen=True, slots=True)
class Linked:
    """A receiver has echoed the cookie: media is allowed, and the next frame must be a key frame."""

    receiver_boot_id: int


@dataclass(frozen=True, slots=True)
class Unlinked:
    """The receiver is gone: no more media. `reason` is "silent", "bye" or "closed"."""

    reason: str


@dataclass(frozen=True, slots=True)
class KeyFrameRequested:
    """The next frame must be a key frame. At most one per KEY_FRAME_INTERVAL_US."""


@dataclass(frozen=True, slots=True)
class FeedbackReceived:
    feedback: Feedback


@dataclass(frozen=True, slots=True)
class BitrateWanted:
    """By the receiver, or the safe one since it has said nothing for TARGET_SILENCE_US."""

    bitrate_bps: int
    reason: int


@dataclass(frozen=True, slots=True)
class ModeWanted:
    """The receiver would like this mode; what the source cannot give stays as it is, and HELLO goes on saying so."""

    width: int
    height: int
    rate: Fraction


@dataclass(frozen=True, slots=True)
class PathConfirmed:
    """The receiver has echoed from there what was sent there: the media may go there from now on."""

    host: str
    port: int


SenderEvent = Linked | Unlinked | KeyFrameRequested | FeedbackReceived | BitrateWanted | ModeWanted | PathConfirmed


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
    """The camera side. `boot_id` and `cookie` are 64 random bits, `ssrc` 32, from the caller. `invited`: the receiver
    has just asked for this session, and may not have its keys yet."""

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
        self._heard_us = 0
        self._key_frame_us = -KEY_FRAME_INTERVAL_US
        self._key_frame_wanted = False
        self._target: Target | None = None
        self._target_us: int | None = None  # when it came; None: there is none, or it is believed no more
        self._wish_number: int | None = None  # of the receiver linked
        self._source: SourceState | None = None
        self._source_change = 0
        self._source_due_us: int | None = None
        self._source_again = False
        self._path: tuple[str, int] | None = None  # to be confirmed by an echo of
        self._path_cookie = 0
        self._path_us = -PATH_INTERVAL_US
        self._out: deque[bytes] = deque(maxlen=16)
        self._events: deque[SenderEvent] = deque(maxlen=MAX_EVENTS)

    @property
    def media_allowed(self) -> bool:
        return self.state is SenderState.LINKED

    def describe(self, description: MediaDescription) -> None:
        """The stream has changed; the next HELLO says so."""
        self.description = description
        self._hello_due_us = 0

    def source_state(self, state: SourceState, now_us: int) -> None:
        """Told to the receiver at once where it is another state than before, and twice a second while it is not LIVE.
        Telling the same state again changes nothing."""
        if state != self._source:
            self._source = state
            self._source_change = self._source_change + 1 & 0xFFFF
            self._tell_source(now_us)

    def heard_elsewhere(self, host: str, port: int, cookie: int, now_us: int) -> bytes | None:
        """The receiver's sealed packets come from another address: what to send there, and nothing else before the
        answer. `cookie` is 64 random bits."""
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
                    self._heard_us = now_us  # answered on the packet thread
                case Bye() if message.cookie == self.cookie and message.boot_id == self._receiver_boot_id:
                    self._step(SenderInput.BYE, now_us)
                case Target() if message.cookie == self.cookie and self.state is SenderState.LINKED:
                    self._hear_target(message, now_us)
                case ModeWish() if message.cookie == self.cookie and self.state is SenderState.LINKED:
                    self._hear_wish(message, now_us)
                case Pli() if self._is_ours(message):
                    self._heard_us = now_us
                    self._key_frame_wanted = True
                case Feedback() if self._is_ours(message):
                    self._heard_us = now_us
                    self.tally.add(message)
                    self._events.append(FeedbackReceived(message))
                case _:
                    self.dropped["control_unexpected"] += 1

    def key_frame_encoded(self, now_us: int) -> None:
        """A key frame has left the encoder for whatever reason: requests before it are answered."""
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
            due.append(self._heard_us + UNLINK_US)
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

    def _hear_target(self, target: Target, now_us: int) -> None:
        self._heard_us = now_us
        if self._target is not None and target.number - self._target.number & 0xFFFFFFFF >= 0x80000000:
            self.dropped["control_overtaken"] += 1
            return
        self._target, self._target_us = target, now_us
        bitrate_bps = min(max(target.bitrate_bps, MIN_BITRATE_BPS), self.description.bitrate_bps)
        self.dropped["control_clamped"] += bitrate_bps != target.bitrate_bps
        self._events.append(BitrateWanted(bitrate_bps, target.reason))

    def _hear_wish(self, wish: ModeWish, now_us: int) -> None:
        self._heard_us = now_us
        if wish.number != self._wish_number:
            self._wish_number = wish.number
            rate = Fraction(wish.rate_numerator, wish.rate_denominator)
            self._events.append(ModeWanted(wish.width, wish.height, rate))

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
        self._heard_us = max(self._heard_us, now_us)
        self._step(SenderInput.WELCOME_NEW if new else SenderInput.WELCOME, now_us)

    def _check_silence(self, now_us: int) -> None:
        if self.state is SenderState.LINKED and now_us - self._heard_us >= UNLINK_US:
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
            self._events.append(BitrateWanted(min(SAFE_BITRATE_BPS, self.description.bitrate_bps), Reason.NO_REPORT))
        if now_us >= self._hello_due_us:
            self._hello_due_us = now_us + self._hello_interval_us
            self._hello_interval_us = min(2 * self._hello_interval_us, HELLO_INTERVAL_US)
            self._out.append(build(self._hello(self.cookie)))
        if self.state is SenderState.LINKED and self._source_due_us is not None and now_us >= self._source_due_us:
            self._say_source(now_us)

    def _tell_source(self, now_us: int) -> None:
        if self._source is not None:
            self._source_due_us, self._source_again = now_us, True

    def _say_source(self, now_us: int) -> None:
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
        self._target = self._target_us = self._wish_number = None
        self.key_frame_encoded(now_us)  # Linked asks for one itself
        self._tell_source(now_us)
        self._events.append(Linked(self._receiver_boot_id))

    def _unlink(self, event: SenderInput, now_us: int) -> None:
        reason = {SenderInput.BYE: "bye", SenderInput.SILENCE: "silent"}.get(event, "closed")
        self._key_frame_wanted = False
        self._receiver_boot_id = self._target_us = None
        self._events.append(Unlinked(reason))
        if event is SenderInput.CLOSE:
            self._say_bye(event, now_us)

    def _say_bye(self, event: SenderInput, now_us: int) -> None:
        self.tally.finish()
        self._out.append(build(Bye(self.ssrc, self.boot_id, self.cookie)))


_SenderAction = Callable[[SenderSession, SenderInput, int], None]
_SENDER_TRANSITIONS: dict[tuple[SenderState, SenderInput], tuple[SenderState, _SenderAction | None]] = {
    (SenderState.CALLING, SenderInput.WELCOME_NEW): (SenderState.LINKED, SenderSession._link),
    (SenderState.CALLING, SenderInput.CLOSE): (SenderState.CLOSED, SenderSession._say_bye),
    (SenderState.LINKED, SenderInput.WELCOME): (SenderState.LINKED, None),
    (SenderState.LINKED, SenderInput.WELCOME_NEW): (SenderState.LINKED, SenderSession._link),
    (SenderState.LINKED, SenderInput.BYE): (SenderState.CALLING, SenderSession._unlink),
    (SenderState.LINKED, SenderInput.SILENCE): (SenderState.CALLING, SenderSession._unlink),
    (SenderState.LINKED, SenderInput.CLOSE): (SenderState.CLOSED, SenderSession._unlink),
}
