"""What Python sees of the native core: access units as buffers, their stamps, errors, counters."""

import gc

import pytest

from thinair.link.native import (
    AU_GAP,
    AU_KEY,
    AU_SPS,
    DROP_REASONS,
    MAX_PACKET,
    MIN_PACKET,
    AccessUnit,
    AnnexbStream,
    BitstreamError,
    Packetizer,
    Reassembler,
    slice_first_mb,
)

pytestmark = pytest.mark.quick

UNIT = b"\0\0\0\1\x67abc\0\0\0\1\x65\x88" + b"x" * 3000


def reassembled(unit: bytes = UNIT, **meta: object) -> AccessUnit:
    told = {"frame_id": 5, "rtp_time": 9000, "key": True, **meta}
    reassembler = Reassembler()
    for when, packet in enumerate(Packetizer().packetize(unit, **told)):  # type: ignore[arg-type]  # object by name
        reassembler.push(packet, 100 + when)
    got = reassembler.next(200)
    assert got is not None
    return got


def test_bytes_stay_readable_while_a_view_lives() -> None:
    unit = reassembled()
    view = memoryview(unit)
    del unit
    gc.collect()
    assert view.readonly
    assert bytes(view) == UNIT
    assert view[4:6].tolist() == [0x67, 0x61]


def test_an_access_unit_tells_its_size_flags_and_arrival() -> None:
    unit = reassembled()
    assert (unit.size, len(unit), unit.packets, unit.frame_id, unit.rtp_time) == (len(UNIT), len(UNIT), 4, 5, 9000)
    assert (unit.key, unit.sps, unit.gap, unit.lost_before) == (True, True, False, 0)
    assert (unit.first_us, unit.last_us, unit.taken_us) == (100, 103, 0)
    assert repr(unit) == f"<AccessUnit 5, {len(UNIT)} bytes, key>"
    assert (AU_KEY, AU_GAP, AU_SPS) == (1, 2, 4)


def test_stamps_travel_with_the_frame() -> None:
    unit = reassembled(
        capture_us=10**12, dequeue_us=10**12 + 40_000, encode_in_us=0, encode_out_us=10**12 + 45_000, capture_ntp=2**63
    )
    assert (unit.capture_us, unit.dequeue_us) == (10**12, 10**12 + 40_000)
    assert (unit.encode_in_us, unit.encode_out_us, unit.capture_ntp) == (0, 10**12 + 45_000, 2**63)
    assert unit.sent is None


def test_send_stamps_of_an_earlier_frame_are_told_as_deltas() -> None:
    assert reassembled(sent=(0x12345, 1000, 1500, 2500)).sent == (0x2345, 500, 1500)
    assert reassembled(sent=(7, 1000, 1500, 900)).sent == (7, 500, None)


def test_an_access_unit_cannot_be_made_or_changed_by_hand() -> None:
    with pytest.raises(TypeError):
        AccessUnit()
    with pytest.raises(AttributeError):
        reassembled().size = 3


def test_what_is_no_access_unit_is_refused_with_a_sentence() -> None:
    with pytest.raises(BitstreamError, match=r"access unit: not valid H\.264"):
        Packetizer().packetize(b"no start code", frame_id=1, rtp_time=1)
    with pytest.raises(BitstreamError, match="over its size limit"):
        Packetizer(max_packet=200).packetize(b"\0\0\1\x65" + b"x" * 300_000, frame_id=1, rtp_time=1)
    with pytest.raises(BitstreamError, match="slice"):
        slice_first_mb(b"\x67abc")
    with pytest.raises(TypeError, match="tuple of four"):
        Packetizer().packetize(UNIT, frame_id=1, rtp_time=1, sent=[1, 2, 3, 4])  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("size", [MIN_PACKET - 1, MAX_PACKET + 1])
def test_packet_sizes_out_of_range_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="Packetizer"):
        Packetizer(max_packet=size)


def test_windows_out_of_range_are_refused() -> None:
    for frames in (1, 33):
        with pytest.raises(ValueError, match="Reassembler"):
            Reassembler(window_frames=frames)
    with pytest.raises(ValueError, match="AnnexbStream"):
        AnnexbStream(max_au=0)


def test_every_drop_reason_is_counted_by_name() -> None:
    assert tuple(Reassembler().drops()) == DROP_REASONS
    assert tuple(AnnexbStream().drops()) == DROP_REASONS
    assert len(set(DROP_REASONS)) == len(DROP_REASONS)


def test_a_deadline_is_told_while_a_whole_frame_waits() -> None:
    packetizer, reassembler = Packetizer(), Reassembler(reorder_us=4000)
    for frame_id in (1, 3):
        for packet in packetizer.packetize(UNIT, frame_id=frame_id, rtp_time=frame_id):
            reassembler.push(packet, 1000)
    assert reassembler.next(1000) is not None
    assert reassembler.next(4999) is None
    assert reassembler.deadline() == 5000
    assert reassembler.next(5000) is not None
    assert reassembler.deadline() is None


def test_after_a_reset_any_peer_is_new() -> None:
    reassembler = Reassembler()
    for ssrc, frame_id in ((1, 70_000), (2, 3)):
        for packet in Packetizer(ssrc=ssrc).packetize(UNIT, frame_id=frame_id, rtp_time=0):
            reassembler.push(packet, 1)
        unit = reassembler.next(1)
        assert unit is not None
        assert (unit.frame_id, unit.gap) == (frame_id, False)
        reassembler.reset()
    assert not any(reassembler.drops().values())


def test_push_many_counts_the_units_it_took() -> None:
    packetizer = Packetizer()
    packets = [p for i in range(20) for p in packetizer.packetize(UNIT, frame_id=i, rtp_time=i)]
    assert Reassembler().push_many(packets, 1) == 20
    with pytest.raises(TypeError):
        Reassembler().push_many([*packets[:2], "no bytes"], 1)  # type: ignore[list-item]  # wrong on purpose
