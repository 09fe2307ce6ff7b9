"""The session of docs/wire-protocol.md at both ends, sans-IO: datagrams and `now` in, datagrams and events out.

After each `receive_datagram` and at each `next_timeout` the caller drains `next_datagram` and then `next_event` until
they give None. What a state does with what happens stands in the two `_TRANSITIONS` tables. Longer than 500 lines, for
both ends are read side by side.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from link.clock import ClockSync
from link.feedback import FeedbackTally, ReportBuilder
from link.rtcp import Bye, Feedback, Hello, Message, Pli, Probe, ProbeEcho, Source, Welcome, build, parse
from link.source import SourceCode, SourceState

HELLO_INTERVAL_US = 200_000
UNLINK_US = 2_000_000
SENDER_SILENCE_US = 500_000
KEY_FRAME_INTERVAL_US = 300_000
PLI_INTERVAL_US = 100_000
FEEDBACK_INTERVAL_US = 50_000
SOURCE_INTERVAL_US = 500_000  # while there is no picture
SOURCE_AGAIN_US = 40_000  # after a change: the first message may be lost
ARRIVALS = 1024  # what a report needs of the newest arrivals: eight frames, within one datagram
_EVENTS = 256  # events nobody drained: the oldest goes first


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


# ---- events of the receiver


@dataclass(frozen=True, slots=True)
class NewSender:
    """Media is taken from this address and SSRC now; decoder, traces and clock begin anew."""

    host: str
    port: int
    ssrc: int
    boot_id: int
    description: MediaDescription


@dataclass(frozen=True, slots=True)
class SenderChanged:
    """The same sender describes its stream differently."""

    description: MediaDescription


@dataclass(frozen=True, slots=True)
class SenderLost:
    """`reason` is "silent", "bye" or "closed". The last picture stays."""

    reason: str


@dataclass(frozen=True, slots=True)
class SenderBack:
    """The sender that was silent is heard again; nothing need be forgotten."""


@dataclass(frozen=True, slots=True)
class SourceChanged:
    """What stands between the camera and its picture. `state.since_us` is on the receiver's clock."""

    state: SourceState


SenderEvent = Linked | Unlinked | KeyFrameRequested | FeedbackReceived
ReceiverEvent = NewSender | SenderChanged | SenderLost | SenderBack | SourceChanged


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
    """The camera side. `boot_id` and `cookie` are 64 random bits, `ssrc` 32, from the caller."""

    def __init__(self, boot_id: int, cookie: int, ssrc: int, description: MediaDescription) -> None:
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
        self._heard_us = 0
        self._key_frame_us = -KEY_FRAME_INTERVAL_US
        self._key_frame_wanted = False
        self._source: SourceState | None = None
        self._source_change = 0
        self._source_due_us: int | None = None
        self._source_again = False
        self._out: deque[bytes] = deque(maxlen=16)
        self._events: deque[SenderEvent] = deque(maxlen=_EVENTS)

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
        return max(now_us, min(due))

    def close(self, now_us: int) -> None:
        """Queues a BYE. Idempotent."""
        self._step(SenderInput.CLOSE, now_us)

    def _is_ours(self, message: Pli | Feedback) -> bool:
        linked = self.state is SenderState.LINKED
        return linked and message.media_ssrc == self.ssrc and message.ssrc == self._receiver_ssrc

    def _welcome(self, message: Welcome, now_us: int) -> None:
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
        if now_us >= self._hello_due_us:
            self._hello_due_us = now_us + HELLO_INTERVAL_US
            d = self.description
            top, bottom = (d.rate.numerator, d.rate.denominator) if d.rate else (0, 0)
            mode = d.width, d.height, top, bottom, d.bitrate_bps
            self._out.append(build(Hello(self.ssrc, self.boot_id, self.cookie, self.ssrc, *mode, d.name)))
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
        self.key_frame_encoded(now_us)  # Linked asks for one itself
        self._tell_source(now_us)
        self._events.append(Linked(self._receiver_boot_id))

    def _unlink(self, event: SenderInput, now_us: int) -> None:
        reason = {SenderInput.BYE: "bye", SenderInput.SILENCE: "silent"}.get(event, "closed")
        self._key_frame_wanted = False
        self._receiver_boot_id = None
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


