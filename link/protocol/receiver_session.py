"""The receiver's end of a session, sans-IO: the counterpart of thinair.link.protocol.sender_session, which explains the
handshake, and is driven in the same way.

States
    LISTENING   No sender. The first HELLO makes its sender the one served: WELCOME goes back, and decoder, traces and
                clock begin anew (NewSender).
    SERVING     A sender is served. A HELLO of another one is remembered but not answered: two cameras must not take
                turns on one screen. In an encrypted session every message is the paired sender's, opened with its
                keys: addresses tell nothing, and another boot id is the same camera restarted.
    SILENT      SENDER_SILENCE_US without HELLO, probe echo or media. The last picture stays. Whoever sends HELLO first,
                the silent sender or another, is served next.
    CLOSED      After `close`, which sends a BYE.
    A BYE of the sender leads to LISTENING. A sender whose HELLO was remembered within SENDER_SILENCE_US is then served
    at once.

Timers while SERVING
    PROBE       Clock probes, as thinair.link.protocol.clock_sync schedules them. Their echoes also prove that the
                sender is alive.
    Feedback    RFC 8888 reports over the last eight frames, with every fourth frame, and at the latest
                FEEDBACK_INTERVAL_US after the last one while packets arrive. They overlap: a lost one costs nothing.
    TARGET      The decision of thinair.link.protocol.congestion_control: with every decided frame, at once when the
                bitrate must fall, again within half a frame on a lossy channel, and every FEEDBACK_INTERVAL_US while
                media arrives, so that the sender does not fall back to its safe bitrate.
    PLI         From `key_frame_needed` until `key_frame_arrived`, every PLI_INTERVAL_US.
    MODE        A requested video mode, every MODE_INTERVAL_US until a HELLO has it; ModeUnavailable after
                MODE_TIMEOUT_US.

A SOURCE message carries a change number and the age of the state: an overtaken one is dropped, and the time is
converted to our clock.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from thinair.link.protocol.clock_sync import ClockSync
from thinair.link.protocol.congestion_control import CongestionControl, Decision, Frame
from thinair.link.protocol.feedback import ReportBuilder
from thinair.link.protocol.rtcp import (
    FLAG_PATH,
    Bye,
    Hello,
    Invite,
    Message,
    ModeRequest,
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
MODE_INTERVAL_US = 200_000
MODE_TIMEOUT_US = 4_000_000  # a camera that reads a new EDID takes two seconds and more
FEEDBACK_FRAMES = 4  # between reports; each covers eight
_USUAL_INTERVAL_US = 40_000.0  # until the sender's rate is known
ARRIVALS = 1024  # newest arrivals that a report needs: eight frames, within one datagram

# Result of Rx.frames(): decided frames, the newest as it is, its id, outcomes, duration of a repair answer in µs.
FramesSeen = tuple[Sequence[Frame], Frame | None, int, int, int]


@dataclass(frozen=True, slots=True)
class NewSender:
    """Media is accepted from this address and SSRC from now on; decoder, traces and clock begin anew."""

    host: str
    port: int
    ssrc: int
    boot_id: int
    description: MediaDescription
    cookie: int


@dataclass(frozen=True, slots=True)
class SenderChanged:
    """The sender has changed its stream."""

    description: MediaDescription


@dataclass(frozen=True, slots=True)
class SenderLost:
    """`reason` is "silent", "bye" or "closed". The last picture stays."""

    reason: str


@dataclass(frozen=True, slots=True)
class SenderBack:
    """The silent sender is received again, with its session unchanged."""


@dataclass(frozen=True, slots=True)
class SourceChanged:
    """A new source state. `state.since_us` is on the receiver's clock."""

    state: SourceState


@dataclass(frozen=True, slots=True)
class ModeUnavailable:
    """The requested video mode has not come: the source does not have it."""

    width: int
    height: int
    rate: Fraction


class ReceiverState(StrEnum):
    LISTENING = "listening"
    SERVING = "serving"
    SILENT = "silent"  # a sender is known, but not received; any sender may take its place
    CLOSED = "closed"


class ReceiverInput(StrEnum):
    HELLO_NEW = "hello of a new sender"
    HELLO_OTHER = "hello of another sender"
    RECEIVED = "received"  # HELLO, echo or media of the sender served
    BYE = "bye"
    SILENCE = "silence"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class EncryptedSender:
    """A sender of encrypted links has sent an invite, and this session is unencrypted."""

    name: str


ReceiverEvent = NewSender | SenderChanged | SenderLost | SenderBack | SourceChanged | ModeUnavailable | EncryptedSender


