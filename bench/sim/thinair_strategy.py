"""thinair itself: C core, sessions and congestion control of both ends, as sender and player run them."""

from __future__ import annotations

import random
from collections import deque
from fractions import Fraction

from thinair.bench.sim.simulator import PAYLOAD, Packet, World
from thinair.link.native import READY_KEY, SKIP, Reassembler, SendQueue
from thinair.link.protocol.bitrate import BitrateFollower
from thinair.link.protocol.receiver_session import ARRIVALS, NewSender, ReceiverSession
from thinair.link.protocol.sender_session import (
    BitrateRequested,
    KeyFrameRequested,
    Linked,
    MediaDescription,
    SenderSession,
)

_SSRC, _COOKIE, _SENDER, _RECEIVER = 0x1000, 77, 0x5E, 0x4E
_UDP = 28  # bytes of UDP and IPv4
_HEADERS = 30  # of a media packet: RTP, frame element
_PICTURE = b"\0\0\0\1\x41\x9a"
_KEY = b"\0\0\0\1\x65\x88"
_TICK_US = 1e6 / 120  # as in the player
_REPAIR_TIMEOUT_US = 60_000
_CAMERA = ("192.0.2.1", 5004)


class Sender:
    def __init__(self, world: World) -> None:
        self.world = world
        self._filler = random.Random(world.seed).randbytes(400_000).replace(b"\0", b"\1")
        description = MediaDescription(1920, 1080, Fraction(round(1e6 / world.interval_us)), world.model.max_bps)
        self.session = SenderSession(_SENDER, _COOKIE, _SSRC, description)
        self.queue = SendQueue(ssrc=_SSRC, max_packet=PAYLOAD + _HEADERS, interval_us=round(world.interval_us))
        self.queue.set_cookie(_COOKIE)
        self._follower = BitrateFollower(world.model.max_bps)
        self._linked = False
        self._key_wanted = False

    def picture(self, now_us: float) -> None:
        now = round(now_us)
        if not self._linked:
            return
        ready = self.queue.ready(now)
        if ready == SKIP:
            self.world.skip()
            return
        key = self._key_wanted or ready == READY_KEY
        number, size = self.world.encode(self._follower.bitrate_bps, key=key, now_us=now_us)
        unit = (_KEY if key else _PICTURE) + self._filler[: max(8, size - 6)]
        try:
            self.queue.push(unit, now_us=now, frame_id=number, rtp_time=now * 9 // 100 & 0xFFFFFFFF, key=key,
                             capture_us=now, encode_out_us=now)  # fmt: skip
        except ValueError:
            self._key_wanted = True
            return
        if key:
            self._key_wanted = False
            self.session.key_frame_encoded(now)

    def receive(self, content: bytes, now_us: float) -> None:
        now = round(now_us)
        if not self.queue.control(content, now):
            self.session.receive_datagram(content, now)

    def poll(self, now_us: float) -> list[Packet]:
        now = round(now_us)
        out = []
        while (datagram := self.session.next_datagram(now)) is not None:
            out.append(Packet(len(datagram) + _UDP, datagram, media=False))
        while (event := self.session.next_event()) is not None:
            match event:
                case Linked():
                    self._linked = self._key_wanted = True
                case KeyFrameRequested():
                    self._key_wanted = True
                case BitrateRequested(bitrate_bps=wanted):
                    self._follower.follow(wanted, now)
        while due := self.queue.next(now):
            for datagram in due:
                media = datagram[1] & 0x7F == 96
                if media:
                    self.world.leaves(int.from_bytes(datagram[17:21]), now_us)
                out.append(Packet(len(datagram) + _UDP, datagram, media))
        return out

    def timeout_us(self, now_us: float) -> float:
        session, queue = self.session.next_timeout(round(now_us)), self.queue.deadline()
        return min(float(due) for due in (session, queue) if due is not None)


class Receiver:
    def __init__(self, world: World) -> None:
        self.world = world
        self.session = ReceiverSession(_RECEIVER)
        self.frames = Reassembler(repair_timeout_us=_REPAIR_TIMEOUT_US, max_au=1 << 20)
        self._arrivals: deque[tuple[int, int]] = deque(maxlen=ARRIVALS)
        self._tick_us = 0.0
        self._abandoned = 0
        self._need_key = True

    def receive(self, content: bytes, now_us: float) -> None:
        now = round(now_us)
        if 192 <= content[1] <= 223:
            self.session.receive_datagram(content, now, *_CAMERA)
            return
        self.frames.push(content, now)
        if content[1] & 0x7F == 96:
            self._arrivals.append((int.from_bytes(content[2:4]), now))
        self.session.media_seen(now)

    def poll(self, now_us: float) -> list[Packet]:
        now = round(now_us)
        out = []
        abandoned = self.frames.drops()["incomplete"]
        look = now_us >= self._tick_us or abandoned != self._abandoned
        while (request := self.frames.request(now)) is not None:
            out.append(request)
        while (unit := self.frames.next(now)) is not None:
            look = True
            self.world.complete(unit.frame_id, now_us)
            if unit.key:
                self.session.key_frame_arrived()
            if unit.gap or self._need_key:
                self._need_key = not unit.key
            if self._need_key:
                self.session.key_frame_needed(now)
            self.session.frame_completed(unit.first_seq, lambda: self._arrivals, now)
        if look:
            self._look(now_us, abandoned)
        if self.session.feedback_due(now):
            self.session.report(self._arrivals, now)
        while (sent := self.session.next_datagram(now)) is not None:
            out.append(sent[0])
        while (event := self.session.next_event()) is not None:
            if isinstance(event, NewSender):
                self.frames.peer(self.session.ssrc, event.cookie)
                self.frames.timing(round(self.world.interval_us), 0, 0)
        return [Packet(len(datagram) + _UDP, datagram) for datagram in out]

    def _look(self, now_us: float, abandoned: int) -> None:
        self._tick_us, self._abandoned = now_us + _TICK_US, abandoned
        decision = self.session.frames(self.frames.frames(), round(now_us))
        if decision is None or (policy := self.session.congestion) is None:
            return
        self.frames.timing(0, round(policy.rtt_us), policy.standing_queue_us)
        self.world.rate.append((now_us / 1e6, decision.bitrate_bps / 1e6, policy.capacity_bps / 1e6))

    def timeout_us(self, now_us: float) -> float:
        session, frames = self.session.next_timeout(round(now_us)), self.frames.deadline()
        return min(float(due) for due in (session, frames, self._tick_us) if due is not None)
