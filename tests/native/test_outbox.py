"""The sender's outbox: repair symbols as the slow code has them, requests, budget, targets, what is held back."""

from __future__ import annotations

import struct

import pytest

from tests.oracle import repair
from tests.support.seeds import seed
from thinair.link.native import HOLD, MAX_LINK_PACKET, READY, READY_KEY, Outbox
from thinair.link.protocol.rtcp import PACE_OWN, WHOLE, Repair, RepairRequest, Target, build

pytestmark = pytest.mark.quick
SSRC, COOKIE, OWN = 0x10203040, 99, 5
INTERVAL_US = 40_000
MEDIA, SYMBOL = 96, 97


def unit(size: int, salt: int = 0) -> bytes:
    return b"\0\0\0\1\x41" + bytes((7 * i + salt) % 255 + 1 for i in range(size))


def outbox(**settings: int) -> Outbox:
    made = Outbox(ssrc=SSRC, first_seq=65_530, max_packet=1000, interval_us=INTERVAL_US, **settings)
    made.set_cookie(COOKIE)
    return made


def push(box: Outbox, frame_id: int, size: int, now_us: int = 0, *, key: bool = False) -> list[bytes]:
    """The datagrams that leave at once."""
    rtp_time, capture_us = 3600 * frame_id, max(1, now_us)
    data = unit(size, frame_id)
    box.push(data, now_us=now_us, frame_id=frame_id, rtp_time=rtp_time, key=key, capture_us=capture_us)
    return drain(box, now_us)


def drain(box: Outbox, now_us: int) -> list[bytes]:
    out: list[bytes] = []
    while due := box.next(now_us):
        out += due
    return out


def kinds(datagrams: list[bytes]) -> list[int]:
    return [datagram[1] & 0x7F for datagram in datagrams]


def ask(box: Outbox, *requests: tuple[int, int, int, int], now_us: int = 0, cookie: int = COOKIE) -> list[bytes]:
    assert box.control(build(Repair(OWN, cookie, tuple(RepairRequest(*one) for one in requests))), now_us)
    return drain(box, now_us)


def target(box: Outbox, number: int = 1, now_us: int = 0, **fields: int) -> None:
    values = {"bitrate_bps": 8_000_000, "newest_id": 0, "outcomes": 2, "pace_us": PACE_OWN, "repair_ratio": 0, "reason": 0}
    assert not box.control(build(Target(OWN, COOKIE, number, **(values | fields))), now_us)


def block_of(media: list[bytes], block: int, blocks: int) -> list[bytes]:
    return media[block::blocks]


