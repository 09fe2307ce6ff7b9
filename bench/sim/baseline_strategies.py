"""Strategies of other designs against loss, as published (docs/transport.md names the sources).

All send a frame's packets at once, encode the same pictures, and answer a key frame request with the next picture where
they have such requests. Their codes are counted, not computed: any k of n packets of a block restore it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from thinair.bench.sim.simulator import PAYLOAD, End, Packet, Sender, World

_HEADERS = 12 + 28  # RTP, UDP, IPv4
_CONTROL = 60  # bytes of a control packet, with UDP and IPv4
_KEY_EVERY = 30  # pictures, without key frame requests


@dataclass(frozen=True, slots=True)
class Media:
    seq: int
    frame: int
    index: int
    count: int
    sent_us: float
    again: bool = False


@dataclass(frozen=True, slots=True)
class Parity:
    block: int
    frame: int  # the newest frame in the block
    again: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """From the receiver: packets again, or a key frame, or a bitrate."""

    seqs: tuple[int, ...] = ()
    key: bool = False
    bitrate_bps: float = 0.0


class PlainSender:
    """Every picture at a fixed bitrate, a key frame each second or on request."""

    keys_on_request = False

    def __init__(self, world: World) -> None:
        self.world = world
        self.bitrate_bps = float(world.model.max_bps)
        self.out: list[Packet] = []
        self.seq = 0
        self.sent: dict[int, Packet] = {}
        self._key_wanted = True
        self._since_key = 0

    def picture(self, now_us: float) -> None:
        key = self._key_wanted or (not self.keys_on_request and self._since_key >= _KEY_EVERY)
        frame, size = self.world.encode(self.bitrate_bps, key=key, now_us=now_us)
        self._key_wanted, self._since_key = False, 1 if key else self._since_key + 1
        count = math.ceil(size / PAYLOAD)
        for index in range(count):
            part = min(PAYLOAD, size - index * PAYLOAD)
            packet = Packet(part + _HEADERS, Media(self.seq, frame, index, count, now_us))
            self.sent[self.seq] = packet
            self.sent.pop(self.seq - 4096, None)
            self.seq += 1
            self.out.append(packet)
            self.after_packet(packet)
        self.after_frame(frame, count)

    def after_packet(self, packet: Packet) -> None:
        """For codes over packets."""

    def after_frame(self, frame: int, count: int) -> None:
        """For codes over frames."""

    def receive(self, content: Request, now_us: float) -> None:
        self._key_wanted |= content.key
        for seq in content.seqs:
            if (packet := self.sent.get(seq)) is not None:
                media = packet.content
                again = Media(media.seq, media.frame, media.index, media.count, media.sent_us, again=True)
                self.out.append(Packet(packet.size, again, media=False))
        if content.bitrate_bps:
            self.bitrate_bps = min(content.bitrate_bps, self.world.model.max_bps)

    def poll(self, now_us: float) -> list[Packet]:
        out, self.out = self.out, []
        for packet in out:
            if isinstance(packet.content, Media) and packet.media:
                self.world.leaves(packet.content.frame, now_us)
        return out

    def timeout_us(self, now_us: float) -> float | None:
        return None


class PlainReceiver:
    """A frame is complete with all its packets."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.have: dict[int, set[int]] = {}
        self.count: dict[int, int] = {}
        self.out: list[Packet] = []

    def receive(self, content: Media | Parity, now_us: float) -> None:
        if isinstance(content, Media):
            self.take(content.frame, content.index, content.count, now_us)

    def take(self, frame: int, index: int, count: int, now_us: float) -> None:
        self.count[frame] = count
        have = self.have.setdefault(frame, set())
        have.add(index)
        if len(have) == count:
            self.completed(frame, now_us)

    def completed(self, frame: int, now_us: float) -> None:
        self.world.complete(frame, now_us)

    def send(self, request: Request) -> None:
        self.out.append(Packet(_CONTROL + 4 * len(request.seqs), request))

    def poll(self, now_us: float) -> list[Packet]:
        out, self.out = self.out, []
        return out

    def timeout_us(self, now_us: float) -> float | None:
        return None


# ---- Reed-Solomon per frame and a key frame on loss, no retransmission: Sunshine and Moonlight


class FrameCodeSender(PlainSender):
    keys_on_request = True

    def after_frame(self, frame: int, count: int) -> None:
        parity = max(2, math.ceil(count * 0.2))
        self.out += [Packet(PAYLOAD + _HEADERS, Parity(frame, frame), media=False) for _ in range(parity)]