class ReceiverState(StrEnum):
    LISTENING = "listening"
    SERVING = "serving"
    SILENT = "silent"  # a sender is known but not heard; any sender may come
    CLOSED = "closed"


class ReceiverInput(StrEnum):
    HELLO_NEW = "hello of a new sender"
    HELLO_OTHER = "hello of another sender"
    HEARD = "heard"  # HELLO, echo or media of the sender served
    BYE = "bye"
    SILENCE = "silence"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class _Peer:
    host: str
    port: int
    hello: Hello

    def is_at(self, host: str, port: int) -> bool:
        return (self.host, self.port) == (host, port)


class ReceiverSession:
    """The player's side. `boot_id` is 64 random bits from the caller."""

    def __init__(self, boot_id: int) -> None:
        self.boot_id = boot_id
        self.ssrc = boot_id & 0xFFFFFFFF
        self.state = ReceiverState.LISTENING
        self.clock = ClockSync()
        self.dropped: Counter[str] = Counter()
        self.source: SourceState | None = None  # what the sender served said last, on our clock
        self.source_heard_us = 0
        self._source_change = 0
        self._peer: _Peer | None = None
        self._caller: tuple[_Peer, int] | None = None  # another sender's last HELLO and when it came
        self._reports: ReportBuilder | None = None
        self._heard_us = 0
        self._media_us = 0
        self._report_us = 0
        self._pli_due_us: int | None = None  # None: no key frame is needed
        self._out: deque[tuple[bytes, str, int]] = deque(maxlen=32)
        self._events: deque[ReceiverEvent] = deque(maxlen=_EVENTS)

    def receive_datagram(self, data: bytes, now_us: int, host: str, port: int) -> None:
        """`now_us` is the datagram's arrival: it times the clock probes."""
        self._check_silence(now_us)
        for message in parse(data, self.dropped):
            if isinstance(message, Hello):
                self._hello(_Peer(host, port, message), now_us)
            else:
                self._from_peer(message, now_us, host, port)

    def media_seen(self, now_us: int) -> None:
        """Media of the sender served arrived, the newest at `now_us`."""
        if now_us > self._media_us:
            self._media_us = now_us
            self._step(ReceiverInput.HEARD, now_us)

    def frame_completed(self, first_seq: int, arrivals: Sequence[tuple[int, int]], now_us: int) -> None:
        """Sends a report over the last eight frames; `arrivals` as Rx.arrivals(ARRIVALS) gives them."""
        if self._reports is not None:
            self._reports.frame(first_seq)
            self.report(arrivals, now_us)

    def feedback_due(self, now_us: int) -> bool:
        """Packets have come but no frame was completed for a while: time to call `report`."""
        waiting = self.state is ReceiverState.SERVING and self._media_us > self._report_us
        return waiting and now_us - self._report_us >= FEEDBACK_INTERVAL_US

    def report(self, arrivals: Sequence[tuple[int, int]], now_us: int) -> None:
        if self._reports is None or self.state is not ReceiverState.SERVING:
            return
        self._report_us = now_us
        if (feedback := self._reports.build(arrivals, now_us)) is not None:
            self._send(feedback)

    def key_frame_needed(self, now_us: int) -> None:
        """PLI now and again every 100 ms until `key_frame_arrived`. Calling it again changes nothing."""
        if self._pli_due_us is None:
            self._pli_due_us = now_us

    def key_frame_arrived(self) -> None:
        self._pli_due_us = None

    def next_datagram(self, now_us: int) -> tuple[bytes, str, int] | None:
        """(datagram, host, port)."""
        self._run_timers(now_us)
        return self._out.popleft() if self._out else None

    def next_event(self) -> ReceiverEvent | None:
        return self._events.popleft() if self._events else None

    def next_timeout(self, now_us: int) -> int | None:
        """When something is due next, at the earliest now; None while only a datagram can change anything."""
        if self.state is not ReceiverState.SERVING:
            return None
        due = [self._heard_us + SENDER_SILENCE_US, self.clock.next_probe_due(now_us)]
        if self._pli_due_us is not None:
            due.append(self._pli_due_us)
        if self._media_us > self._report_us:
            due.append(self._report_us + FEEDBACK_INTERVAL_US)
        return max(now_us, min(due))

    def close(self, now_us: int) -> None:
        """Queues a BYE for the sender served. Idempotent."""
        self._step(ReceiverInput.CLOSE, now_us)

    def _hello(self, caller: _Peer, now_us: int) -> None:
        peer = self._peer
        if peer is None or self.state is ReceiverState.CLOSED:
            self._adopt(ReceiverInput.HELLO_NEW, caller, now_us)
        elif (peer.host, peer.port, peer.hello.boot_id) == (caller.host, caller.port, caller.hello.boot_id):
            self._heard_again(peer, caller, now_us)
        elif peer.is_at(caller.host, caller.port):  # restarted on the same port
            self._adopt(ReceiverInput.HELLO_NEW, caller, now_us)
        else:
            self._adopt(ReceiverInput.HELLO_OTHER, caller, now_us)

    def _adopt(self, event: ReceiverInput, caller: _Peer, now_us: int) -> None:
        self._caller = (caller, now_us)
        self._step(event, now_us)

    def _heard_again(self, peer: _Peer, caller: _Peer, now_us: int) -> None:
        if (caller.hello.cookie, caller.hello.media_ssrc) != (peer.hello.cookie, peer.hello.media_ssrc):
            self.dropped["control_cookie"] += 1  # fixed for the life of a sender
            return
        self._peer = caller
        self._step(ReceiverInput.HEARD, now_us)
        if _describe(caller.hello) != _describe(peer.hello):
            self._events.append(SenderChanged(_describe(caller.hello)))
        self._welcome()

    def _from_peer(self, message: Message, now_us: int, host: str, port: int) -> None:
        peer = self._peer
        if peer is None or not peer.is_at(host, port):
            self.dropped["control_address"] += 1
            return
        match message:
            case ProbeEcho() if message.boot_id == peer.hello.boot_id:
                if self.clock.receive_echo(message, now_us):
                    self._step(ReceiverInput.HEARD, now_us)
            case Bye() if (message.boot_id, message.cookie) == (peer.hello.boot_id, peer.hello.cookie):
                self._step(ReceiverInput.BYE, now_us)
            case Source() if (message.boot_id, message.cookie) == (peer.hello.boot_id, peer.hello.cookie):
                self._step(ReceiverInput.HEARD, now_us)
                self._hear_source(message, now_us)
            case _:
                self.dropped["control_unexpected"] += 1

    def _hear_source(self, message: Source, now_us: int) -> None:
        ahead = message.change - self._source_change & 0xFFFF
        if self.source is not None and ahead >= 0x8000:
            self.dropped["control_overtaken"] += 1
            return
        self.source_heard_us = max(self.source_heard_us, now_us)
        if self.source is None or ahead:
            self.source = SourceState(message.code, now_us - message.age_ms * 1000, message.detail)
            self._source_change = message.change
            self._events.append(SourceChanged(self.source))

    def _check_silence(self, now_us: int) -> None:
        if self.state is ReceiverState.SERVING and now_us - self._heard_us >= SENDER_SILENCE_US:
            self._step(ReceiverInput.SILENCE, now_us)

    def _run_timers(self, now_us: int) -> None:
        self._check_silence(now_us)
        if self.state is not ReceiverState.SERVING:
            return
        assert self._peer is not None
        if (probe := self.clock.take_probe(now_us)) is not None:
            self._send(Probe(self.ssrc, *probe, self._peer.hello.cookie))
        if self._pli_due_us is not None and now_us >= self._pli_due_us:
            self._pli_due_us = now_us + PLI_INTERVAL_US
            self._send(Pli(self.ssrc, self._peer.hello.media_ssrc))

    def _send(self, message: Message) -> None:
        assert self._peer is not None
        self._out.append((build(message), self._peer.host, self._peer.port))

    def _step(self, event: ReceiverInput, now_us: int) -> None:
        state, action = _RECEIVER_TRANSITIONS.get((self.state, event), (self.state, None))
        self.state = state
        if event is ReceiverInput.HEARD:
            self._heard_us = max(self._heard_us, now_us)
        if action is not None:
            action(self, event, now_us)

    def _serve(self, event: ReceiverInput, now_us: int) -> None:
        assert self._caller is not None
        peer, self._caller = self._caller[0], None
        self._peer = peer
        self._heard_us = now_us
        self._media_us = self._report_us = now_us
        self.source = None
        self.clock.reset(peer.hello.boot_id)
        self._reports = ReportBuilder(self.ssrc, peer.hello.media_ssrc)
        self._pli_due_us = now_us + PLI_INTERVAL_US  # the first frame is a key frame; if it gets lost, ask
        hello = peer.hello
        self._events.append(NewSender(peer.host, peer.port, hello.media_ssrc, hello.boot_id, _describe(hello)))
        self._welcome()

    def _welcome(self) -> None:
        assert self._peer is not None
        hello = self._peer.hello
        self._send(Welcome(self.ssrc, self.boot_id, hello.cookie, hello.boot_id))

    def _ignore_other(self, event: ReceiverInput, now_us: int) -> None:
        self.dropped["control_other_sender"] += 1  # its HELLO is kept for the moment the present one is gone

    def _back(self, event: ReceiverInput, now_us: int) -> None:
        self._events.append(SenderBack())

    def _lose(self, event: ReceiverInput, now_us: int) -> None:
        if event is ReceiverInput.CLOSE and self._peer is not None:
            self._send(Bye(self.ssrc, self.boot_id, self._peer.hello.cookie))
        reason = {ReceiverInput.BYE: "bye", ReceiverInput.SILENCE: "silent"}.get(event, "closed")
        self._events.append(SenderLost(reason))
        if event is not ReceiverInput.SILENCE:
            self._peer = self._reports = self._pli_due_us = None
        if event is not ReceiverInput.CLOSE and self._caller is not None:
            if now_us - self._caller[1] < SENDER_SILENCE_US:  # still there, most likely the same camera restarted
                self._step(ReceiverInput.HELLO_NEW, now_us)
            else:
                self._caller = None