@dataclass(frozen=True, slots=True)
class _Peer:
    host: str
    port: int
    hello: Hello

    def is_at(self, host: str, port: int) -> bool:
        return (self.host, self.port) == (host, port)


class ReceiverSession:
    """`boot_id`: 64 random bits from the caller. `encrypted`: every message received is the paired sender's.

    Size: one method for each message, timer and state action of the session."""

    def __init__(self, boot_id: int, *, encrypted: bool = False) -> None:
        self.boot_id = boot_id
        self.encrypted = encrypted
        self.ssrc = boot_id & 0xFFFFFFFF
        self.state = ReceiverState.LISTENING
        self.clock = ClockSync()
        self.dropped: Counter[str] = Counter()
        self.key_frames_asked = 0
        self.source: SourceState | None = None  # last reported, on our clock
        self.source_heard_us = 0
        self._source_change = 0
        self._peer: _Peer | None = None
        self._candidate: tuple[_Peer, int] | None = None  # another sender's last HELLO, and when it arrived
        self.congestion: CongestionControl | None = None  # of the sender served
        self.limits: tuple[int | None, int | None] = (None, None)  # limits of the user in bit/s, least and most
        self._reports: ReportBuilder | None = None
        self._unreported = 0  # frames since the last report
        self._target_number = 0
        self._target_us = 0
        self._repeat_target = False  # the last TARGET is to be sent twice
        self._received_us = 0
        self._media_us = 0
        self._report_us = 0
        self._requested_mode: tuple[int, int, Fraction] | None = None  # a requested video mode that has not come yet
        self._mode_number = 0
        self._mode_due_us = self._mode_until_us = 0
        self._pli_due_us: int | None = None  # None: no key frame is needed
        self._out: deque[tuple[bytes, str, int]] = deque(maxlen=32)
        self._events: deque[ReceiverEvent] = deque(maxlen=MAX_EVENTS)

    def receive_datagram(self, data: bytes, now_us: int, host: str, port: int) -> None:
        """`now_us` is the datagram's arrival: it times the clock probes."""
        self._check_silence(now_us)
        for message in parse(data, self.dropped):
            if isinstance(message, Hello):
                self._hello(_Peer(host, port, message), now_us)
            elif isinstance(message, Invite):
                self._refuse_invite(message)
            else:
                self._from_peer(message, now_us, host, port)

    def media_seen(self, now_us: int) -> None:
        """Media of the sender served arrived, the newest at `now_us`."""
        if now_us > self._media_us:
            self._media_us = now_us
            self._step(ReceiverInput.RECEIVED, now_us)

    def frame_completed(self, first_seq: int, arrivals: Callable[[], Sequence[tuple[int, int]]], now_us: int) -> None:
        """With every fourth frame a report over the last eight; `arrivals` as Rx.arrivals(ARRIVALS) gives them."""
        if self._reports is not None:
            self._reports.frame(first_seq)
            self._unreported += 1
            if self._unreported >= FEEDBACK_FRAMES:
                self.report(arrivals(), now_us)

    def frames(self, seen: FramesSeen, now_us: int) -> Decision | None:
        """Takes the result of Rx.frames(): at each decided frame, and in between to notice a change of the channel
        early. Sends a TARGET where one is due, and requests a key frame where a frame was abandoned."""
        decided, newest, newest_id, outcomes, answer_us = seen
        congestion, peer = self.congestion, self._peer
        if congestion is None or peer is None or self.state is not ReceiverState.SERVING:
            return None
        estimate = self.clock.estimate(now_us)
        congestion.rtt_us = float(estimate.rtt_us) if estimate is not None else congestion.rtt_us
        congestion.observe_answer(answer_us)
        before = congestion.decision().bitrate_bps
        for frame in decided:
            congestion.frame(frame, now_us)
            if not frame.complete:
                self.key_frame_needed(now_us)
        congestion.watch(newest, now_us)
        decision = congestion.decision()
        if decided or self._target_due(now_us) or decision.bitrate_bps < before:
            self._repeat_target = congestion.lossy and bool(decided)
            self._target_us = now_us
            self._target_number = self._target_number + 1 & 0xFFFFFFFF
            told = self._target_number, decision.bitrate_bps, newest_id, outcomes
            self._send(
                Target(self.ssrc, peer.hello.cookie, *told, decision.pace_us, decision.repair_ratio, decision.reason)
            )
        return decision

    def feedback_due(self, now_us: int) -> bool:
        """Packets arrive, but no frame has completed for a while: time to call `report`."""
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
        """Of the media bitrate, for this and later senders; None: no limit. The sender's own limit applies too."""
        self.limits = min_bps, max_bps
        if self.congestion is not None and self._peer is not None:
            self._limit(self.congestion, self._peer.hello)

    def _limit(self, congestion: CongestionControl, hello: Hello) -> None:
        least, most = self.limits
        congestion.min_bps = least or 0
        congestion.limited = most is not None and most < hello.bitrate_bps
        congestion.set_limits(min(hello.bitrate_bps, most or hello.bitrate_bps), _interval_us(hello))

    def ask_mode(self, width: int, height: int, rate: Fraction, now_us: int) -> bool:
        """Requests this video mode until the sender's HELLO has it; ModeUnavailable after four seconds. False where
        there is no sender."""
        if self.state is not ReceiverState.SERVING:
            return False
        self._requested_mode, self._mode_number = (width, height, rate), self._mode_number + 1 & 0xFFFFFFFF
        self._mode_due_us, self._mode_until_us = now_us, now_us + MODE_TIMEOUT_US
        return True

    def key_frame_needed(self, now_us: int) -> bool:
        """Sends PLI now and every 100 ms until `key_frame_arrived`. Idempotent. False where a request is open already,
        or no sender is there."""
        if self._pli_due_us is not None:
            return False
        self.key_frames_asked += 1
        self._pli_due_us = now_us
        return self.state is ReceiverState.SERVING

    def slept(self, now_us: int) -> None:
        """The machine was suspended: the clock offset is measured anew, and a key frame requested."""
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
        due = [self._received_us + SENDER_SILENCE_US, self.clock.next_probe_due(now_us)]
        if self._pli_due_us is not None:
            due.append(self._pli_due_us)
        if self._media_us > self._report_us:
            due.append(self._report_us + FEEDBACK_INTERVAL_US)
        if self._requested_mode is not None:
            due.append(self._mode_due_us)
        return max(now_us, min(due))

    def close(self, now_us: int) -> None:
        """Queues a BYE for the sender served. Idempotent."""
        self._step(ReceiverInput.CLOSE, now_us)

    def _target_due(self, now_us: int) -> bool:
        """Media arrives or has just arrived, and the sender must not fall back to its safe bitrate; or, on a lossy
        channel, the last TARGET may be lost."""
        assert self.congestion is not None
        passed_us = now_us - self._target_us
        again = self._repeat_target and passed_us >= self.congestion.interval_us / 2
        recent = self._media_us > 0 and now_us - self._media_us < TARGET_AFTER_MEDIA_US
        return again or (recent and passed_us >= FEEDBACK_INTERVAL_US)

    def _hello(self, candidate: _Peer, now_us: int) -> None:
        peer = self._peer
        if candidate.hello.flags & FLAG_PATH:
            self._answer_path(candidate)
        elif peer is None or self.state is ReceiverState.CLOSED:
            self._adopt(ReceiverInput.HELLO_NEW, candidate, now_us)
        elif self.encrypted and peer.hello.boot_id == candidate.hello.boot_id:  # wherever it is now
            self._hello_again(peer, candidate, now_us)
        elif self.encrypted:
            self._adopt(ReceiverInput.HELLO_NEW, candidate, now_us)
        elif (peer.host, peer.port, peer.hello.boot_id) == (candidate.host, candidate.port, candidate.hello.boot_id):
            self._hello_again(peer, candidate, now_us)
        elif peer.is_at(candidate.host, candidate.port):  # restarted on the same port
            self._adopt(ReceiverInput.HELLO_NEW, candidate, now_us)
        else:
            self._adopt(ReceiverInput.HELLO_OTHER, candidate, now_us)

    def _refuse_invite(self, call: Invite) -> None:
        """Reported once."""
        self.dropped["sealed_sender"] += 1
        if self.dropped["sealed_sender"] == 1:
            self._events.append(EncryptedSender(call.name))

    def _answer_path(self, candidate: _Peer) -> None:
        hello = candidate.hello
        if not self.encrypted or self._peer is None or self._peer.hello.boot_id != hello.boot_id:
            self.dropped["control_unexpected"] += 1
            return
        self._out.append(
            (build(Welcome(self.ssrc, self.boot_id, hello.cookie, hello.boot_id)), candidate.host, candidate.port)
        )

    def _adopt(self, event: ReceiverInput, candidate: _Peer, now_us: int) -> None:
        self._candidate = (candidate, now_us)
        self._step(event, now_us)

    def _hello_again(self, peer: _Peer, candidate: _Peer, now_us: int) -> None:
        if (candidate.hello.cookie, candidate.hello.media_ssrc) != (peer.hello.cookie, peer.hello.media_ssrc):
            self.dropped["control_cookie"] += 1  # fixed for the life of a sender
            return
        self._peer = candidate
        self._step(ReceiverInput.RECEIVED, now_us)
        if _describe(candidate.hello) != _describe(peer.hello):
            if self.congestion is not None:
                self._limit(self.congestion, candidate.hello)
            self._events.append(SenderChanged(_describe(candidate.hello)))
        self._welcome()

    def _from_peer(self, message: Message, now_us: int, host: str, port: int) -> None:
        peer = self._peer
        if peer is None or not (self.encrypted or peer.is_at(host, port)):
            self.dropped["control_address"] += 1
            return
        match message:
            case ProbeEcho() if message.boot_id == peer.hello.boot_id:
                if self.clock.receive_echo(message, now_us):
                    self._step(ReceiverInput.RECEIVED, now_us)
            case Bye() if (message.boot_id, message.cookie) == (peer.hello.boot_id, peer.hello.cookie):
                self._step(ReceiverInput.BYE, now_us)
            case Source() if (message.boot_id, message.cookie) == (peer.hello.boot_id, peer.hello.cookie):
                self._step(ReceiverInput.RECEIVED, now_us)
                self._receive_source(message, now_us)
            case _:
                self.dropped["control_unexpected"] += 1

    def _receive_source(self, message: Source, now_us: int) -> None:
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
        if self.state is ReceiverState.SERVING and now_us - self._received_us >= SENDER_SILENCE_US:
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
        if self._requested_mode is not None and now_us >= self._mode_due_us:
            self._send_mode_request(self._requested_mode, self._peer.hello, now_us)

    def _send_mode_request(self, request: tuple[int, int, Fraction], hello: Hello, now_us: int) -> None:
        width, height, rate = request
        if (hello.width, hello.height, hello.rate) == request:
            self._requested_mode = None
        elif now_us >= self._mode_until_us:
            self._requested_mode = None
            self._events.append(ModeUnavailable(*request))
        else:
            self._mode_due_us = now_us + MODE_INTERVAL_US
            asked = width, height, rate.numerator, rate.denominator
            self._send(ModeRequest(self.ssrc, hello.cookie, self._mode_number, *asked))

    def _send(self, message: Message) -> None:
        assert self._peer is not None
        self._out.append((build(message), self._peer.host, self._peer.port))

    def _step(self, event: ReceiverInput, now_us: int) -> None:
        state, action = _RECEIVER_TRANSITIONS.get((self.state, event), (self.state, None))
        self.state = state
        if event is ReceiverInput.RECEIVED:
            self._received_us = max(self._received_us, now_us)
        if action is not None:
            action(self, event, now_us)

    def _serve(self, event: ReceiverInput, now_us: int) -> None:
        assert self._candidate is not None
        peer, self._candidate = self._candidate[0], None
        self._peer = peer
        self._received_us = now_us
        self._media_us = self._report_us = now_us
        self.source = self._requested_mode = None
        self.clock.reset(peer.hello.boot_id)
        self._reports = ReportBuilder(self.ssrc, peer.hello.media_ssrc)
        self.congestion = CongestionControl(peer.hello.bitrate_bps, _interval_us(peer.hello))
        self._limit(self.congestion, peer.hello)
        self._target_us = now_us
        self._pli_due_us = now_us + PLI_INTERVAL_US  # the first frame is a key frame; if it is lost, request one
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
        self.dropped["control_other_sender"] += 1  # its HELLO is kept in case the present sender goes

    def _resume(self, event: ReceiverInput, now_us: int) -> None:
        self._events.append(SenderBack())

    def _lose(self, event: ReceiverInput, now_us: int) -> None:
        if event is ReceiverInput.CLOSE and self._peer is not None:
            self._send(Bye(self.ssrc, self.boot_id, self._peer.hello.cookie))
        reason = {ReceiverInput.BYE: "bye", ReceiverInput.SILENCE: "silent"}.get(event, "closed")
        self._events.append(SenderLost(reason))
        if event is not ReceiverInput.SILENCE:
            self._peer = self._reports = self.congestion = self._pli_due_us = None
        if event is not ReceiverInput.CLOSE and self._candidate is not None:
            if now_us - self._candidate[1] < SENDER_SILENCE_US:  # still there: most likely the same camera, restarted
                self._step(ReceiverInput.HELLO_NEW, now_us)
            else:
                self._candidate = None


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
    (_R.SILENT, _I.RECEIVED): (_R.SERVING, ReceiverSession._resume),
    (_R.SILENT, _I.BYE): (_R.LISTENING, ReceiverSession._lose),
    (_R.SILENT, _I.CLOSE): (_R.CLOSED, ReceiverSession._lose),
}
