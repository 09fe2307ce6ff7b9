"""The session of docs/wire-protocol.md at the receiver's end. See thinair.link.protocol.sender_session, whose ways it
shares."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from thinair.link.protocol.clock_sync import ClockSync
from thinair.link.protocol.congestion_control import AirPolicy, Decision, Frame
from thinair.link.protocol.feedback import ReportBuilder
from thinair.link.protocol.rtcp import (
    FLAG_PATH,
    Bye,
    Call,
    Hello,
    Message,
    ModeWish,
    Pli,
    Probe,
    ProbeEcho,
    Source,
    Target,
    Welcome,
    build,
    parse,
)
from thinair.link.protocol.sender_session import MAX_EVENTS, MediaDescription
from thinair.link.protocol.source_state import SourceState

SENDER_SILENCE_US = 500_000
PLI_INTERVAL_US = 100_000
FEEDBACK_INTERVAL_US = 50_000
TARGET_AFTER_MEDIA_US = 1_000_000
WISH_INTERVAL_US = 200_000
WISH_PATIENCE_US = 4_000_000  # a camera that is asked by its EDID takes two seconds and more
FEEDBACK_FRAMES = 4  # a report covers eight
_USUAL_INTERVAL_US = 40_000.0  # until the sender says its rate
ARRIVALS = 1024  # what a report needs of the newest arrivals: eight frames, within one datagram

# As Rx.frames() gives it: decided frames, the newest as it stands, its id, outcomes, how long an answer takes.
FramesSeen = tuple[Sequence[Frame], Frame | None, int, int, int]


@dataclass(frozen=True, slots=True)
class NewSender:
    """Media is taken from this address and SSRC now; decoder, traces and clock begin anew."""

    host: str
    port: int
    ssrc: int
    boot_id: int
    description: MediaDescription
    cookie: int


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


@dataclass(frozen=True, slots=True)
class ModeKept:
    """The sender was asked for this mode and keeps its own: its source has no other, or not this one."""

    width: int
    height: int
    rate: Fraction


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
class SealedSender:
    """A sender called that seals, and this session does not."""

    name: str


ReceiverEvent = NewSender | SenderChanged | SenderLost | SenderBack | SourceChanged | ModeKept | SealedSender


@dataclass(frozen=True, slots=True)
class _Peer:
    host: str
    port: int
    hello: Hello

    def is_at(self, host: str, port: int) -> bool:
        return (self.host, self.port) == (host, port)


class ReceiverSession:
    """The player's side. `boot_id` is 64 random bits from the caller. `sealed`: all that is received is one sender's,
    for it was opened with its keys; so addresses tell nothing, and another boot id is its next session."""

    def __init__(self, boot_id: int, *, sealed: bool = False) -> None:
        self.boot_id = boot_id
        self.sealed = sealed
        self.ssrc = boot_id & 0xFFFFFFFF
        self.state = ReceiverState.LISTENING
        self.clock = ClockSync()
        self.dropped: Counter[str] = Counter()
        self.key_frames_asked = 0
        self.source: SourceState | None = None  # what the sender served said last, on our clock
        self.source_heard_us = 0
        self._source_change = 0
        self._peer: _Peer | None = None
        self._caller: tuple[_Peer, int] | None = None  # another sender's last HELLO and when it came
        self.policy: AirPolicy | None = None  # of the sender served
        self.limits: tuple[int | None, int | None] = (None, None)  # what the user allows, least and most bit/s
        self._reports: ReportBuilder | None = None
        self._unreported = 0  # frames since the last report
        self._target_number = 0
        self._target_us = 0
        self._again = False  # the last TARGET is to be said twice
        self._heard_us = 0
        self._media_us = 0
        self._report_us = 0
        self._wish: tuple[int, int, Fraction] | None = None  # a mode that was asked for and has not come
        self._wish_number = 0
        self._wish_due_us = self._wish_until_us = 0
        self._pli_due_us: int | None = None  # None: no key frame is needed
        self._out: deque[tuple[bytes, str, int]] = deque(maxlen=32)
        self._events: deque[ReceiverEvent] = deque(maxlen=MAX_EVENTS)

    def receive_datagram(self, data: bytes, now_us: int, host: str, port: int) -> None:
        """`now_us` is the datagram's arrival: it times the clock probes."""
        self._check_silence(now_us)
        for message in parse(data, self.dropped):
            if isinstance(message, Hello):
                self._hello(_Peer(host, port, message), now_us)
            elif isinstance(message, Call):
                self._turn_down(message)
            else:
                self._from_peer(message, now_us, host, port)

    def media_seen(self, now_us: int) -> None:
        """Media of the sender served arrived, the newest at `now_us`."""
        if now_us > self._media_us:
            self._media_us = now_us
            self._step(ReceiverInput.HEARD, now_us)

    def frame_completed(self, first_seq: int, arrivals: Callable[[], Sequence[tuple[int, int]]], now_us: int) -> None:
        """With every fourth frame a report over the last eight; `arrivals` as Rx.arrivals(ARRIVALS) gives them."""
        if self._reports is not None:
            self._reports.frame(first_seq)
            self._unreported += 1
            if self._unreported >= FEEDBACK_FRAMES:
                self.report(arrivals(), now_us)

    def frames(self, seen: FramesSeen, now_us: int) -> Decision | None:
        """What Rx.frames() tells: at each decided frame, and in between to see early that the air has changed.
        Sends a TARGET where one is due and asks for a key frame where a frame was given up."""
        decided, newest, newest_id, outcomes, answer_us = seen
        policy, peer = self.policy, self._peer
        if policy is None or peer is None or self.state is not ReceiverState.SERVING:
            return None
        estimate = self.clock.estimate(now_us)
        policy.rtt_us = float(estimate.rtt_us) if estimate is not None else policy.rtt_us
        policy.see_answer(answer_us)
        before = policy.decision().bitrate_bps
        for frame in decided:
            policy.frame(frame, now_us)
            if not frame.complete:
                self.key_frame_needed(now_us)
        policy.watch(newest, now_us)
        decision = policy.decision()
        if decided or self._target_due(now_us) or decision.bitrate_bps < before:
            self._again = policy.lossy and bool(decided)
            self._target_us = now_us
            self._target_number = self._target_number + 1 & 0xFFFFFFFF
            told = self._target_number, decision.bitrate_bps, newest_id, outcomes
            self._send(Target(self.ssrc, peer.hello.cookie, *told, decision.pace_us, decision.share, decision.reason))
        return decision

    def feedback_due(self, now_us: int) -> bool:
        """Packets have come but no frame was completed for a while: time to call `report`."""
        waiting = self.state is ReceiverState.SERVING and self._media_us > self._report_us
        return waiting and now_us - self._report_us >= FEEDBACK_INTERVAL_US

    def report(self, arrivals: Sequence[tuple[int, int]], now_us: int) -> None:
        if self._reports is None or self.state is not ReceiverState.SERVING:
            return
        self._report_us = now_us
        self._unreported = 0
        if (feedback := self._reports.build(arrivals, now_us)) is not None:
            self._send(feedback)

    def set_limits(self, min_bps: int | None, max_bps: int | None) -> None:
        """Of the media bitrate, for this sender and those to come; None is no limit. The sender's own limit stands."""
        self.limits = min_bps, max_bps
        if self.policy is not None and self._peer is not None:
            self._limit(self.policy, self._peer.hello)

    def _limit(self, policy: AirPolicy, hello: Hello) -> None:
        least, most = self.limits
        policy.min_bps = least or 0
        policy.limited = most is not None and most < hello.bitrate_bps
        policy.set_limits(min(hello.bitrate_bps, most or hello.bitrate_bps), _interval_us(hello))

    def ask_mode(self, width: int, height: int, rate: Fraction, now_us: int) -> bool:
        """Asks the sender for pictures of this size and rate, again until its HELLO says so; a ModeKept after four
        seconds without. False where nobody is there to ask."""
        if self.state is not ReceiverState.SERVING:
            return False
        self._wish, self._wish_number = (width, height, rate), self._wish_number + 1 & 0xFFFFFFFF
        self._wish_due_us, self._wish_until_us = now_us, now_us + WISH_PATIENCE_US
        return True

    def key_frame_needed(self, now_us: int) -> bool:
        """PLI now and again every 100 ms until `key_frame_arrived`. Calling it again changes nothing. False where one
        was asked for already, or nobody is there to ask now."""
        if self._pli_due_us is not None:
            return False
        self.key_frames_asked += 1
        self._pli_due_us = now_us
        return self.state is ReceiverState.SERVING

    def slept(self, now_us: int) -> None:
        """Our clock stood still for a while: the offset to the sender's is to be found anew, and the next frame must
        be a key frame."""
        if self._peer is not None:
            self.clock.reset(self._peer.hello.boot_id)
            self.key_frame_needed(now_us)

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
        if self._wish is not None:
            due.append(self._wish_due_us)
        return max(now_us, min(due))

    def close(self, now_us: int) -> None:
        """Queues a BYE for the sender served. Idempotent."""
        self._step(ReceiverInput.CLOSE, now_us)

    def _target_due(self, now_us: int) -> bool:
        """Packets come but no frame is decided, or came a moment ago, and the sender may wait for word; or, on a lossy
        air, the last TARGET may not have come."""
        assert self.policy is not None
        passed_us = now_us - self._target_us
        again = self._again and passed_us >= self.policy.interval_us / 2
        recent = self._media_us > 0 and now_us - self._media_us < TARGET_AFTER_MEDIA_US
        return again or (recent and passed_us >= FEEDBACK_INTERVAL_US)

    def _hello(self, caller: _Peer, now_us: int) -> None:
        peer = self._peer
        if caller.hello.flags & FLAG_PATH:
            self._answer_path(caller)
        elif peer is None or self.state is ReceiverState.CLOSED:
            self._adopt(ReceiverInput.HELLO_NEW, caller, now_us)
        elif self.sealed and peer.hello.boot_id == caller.hello.boot_id:  # wherever it is now
            self._heard_again(peer, caller, now_us)
        elif self.sealed:
            self._adopt(ReceiverInput.HELLO_NEW, caller, now_us)
        elif (peer.host, peer.port, peer.hello.boot_id) == (caller.host, caller.port, caller.hello.boot_id):
            self._heard_again(peer, caller, now_us)
        elif peer.is_at(caller.host, caller.port):  # restarted on the same port
            self._adopt(ReceiverInput.HELLO_NEW, caller, now_us)
        else:
            self._adopt(ReceiverInput.HELLO_OTHER, caller, now_us)

    def _turn_down(self, call: Call) -> None:
        """A sender of sealed links; said once."""
        self.dropped["sealed_sender"] += 1
        if self.dropped["sealed_sender"] == 1:
            self._events.append(SealedSender(call.name))

    def _answer_path(self, caller: _Peer) -> None:
        hello = caller.hello
        if not self.sealed or self._peer is None or self._peer.hello.boot_id != hello.boot_id:
            self.dropped["control_unexpected"] += 1
            return
        self._out.append(
            (build(Welcome(self.ssrc, self.boot_id, hello.cookie, hello.boot_id)), caller.host, caller.port)
        )

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
            if self.policy is not None:
                self._limit(self.policy, caller.hello)
            self._events.append(SenderChanged(_describe(caller.hello)))
        self._welcome()

    def _from_peer(self, message: Message, now_us: int, host: str, port: int) -> None:
        peer = self._peer
        if peer is None or not (self.sealed or peer.is_at(host, port)):
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
        if self._wish is not None and now_us >= self._wish_due_us:
            self._say_wish(self._wish, self._peer.hello, now_us)

    def _say_wish(self, wish: tuple[int, int, Fraction], hello: Hello, now_us: int) -> None:
        width, height, rate = wish
        if (hello.width, hello.height, hello.rate) == wish:
            self._wish = None
        elif now_us >= self._wish_until_us:
            self._wish = None
            self._events.append(ModeKept(*wish))
        else:
            self._wish_due_us = now_us + WISH_INTERVAL_US
            asked = width, height, rate.numerator, rate.denominator
            self._send(ModeWish(self.ssrc, hello.cookie, self._wish_number, *asked))

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
        self.source = self._wish = None
        self.clock.reset(peer.hello.boot_id)
        self._reports = ReportBuilder(self.ssrc, peer.hello.media_ssrc)
        self.policy = AirPolicy(peer.hello.bitrate_bps, _interval_us(peer.hello))
        self._limit(self.policy, peer.hello)
        self._target_us = now_us
        self._pli_due_us = now_us + PLI_INTERVAL_US  # the first frame is a key frame; if it gets lost, ask
        hello = peer.hello
        self._events.append(
            NewSender(peer.host, peer.port, hello.media_ssrc, hello.boot_id, _describe(hello), hello.cookie)
        )
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
            self._peer = self._reports = self.policy = self._pli_due_us = None
        if event is not ReceiverInput.CLOSE and self._caller is not None:
            if now_us - self._caller[1] < SENDER_SILENCE_US:  # still there, most likely the same camera restarted
                self._step(ReceiverInput.HELLO_NEW, now_us)
            else:
                self._caller = None


def _interval_us(hello: Hello) -> float:
    return float(1_000_000 / hello.rate) if hello.rate else _USUAL_INTERVAL_US


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
