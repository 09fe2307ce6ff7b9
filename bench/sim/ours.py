"""thinair itself: the C core at both ends, the genuine policy, sessions' messages as bytes."""

from __future__ import annotations

import random

from bench.sim.world import INTERVAL_US, PAYLOAD, Packet, World
from link.native import HOLD, READY_KEY, Outbox, Reassembler
from link.policy import AirPolicy
from link.receiver_session import FEEDBACK_INTERVAL_US, PLI_INTERVAL_US
from link.rtcp import Pli, Target, build, parse
from link.session import KEY_FRAME_INTERVAL_US, SAFE_BITRATE_BPS, TARGET_SILENCE_US
from link.targets import MIN_BITRATE_BPS, BitrateFollower

_SSRC, _OWN, _COOKIE = 0x1000, 0x2000, 77
_UDP = 28  # bytes of UDP and IPv4
_HEADERS = 30  # of a media packet: RTP, frame element
_PICTURE = b"\0\0\0\1\x41\x9a"
_KEY = b"\0\0\0\1\x65\x88"
_TICK_US = INTERVAL_US / 2  # the player looks at the air as often as its screen refreshes


class Sender:
    def __init__(self, world: World) -> None:
        self.world = world
        self._filler = random.Random(world.seed).randbytes(400_000).replace(b"\0", b"\1")
        self._outbox = Outbox(ssrc=_SSRC, max_packet=PAYLOAD + _HEADERS, interval_us=round(INTERVAL_US))
        self._outbox.set_cookie(_COOKIE)
        self._max_bps = world.model.max_bps
        self._follower = BitrateFollower(self._max_bps)
        self._key_wanted = True
        self._key_asked = False
        self._key_us = -1e9
        self._target_us: float | None = None
        self._number = -1

    def picture(self, now_us: float) -> None:
        now = round(now_us)
        if self._target_us is not None and now_us - self._target_us > TARGET_SILENCE_US:
            self._target_us = None
            self._follower.follow(min(SAFE_BITRATE_BPS, self._max_bps), now)
        if self._key_asked and now_us - self._key_us >= KEY_FRAME_INTERVAL_US:
            self._key_wanted, self._key_asked = True, False
        ready = self._outbox.ready(now)
        if ready == HOLD:
            self.world.skip()
            return
        key = self._key_wanted or ready == READY_KEY
        number, size = self.world.encode(self._follower.bitrate_bps, key=key, now_us=now_us)
        unit = (_KEY if key else _PICTURE) + self._filler[: max(8, size - 6)]
        try:
            self._outbox.push(unit, now_us=now, frame_id=number, rtp_time=now * 9 // 100 & 0xFFFFFFFF, key=key,
                              capture_us=now, encode_out_us=now)  # fmt: skip
        except ValueError:
            self._key_wanted = True
            return
        if key:
            self._key_wanted, self._key_us = False, now_us
        self._number = number

    def receive(self, content: bytes, now_us: float) -> None:
        now = round(now_us)
        if self._outbox.control(content, now):
            return
        for message in parse(content):
            match message:
                case Target():
                    self._target_us = now_us
                    wanted = min(max(message.bitrate_bps, MIN_BITRATE_BPS), self._max_bps)
                    self._follower.follow(wanted, now)
                case Pli():
                    self._key_asked = True

    def poll(self, now_us: float) -> list[Packet]:
        out = []
        while due := self._outbox.next(round(now_us)):
            for datagram in due:
                media = datagram[1] & 0x7F == 96
                if media and self._number >= 0:
                    self.world.leaves(int.from_bytes(datagram[17:21]), now_us)
                out.append(Packet(len(datagram) + _UDP, datagram, media))
        return out

    def timeout_us(self) -> float | None:
        due = self._outbox.deadline()
        return None if due is None else float(due)


class Receiver:
    def __init__(self, world: World) -> None:
        self.world = world
        self._frames = Reassembler(patience_us=60_000, max_au=1 << 20)
        self._frames.peer(_OWN, _COOKIE)
        self._frames.timing(round(INTERVAL_US), 0)
        self.policy = AirPolicy(world.model.max_bps, INTERVAL_US)
        self._number = 0
        self._target_us = self._media_us = 0.0
        self._tick_us = 0.0
        self._pli_us: float | None = None
        self._expected = 0
        self._again = False

    def receive(self, content: bytes, now_us: float) -> None:
        self._media_us = now_us
        self._frames.push(content, round(now_us))

    def poll(self, now_us: float) -> list[Packet]:
        now = round(now_us)
        out = []
        got = False
        while (unit := self._frames.next(now)) is not None:
            self.world.complete(unit.frame_id, now_us)
            got = True
            if unit.key:
                self._pli_us = None
            elif unit.gap and self._pli_us is None:
                self._pli_us = now_us
        while (request := self._frames.request(now)) is not None:
            out.append(request)
        if got or now_us >= self._tick_us or self._frames.drops()["incomplete"] != self._expected:
            self._tick_us = now_us + _TICK_US
            out += self._look(now_us)
        if self._pli_us is not None and now_us >= self._pli_us:
            self._pli_us = now_us + PLI_INTERVAL_US
            out.append(build(Pli(_OWN, _SSRC)))
        return [Packet(len(datagram) + _UDP, datagram) for datagram in out]

    def _look(self, now_us: float) -> list[bytes]:
        """As ReceiverSession.frames."""
        self._expected = self._frames.drops()["incomplete"]
        decided, newest, newest_id, outcomes = self._frames.frames()
        policy, now = self.policy, round(now_us)
        policy.rtt_us = float(self._frames.recovery()["rtt_us"])
        before = policy.decision().bitrate_bps
        for frame in decided:
            policy.frame(frame, now)
            if not frame.complete and self._pli_us is None:
                self._pli_us = now_us
        policy.watch(newest, now)
        decision = policy.decision()
        passed_us = now_us - self._target_us
        waiting = self._media_us > self._target_us and passed_us >= FEEDBACK_INTERVAL_US
        again = self._again and passed_us >= INTERVAL_US / 2
        if not (decided or waiting or again or decision.bitrate_bps < before):
            return []
        self._again = policy.lossy and bool(decided)
        self._target_us = now_us
        self._number += 1
        self.world.rate.append((now_us / 1e6, decision.bitrate_bps / 1e6, policy.capacity_bps / 1e6))
        target = Target(_OWN, _COOKIE, self._number, decision.bitrate_bps, newest_id, outcomes, decision.pace_us, decision.share)
        return [build(target)]

    def timeout_us(self) -> float | None:
        due = self._frames.deadline()
        times = [self._tick_us] + ([float(due)] if due is not None else [])
        if self._pli_us is not None:
            times.append(self._pli_us)
        return min(times)