class FrameCodeReceiver(PlainReceiver):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._parity: dict[int, int] = {}
        self._newest = -1
        self._broken = False  # waits for a key frame

    def receive(self, content: Media | Parity, now_us: float) -> None:
        frame = content.frame
        if frame > self._newest:
            self._abandon(range(self._newest, frame))
            self._newest = frame
        if isinstance(content, Parity):
            self._parity[frame] = self._parity.get(frame, 0) + 1
        else:
            self.take(frame, content.index, content.count, now_us)
        have, count = len(self.have.get(frame, ())), self.count.get(frame)
        if count is not None and have < count <= have + self._parity.get(frame, 0):
            self.completed(frame, now_us)

    def completed(self, frame: int, now_us: float) -> None:
        super().completed(frame, now_us)
        self._broken &= not self.world.timeline.key[frame]

    def _abandon(self, frames: range) -> None:
        """Packets arrive in order: once a newer frame begins, an incomplete one is lost."""
        lost = any(frame >= 0 and self.world.timeline.complete_us[frame] is None for frame in frames)
        self._broken |= lost
        if self._broken:
            self.send(Request(key=True))


# ---- blocks of 8 and 4 over the stream, not aligned to frames, no feedback: WFB-ng


class StreamCodeSender(PlainSender):
    sources, total = 8, 12

    def after_packet(self, packet: Packet) -> None:
        number = packet.content.seq
        if number % self.sources == self.sources - 1:
            block = number // self.sources
            for _ in range(self.total - self.sources):
                self.out.append(Packet(PAYLOAD + _HEADERS, Parity(block, packet.content.frame), media=False))


class StreamCodeReceiver(PlainReceiver):
    def __init__(self, world: World, sender: StreamCodeSender) -> None:
        super().__init__(world)
        self._sent = sender.sent  # the content of a restored packet
        self._blocks: dict[int, tuple[set[int], list[int]]] = {}

    def receive(self, content: Media | Parity, now_us: float) -> None:
        k = StreamCodeSender.sources
        number = content.seq // k if isinstance(content, Media) else content.block
        sources, parity = self._blocks.setdefault(number, (set(), [0]))
        self._blocks.pop(number - 64, None)
        if isinstance(content, Media):
            sources.add(content.seq)
            self.take(content.frame, content.index, content.count, now_us)
        else:
            parity[0] += 1
        if len(sources) < k <= len(sources) + parity[0]:
            for seq in range(number * k, number * k + k):
                if seq not in sources and (packet := self._sent.get(seq)) is not None:
                    media = packet.content
                    sources.add(seq)
                    self.take(media.frame, media.index, media.count, now_us)


# ---- retransmission on request: WebRTC, SRT


@dataclass(slots=True)
class _Missing:
    tries: int = 0
    next_us: float = 0.0
    since_us: float = field(default=0.0)


class RetransmissionReceiver(PlainReceiver):
    """Requests a missing packet at once, and again each round trip."""

    max_tries = 10  # libwebrtc's nack requester
    abandon_us = math.inf
    again_us = 0.0  # least time between two requests for the same packet

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._highest = -1
        self._missing: dict[int, _Missing] = {}
        self._rtt_us = 2 * world.model.delay_us + 2_000.0

    def receive(self, content: Media | Parity, now_us: float) -> None:
        assert isinstance(content, Media)
        for seq in range(self._highest + 1, content.seq):
            self._missing[seq] = _Missing(since_us=now_us)
        self._highest = max(self._highest, content.seq)
        found = self._missing.pop(content.seq, None)
        if found is not None and content.again and found.tries == 1:
            rtt = now_us - (found.next_us - self._wait_us())
            self._rtt_us += (rtt - self._rtt_us) / 8
        self.take(content.frame, content.index, content.count, now_us)

    def _wait_us(self) -> float:
        return max(self._rtt_us, self.again_us)

    def poll(self, now_us: float) -> list[Packet]:
        due = [seq for seq, missing in self._missing.items() if missing.next_us <= now_us]
        unrecoverable = False
        for seq in due:
            missing = self._missing[seq]
            missing.tries += 1
            missing.next_us = now_us + self._wait_us()
            if missing.tries > self.max_tries or now_us - missing.since_us > self.abandon_us:
                del self._missing[seq]
                unrecoverable = True
        requested = tuple(seq for seq in due if seq in self._missing)
        if requested:
            self.send(Request(requested))
        if unrecoverable:
            self.unrecoverable()
        return super().poll(now_us)

    def unrecoverable(self) -> None:
        self.send(Request(key=True))

    def timeout_us(self, now_us: float) -> float | None:
        return min((missing.next_us for missing in self._missing.values()), default=None)


