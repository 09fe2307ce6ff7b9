"""C packetizer and reassembler against slow ones in Python, and what must hold on any network."""

from collections import Counter
from itertools import pairwise
from random import Random
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.oracle import annexb
from tests.oracle.rtp import FrameReassembler, Meta, packetize
from thinair.link.native import AccessUnit, Packetizer, Reassembler, split_nals

THRICE = 3 * settings().max_examples  # of the profile, which is smaller where a processor is emulated

nal_types = st.sampled_from([1, 1, 1, 5, 6, 7, 8, 9, 12])


@st.composite
def nals(draw: st.DrawFn, types: st.SearchStrategy[int] = nal_types) -> bytes:
    """A NAL unit that could stand in an Annex B stream: no start code inside, no zero at its end."""
    header = draw(st.integers(0, 3)) << 5 | draw(types)
    body = draw(st.binary(max_size=40)) * draw(st.sampled_from([1, 1, 1, 7, 60]))
    return bytes([header]) + annexb.escape(body).rstrip(b"\0") + draw(st.sampled_from([b"", b"\x80"]))


@st.composite
def units(draw: st.DrawFn) -> bytes:
    parts = draw(st.lists(nals(), min_size=1, max_size=8))
    unit = b"".join(draw(st.sampled_from([b"\0\0\1", b"\0\0\0\1", b"\0\0\0\0\0\1"])) + nal for nal in parts)
    assume(annexb.canonical(unit))
    return unit


stamps = st.integers(0, 2**48 - 1)
metas = st.builds(
    Meta,
    frame_id=st.integers(0, 2**32 - 1),
    rtp_time=st.integers(0, 2**32 - 1),
    key=st.booleans(),
    stamps=st.tuples(stamps, stamps, stamps, stamps)
    | stamps.map(lambda t: (t, t + 1, t + 0xFFFFFE, t + 0xFFFFFF)).filter(lambda t: t[3] < 2**48),
    capture_ntp=st.integers(0, 2**64 - 1),
    sent=st.none() | st.tuples(st.integers(0, 2**32 - 1), stamps, stamps, stamps),
)


def c_packetize(packetizer: Packetizer, unit: bytes, meta: Meta) -> list[bytes]:
    return packetizer.packetize(
        unit,
        frame_id=meta.frame_id,
        rtp_time=meta.rtp_time,
        key=meta.key,
        capture_us=meta.stamps[0],
        dequeue_us=meta.stamps[1],
        encode_in_us=meta.stamps[2],
        encode_out_us=meta.stamps[3],
        capture_ntp=meta.capture_ntp,
        sent=meta.sent,
    )


@given(st.binary(max_size=60) | st.lists(st.sampled_from([0, 1, 2, 3]), max_size=60).map(bytes))
def test_the_scanner_splits_as_the_slow_one(data: bytes) -> None:
    assert [data[a : a + n] for a, n in split_nals(data)] == annexb.split(data)


setups = st.fixed_dictionaries(
    {
        "payload_type": st.integers(0, 127),
        "ssrc": st.integers(0, 2**32 - 1),
        "first_seq": st.integers(0, 65535),
        "max_packet": st.integers(200, 1472),
        "elements": st.booleans(),
    }
)


@given(units(), metas, setups)
def test_packets_are_those_of_the_slow_packetizer(unit: bytes, meta: Meta, setup: dict[str, Any]) -> None:
    packets = c_packetize(Packetizer(**setup), unit, meta)
    assert packets == packetize(unit, meta, **setup)
    assert all(len(packet) <= setup["max_packet"] for packet in packets)


@given(units(), metas, st.randoms(use_true_random=False), st.booleans())
def test_packets_in_any_order_and_doubled_make_the_same_unit(
    unit: bytes, meta: Meta, random: Random, elements: bool
) -> None:
    packets = Packetizer(elements=elements, max_packet=200, first_seq=65530).packetize(
        unit, frame_id=meta.frame_id, rtp_time=meta.rtp_time, key=meta.key
    )
    doubled = packets * 2
    random.shuffle(doubled)
    reassembler = Reassembler(elements=elements)
    lead = Packetizer(elements=False, first_seq=65529).packetize(
        b"\0\0\1\x67\x42", frame_id=0, rtp_time=meta.rtp_time ^ 1
    )
    if not elements:  # the packet before tells where a plain stream's unit begins
        reassembler.push(lead[0], 0)
        assert reassembler.next(0)
    got = None
    for packet in doubled:
        reassembler.push(packet, 5)
        got = got or reassembler.next(5)
    assert got is not None
    assert bytes(got) == annexb.canonical(unit)
    assert got.packets == len(packets)
    assert got.first_seq == 65530
    drops = reassembler.drops()
    assert drops["duplicate"] + drops["late"] == len(packets)


# ---- a network that loses, doubles and delays ------------------------------------------------------------------


