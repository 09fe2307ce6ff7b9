"""The vectors of docs/wire-protocol.md for media packets, written and read by the C core."""

import re

import pytest

from tests.oracle.annexb import canonical
from tests.support.paths import ROOT
from thinair.link.native import Packetizer, Reassembler, Seal, SendQueue
from thinair.link.protocol.rtcp import PACE_OWN, Target, build

pytestmark = pytest.mark.quick

DOCUMENT = ROOT / "docs" / "wire-protocol.md"
CAPTURE_US = 0x010000000000


def vectors() -> list[tuple[bytes, list[bytes]]]:
    """(access unit, its packets) of each row."""
    section = DOCUMENT.read_text().split("## Test vectors of the media packets")[1].split("\n## ")[0]
    rows = [re.findall(r"`([0-9a-f ]+)`", line) for line in section.splitlines() if line.startswith("| `")]
    return [(bytes.fromhex(unit), [bytes.fromhex(packet) for packet in packets]) for unit, *packets in rows]


def test_the_packetizer_writes_the_vectors() -> None:
    packetizer = Packetizer(ssrc=0x11223344, first_seq=65535, max_packet=200)
    (first, wire_first), *others = vectors()
    packets = packetizer.packetize(
        first,
        frame_id=0x01020304,
        rtp_time=0x0A0B0C0D,
        key=True,
        capture_us=CAPTURE_US,
        dequeue_us=CAPTURE_US + 40,
        encode_in_us=CAPTURE_US + 300,
        encode_out_us=CAPTURE_US + 0xFFFFFF,
        capture_ntp=0xE1E2E3E4E5E6E7E8,
        sent=(0x01020303, 1000, 1250, 9000),
    )
    assert packets == wire_first
    assert len(others) == 2
    for number, (unit, wire) in enumerate(others, start=1):
        assert packetizer.packetize(unit, frame_id=0x01020304 + number, rtp_time=0x0A0B0C0D + 3600 * number) == wire


def test_the_reassembler_reads_the_vectors() -> None:
    reassembler = Reassembler()
    for number, (unit, wire) in enumerate(vectors()):
        for packet in wire:
            reassembler.push(packet, 1)
        got = reassembler.next(1)
        assert got is not None
        assert bytes(got) == canonical(unit)
        assert (got.frame_id, got.rtp_time) == (0x01020304 + number, 0x0A0B0C0D + 3600 * number)
        assert got.key == (number == 0)
        assert got.capture_us == (CAPTURE_US if number == 0 else 0)
        assert got.dequeue_us == (CAPTURE_US + 40 if number == 0 else 0)
        assert got.encode_out_us == 0
        assert got.sent == ((0x0303, 250, 8000) if number == 0 else None)


def test_the_outbox_writes_the_repair_vectors_and_the_reassembler_restores_from_them() -> None:
    section = DOCUMENT.read_text().split("## Test vectors of repair packets")[1]
    rows = re.findall(r"^\| (media|symbol) \d+ \| `([0-9a-f]+)` \|$", section, re.M)
    media = [bytes.fromhex(data) for kind, data in rows if kind == "media"]
    symbols = [bytes.fromhex(data) for kind, data in rows if kind == "symbol"]
    box = SendQueue(ssrc=0x11223344, first_seq=65535, max_packet=200)
    box.set_cookie(1)
    box.control(build(Target(2, 1, 1, 8_000_000, 0, 0, PACE_OWN, 128)), 0)
    unit = bytes.fromhex("00000001419a") + bytes(range(1, 251)) + bytes(range(1, 101))
    box.push(unit, now_us=0, frame_id=0x01020304, rtp_time=0x0A0B0C0D)
    assert box.next(0) == media + symbols
    reassembler = Reassembler(repair_timeout_us=50_000)
    for packet in [media[0], *symbols]:
        reassembler.push(packet, 1)
    got = reassembler.next(1)
    assert got is not None
    assert bytes(got) == unit
    assert got.repaired


def test_seal_writes_and_reads_the_vectors_of_sealed_packets() -> None:
    section = DOCUMENT.read_text().split("## Test vectors of sealed packets")[1].split("\n## ")[0]
    rows = re.findall(r"\| (RTP|RTCP) \| (\d+) \| `([0-9a-f]+)` \| `([0-9a-f]+)` \|", section)
    assert len(rows) == 4
    for kind, index, plain, sealed in rows:
        sender, receiver = Seal(), Seal()
        sender.install(bytes(range(88)), bytes(88), 0x11223344)
        receiver.install(bytes(88), bytes(range(88)), 0x11223344)
        packet = bytes.fromhex(plain)
        if kind == "RTCP":
            for _ in range(int(index)):
                sender.seal_rtcp(packet)
            assert sender.seal_rtcp(packet).hex() == sealed
            assert receiver.unseal_rtcp(bytes.fromhex(sealed), 1) == (packet, True)
            continue
        for earlier in range(0, int(index), 0x4000):  # the way to its wrap
            sender.seal_rtp(packet[:2] + (earlier & 0xFFFF).to_bytes(2) + packet[4:])
        assert sender.seal_rtp(packet).hex() == sealed
        assert receiver.unseal_rtp(bytes.fromhex(sealed), 1) == (packet, True)