class WebRtcSender(PlainSender):
    keys_on_request = True


class WebRtcReceiver(RetransmissionReceiver):
    """Bitrate by the gradient of delay (GCC, draft-ietf-rmcat-gcc-02): 0.85 of the received rate while it grows, else
    8 % more per second; above 10 % of loss, less by half the loss."""

    again_us = 5_000.0

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._target = float(world.model.max_bps)
        self._groups: deque[tuple[float, float]] = deque(maxlen=20)  # arrival, smoothed delay
        self._group: tuple[float, float] | None = None  # send and arrival of the group before
        self._delay = self._smooth = 0.0
        self._received: deque[tuple[float, int]] = deque()
        self._reported_us = 0.0
        self._overuse_us = 0.0
        self._lost = self._got = 0

    def receive(self, content: Media | Parity, now_us: float) -> None:
        assert isinstance(content, Media)
        before = self._highest
        super().receive(content, now_us)
        self._received.append((now_us, PAYLOAD + _HEADERS))
        self._got += 1
        self._lost += max(0, content.seq - before - 1)
        if not content.again and (self._group is None or content.sent_us != self._group[0]):
            if self._group is not None:
                self._delay += (now_us - self._group[1]) - (content.sent_us - self._group[0])
                self._smooth += (self._delay - self._smooth) * 0.1
                self._groups.append((now_us, self._smooth))
            self._group = (content.sent_us, now_us)
        self._adapt(now_us)

    def _trend(self) -> float:
        """Slope of the smoothed delay, times groups and gain, in ms: what the draft compares with 12.5 ms."""
        if len(self._groups) < self._groups.maxlen:  # type: ignore[operator]  # it has a maxlen
            return 0.0
        mean_t = sum(t for t, _ in self._groups) / len(self._groups)
        mean_d = sum(d for _, d in self._groups) / len(self._groups)
        top = sum((t - mean_t) * (d - mean_d) for t, d in self._groups)
        bottom = sum((t - mean_t) ** 2 for t, _ in self._groups)
        return 60 * 4.0 * top / bottom if bottom else 0.0

    def _adapt(self, now_us: float) -> None:
        while self._received and now_us - self._received[0][0] > 500_000:
            self._received.popleft()
        if now_us - self._reported_us < 50_000:
            return
        passed_s = min(0.2, (now_us - self._reported_us) / 1e6)
        self._reported_us = now_us
        received = 8 * sum(size for _, size in self._received) / 0.5
        if self._trend() > 12.5:
            self._target = min(self._target, 0.85 * received)
        elif self._trend() > -12.5:
            self._target = min(self._target * 1.08**passed_s, 1.5 * received + 10_000)
        share = self._lost / max(1, self._lost + self._got)
        if share > 0.10:
            self._target *= 1 - 0.5 * share * passed_s
        self._lost, self._got = self._lost * 0.9, self._got * 0.9  # type: ignore[assignment]  # a moving share
        self._target = max(300_000.0, min(self._target, self.world.model.max_bps))
        self.send(Request(bitrate_bps=self._target))


class SrtReceiver(RetransmissionReceiver):
    """Requests at once and by periodic reports; a buffer of 120 ms; drops what is late (SRT draft, 4.5 to 4.8)."""

    latency_us = 120_000.0
    max_tries = 1_000
    again_us = 20_000.0  # least time between NAK reports

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.abandon_us = self.latency_us

    def take(self, frame: int, index: int, count: int, now_us: float) -> None:
        sent = self.world.timeline.sent_us[frame]
        assert sent is not None
        play_us = sent + self.latency_us + self.world.model.delay_us
        if now_us <= play_us:
            self.world.hold(frame, play_us)
            super().take(frame, index, count, now_us)

    def unrecoverable(self) -> None:
        """There are no key frame requests."""


def _pair(sender: type[PlainSender], receiver: type[PlainReceiver]) -> Callable[[World], tuple[Sender, End]]:
    return lambda world: (sender(world), receiver(world))


def _stream_code(world: World) -> tuple[Sender, End]:
    sender = StreamCodeSender(world)
    return sender, StreamCodeReceiver(world, sender)


BASELINES: dict[str, Callable[[World], tuple[Sender, End]]] = {
    "none": _pair(PlainSender, PlainReceiver),
    "moonlight": _pair(FrameCodeSender, FrameCodeReceiver),
    "wfb": _stream_code,
    "webrtc": _pair(WebRtcSender, WebRtcReceiver),
    "srt": _pair(PlainSender, SrtReceiver),
}
