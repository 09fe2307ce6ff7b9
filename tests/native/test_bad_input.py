"""What a network or a liar can send: each thing counted by its own reason, none raised, the next good frame shown."""

import random
import tracemalloc
from collections.abc import Callable

import pytest

from thinair.link.native import AnnexbStream, Packetizer, Reassembler

pytestmark = pytest.mark.quick

MAX_AU = 20_000


def unit(number: int, size: int = 700) -> bytes:
    return b"\0\0\0\1\x67" + bytes([number % 250 + 1]) + b"\0\0\0\1\x65\x88" + bytes([number % 250 + 1]) * size


class Wire:
    """A sender and a receiver; `frame` makes the packets of the next frame, `receive` hands them over."""

    def __init__(self, elements: bool = True) -> None:
        self.packetizer = Packetizer(elements=elements, max_packet=200)
        self.reassembler = Reassembler(elements=elements, max_au=MAX_AU)
        self.sent = self.now = 0

    def frame(self) -> list[bytes]:
        self.sent += 1
        return self.packetizer.packetize(unit(self.sent), frame_id=self.sent, rtp_time=self.sent * 3000)

    def receive(self, *packets: bytes) -> list[bytes]:
        got = []
        for packet in packets:
            self.now += 10
            self.reassembler.push(packet, self.now)
            while (one := self.reassembler.next(self.now)) is not None:
                got.append(bytes(one))
        return got

    def drops(self) -> dict[str, int]:
        return {reason: n for reason, n in self.reassembler.drops().items() if n}

    def still_works(self) -> bool:
        """The next frame comes out, once those before it have had their time."""
        got = self.receive(*self.frame())
        self.now += 10_000
        return [*got, *self.receive(b"")][-1:] == [unit(self.sent)]


@pytest.fixture(params=[True, False], ids=["elements", "plain"])
def wire(request: pytest.FixtureRequest) -> Wire:
    wire = Wire(request.param)
    assert wire.receive(*wire.frame()) == [unit(1)]
    return wire


def with_payload(packet: bytes, payload: bytes) -> bytes:
    """The same headers, another payload, the only packet of its frame."""
    if packet[0] & 0x10:
        extension = 16 + 4 * int.from_bytes(packet[14:16], "big")
        packet = packet[:21] + b"\0\0\0\1" + packet[25:extension]
        return packet[:1] + bytes([packet[1] | 0x80]) + packet[2:] + payload
    return packet[:1] + bytes([packet[1] | 0x80]) + packet[2:12] + payload


def test_truncated_datagrams_are_short(wire: Wire) -> None:
    first = wire.frame()[0]
    for size in range(12):
        assert wire.receive(first[:size]) == []
    assert wire.drops() == {"short": 12}
    assert wire.still_works()


def test_a_frame_with_a_truncated_datagram_is_not_shown_as_whole(wire: Wire) -> None:
    for cut in range(0, 200, 7):
        first, second, *rest = wire.frame()
        wire.now += 10_000
        assert unit(wire.sent) not in wire.receive(first, second[:cut], *rest)
    assert wire.still_works()


def test_duplicated_datagrams_are_counted(wire: Wire) -> None:
    packets = wire.frame()
    assert wire.receive(*[p for packet in packets for p in (packet, packet)]) == [unit(2)]
    assert wire.drops() == {"duplicate": len(packets) - 1, "late": 1}


def test_reordered_datagrams_make_the_same_frames(wire: Wire) -> None:
    first, second = wire.frame(), wire.frame()
    mixed = [*first[1:], second[0], first[0], *reversed(second[1:])]
    assert wire.receive(*mixed) == [unit(2), unit(3)]
    assert wire.drops() == {}


def test_replayed_datagrams_are_late(wire: Wire) -> None:
    packets = wire.frame()
    wire.receive(*packets)
    assert wire.receive(*packets, *packets) == []
    assert wire.drops() == {"late": 2 * len(packets)}
    assert wire.still_works()


def test_oversized_datagrams_are_refused(wire: Wire) -> None:
    packet = wire.frame()[0]
    assert wire.receive(packet + bytes(1473 - len(packet)), packet + bytes(65_000)) == []
    assert wire.drops()["oversize"] == 2
    assert wire.still_works()


def test_a_frame_above_its_bound_is_refused(wire: Wire) -> None:
    packets = wire.packetizer.packetize(unit(1, MAX_AU), frame_id=2, rtp_time=6000)
    wire.sent = 2
    assert wire.receive(*packets) == []
    assert wire.drops()["oversize"] >= 1
    assert wire.still_works()


def test_random_datagrams_are_all_counted(wire: Wire) -> None:
    noise = random.Random(7)
    junk = [noise.randbytes(noise.randrange(1500)) for _ in range(3000)]
    assert wire.receive(*junk) == []
    assert sum(wire.drops().values()) == len(junk)
    assert wire.still_works()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\x78\0\2\x67\x42\0", "stap"),
        (b"\x78\0\x20\x67", "stap"),
        (b"\x78\0\0\x67", "stap"),
        (b"\x78", "stap"),
        (b"\x7c\x05abc", "fu"),
        (b"\x7c\xc5abc", "fu"),
        (b"\x7c\x85abc", "fu"),
        (b"\x7c", "fu"),
        (b"\x7d\x85abc", "nal"),
        (b"\x79abc", "nal"),
        (b"\x60abc", "nal"),
    ],
    ids=[
        "stap_ends_on_a_length_byte",
        "stap_length_lies",
        "stap_of_an_empty_unit",
        "stap_of_nothing",
        "fu_without_start",
        "fu_with_start_and_end",
        "fu_without_end",
        "fu_without_header",
        "fu_b",
        "stap_b",
        "type_0",
    ],
)
def test_a_lying_payload_is_counted_by_its_reason(wire: Wire, payload: bytes, reason: str) -> None:
    packet = with_payload(wire.frame()[0], payload)
    wire.packetizer = Packetizer(  # its numbers go on behind this one packet
        elements=bool(packet[0] & 0x10), max_packet=200, first_seq=int.from_bytes(packet[2:4], "big") + 1
    )
    assert wire.receive(packet) == []
    assert wire.drops() == {reason: 1}
    assert wire.still_works()