@pytest.mark.parametrize("size", [500, 900, 20_000, 127 * 950, 200_000])
def test_symbols_follow_their_frame_and_are_as_the_slow_code_has_them(size: int) -> None:
    box = outbox()
    target(box, repair_ratio=40)
    datagrams = push(box, 7, size, key=True)
    media = [datagram for datagram in datagrams if datagram[1] & 0x7F == MEDIA]
    symbols = datagrams[len(media) :]
    blocks = -(-len(media) // 128)
    r = -(-40 * -(-len(media) // blocks) // 256)
    assert kinds(symbols) == [SYMBOL] * (r * blocks)
    assert all(packet[25] == 1 | r << 1 for packet in media), "the frame element tells how many"
    for position, packet in enumerate(symbols):
        index, block = divmod(position, blocks)
        header = struct.unpack("!BBHIIIHHBBBB", packet[:24])
        assert header == (0x80, SYMBOL, position, 25_200, SSRC + 1, 7, 65_530, len(media), block, index, 1 | r << 1, 0)
        assert packet[24:] == repair.encode(block_of(media, block, blocks), index)


def test_fresh_symbols_go_on_where_those_sent_unasked_ended_and_begin_again_after_the_last() -> None:
    box = outbox()
    target(box, repair_ratio=128)
    media = [packet for packet in push(box, 3, 5_000) if packet[1] & 0x7F == MEDIA]
    k, sent = len(media), 3
    assert (k, box.stats()["repair_unasked"]) == (6, sent)
    first = ask(box, (3, 0, 2, 1))
    assert [packet[21] for packet in first] == [sent, sent + 1, sent + 2], "missing and one more"
    for packet in first:
        assert packet[24:] == repair.encode(media, packet[21])
    indexes = []
    for number in range(2, 100):
        push(box, 3 + number, 9_000, number)  # earns budget
        indexes += [
            packet[21] for packet in ask(box, (3, 0, 5, number), now_us=number) if packet[12:16] == media[0][17:21]
        ]
    assert max(indexes) == 254 - k
    assert indexes[: 255 - k - 6] == list(range(6, 255 - k))
    assert indexes[255 - k - 6] == 0


def test_a_repeated_request_is_ignored_and_a_new_round_answered() -> None:
    box = outbox()
    push(box, 1, 9_000)
    assert len(ask(box, (1, 0, 3, 1))) == 4
    assert ask(box, (1, 0, 3, 1)) == []
    assert len(ask(box, (1, 0, 3, 2))) == 4
    assert box.stats()["requests_repeated"] == 1


def test_a_frame_of_which_nothing_came_is_sent_as_symbols_of_every_block() -> None:
    box = outbox()
    push(box, 1, 40_000)
    push(box, 2, 140 * 950)
    answers = ask(box, (2, WHOLE, WHOLE, 1))
    assert {packet[20] for packet in answers} == {0, 1}
    assert len(answers) == min(256, box.stats()["repair_asked"])


@pytest.mark.parametrize(
    "request_", [(9, 0, 1, 1), (1, 1, 1, 1), (1, 0, 0, 1), (1, 254, 3, 1), (0xFFFFFFFF, WHOLE, WHOLE, 1)]
)
def test_what_cannot_be_is_counted_and_not_answered(request_: tuple[int, int, int, int]) -> None:
    box = outbox()
    push(box, 1, 5_000)
    assert ask(box, request_) == []
    assert box.stats()["requests_unknown"] == 1


def test_without_the_cookie_nothing_is_answered_or_applied() -> None:
    box = outbox()
    push(box, 1, 5_000)
    assert ask(box, (1, 0, 1, 1), cookie=COOKIE + 1) == []
    box.control(build(Target(OWN, 1, 1, 1_000_000, 0, 0, 0, 128)), 0)
    assert (box.stats()["targets"], box.stats()["requests_refused"]) == (0, 1)


def test_a_flood_of_requests_never_gets_more_than_the_video_itself_and_the_smallest_first() -> None:
    box = outbox()
    media = answered = 0
    for frame_id in range(60):
        media += len(push(box, frame_id, 9_000, frame_id))
        for round_ in range(1, 40):
            answered += len(ask(box, (frame_id, 0, 200, round_)))
    assert answered <= media + 64
    assert box.stats()["requests_refused"] > 1000
    slow = outbox(pace_us=1000, pace_group=4)
    push(slow, 1, 9_000)
    push(slow, 2, 9_000, 100_000)
    drain(slow, 200_000)
    slow.control(build(Repair(OWN, COOKIE, (RepairRequest(1, 0, 7, 1), RepairRequest(2, 0, 1, 1)))), 300_000)
    assert [packet[12:16] for packet in slow.next(300_000)[:2]] == [(2).to_bytes(4)] * 2


def test_a_generic_nack_gets_the_packets_themselves() -> None:
    box = outbox()
    media = push(box, 1, 9_000)
    lost = [65_533, 65_535, 0]
    fci = struct.pack("!HH", lost[0], 1 << 1 | 1 << 2)
    assert box.control(struct.pack("!BBHII", 0x81, 205, 3, OWN, SSRC) + fci, 1)
    again = drain(box, 1)
    assert again == [packet for packet in media if int.from_bytes(packet[2:4]) in lost]
    assert box.control(struct.pack("!BBHII", 0x81, 205, 3, OWN, SSRC) + struct.pack("!HH", 9_000, 0xFFFF), 2)
    assert drain(box, 2) == []


def test_targets_are_brought_into_their_range_and_an_older_one_is_ignored() -> None:
    box = outbox()
    target(box, 10, repair_ratio=255, pace_us=60_000)
    target(box, 9, repair_ratio=0)
    datagrams: list[bytes] = []
    box.push(unit(27_000), now_us=0, frame_id=1, rtp_time=0, capture_us=1)
    leaving: list[int] = []
    now = 0
    while (due := box.deadline()) is not None:
        now = max(now, due)
        datagrams += box.next(now)
        leaving.append(now)
    assert kinds(datagrams).count(SYMBOL) == -(-kinds(datagrams).count(MEDIA) // 2), "half at most"
    assert leaving[-1] <= 8_000, "a frame is out within 8 ms"
    assert (box.stats()["targets_clamped"], box.stats()["targets_late"]) == (1, 1)


def test_no_picture_is_encoded_while_an_earlier_one_waits_or_none_got_through() -> None:
    box = outbox()
    assert box.ready(0) == READY
    push(box, 1, 20_000, 0)
    assert box.ready(1, 100_000) == HOLD, "the kernel still has it"
    target(box, 1, 20_000, newest_id=1)
    for frame_id in range(2, 6):
        now = frame_id * INTERVAL_US
        assert box.ready(now) == READY
        push(box, frame_id, 20_000, now)
    later = [box.ready(number * INTERVAL_US) for number in range(6, 30)]
    assert HOLD in later, "four intervals without a word"
    assert READY in later, "the way back alone may be gone"
    target(box, 2, 30 * INTERVAL_US, newest_id=5)
    assert box.ready(30 * INTERVAL_US) == READY
    assert box.stats()["held"] == later.count(HOLD) + 1


def test_stale_frames_are_never_sent_and_a_key_frame_is_wanted_after_them() -> None:
    box = outbox(pace_us=50_000, pace_group=2)
    push(box, 1, 9_000, 0)
    for frame_id in (2, 3):
        box.push(unit(5_000), now_us=1_000, frame_id=frame_id, rtp_time=0, capture_us=1)
    late = [packet for now in range(50_000, 1_000_000, 50_000) for packet in box.next(now)]
    assert {packet[17:21] for packet in late if packet[1] & 0x7F == MEDIA} == {(1).to_bytes(4)}
    assert box.stats()["stale_frames"] == 2
    assert box.ready(1_000_000) == READY_KEY
    with pytest.raises(ValueError, match="not sent"):
        push(box, 4, 1_000, 1_000_000)
    assert kinds(push(box, 5, 1_000, 2_000_000, key=True)) == [MEDIA, MEDIA]
    assert box.ready(2_000_100) == READY


def test_packets_so_large_that_a_symbol_would_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="Outbox"):
        Outbox(ssrc=1, max_packet=MAX_LINK_PACKET + 1)
    assert Outbox(ssrc=1, max_packet=MAX_LINK_PACKET) is not None


def test_bytes_that_are_no_control_change_nothing() -> None:
    import random

    pick, box = random.Random(seed()), outbox()
    push(box, 1, 5_000)
    for _ in range(500):
        box.control(bytes([0x80 | pick.randrange(32), pick.choice([204, 205, 206])]) + pick.randbytes(60), 1)
        box.control(pick.randbytes(pick.randrange(80)), 1)
    assert drain(box, 10) == []


def test_the_send_stamps_of_two_frames_that_end_between_two_units_are_both_told() -> None:
    box = outbox()
    for frame_id in (1, 2, 3):  # queued at once, gone together
        box.push(unit(2500, frame_id), now_us=1000, frame_id=frame_id, rtp_time=3600 * frame_id, capture_us=frame_id)
    drain(box, 1000)
    told = []
    for frame_id in (4, 5, 6, 7):
        first = push(box, frame_id, 500, 2000)[0]
        at = first.index(b"\x47") if b"\x47" in first[16:80] else -1
        told.append(int.from_bytes(first[at + 1 : at + 3], "big"))
    assert told == [1, 2, 3, 4]


def test_send_stamps_that_a_stale_frame_was_to_tell_are_told_by_the_next_that_leaves() -> None:
    box = outbox()
    push(box, 1, 500, 900)
    box.push(
        unit(500, 2), now_us=1000, frame_id=2, rtp_time=0, capture_us=2
    )  # tells of 1, and is stale when it could go
    assert box.next(500_000) == []
    assert told_by(push(box, 3, 500, 600_000, key=True)) == 1


def told_by(packets: list[bytes]) -> int:
    """Whose send stamps the first packet tells."""
    at = packets[0].index(b"\x47", 16)
    return int.from_bytes(packets[0][at + 1 : at + 3], "big")


def test_send_stamps_that_a_lost_frame_told_are_told_again_and_its_own_are_not() -> None:
    box = outbox()
    for frame_id in (1, 2, 3):
        sent = push(box, frame_id, 500, 1000 * frame_id)
    assert told_by(sent) == 2
    target(box, 1, 3500, newest_id=3, outcomes=0b101011)  # 3 was given up
    assert told_by(push(box, 4, 500, 4000)) == 2
    target(box, 2, 4500, newest_id=4, outcomes=0b10101110)  # says it again
    assert [told_by(push(box, frame_id, 500, 1000 * frame_id)) for frame_id in (5, 6)] == [4, 5]


def test_a_key_frame_that_the_receiver_gave_up_is_followed_by_another_at_once_but_once() -> None:
    box = outbox()
    push(box, 1, 2_000, 0, key=True)
    push(box, 2, 2_000, INTERVAL_US)
    target(box, 1, 2 * INTERVAL_US - 1, newest_id=2, outcomes=0b1110)
    assert box.ready(2 * INTERVAL_US - 1) == READY, "less than 80 ms after the one before"
    target(box, 2, 100_000, newest_id=2, outcomes=0b1110)
    assert box.ready(100_000) == READY_KEY
    push(box, 3, 2_000, 100_000, key=True)
    target(box, 3, 200_000, newest_id=3, outcomes=0b111110)
    assert box.ready(200_000) == READY, "the newer one has come"
    assert box.stats()["keys_lost"] == 1