def _describe(hello: Hello) -> MediaDescription:
    return MediaDescription(hello.width, hello.height, hello.rate, hello.bitrate_bps, hello.name)


_ReceiverAction = Callable[[ReceiverSession, ReceiverInput, int], None]
_R, _I = ReceiverState, ReceiverInput
_RECEIVER_TRANSITIONS: dict[tuple[ReceiverState, ReceiverInput], tuple[ReceiverState, _ReceiverAction | None]] = {
    (_R.LISTENING, _I.HELLO_NEW): (_R.SERVING, ReceiverSession._serve),
    (_R.LISTENING, _I.CLOSE): (_R.CLOSED, None),
    (_R.SERVING, _I.HELLO_NEW): (_R.SERVING, ReceiverSession._serve),
    (_R.SERVING, _I.HELLO_OTHER): (_R.SERVING, ReceiverSession._ignore_other),
    (_R.SERVING, _I.BYE): (_R.LISTENING, ReceiverSession._lose),
    (_R.SERVING, _I.SILENCE): (_R.SILENT, ReceiverSession._lose),
    (_R.SERVING, _I.CLOSE): (_R.CLOSED, ReceiverSession._lose),
    (_R.SILENT, _I.HELLO_NEW): (_R.SERVING, ReceiverSession._serve),
    (_R.SILENT, _I.HELLO_OTHER): (_R.SERVING, ReceiverSession._serve),
    (_R.SILENT, _I.HEARD): (_R.SERVING, ReceiverSession._back),
    (_R.SILENT, _I.BYE): (_R.LISTENING, ReceiverSession._lose),
    (_R.SILENT, _I.CLOSE): (_R.CLOSED, ReceiverSession._lose),
}