def test_fu_with_a_gap_is_no_frame(wire: Wire) -> None:
    packets = wire.frame()
    assert wire.receive(*packets[:2], *packets[3:]) == []
    assert wire.still_works()
    assert wire.drops() == {"incomplete": 1, "short": 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda p: bytes([p[0] & 0x3F]) + p[1:], "version"),
        (lambda p: bytes([p[0] | 0x0F]) + p[1:60], "extension"),
        (lambda p: bytes([p[0] | 0x10]) + p[1:12] + b"\xbe\xde\xff\xff" + p[16:], "extension"),
        (lambda p: bytes([p[0] | 0x10]) + p[1:12] + b"\xbe\xde\0\1\x2f\0\0\0" + p[20:], "extension"),
        (lambda p: bytes([p[0] | 0x20]) + p[1:-1] + b"\xff", "padding"),
        (lambda p: bytes([p[0] | 0x20]) + p[1:-1] + b"\0", "padding"),
        (lambda p: p[:1] + b"\x21" + p[2:], "payload_type"),
        (lambda p: p[:8] + b"\1\2\3\4" + p[12:], "ssrc"),
    ],
    ids=[
        "version",
        "csrc_count_lies",
        "extension_length_lies",
        "element_length_lies",
        "padding_count_lies",
        "padding_count_is_zero",
        "payload_type",
        "ssrc",
    ],
)
def test_a_lying_header_is_counted_by_its_reason(wire: Wire, change: Callable[[bytes], bytes], reason: str) -> None:
    packet, *_ = packets = wire.frame()
    assert wire.receive(change(packet)) == []
    assert wire.drops() == {reason: 1}
    assert wire.receive(*packets) == [unit(2)]


def test_a_sequence_jump_of_0x8000_is_counted_and_followed_only_when_it_goes_on() -> None:
    wire = Wire(elements=False)
    wire.receive(*wire.frame())
    packets = wire.frame()
    far = [p[:2] + (int.from_bytes(p[2:4], "big") ^ 0x8000).to_bytes(2, "big") + p[4:] for p in packets]
    assert wire.receive(far[0]) == []
    assert wire.drops() == {"sequence": 1}
    assert wire.receive(*packets) == [unit(2)]
    assert wire.receive(*far) == [unit(2)]
    assert wire.drops() == {"sequence": 2}


def test_a_jump_of_frame_ids_is_counted_and_followed_only_when_it_goes_on() -> None:
    wire = Wire()
    wire.receive(*wire.frame())
    far = wire.packetizer.packetize(unit(9), frame_id=0x80000000, rtp_time=1)
    assert wire.receive(far[0]) == []
    assert wire.drops() == {"sequence": 1}
    assert wire.receive(*far[1:]) == [unit(9)]
    assert wire.drops() == {"sequence": 1}


def test_one_packet_from_far_ahead_blinds_for_no_longer_than_two_packets() -> None:
    wire = Wire()
    wire.receive(*wire.frame())
    ahead = with_payload(wire.frame()[0], b"\x41\x9a")
    wire.receive(ahead[:17] + (900).to_bytes(4, "big") + ahead[21:])
    wire.now += 10_000
    assert wire.receive(b"") == [b"\0\0\0\1\x41\x9a"]
    assert wire.receive(*wire.frame()) == [unit(3)]
    assert wire.drops() == {"incomplete": 898, "sequence": 1, "short": 1}


def test_a_sequence_number_that_contradicts_its_frame_element_is_refused() -> None:
    wire = Wire()
    first, second, *_ = wire.frame()
    wire.receive(first, second[:2] + bytes([second[2] ^ 0x80]) + second[3:])
    assert wire.drops() == {"element": 1}


def test_the_sps_may_change_in_mid_stream(wire: Wire) -> None:
    big = wire.packetizer.packetize(b"\0\0\0\1\x67abc\0\0\0\1\x68d\0\0\0\1\x65\x88e", frame_id=2, rtp_time=6000)
    wire.sent = 2
    wire.reassembler.push(big[0], 1)
    for packet in big[1:]:
        wire.reassembler.push(packet, 1)
    got = wire.reassembler.next(1)
    assert got is not None
    assert got.sps
    assert wire.drops() == {}


def test_a_flood_of_unfinished_frames_takes_no_more_memory(wire: Wire) -> None:
    packets = [wire.frame()[0] for _ in range(5000)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    wire.receive(*packets)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 10_000
    assert wire.drops().get("incomplete", 0) >= 4900
    assert wire.still_works()


def test_junk_in_a_raw_stream_is_skipped_up_to_the_next_key_frame() -> None:
    noise, stream = random.Random(3), AnnexbStream(max_au=MAX_AU, quiet_us=0)
    for when in range(200):
        stream.push(noise.randbytes(1400).replace(b"\0\0\1", b"\0\1\1"), when)
        assert stream.next(when) is None
    stream.push(unit(1) + b"\0\0\0\1\x09\xf0", 300)
    got = stream.next(300)
    assert got is not None
    assert bytes(got) == unit(1)
    assert got.lost_before == stream.drops()["oversize"]
