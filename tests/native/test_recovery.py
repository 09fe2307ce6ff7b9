"""What the receiver asks for: nothing while packets may only be late, a few to find out, the rest once it is known."""

from __future__ import annotations

import pytest

from thinair.link.native import Reassembler, SendQueue
from thinair.link.protocol.rtcp import Repair, parse

pytestmark = pytest.mark.quick
COOKIE, INTERVAL_US, RTT_US, SPACING_US = 7, 33_333, 6_000, 300


class Ends:
    def __init__(self) -> None:
        self.outbox = SendQueue(ssrc=9, max_packet=1000, interval_us=INTERVAL_US)
        self.outbox.set_cookie(COOKIE)
        self.frames = Reassembler(repair_timeout_us=60_000)
        self.frames.peer(1, COOKIE)
        self.frames.timing(INTERVAL_US, RTT_US, 0)
        self.now = 0

    def packets(self, frame_id: int) -> list[bytes]:
        """Of a frame of 20."""
        unit = b"\0\0\0\1\x41" + bytes([7]) * 19_000
        self.outbox.push(unit, now_us=self.now, frame_id=frame_id, rtp_time=3000 * frame_id, capture_us=self.now + 1)
        out: list[bytes] = []
        while due := self.outbox.next(self.now):
            out += due
        return out

    def take(self, packets: list[bytes]) -> None:
        for packet in packets:
            self.now += SPACING_US
            self.frames.push(packet, self.now)

    def whole_frames(self, count: int) -> None:
        for frame_id in range(count):
            self.now = INTERVAL_US * (frame_id + 1)
            self.take(self.packets(frame_id))
            assert self.frames.next(self.now) is not None
            assert self.asked() == []

    def asked(self) -> list[int]:
        out = []
        while (data := self.frames.request(self.now)) is not None:
            out += [one.missing for message in parse(data) if isinstance(message, Repair) for one in message.requests]
        return out


def test_a_gap_is_asked_for_after_the_guard_as_much_as_is_missing() -> None:
    ends = Ends()
    ends.whole_frames(5)
    ends.now = 6 * INTERVAL_US
    packets = ends.packets(5)
    ends.take([*packets[:5], packets[8]])
    assert ends.asked() == [], "they may be behind it"
    ends.take(packets[9:11])
    assert ends.asked()[0] == 3


def test_packets_that_are_overdue_on_an_air_without_losses_are_probed_for() -> None:
    ends = Ends()
    ends.whole_frames(5)
    ends.now = 6 * INTERVAL_US
    packets = ends.packets(5)
    ends.take(packets[:5])
    ends.now += 600
    assert ends.asked() == [], "they may come yet"
    ends.now += 4_000
    asked = ends.asked()
    assert 1 <= asked[0] <= 3, "fifteen are missing, and nothing says that they are lost"
    ends.take(packets[5:])
    assert ends.frames.next(ends.now) is not None, "they were late"


def test_nothing_is_asked_for_behind_a_queue_that_an_answer_would_not_get_through_in_time() -> None:
    ends = Ends()
    ends.whole_frames(5)
    ends.frames.timing(0, 0, 200_000)
    ends.now = 6 * INTERVAL_US
    packets = ends.packets(5)
    ends.take(packets[:5] + packets[8:])
    ends.now += INTERVAL_US
    ends.take(ends.packets(6)[:1])
    assert ends.asked() == []