@st.composite
def journeys(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """(arrival µs, frame, packet) of a dozen frames of one to six packets each."""
    counts = draw(st.lists(st.integers(1, 6), min_size=1, max_size=14))
    sent = [(frame, index) for frame, count in enumerate(counts) for index in range(count)]
    arrivals = []
    for when, (frame, index) in enumerate(sent):
        for delay in draw(st.sampled_from([[0]] * 10 + [[], [3], [0, 2], [12], [0, 40], [60]])):
            arrivals.append(((when + delay) * 1000, frame, index))
    return sorted(arrivals)


def slice_unit(frame: int, packets: int) -> bytes:
    """A unit of about so many packets of 200 bytes: a slice, or two, each behind an SPS as GStreamer sends them."""
    size = 60 if packets == 1 else 60 + (packets - 1) * 150
    body = bytes([frame + 1]) * size
    if frame % 3:
        return b"\0\0\0\1\x41\x9a" + body
    head = b"\0\0\0\1\x67" + bytes([frame + 1])
    return head + b"\0\0\0\1\x65\x88" + body[: size // 2] + head + b"\0\0\0\1\x65\x48" + body[size // 2 :]


def make_stream(
    journey: list[tuple[int, int, int]], elements: bool
) -> tuple[dict[int, bytes], dict[tuple[int, int], bytes]]:
    packetizer = Packetizer(elements=elements, max_packet=200, first_seq=65500)
    frames = {frame: 1 + max(i for _, f, i in journey if f == frame) for _, frame, _ in journey}
    made, packets = {}, {}
    for frame in range(max(frames) + 1):
        made[frame] = slice_unit(frame, frames.get(frame, 1))
        for index, packet in enumerate(packetizer.packetize(made[frame], frame_id=frame + 7, rtp_time=frame * 3000)):
            packets[frame, index] = packet
    return made, packets


@settings(max_examples=THRICE)
@given(journeys(), st.integers(2, 6), st.sampled_from([0, 2000, 20000]))
def test_frames_lost_and_kept_are_those_of_the_slow_reassembler(
    journey: list[tuple[int, int, int]], window: int, reorder_us: int
) -> None:
    assume(journey)
    made, packets = make_stream(journey, elements=True)
    fast = Reassembler(window_frames=window, reorder_us=reorder_us)
    slow = FrameReassembler(window, reorder_us)
    for now, frame, index in journey:
        if (frame, index) not in packets:
            continue
        fast.push(packets[frame, index], now)
        slow.push(packets[frame, index], now)
        if index % 3 == 2:
            continue  # somebody who comes late
        while (expected := slow.next(now)) is not None:
            unit = fast.next(now)
            assert unit is not None
            assert (unit.frame_id, bytes(unit), unit.lost_before) == expected
            assert bytes(unit) == made[unit.frame_id - 7]
            assert unit.gap == (unit.lost_before > 0)
        assert fast.next(now) is None
    assert {k: n for k, n in fast.drops().items() if n} == {k: n for k, n in slow.drops.items() if n}


@settings(max_examples=THRICE)
@given(journeys(), st.integers(2, 6), st.sampled_from([0, 2000, 20000]))
def test_a_plain_stream_never_yields_a_wrong_byte(
    journey: list[tuple[int, int, int]], window: int, reorder_us: int
) -> None:
    assume(journey)
    made, packets = make_stream(journey, elements=False)
    reassembler = Reassembler(elements=False, window_frames=window, reorder_us=reorder_us)
    lead = Packetizer(elements=False, first_seq=65499).packetize(b"\0\0\1\x67\x42", frame_id=0, rtp_time=2**32 - 3000)
    reassembler.push(lead[0], 0)
    assert reassembler.next(0) is not None
    got: list[AccessUnit] = []
    arrived: Counter[int] = Counter()
    for now, frame, index in journey:
        if (frame, index) not in packets:
            continue
        arrived[frame] += 1
        reassembler.push(packets[frame, index], now)
        while (unit := reassembler.next(now)) is not None:
            got.append(unit)
    times = [unit.rtp_time % 2**32 for unit in got]
    assert times == sorted(set(times))
    for unit in got:
        assert bytes(unit) == made[unit.rtp_time % 2**32 // 3000]
    assert [unit.frame_id for unit in got] == sorted({unit.frame_id for unit in got})
    for before, after in pairwise(got):
        assert after.frame_id == before.frame_id + 1 + after.lost_before
        whole = after.rtp_time - before.rtp_time == 3000
        assert after.gap == (after.lost_before > 0)
        assert after.gap or whole


def test_a_unit_with_an_sps_before_each_slice_is_not_taken_for_whole_without_its_first() -> None:
    packetizer = Packetizer(elements=False, max_packet=200)
    before, unit, after = (
        packetizer.packetize(slice_unit(frame, 3), frame_id=0, rtp_time=frame * 3000) for frame in (1, 3, 4)
    )
    for missing in range(1, len(unit)):
        reassembler = Reassembler(elements=False, reorder_us=0)
        reassembler.push(before[0], 0)  # its tail is lost, too
        got = []
        for packet in [*unit[missing:], *after]:
            reassembler.push(packet, 1)
            while (one := reassembler.next(1)) is not None:
                got.append(bytes(one))
        assert got == [slice_unit(4, 3)]


@given(journeys(), st.booleans())
def test_without_loss_and_with_little_reordering_nothing_is_lost(
    journey: list[tuple[int, int, int]], elements: bool
) -> None:
    assume(journey)
    made, packets = make_stream(journey, elements)
    order = sorted(packets, key=lambda key: (sum(k < key for k in packets) + (key[1] * 7 + key[0] * 3) % 4, key))
    reassembler = Reassembler(elements=elements, window_frames=8, reorder_us=20000)
    start = order.index((0, 0))
    order = [(0, 0), *order[:start], *order[start + 1 :]]
    got = []
    for when, key in enumerate(order):
        reassembler.push(packets[key], when)
        while (unit := reassembler.next(when)) is not None:
            got.append(bytes(unit))
    assert got == [made[frame] for frame in sorted(made)]
    assert not any(reassembler.drops().values())


@given(st.lists(st.binary(max_size=300), max_size=30), st.booleans())
def test_random_datagrams_are_counted_and_never_raise(datagrams: list[bytes], elements: bool) -> None:
    reassembler = Reassembler(elements=elements)
    for when, datagram in enumerate(datagrams):
        reassembler.push(datagram, when)
        assert reassembler.next(when) is None or datagram[0] >> 6 == 2
    unusable = sum(len(d) < 12 or d[0] >> 6 != 2 for d in datagrams)
    assert sum(reassembler.drops().values()) >= unusable
